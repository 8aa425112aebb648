"""What a sentence claims: its numbers with their units, its times, the names in it, that there is none of something.

Everything with a digit in it is a claim, except citations, the numbers of lists and a short list of names (`_NAMES_OF_OURS`).
"""

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone

from intact.assist.rendering import TO_BYTES, TO_NS
from intact.assist.verify.words import words_in

CITATION = re.compile(r"[\[【［]\s*(e\d{1,4}(?:\s*[,，、;]\s*e\d{1,4})*)\s*[\]】］]")
_ONE_CITED = re.compile(r"e\d{1,4}")
CODE = re.compile(r"`([^`\n]{1,1000})`")
_SENTENCE_END = re.compile(r"[。！？!?；;]+|\.(?=\s|$)")
_LIST = re.compile(
    r"^\s*(?:[-*+]\s+)?(?:#{1,6}\s*)?(?:\(?\d{1,2}[.)）](?:\s+|$)|(?:\d{1,2}|[一二三四五六七八九十])、\s*)"
)
_STEP = re.compile(
    r"\b(?:step|option|case|part|section)\s+\d{1,2}\b|第\s?[\d一二三四五六七八九十]{1,3}\s?(?:步|点|种|项|部分|章|节)",
    re.IGNORECASE,
)
# names with digits that say nothing of what was measured
_NAMES_OF_OURS = re.compile(
    r"(?<![\w.-])(?:p(?:50|75|90|95|99(?:\.9)?)|ipv[46]|tcp[46]?|udp[46]?|http/[123](?:\.[01])?|utf-?8|x86_64|aarch64|amd64|sha-?(?:1|256|512)"
    r"|md5|ext[234]|k8s|s3|e2e|python3|[45]xx|l[1234]|i18n|rfc3339|iso8601|base64|int64|float64|cgroups?\s?v[12])(?![\w-])",
    re.IGNORECASE,
)

_MONTHS = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"]
_MONTH = r"(jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)[a-z]*\.?"
_CLOCK = r"(\d{1,2}):(\d{2})(?::(\d{2})(?:\.(\d{1,9}))?)?"
_ZONE = r"(?:\s*(z|utc|gmt|[+-]\d{2}:?\d{2}))?"
_DATED = re.compile(
    rf"(?P<y>\d{{4}})[-/年.]\s?(?P<m>\d{{1,2}})[-/月.]\s?(?P<d>\d{{1,2}})日?(?:[ t,]*(?:at )?{_CLOCK}{_ZONE})?(?![\d.])"
    rf"|(?P<m3>\d{{1,2}})月\s?(?P<d3>\d{{1,2}})日(?:\s*{_CLOCK}{_ZONE})?"
    rf"|{_MONTH}\s+(?P<d1>\d{{1,2}})(?:st|nd|rd|th)?(?:,?\s+(?P<y1>\d{{4}}))?(?:,?\s+(?:at )?{_CLOCK}{_ZONE})?\b"
    rf"|\b(?P<d2>\d{{1,2}})\s+{_MONTH}(?:\s+(?P<y2>\d{{4}}))?(?:,?\s+(?:at )?{_CLOCK}{_ZONE})?\b",
    re.IGNORECASE,
)
_TIME = re.compile(
    rf"(?<![\d:.]){_CLOCK}{_ZONE}(?![\d:])|(?<!\d)(\d{{1,2}})[时点](?:(\d{{1,2}})分(?:(\d{{1,2}})秒)?|整)",
    re.IGNORECASE,
)

_UNITS: dict[str, tuple[str, float]] = {
    **{name: ("bytes", float(scale)) for name, scale in TO_BYTES.items()},
    "字节": ("bytes", 1),
    "兆": ("bytes", 1 << 20),
    "兆字节": ("bytes", 1 << 20),
    "k": ("plain", 1e3),
    "m": ("plain", 1e6),
    "%": ("%", 1),
    "％": ("%", 1),
    "percent": ("%", 1),
    "per cent": ("%", 1),
    "percentage points": ("%", 1),
    "百分点": ("%", 1),
    "个百分点": ("%", 1),
    "pp": ("%", 1),
    **{name: ("ns", float(scale)) for name, scale in TO_NS.items()},
    "µs": ("ns", 1e3),
    "μs": ("ns", 1e3),
    "纳秒": ("ns", 1),
    "微秒": ("ns", 1e3),
    "毫秒": ("ns", 1e6),
    "秒": ("ns", 1e9),
    "秒钟": ("ns", 1e9),
    "分钟": ("ns", 6e10),
    "小时": ("ns", 3.6e12),
    "个小时": ("ns", 3.6e12),
    "天": ("ns", 8.64e13),
    "日": ("ns", 8.64e13),
    "周": ("ns", 6.048e14),
    "nanoseconds": ("ns", 1),
    "microseconds": ("ns", 1e3),
    "milliseconds": ("ns", 1e6),
    "msec": ("ns", 1e6),
    "seconds": ("ns", 1e9),
    "sec": ("ns", 1e9),
    "secs": ("ns", 1e9),
    "minutes": ("ns", 6e10),
    "mins": ("ns", 6e10),
    "hours": ("ns", 3.6e12),
    "hrs": ("ns", 3.6e12),
    "hr": ("ns", 3.6e12),
    "days": ("ns", 8.64e13),
    "weeks": ("ns", 6.048e14),
    "usd": ("usd", 1),
    "dollars": ("usd", 1),
    "美元": ("usd", 1),
    "cents": ("usd", 0.01),
    "美分": ("usd", 0.01),
    "times": ("times", 1),
    "x": ("times", 1),
    "×": ("times", 1),
    "倍": ("times", 1),
    "fold": ("times", 1),
}
_SINGULAR = {
    name[:-1]: value for name, value in _UNITS.items() if name.isascii() and len(name) > 3 and name.endswith("s")
}
UNITS = (
    _UNITS
    | {name: value for name, value in _SINGULAR.items() if name not in _UNITS}
    | {
        "kilobytes": ("bytes", 1e3),
        "megabytes": ("bytes", 1e6),
        "gigabytes": ("bytes", 1e9),
        "terabytes": ("bytes", 1e12),
    }
)
_UNIT = "|".join(re.escape(name) for name in sorted(UNITS, key=len, reverse=True))
_WORD_UNIT = re.compile(rf"多?[ -]?({_UNIT})(?![A-Za-z])", re.IGNORECASE)
_SHARE_OF = re.compile(r"(?: of)? an? (second|minute|hour|day|week)\b", re.IGNORECASE)
_MULTIPLIERS = {
    "k": 1e3,
    "m": 1e6,
    "thousand": 1e3,
    "million": 1e6,
    "billion": 1e9,
    "千": 1e3,
    "万": 1e4,
    "百万": 1e6,
    "亿": 1e8,
}
_NUMBER = re.compile(
    r"(?<![A-Za-z0-9_])(?P<money>[$＄]\s?)?(?P<sign>[-+−](?=[\d.$]))?(?P<digits>\d{1,3}(?:[,，]\d{3})+(?:\.\d+)?|\d+(?:\.\d+)?|\.\d+)"
    r"(?P<exponent>[eE][+-]?\d{1,3}(?![A-Za-z0-9]))?"
    r"(?:(?P<multiplier>[kKM](?![A-Za-z])|\s?(?:thousand|million|billion|百万|[千万亿])(?![A-Za-z]))\s?)?"
    rf"(?:[ \u00a0]?(?P<unit>{_UNIT})(?![A-Za-z]))?"
    r"(?P<rate>\s?(?:/\s?(?:s|sec|second|min|minute|秒|分钟)\b|/秒|per second|每秒))?"
    r"(?P<ordinal>st|nd|rd|th)?(?![A-Za-z0-9_])",
    re.IGNORECASE,
)
_RANGE = re.compile(r"^\s?(?:-|–|—|~|～|to|and|到|至|或|or|/)\s?$", re.IGNORECASE)
_RUN = re.compile(r"[A-Za-z0-9_][\w.:/@+\-]*", re.ASCII)
_NOUN = re.compile(
    r"^[ \u00a0]?(?:[个台次条项类名位件份种行块张只颗轮步组页篇处]\s?)?"
    r"([A-Za-z]{2,30}(?: [A-Za-z]{2,30})?|[\u4e00-\u9fff]{1,6})"
)
_NOUN_AFTER = re.compile(r"^\s*(?:more |other |further |different |distinct )?")
_TAIL = ".:/@+-"
_LOOKS_NAMED = re.compile(r"[/\d]|\w[-.]\w")

_NONE_EN = re.compile(
    r"\b(?:no|not any|without any|free of|not a single|never any|none of the)\s+"
    r"(?!longer\b|more\b|need\b|way\b|matter\b|doubt\b|one\b|model\b|evidence\b|data\b|answer\b|idea\b|further\b|such\b|access\b|later\b|less\b)"
    r"[a-z-]+(?=[\s,.;:)\[]|$)",
    re.IGNORECASE,
)
_TROUBLE_EN = r"(?:error|failure|fault|problem|issue|warning|crash|zombie|alert|timeout|restart)(?:e?s)?"
_NONE_SAID = re.compile(
    rf"n't any [a-z-]+|\b{_TROUBLE_EN}-free\b|\b{_TROUBLE_EN} never (?:occurred|happened|came up)\b"
    rf"|\b{_TROUBLE_EN}(?: count)? (?:is|was|are|were) (?:nil|none)\b"
    r"|\bnothing (?:has |had )?(?:failed|crashed|gone wrong|went wrong)\b"
    r"|没(?:出过?错|报过?错|有?出过?问题|挂过?)|并无[\u4e00-\u9fff]{1,8}|(?:错误|报错|告警|失败|异常|故障)(?:数|数量|次数)?(?:为|是)[零无]",
    re.IGNORECASE,
)
_NONE_ZH = re.compile(
    r"(?:没有(?:发现|出现|检测到|任何|查到|找到|看到)*|未(?:发现|出现|检测到|见|查到|找到)(?:任何)?|不存在(?:任何)?|无(?=异常|错误|告警|失败|警告|僵尸|丢包|故障|问题))([\u4e00-\u9fff]{1,8})"
)
_NOT_NONE_ZH = re.compile(r"^(?:模型|权限|办法|必要|关系|数据|证据|回答|足够|明确|这个|变化)")
_HEALTHY = re.compile(
    r"\b(?:all (?:is |are )?(?:well|healthy|fine|normal)|everything is (?:fine|ok|normal|healthy)|nothing (?:is )?wrong)\b"
    r"|一切正常|全部正常|均正常|都正常",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """One thing a sentence says that can be looked up.

    Args:
        kind: `number`, `time`, `name`, `none` or `citation`.
        value: in base units (bytes, ns, percent points); of a time, epoch ns or ns since midnight.
        ulp: the unit of the last digit that is shown, in base units.
        dimension: `plain bytes % ns usd times`, with `/s` for rates; of times `moment`, `day` or `clock`.
        noun: the word after a number; for `none` what there is none of.
        is_bare: nothing says what the number is of.
        cited: ids of the evidence that it is to be found in.
    """

    kind: str
    start: int
    end: int
    text: str
    value: float = 0.0
    ulp: float = 1.0
    scale: float = 1.0
    dimension: str = "plain"
    noun: str = ""
    is_bare: bool = False
    is_signed: bool = False
    is_article: bool = False
    cited: tuple[str, ...] = ()
    sentence: str = ""
    offset: int = 0  # of the sentence in its line


def sentences_of(line: str) -> list[tuple[int, int]]:
    """Where the sentences of a line are; citations right behind a full stop belong to what they stand behind."""
    ends: list[int] = []
    spans = [match.span() for match in CODE.finditer(line)]
    for match in _SENTENCE_END.finditer(line):
        if any(start < match.start() < end for start, end in spans):
            continue
        end = match.end()
        begin = ends[-1] if ends else 0
        if not CITATION.search(line[begin:end]):
            while cited := re.match(rf"\s*{CITATION.pattern}", line[end:]):
                end += cited.end()
        if end > begin:
            ends.append(end)
    if not ends or ends[-1] < len(line):
        ends.append(len(line))
    return list(zip([0, *ends[:-1]], ends, strict=True))


def claims_in(line: str) -> list[Claim]:
    """All claims of a line of Markdown, in its order."""
    found: list[Claim] = []
    for start, end in sentences_of(line):
        found += _Sentence(line[start:end], start).claims()
    return found


class _Sentence:
    """One sentence being read: what was taken as a claim is blanked out for what reads it next."""

    def __init__(self, text: str, offset: int) -> None:
        self.text = text
        self.rest = text
        self.offset = offset
        self.is_row = text.lstrip().startswith("|")
        self.found: list[Claim] = []
        self.groups: list[tuple[int, int, tuple[str, ...]]] = []

    def claims(self) -> list[Claim]:
        self._citations()
        if self.offset == 0 and (match := _LIST.match(self.rest)):
            self._blank(match.start(), match.end())
        self._codes()
        for pattern in (_STEP, _NAMES_OF_OURS):
            for match in pattern.finditer(self.rest):
                self._blank(match.start(), match.end())
        self._times()
        self._names()
        self._numbers()
        self._words()
        self._nones()
        return sorted(self.found, key=lambda claim: claim.start)

    def _blank(self, start: int, end: int) -> None:
        self.rest = self.rest[:start] + "\0" * (end - start) + self.rest[end:]

    def _add(self, kind: str, start: int, end: int, **more: object) -> None:
        cited = () if kind == "citation" else self._cited(end)
        text = self.text[start:end]
        claim = Claim(
            kind=kind,
            start=start + self.offset,
            end=end + self.offset,
            text=text,
            cited=cited,
            sentence=self.text,
            offset=self.offset,
            **more,  # type: ignore[arg-type]
        )
        self.found.append(claim)
        self._blank(start, end)

    def _cited(self, end: int) -> tuple[str, ...]:
        """The next citations in the sentence, or, where none follows, those before."""
        following = [index for index, group in enumerate(self.groups) if group[0] >= end]
        if not following:
            return tuple(each for _, _, ids in self.groups for each in ids)
        first = following[0]
        ids = list(self.groups[first][2])
        for before, after in zip(self.groups[first:], self.groups[first + 1 :], strict=False):
            if self.text[before[1] : after[0]].strip(" ,，、and和与"):
                break
            ids += after[2]
        return tuple(ids)

    def _citations(self) -> None:
        for match in CITATION.finditer(self.text):
            ids = tuple(_ONE_CITED.findall(match[1]))
            self.groups.append((match.start(), match.end(), ids))
        for match in CITATION.finditer(self.text):
            for each in _ONE_CITED.findall(match[1]):
                self._add("citation", match.start(), match.end(), noun=each)

    def _codes(self) -> None:
        for match in CODE.finditer(self.rest):
            inside = match[1].strip()
            number = _NUMBER.fullmatch(inside)
            if number and not number["ordinal"]:
                self._number(number, match.start(), match.end())
            elif _LOOKS_NAMED.search(inside):
                self._add("name", match.start(), match.end(), noun=inside)
            else:
                self._blank(match.start(), match.end())

    def _times(self) -> None:
        for match in _DATED.finditer(self.rest):
            moment = _moment(match)
            if moment is not None:
                value, ulp, dimension = moment
                self._add("time", match.start(), match.end(), value=value, ulp=ulp, dimension=dimension)
        for match in _TIME.finditer(self.rest):
            clock = _clock([*match.groups()[:5]] if match[1] else [match[6], match[7] or "0", match[8], None, None])
            if clock is not None:
                self._add("time", match.start(), match.end(), value=clock[0], ulp=clock[1], dimension="clock")

    def _names(self) -> None:
        """Words with digits in them that are no number with its unit: hosts, addresses, versions, ids."""
        for match in _RUN.finditer(self.rest):
            run = match[0].rstrip(_TAIL)
            if not any(c.isdigit() for c in run) or _is_numbers(run):
                continue
            self._add("name", match.start(), match.start() + len(run), noun=run)

    def _numbers(self) -> None:
        matches = list(_NUMBER.finditer(self.rest))
        for index, match in enumerate(matches):
            follower = matches[index + 1] if index + 1 < len(matches) else None
            is_range = follower is not None and _RANGE.match(self.rest[match.end() : follower.start()]) is not None
            lends = follower if is_range and not match["unit"] and not match["money"] else None
            self._number(match, match.start(), match.end(), lends=lends)

    def _number(self, match: re.Match[str], start: int, end: int, *, lends: re.Match[str] | None = None) -> None:
        digits = match["digits"].replace(",", "").replace("，", "")
        power = int(match["exponent"][1:]) if match["exponent"] else 0
        of_unit = lends if lends is not None else match
        dimension, scale = UNITS.get((of_unit["unit"] or "").lower(), ("plain", 1.0))
        if match["money"]:
            dimension = "usd"
        if of_unit["rate"]:
            dimension += "/s"
            scale /= 60 if "m" in of_unit["rate"].lower() or "分" in of_unit["rate"] else 1
        multiplier = match["multiplier"] or (lends["multiplier"] if lends is not None else None)
        scale *= _MULTIPLIERS.get((multiplier or "").strip().lower(), 1.0)
        shown = len(digits.partition(".")[2])
        after = self.text[(lends.end() if lends is not None else end) :]
        more = _NOUN_AFTER.match(after)
        noun = _NOUN.match(after[more.end() :] if more is not None else after)
        self._add(
            "number",
            start,
            end,
            value=float(digits) * 10.0**power * scale * (-1 if match["sign"] in ("-", "−") else 1),
            ulp=10.0 ** (power - shown) * scale,
            scale=scale,
            dimension=dimension,
            noun="#" if match["ordinal"] else noun[1].lower() if noun and dimension == "plain" else "",
            is_bare=self.is_row or noun is None,
            is_signed=bool(match["sign"]),
        )

    def _words(self) -> None:
        for word in words_in(self.rest):
            share = _SHARE_OF.match(self.rest[word.end :]) if word.kind == "%" else None
            if share is not None:  # half an hour
                of = UNITS[share[1].lower()]
                value = word.value / 100 * of[1]
                span = (word.start, word.end + share.end())
                self._add("number", *span, value=value, ulp=value / 5, scale=of[1], dimension=of[0])
                continue
            unit = None if word.kind else _WORD_UNIT.match(self.rest[word.end :])
            end = word.end + (unit.end() if unit else 1 if self.rest[word.end : word.end + 1] == "成" else 0)
            dimension, scale = UNITS[unit[1].lower()] if unit else (word.kind or "plain", 1.0)
            noun = _NOUN.match(self.text[end:])
            ulp = 0.5 if word.kind == "times" else 2.0 if word.kind == "%" and word.value % 1 else 1.0
            self._add(
                "number",
                word.start,
                end,
                value=word.value * scale,
                ulp=ulp * scale,
                scale=scale,
                dimension=dimension,
                noun=noun[1].lower() if noun and dimension == "plain" else "",
                is_article=word.is_article,
            )

    def _nones(self) -> None:
        for match in _NONE_EN.finditer(self.rest):
            noun = re.match(r"[^,.;:\[]{0,60}", self.text[match.start() :])
            self._add("none", match.start(), match.end(), noun=noun[0].lower() if noun else "")
        for match in _NONE_SAID.finditer(self.rest):
            said = match[0].lower().replace("n't any", "").replace("出错", "错误").replace("nothing", "")
            self._add("none", match.start(), match.end(), noun=said)
        for match in _NONE_ZH.finditer(self.rest):
            if not _NOT_NONE_ZH.match(match[1]):
                self._add("none", match.start(), match.end(), noun=match[1])
        for match in _HEALTHY.finditer(self.rest):
            self._add("none", match.start(), match.end(), noun="")


def _is_numbers(run: str) -> bool:
    """Whether a word is numbers only, with units and what stands between two of them."""
    rest = run
    while rest:
        match = _NUMBER.match(rest)
        if match is None or (rest is not run and rest[0] == "."):
            return False
        rest = rest[match.end() :]
        between = re.match(r"[-–~/:](?=\d)", rest)
        if rest and between is None:
            return rest.isspace()
        rest = rest[between.end() :] if between else ""
    return run.count(".") < 2 or "-" in run


def _moment(match: re.Match[str]) -> tuple[float, float, str] | None:
    parts = match.groupdict()
    texts = [each for each in match.groups() if each]
    month_name = next((each[:3].lower() for each in texts if each[:3].lower() in _MONTHS and not each[0].isdigit()), "")
    year = parts["y"] or parts["y1"] or parts["y2"]
    month = parts["m"] or parts["m3"] or (str(_MONTHS.index(month_name) + 1) if month_name else None)
    day = parts["d"] or parts["d1"] or parts["d2"] or parts["d3"]
    clock = re.search(rf"{_CLOCK}{_ZONE}", match[0], re.IGNORECASE)
    try:
        date = datetime(int(year or 2000), int(month or 1), int(day or 1), tzinfo=UTC)
    except ValueError:
        return None
    if not year:
        return float(int(month or 1) * 100 + int(day or 1)), 0.0, "month_day"
    base = date.timestamp() * 1e9
    if clock is None:
        return base, 86_400e9, "moment"
    read = _clock(list(clock.groups()))
    return None if read is None else (base + read[0], read[1], "moment")


def _clock(parts: list[str | None]) -> tuple[float, float] | None:
    hour, minute, second, fraction, zone = parts
    if int(hour or 0) > 24 or int(minute or 0) > 59 or int(second or 0) > 60:
        return None
    value = (int(hour or 0) * 3600 + int(minute or 0) * 60 + int(second or 0)) * 1e9
    ulp = 60e9 if second is None else 1e9
    if fraction:
        value += float(f"0.{fraction}") * 1e9
        ulp = 10.0 ** (9 - len(fraction))
    if zone and zone[0] in "+-":
        ahead = timedelta(hours=int(zone[1:3]), minutes=int(zone[-2:])) * (-1 if zone[0] == "-" else 1)
        value -= timezone(ahead).utcoffset(None).total_seconds() * 1e9
    return value, ulp
