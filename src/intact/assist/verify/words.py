"""Numbers that are written as words: English, and Chinese numerals with what they count."""

import re
from dataclasses import dataclass

_ONES = (
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen"
)
_EN = {word: value for value, word in enumerate(f"{_ONES} eighteen nineteen".split())} | {
    word: value * 10
    for value, word in enumerate(["twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"], 2)
}
_EN_PLACES = {"hundred": 100, "thousand": 1_000, "million": 10**6, "billion": 10**9}
_DOZEN = {"dozen": 12, "score": 20}
_EN_WORD = "|".join(sorted((*_EN, *_EN_PLACES, *_DOZEN), key=len, reverse=True))
ENGLISH = re.compile(rf"\b(?:{_EN_WORD})s?(?:(?:[ -]|\s+and\s+)(?:{_EN_WORD})s?)*\b", re.IGNORECASE)
# `one` that counts nothing: this one, one of them, one by one
_PRONOUN_BEFORE = re.compile(
    r"\b(?:this|that|the|which|each|every|no|any|another|next|last|first|some)\s+$", re.IGNORECASE
)
_PRONOUN_AFTER = re.compile(
    r"^(?:\s+(?:of|another|by|can|could|should|may|might|must|has|is|was|that|who|which|would|will|at)\b|\s*[,.;:!?)]|\s*$|-)",
    re.IGNORECASE,
)
FRACTIONS = {
    "half": 50.0,
    "a third": 100 / 3,
    "one third": 100 / 3,
    "two thirds": 200 / 3,
    "a quarter": 25.0,
    "one quarter": 25.0,
    "three quarters": 75.0,
    "一半": 50.0,
}
TIMES = {
    "twice": 2.0,
    "double": 2.0,
    "doubled": 2.0,
    "triple": 3.0,
    "tripled": 3.0,
    "threefold": 3.0,
    "tenfold": 10.0,
    "翻倍": 2.0,
    "翻番": 2.0,
}
FRACTION = re.compile(r"\b(?:half|(?:a|one) third|two thirds|(?:a|one) quarter|three quarters)\b|一半", re.IGNORECASE)
MULTIPLE = re.compile(r"\b(?:twice|doubled?|tripled?|threefold|tenfold)\b|翻[倍番]", re.IGNORECASE)

_DIGITS = {digit: value for value, digit in enumerate("零一二三四五六七八九")} | {"两": 2, "〇": 0, "俩": 2, "仨": 3}
_PLACES = {"十": 10, "百": 100, "千": 1_000}
_BIG = {"万": 10**4, "亿": 10**8}
_NUMERAL = "零一二三四五六七八九十百千万亿两〇"
_COUNTED = (
    "个|台|次|条|项|类|名|位|件|份|种|行|秒|毫秒|微秒|纳秒|分钟|小时|天|周|月|年|倍|字节|兆|核|块|张|只|颗|路|轮|步|组|批|页|篇|处|"
    "进程|主机|错误|文件|连接|线程|调用|运行|会话|服务|告警|警告|挂载|用户|词元|目录|请求|美元|元|成|%|％"
)
CHINESE = re.compile(
    rf"百分之[{_NUMERAL}点]{{1,10}}"
    rf"|[{_NUMERAL}]{{1,10}}分之[{_NUMERAL}]{{1,10}}"
    rf"|(?<![第\d.])[{_NUMERAL}]{{1,14}}(?:点[零一二三四五六七八九]{{1,6}})?(?=多?\s?(?:{_COUNTED}|[KMGT]i?B\b))"
    rf"|(?<![第\d.之])(?:[一二三四五六七八九两]?[十百千][{_NUMERAL}]{{1,12}}|[二三四五六七八九两][十百千万亿][{_NUMERAL}]{{0,12}})"
    r"|[俩仨](?=\s|[进主服文])"
)
_NOT_NUMBERS = re.compile(r"十分|千万(?=不|别|要|注意)|万一|一百八十度|百分百|千方百计|十足|万分|百般|百科|千兆|万兆")
# 一条 that points at something instead of counting: 这一条, 最近一次
_POINTS_BEFORE = re.compile(r"(?:[这那哪每某另同上下的后近初首]|最[\u4e00-\u9fff]|任何|第)\s*$")
# 一个 that is no more than an article
_ARTICLE = re.compile(r"(?:只有|仅有|仅|只|共|总共|一共|总计|合计|唯一|恰好|正好|才)\s*$")


@dataclass(frozen=True, slots=True, kw_only=True)
class Word:
    """A number in words at a place of a text; `is_article`: it may mean no more than that there is such a thing."""

    start: int
    end: int
    value: float
    kind: str = ""  # `%`, `times` or nothing
    is_article: bool = False


def words_in(text: str) -> list[Word]:
    """The numbers that are words, in the order of the text."""
    found: list[Word] = []
    taken: list[tuple[int, int]] = []

    def add(match: re.Match[str], value: float | None, *, kind: str = "", is_article: bool = False) -> None:
        if value is not None and not any(start < match.end() and match.start() < end for start, end in taken):
            taken.append(match.span())
            found.append(Word(start=match.start(), end=match.end(), value=value, kind=kind, is_article=is_article))

    taken += [match.span() for match in _NOT_NUMBERS.finditer(text)]
    for match in FRACTION.finditer(text):
        add(match, FRACTIONS[match[0].lower()], kind="%")
    for match in MULTIPLE.finditer(text):
        add(match, TIMES[match[0].lower()], kind="times")
    for match in ENGLISH.finditer(text):
        lone = match[0].lower() == "one"
        if lone and (_PRONOUN_BEFORE.search(text[: match.start()]) or _PRONOUN_AFTER.match(text[match.end() :])):
            continue
        only = re.search(r"\b(?:only|just|exactly|single)\s+$", text[: match.start()], re.IGNORECASE)
        add(match, english(match[0]), is_article=lone and only is None)
    for match in CHINESE.finditer(text):
        if match[0] == "一" and _POINTS_BEFORE.search(text[: match.start()]):
            continue
        kind = "%" if "分之" in match[0] or text[match.end() : match.end() + 1] == "成" else ""
        value = _chinese_claim(match[0], is_tenths=text[match.end() : match.end() + 1] == "成")
        add(match, value, kind=kind, is_article=match[0] == "一" and not _ARTICLE.search(text[: match.start()]))
    return sorted(found, key=lambda word: word.start)


def english(text: str) -> float | None:
    """The number that English words say.

    >>> english("ninety-seven"), english("two thousand and three"), english("a dozen")
    (97, 2003, None)
    """
    total = part = 0
    for word in re.split(r"[\s-]+", text.lower()):
        word = word if word in _EN or word in _EN_PLACES or word in _DOZEN else word.removesuffix("s")
        if word == "and":
            continue
        if word in _EN:
            part += _EN[word]
        elif word == "hundred" or word in _DOZEN:
            part = (part or 1) * (_EN_PLACES | _DOZEN)[word]
        elif word in _EN_PLACES:
            total += (part or 1) * _EN_PLACES[word]
            part = 0
        else:
            return None
    return total + part


def chinese(text: str) -> float | None:
    """The number that Chinese numerals say.

    >>> chinese("两千"), chinese("三十五"), chinese("一万零三"), chinese("三点五"), chinese("二〇二六")
    (2000, 35, 10003, 3.5, 2026)
    """
    whole, point, after = text.partition("点")
    if point:
        before, rest = chinese(whole), [_DIGITS.get(each) for each in after]
        if before is None or not rest or None in rest:
            return None
        return float(f"{before:.0f}.{''.join(str(each) for each in rest)}")
    if not whole or any(each not in _DIGITS and each not in _PLACES and each not in _BIG for each in whole):
        return None
    if len(whole) > 1 and all(each in _DIGITS for each in whole):
        return int("".join(str(_DIGITS[each]) for each in whole))
    total = part = digit = 0
    for each in whole:
        if each in _DIGITS:
            digit = _DIGITS[each]
        elif each in _PLACES:
            part += (digit or 1) * _PLACES[each]
            digit = 0
        else:
            total = (
                (total + part + digit or 1) * _BIG[each] if each == "亿" else total + (part + digit or 1) * _BIG[each]
            )
            part = digit = 0
    return total + part + digit


def _chinese_claim(text: str, *, is_tenths: bool) -> float | None:
    if text.startswith("百分之"):
        return chinese(text.removeprefix("百分之"))
    if "分之" in text:
        below, _, above = text.partition("分之")
        lower, upper = chinese(below), chinese(above)
        return None if not lower or upper is None else 100 * upper / lower
    if text in ("俩", "仨"):
        return _DIGITS[text]
    value = chinese(text)
    return value * 10 if is_tenths and value is not None else value
