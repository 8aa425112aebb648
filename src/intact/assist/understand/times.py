"""Ranges of time in a question, zh and en, made absolute: 昨天, last 2 hours, 过去30分钟, since 10:00, 昨晚8点到10点.

Two steps: a table of patterns finds pieces (a day, a part of a day, a clock time, a length, a mark such as "since"); then
adjacent pieces are put together to moments, and moments and marks to one range.
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta, tzinfo

from intact.assist.understand.numerals import NUMBER_EN, NUMBER_ZH, number_of

SECOND_NS = 1_000_000_000
MAX_CHARACTERS = 4_000
_LONGEST = timedelta(days=3_660)

_UNITS_EN = {"second": 1, "sec": 1, "minute": 60, "min": 60, "hour": 3600, "hr": 3600, "day": 86400, "week": 604800,
             "month": 2592000, "year": 31536000, "s": 1, "m": 60, "h": 3600, "d": 86400}  # fmt: skip
_UNITS_ZH = {"秒钟": 1, "秒": 1, "分钟": 60, "分": 60, "刻钟": 900, "小时": 3600, "钟头": 3600, "天": 86400, "日": 86400,
             "周": 604800, "星期": 604800, "礼拜": 604800, "月": 2592000, "年": 31536000}  # fmt: skip
_UNIT_EN = "(?:seconds?|secs?|minutes?|mins?|hours?|hrs?|days?|weeks?|months?|years?|[smhd])"
_UNIT_ZH = f"(?:{'|'.join(sorted(_UNITS_ZH, key=len, reverse=True))})"
_WEEKDAYS = {"monday": 0, "tuesday": 1, "wednesday": 2, "thursday": 3, "friday": 4, "saturday": 5, "sunday": 6,
             "一": 0, "二": 1, "三": 2, "四": 3, "五": 4, "六": 5, "日": 6, "天": 6}  # fmt: skip
_MONTHS = [
    "january",
    "february",
    "march",
    "april",
    "may",
    "june",
    "july",
    "august",
    "september",
    "october",
    "november",
    "december",
]
_MONTH = "|".join(f"{name}|{name[:3]}" for name in _MONTHS)
_DAYS = {"today": 0, "yesterday": -1, "day before yesterday": -2, "今天": 0, "今日": 0, "当天": 0, "昨天": -1, "昨日": -1,
         "前天": -2, "今": 0, "昨": -1}  # fmt: skip
# from, to (hours of the day), added to a clock time below twelve
_PARTS = {
    "morning": (5, 12, 0), "noon": (11, 13, 0), "afternoon": (12, 18, 12), "evening": (18, 24, 12), "night": (18, 30, 12),
    "凌晨": (0, 6, 0), "早上": (5, 12, 0), "早晨": (5, 12, 0), "上午": (6, 12, 0), "早": (5, 12, 0), "中午": (11, 13, 12),
    "下午": (12, 18, 12), "傍晚": (17, 20, 12), "晚上": (18, 30, 12), "夜里": (18, 30, 12), "晚": (18, 30, 12),
}  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class TimeRange:
    """From `from_ns` to before `to_ns`; `text` is what said so, `start` its place in the question."""

    from_ns: int
    to_ns: int
    text: str
    start: int


@dataclass(frozen=True, slots=True, kw_only=True)
class _Piece:
    kind: str
    groups: dict[str, str]
    start: int
    end: int


@dataclass(frozen=True, slots=True, kw_only=True)
class _Moment:
    """A day or a place in it: `hours` are those of the part of the day, `clock` seconds of the day."""

    day: datetime
    has_day: bool = False
    days: int = 1
    part: tuple[int, int, int] | None = None
    clock: int | None = None
    step: int = 60  # how long a clock time alone is
    start: int = 0
    end: int = 0

    def bounds(self) -> tuple[datetime, datetime]:
        if self.clock is not None:
            at = self.day + timedelta(seconds=self._seconds())
            return at, at + timedelta(seconds=self.step)
        if self.part is not None:
            return self.day + timedelta(hours=self.part[0]), self.day + timedelta(hours=self.part[1])
        return self.day, self.day + timedelta(days=self.days)

    def _seconds(self) -> int:
        clock = self.clock or 0
        later = self.part is not None and self.part[2] and clock < 12 * 3600
        return clock + (self.part[2] * 3600 if later and self.part else 0)


_PATTERNS: tuple[tuple[str, str], ...] = (
    ("between", r"\bbetween\b|\bfrom\b|从|自从|自|在"),
    # before "back": "last week" is that of the calendar, "in the last week" seven days
    ("period", r"\b(?P<which>this|last|past|previous)\s+(?P<p>week|month|year)\b"),
    (
        "back",
        rf"\b(?:in|over|during|within|for)?\s*(?:the\s+)?(?:last|past|previous|recent)\s+"
        rf"(?P<n>{NUMBER_EN})?\s*(?P<u>{_UNIT_EN})\b",
    ),
    ("ago", rf"\b(?P<n>{NUMBER_EN})\s*(?P<u>{_UNIT_EN})\s+ago\b"),
    (
        "back",
        rf"(?:过去的?|最近的?|近|前|这|刚才|刚刚)(?P<n>{NUMBER_ZH})(?:个|来)?(?P<half>半)?(?P<z>{_UNIT_ZH})"
        rf"(?:之内|以内|以来|内|里|中|间)?(?!前|之前|以前)",
    ),
    ("back", rf"(?P<n>{NUMBER_ZH})个?(?P<z>{_UNIT_ZH})(?:之内|以内|以来|内)"),
    ("ago", rf"(?P<n>{NUMBER_ZH})个?(?P<half>半)?(?P<z>{_UNIT_ZH})(?:之前|以前|前)"),
    ("period", r"(?P<which>本|这个?|上个?)(?P<p>周|星期|礼拜|月|年)(?![一二三四五六日天\d])"),
    ("lastnight", r"\blast\s+night\b"),
    ("tonight", r"\btonight\b"),
    ("date", r"(?P<y>\d{4})[-/](?P<mo>\d{1,2})[-/](?P<d>\d{1,2})(?:T(?=\d))?"),
    ("date", r"(?:(?P<y>\d{4})年)?(?P<mo>\d{1,2})月(?P<d>\d{1,2})[日号]?"),
    ("date", rf"\b(?P<d>\d{{1,2}})(?:st|nd|rd|th)?\s+(?P<mn>{_MONTH})\b\.?(?:\s+(?P<y>\d{{4}}))?"),
    ("date", rf"\b(?P<mn>{_MONTH})\b\.?\s+(?P<d>\d{{1,2}})(?:st|nd|rd|th)?\b(?:,?\s+(?P<y>\d{{4}}))?"),
    ("weekday", r"\b(?:on\s+)?(?P<last>last\s+)?(?P<w>monday|tuesday|wednesday|thursday|friday|saturday|sunday)\b"),
    ("weekday", r"(?P<last>上)?(?:周|星期|礼拜)(?P<w>[一二三四五六日天])"),
    ("day", r"(?:\bthe\s+)?\b(?P<day>day before yesterday|yesterday|today)\b"),
    ("day", r"(?P<day>今天|今日|当天|昨天|昨日|前天|今(?=[早晚晨])|昨(?=[晚夜]))"),
    ("part", r"\b(?:(?P<this>this)\s+|in\s+the\s+)?(?P<part>morning|noon|afternoon|evening|night)\b"),
    ("part", r"(?P<part>凌晨|早上|早晨|上午|中午|下午|傍晚|晚上|夜里|早|晚)(?!\w*于)"),
    ("clock", r"(?<![\d:.])(?P<h>[01]?\d|2[0-4])[:：](?P<m>[0-5]\d)(?:[:：](?P<s>[0-5]\d))?\s*(?P<ap>am|pm)?(?![\d.])"),
    ("clock", r"\b(?P<h>1[0-2]|0?[1-9])\s*(?P<ap>am|pm)\b"),
    ("clock", rf"(?P<h>{NUMBER_ZH})[点时](?!间|候|长|段)(?:(?P<zm>半|一刻|三刻|{NUMBER_ZH})分?)?钟?(?:整)?"),
    ("since", r"\bsince\b|\bafter\b|\bstarting\b"),
    ("until", r"\buntil\b|\btill\b|\bbefore\b|\bup to\b"),
    ("after", r"之后|以后|以来|过后|开始|起"),
    ("before", r"之前|以前|前(?!面)"),
    ("to", r"\bto\b|\band\b|\bthrough\b|到|至|~|～|—|–|-(?=\s*\d)"),
    ("now", r"\bnow\b|现在|目前|此刻|如今"),
)  # fmt: skip
_COMPILED = tuple((kind, re.compile(pattern, re.IGNORECASE)) for kind, pattern in _PATTERNS)
_BETWEEN_PIECES = re.compile(r"[\s,，的从在]*(?:\b(?:at|on|in|of|the|from|between)\b[\s,，]*)*", re.IGNORECASE)


def time_range(text: str, at_ns: int, *, zone: tzinfo | None = None) -> TimeRange | None:
    """The range of time that a question names; None: it names none.

    Args:
        text: the question, zh or en.
        at_ns: "now".
        zone: of days and clock times; None: that of this machine.

    >>> found = time_range("what happened in the last 2 hours?", 7200 * SECOND_NS)
    >>> found.from_ns, found.to_ns == 7200 * SECOND_NS, found.text
    (0, True, 'in the last 2 hours')
    """
    pieces = list(_pieces(text[:MAX_CHARACTERS]))
    if not pieces:
        return None
    now = datetime.fromtimestamp(at_ns / SECOND_NS, UTC).astimezone(zone)
    try:
        return _ranged(text, pieces, at_ns, now)
    except (OverflowError, ValueError):  # a day that is in no calendar
        return None


def without_time(text: str, found: TimeRange | None) -> str:
    """The question without the words that named the range."""
    return text if found is None else f"{text[: found.start]} {text[found.start + len(found.text) :]}"


def _pieces(text: str) -> Iterator[_Piece]:
    """From left to right, of several that begin at one place the longest."""
    found: list[tuple[int, int, int, str, dict[str, str]]] = []
    for order, (kind, pattern) in enumerate(_COMPILED):
        for match in pattern.finditer(text):
            groups = {name: value.lower() for name, value in match.groupdict().items() if value}
            found.append((match.start(), -match.end(), order, kind, groups))
    end = 0
    for start, minus_end, _, kind, groups in sorted(found, key=lambda each: each[:3]):
        if start >= end:
            end = -minus_end
            yield _Piece(kind=kind, groups=groups, start=start, end=end)


def _ranged(text: str, pieces: list[_Piece], at_ns: int, now: datetime) -> TimeRange | None:
    for piece in pieces:
        reader = _WHOLE.get(piece.kind)
        span = reader(piece.groups, now) if reader is not None else None
        if span is not None:
            begins = at_ns - int((now - span[0]).total_seconds() * SECOND_NS)
            ends = at_ns if span[1] >= now else at_ns - int((now - span[1]).total_seconds() * SECOND_NS)
            return _range(text, piece.start, piece.end, (begins, ends))
    moments = _moments(text, pieces, now)
    if not moments:
        return None
    first = moments[0]
    start, end = first.bounds()
    low, high = first.start, first.end
    marks = [(piece.kind, piece.start, piece.end) for piece in pieces]
    before = next((kind for kind, _, until in reversed(marks) if 0 <= first.start - until <= 1), "")
    after = next((kind for kind, begin, _ in marks if 0 <= begin - first.end <= 1), "")
    joined = _joined(text, moments, pieces, now)
    bounds = (_ns(start), min(_ns(end), max(at_ns, _ns(start))))
    if joined is not None:
        bounds, high = joined
    elif (
        before == "since"
        or after == "after"
        or (before == "between" and after != "before" and "自" in text[: first.start])
    ):
        bounds = (_ns(start), at_ns)
    elif before == "until" or after == "before":
        bounds = (0, _ns(start))
    if before in ("since", "until", "between"):
        low = max(until for _, until, _ in [(k, b, e) for k, b, e in marks if e <= first.start])
    if after in ("after", "before") and joined is None:
        high = next(until for kind, begin, until in marks if kind == after and 0 <= begin - first.end <= 1)
    return _range(text, low, high, bounds)


def _joined(
    text: str, moments: list[_Moment], pieces: list[_Piece], now: datetime
) -> tuple[tuple[int, int], int] | None:
    """`A to B`: the second takes its day and part of the day from the first where it has none."""
    first = moments[0]
    if len(moments) > 1:
        second = moments[1]
        between = text[first.end : second.start].strip(" ,，的").lower()
        if not any(p.kind == "to" and first.end <= p.start <= second.start for p in pieces) or len(between) > 8:
            return None
        if not second.has_day:
            second = replace(second, day=first.day, part=second.part or first.part)
        start, end = first.bounds()[0], second.bounds()[0 if second.clock is not None else 1]
        if end <= start:
            end += timedelta(days=1)
        return (_ns(start), min(_ns(end), max(_ns(now), _ns(start)))), second.end
    ending = next((p for p in pieces if p.kind == "now" and p.start >= first.end), None)
    mark = next((p for p in pieces if p.kind == "to" and p.start >= first.end), None)
    if ending is not None and mark is not None and mark.end <= ending.start <= mark.end + 2:
        return (_ns(first.bounds()[0]), _ns(now)), ending.end
    return None


def _range(text: str, start: int, end: int, bounds: tuple[int, int]) -> TimeRange | None:
    if bounds[1] < bounds[0]:
        return None
    words = text[start:end]
    start += len(words) - len(words.lstrip())
    return TimeRange(from_ns=max(bounds[0], 0), to_ns=max(bounds[1], 0), text=words.strip(), start=start)


def _ns(at: datetime) -> int:
    return int(at.timestamp()) * SECOND_NS + at.microsecond * 1000


def _length(groups: dict[str, str]) -> timedelta:
    number = number_of(groups.get("n", "1")) or 0
    if "half" in groups:
        number += 0.5
    unit = groups.get("u", "")
    seconds = _UNITS_ZH[groups["z"]] if "z" in groups else _UNITS_EN.get(unit, _UNITS_EN.get(unit.rstrip("s"), 0))
    return min(timedelta(seconds=number * seconds), _LONGEST) if number * seconds < 1e10 else _LONGEST


def _back(groups: dict[str, str], now: datetime) -> tuple[datetime, datetime] | None:
    return now - _length(groups), now


def _ago(groups: dict[str, str], now: datetime) -> tuple[datetime, datetime] | None:
    """`3 hours ago`: the hour, day or minute that lies so far back."""
    unit = _length({**groups, "n": "1"} if "half" not in groups else {"n": "1", "z": groups["z"]})
    start = now - _length(groups)
    if unit >= timedelta(days=1):
        start = start.replace(hour=0, minute=0, second=0, microsecond=0)
    return start, min(start + unit, now)


def _period(groups: dict[str, str], now: datetime) -> tuple[datetime, datetime] | None:
    today = now.replace(hour=0, minute=0, second=0, microsecond=0)
    is_last = groups["which"] in ("last", "past", "previous", "上", "上个")
    if groups["p"] in ("week", "周", "星期", "礼拜"):
        start = today - timedelta(days=today.weekday())
        return (start - timedelta(days=7), start) if is_last else (start, now)
    first = today.replace(day=1) if groups["p"] in ("month", "月") else today.replace(month=1, day=1)
    if not is_last:
        return first, now
    before = first - timedelta(days=1)
    return (before.replace(day=1) if groups["p"] in ("month", "月") else before.replace(month=1, day=1)), first


def _night(_: dict[str, str], now: datetime) -> tuple[datetime, datetime] | None:
    """Last night: from six in the evening of yesterday to six of today."""
    evening = now.replace(hour=18, minute=0, second=0, microsecond=0) - timedelta(days=1)
    return evening, min(evening + timedelta(hours=12), now)


def _tonight(_: dict[str, str], now: datetime) -> tuple[datetime, datetime] | None:
    return now.replace(hour=18, minute=0, second=0, microsecond=0), now


_Whole = Callable[[dict[str, str], datetime], tuple[datetime, datetime] | None]
_WHOLE: dict[str, _Whole] = {"back": _back, "ago": _ago, "period": _period, "lastnight": _night, "tonight": _tonight}


def _moments(text: str, pieces: list[_Piece], now: datetime) -> list[_Moment]:
    """Adjacent pieces of a day, a part of it and a clock time as one."""
    today = now.replace(hour=0, minute=0, second=0, microsecond=0)
    found: list[_Moment] = []
    open_moment: _Moment | None = None
    for piece in pieces:
        add = _ADD.get(piece.kind)
        if add is None:
            continue
        gap = None if open_moment is None else text[open_moment.end : piece.start]
        if (
            open_moment is None
            or gap is None
            or not _BETWEEN_PIECES.fullmatch(gap)
            or not _fits(open_moment, piece.kind)
        ):
            if open_moment is not None:
                found.append(open_moment)
            open_moment = _Moment(day=today, start=piece.start)
        open_moment = replace(add(open_moment, piece.groups, now), end=piece.end)
    if open_moment is not None:
        found.append(open_moment)
    # "night" or 早 alone in a sentence is no time that was asked for
    return [each for each in found if each.has_day or each.clock is not None]


def _fits(moment: _Moment, kind: str) -> bool:
    """Whether a moment has room for one more piece of this kind."""
    if kind == "clock":
        return moment.clock is None
    if kind == "part":
        return moment.part is None
    return not moment.has_day


def _add_date(moment: _Moment, groups: dict[str, str], now: datetime) -> _Moment:
    month = int(groups["mo"]) if "mo" in groups else 1 + [m[:3] for m in _MONTHS].index(groups["mn"][:3])
    day = moment.day.replace(year=int(groups.get("y", now.year)), month=month, day=int(groups["d"]))
    if "y" not in groups and day > now:
        day = day.replace(year=day.year - 1)
    return replace(moment, day=day, has_day=True)


def _add_weekday(moment: _Moment, groups: dict[str, str], now: datetime) -> _Moment:
    back = (now.weekday() - _WEEKDAYS[groups["w"]]) % 7
    if "last" in groups:
        back = now.weekday() - _WEEKDAYS[groups["w"]] + 7
    return replace(moment, day=moment.day - timedelta(days=back), has_day=True)


def _add_day(moment: _Moment, groups: dict[str, str], _: datetime) -> _Moment:
    return replace(moment, day=moment.day + timedelta(days=_DAYS[groups["day"]]), has_day=True)


def _add_part(moment: _Moment, groups: dict[str, str], _: datetime) -> _Moment:
    return replace(moment, part=_PARTS[groups["part"]], has_day=moment.has_day or "this" in groups)


def _add_clock(moment: _Moment, groups: dict[str, str], _: datetime) -> _Moment:
    hour, minute = number_of(groups["h"]), 0.0
    if "m" in groups:
        minute = int(groups["m"])
    elif "zm" in groups:
        minute = {"半": 30, "一刻": 15, "三刻": 45}.get(groups["zm"], number_of(groups["zm"]) or 0)
    if hour is None or hour > 24 or minute > 59:
        return moment
    if groups.get("ap") == "pm" and hour < 12:
        hour += 12
    elif groups.get("ap") == "am" and hour == 12:
        hour = 0
    seconds = int(hour) * 3600 + int(minute) * 60 + int(groups.get("s", 0))
    return replace(moment, clock=seconds, step=60 if "m" in groups or "zm" in groups else 3600)


_ADD: dict[str, Callable[[_Moment, dict[str, str], datetime], _Moment]] = {
    "date": _add_date, "weekday": _add_weekday, "day": _add_day, "part": _add_part, "clock": _add_clock,
}  # fmt: skip
