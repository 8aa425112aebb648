"""The functions a query may use: what computes from its arguments alone, and nothing that reads, waits or tells of the host."""

import re

_PLAIN = """
plus minus multiply divide intdiv intdivorzero modulo modulo negate abs gcd lcm
equals notequals less greater lessorequals greaterorequals isdistinctfrom isnotdistinctfrom
and or not xor if multiif casewithexpression coalesce ifnull nullif isnull isnotnull assumenotnull tonullable least
greatest
in notin nullin notnullin exists tuple tupleelement array arrayelement map lambda cast _cast
bitand bitor bitxor bitnot bitshiftleft bitshiftright bittest bittestany bittestall bitcount bitmasktoarray
round floor ceil ceiling trunc truncate roundbankers sqrt cbrt exp exp2 log log2 log10 ln pow power sign pi
touint8 touint16 touint32 touint64 toint8 toint16 toint32 toint64 tofloat32 tofloat64 todecimal64 tostring tobool
tofixedstring
touint64orzero touint64ornull toint64orzero toint64ornull tofloat64orzero tofloat64ornull accuratecastornull
reinterpretasuint64
totypename tolowcardinality
todate todatetime todatetime64 todate32 totime toyear tomonth todayofmonth todayofweek tohour tominute tosecond
toyyyymm toyyyymmdd toyyyymmddhhmmss tounixtimestamp tounixtimestamp64milli tounixtimestamp64micro
tounixtimestamp64nano
fromunixtimestamp fromunixtimestamp64milli fromunixtimestamp64micro fromunixtimestamp64nano
tostartofinterval tostartofsecond tostartofminute tostartoffiveminutes tostartoffifteenminutes tostartofhour
tostartofday
tostartofweek tostartofmonth tomonday date_trunc datetrunc datediff date_diff dateadd datesub date_add date_sub
formatdatetime
parsedatetimebesteffort parsedatetimebesteffortornull parsedatetime64besteffort now now64 today yesterday
tointervalnanosecond tointervalmicrosecond tointervalmillisecond tointervalsecond tointervalminute tointervalhour
tointervalday
tointervalweek tointervalmonth addseconds addminutes addhours adddays subtractseconds subtractminutes subtracthours
subtractdays
length lengthutf8 char_length empty notempty lower upper lowerutf8 upperutf8 reverse concat concatwithseparator
substring substr
substringutf8 left right leftpad rightpad trim trimleft trimright trimboth ltrim rtrim startswith endswith position
positioncaseinsensitive
positionutf8 locate like notlike ilike notilike match extract extractall countsubstrings countmatches replace
replaceone replaceall
replaceregexpone replaceregexpall splitbychar splitbystring splitbyregexp splitbywhitespace splitbynonalpha
arraystringconcat
alphatokens format printf repeat space ascii char hex unhex bin base64encode base64decode trybase64decode
multisearchany multisearchanycaseinsensitive hastoken hastokenornull hasalltokens hasanytokens
basename path domain protocol cutquerystring topleveldomain port querystring extracturlparameter decodeurlcomponent
encodeurlcomponent
formatreadablesize formatreadabledecimalsize formatreadablequantity formatreadabletimedelta
ngramdistance ngramsearch levenshteindistance editdistance jarosimilarity jarowinklersimilarity
isvalidjson jsonhas jsonlength jsonextract jsonextractstring jsonextractint jsonextractuint jsonextractfloat
jsonextractbool
jsonextractraw jsonextractarrayraw jsonextractkeys jsonextractkeysandvalues jsonextractkeysandvaluesraw jsontype
json_value json_query
json_exists simplejsonextractstring simplejsonhas tojsonstring
has hasall hasany hassubstr indexof countequal arraymap arrayfilter arraycount arrayexists arrayall arrayfirst
arraylast
arrayfirstindex arraylastindex arraysum arrayavg arraymin arraymax arraysort arrayreversesort arrayreverse arrayuniq
arraydistinct
arrayconcat arrayslice arraypushback arraypushfront arraypopback arraypopfront arrayjoin arrayzip arrayenumerate
arraycompact
arrayflatten arraydifference arraycumsum arrayintersect arrayexcept range arrayresize arraywithconstant
emptyarraystring
mapkeys mapvalues mapcontains mapfromarrays
cityhash64 siphash64 xxhash32 xxhash64 murmurhash3_64 farmhash64 md5 sha1 sha256 inthash32 inthash64
ipv4numtostring ipv4stringtonum ipv6numtostring toipv4 toipv6 isipv4string isipv6string isipaddressinrange
ipv4cidrtorange
isnan isinfinite isfinite transform bar ignore identity materialize
count sum avg min max any anylast any_value first_value last_value argmin argmax uniq uniqexact uniqcombined uniqhll12
quantile quantiles quantileexact quantilesexact quantiletdigest median medianexact stddevpop stddevsamp varpop varsamp
covarpop corr skewpop kurtpop entropy sumwithoverflow sumkahan avgweighted
grouparray groupuniqarray grouparraysorted groupconcat grouparraylast topk topkweighted summap minmap maxmap
groupbitand groupbitor groupbitxor singlevalueornull anyheavy histogram simplelinearregression
windowfunnel retention sequencematch sequencecount deltasum deltasumtimestamp exponentialmovingaverage
row_number rank dense_rank percent_rank ntile lag lead laginframe leadinframe nth_value laginframe leadinframe
grouping untuple tuplename tupletonamevaluepairs
"""
ALLOWED = frozenset(name.lower() for name in _PLAIN.split())

_COMBINATOR = re.compile(r"(if|ornull|ordefault|distinct|array|map)$")


def is_allowed(name: str) -> bool:
    """Whether a query may call this function; aggregates also with their combinators, as in `sumIf`."""
    name = name.lower()
    for _ in range(3):
        if name in ALLOWED:
            return True
        name, changed = _COMBINATOR.subn("", name, count=1)
        if not changed:
            return False
    return name in ALLOWED
