"""Whether a piece of evidence backs a claim: a cell of it does, a count, or what is reckoned from its numbers.

Differences, sums, means and shares are looked for only where the words of the sentence (or the unit) ask for them:
among enough pairs any number is the difference of two.
"""

import math
import re
import statistics
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import cached_property
from itertools import combinations
from typing import TypeGuard

from intact.assist.answers import Cell, Evidence
from intact.assist.rendering import code_span
from intact.assist.verify.claims import UNITS, Claim
from intact.assist.verify.naming import rows_by_name, rows_named

MAX_NAMED = 50  # values of a column that a sentence may name to count their rows
MAX_PAIR_ROWS = 20  # of evidence whose rows are compared with each other
MAX_ROUNDED = 0.25  # of a number: what is rounded further says something else
DAY_NS = 86_400 * 10**9
_SUM = re.compile(
    r"\b(?:total|sum|in all|altogether|combined|together|overall)\b|总|合计|共|加起来|累计", re.IGNORECASE
)
_MEAN = re.compile(r"\b(?:average|mean|avg|averag\w+|on average)\b|平均|均值", re.IGNORECASE)
_DIFFERENCE = re.compile(
    r"\b(?:more|less|fewer|higher|lower|above|below|difference|differs?|grew|grown|growth|rose|risen|increased?|decreased?|dropped"
    r"|fell|fallen|gained|lost|up by|down by|by|later|earlier|after|before|took|lasted|longer|shorter"
    r"|older|younger|apart|between|left|remain\w*|free)\b"
    r"|增|减|涨|降|多|少|高出|低于|相差|差|升|跌|耗时|历时|间隔|持续|用时|剩|空闲|可用",
    re.IGNORECASE,
)
_DISTINCT = re.compile(r"\b(?:distinct|different|unique|various)\b|不同|去重|各不相同", re.IGNORECASE)
_PARTIAL = re.compile(
    r"\b(?:first|shown|listed|at least|top|latest|last|newest)\b|至少|前|列出|显示|最近|最新", re.IGNORECASE
)
_NOT_READ = re.compile(
    r"\b(?:not (?:be )?read|unreadable|not allowed|no access)\b", re.IGNORECASE
)  # notes of our tools
_FOLD = re.compile(
    r"\btimes (?:as|more|higher|larger|faster|slower|the|that)\b|倍", re.IGNORECASE
)  # else it is how often
_TOKENS = re.compile(r"token|词元|令牌")
_SUFFIXES = (
    ("_bytes", "bytes"),
    ("_ns", "ns"),
    ("_us", "us"),
    ("_ms", "ms"),
    ("_seconds", "s"),
    ("_s", "s"),
    ("_percent", "%"),
    ("_pct", "%"),
    ("_usd", "usd"),
    ("_ratio", "ratio"),
)
_ZH_WORDS = {
    "错误": "error",
    "报错": "error",
    "告警": "warning",
    "警告": "warning",
    "僵尸": "zombie",
    "失败": "fail",
    "丢包": "drop",
    "泄漏": "leak",
    "重启": "restart",
    "连接": "connection",
    "进程": "process",
    "超时": "timeout",
    "异常": "error",
    "拒绝": "refused",
    "崩溃": "crash",
    "发现": "finding",
    "日志": "log",
    "磁盘": "disk",
    "内存": "memory",
    "服务": "service",
    "文件": "file",
}


@dataclass(frozen=True, slots=True)
class Column:
    """A column that holds numbers, in base units."""

    name: str
    dimension: str
    numbers: tuple[tuple[int, float], ...]  # row and value
    raw: tuple[float, ...]
    unit: str

    @property
    def values(self) -> list[float]:
        return [value for _, value in self.numbers]


class Known:
    """A piece of evidence that is the same a second time, with what claims are looked for in, made when it is needed."""

    def __init__(self, evidence: Evidence) -> None:
        self.id = evidence.id
        self.tool = evidence.tool
        self.answer = evidence.answer

    @cached_property
    def columns(self) -> list[Column]:
        """The columns that hold numbers."""
        answer = self.answer
        found = []
        for index, name in enumerate(answer.columns):
            cells = [(row, cells[index]) for row, cells in enumerate(answer.rows)]
            numbers = [(row, float(cell)) for row, cell in cells if _is_number(cell)]
            if numbers:
                unit = (answer.units.get(name) or _unit_by_name(name)).strip()
                dimension, scale = _dimension(unit)
                scaled = tuple((row, value * scale) for row, value in numbers)
                found.append(Column(name, dimension, scaled, tuple(value for _, value in numbers), unit.lower()))
        return found

    @cached_property
    def texts(self) -> list[str]:
        """The cells that are text."""
        return [cell for row in self.answer.rows for cell in row if isinstance(cell, str)]

    @cached_property
    def names(self) -> str:
        """All that may be named, one a line, in small letters: cells as they are and as they are shown, columns, the tool."""
        answer = self.answer
        numbers = {
            str(cell) for row in answer.rows for cell in row if isinstance(cell, int) and not isinstance(cell, bool)
        }
        texts = set(self.texts)
        shown = {code_span(text)[1:-1] for text in texts}
        return "\n".join(
            [*numbers, *texts, *shown, *answer.columns, self.tool, *_texts_in(answer.arguments)]
        ).casefold()

    @cached_property
    def by_name(self) -> dict[str, frozenset[int]]:
        """The rows that a text names."""
        return rows_by_name(self.answer)

    @cached_property
    def counted(self) -> list[dict[Cell, int]]:
        """How many rows have each value, by column."""
        return [Counter(row[index] for row in self.answer.rows) for index in range(len(self.answer.columns))]


def backs(claim: Claim, evidence: Sequence[Known]) -> bool:
    """Whether any of this evidence, or for differences any two of it, says what the claim says."""
    by_kind: dict[str, Callable[[Claim, Known], bool]] = {
        "number": _number,
        "time": _time,
        "name": _name,
        "none": _none,
    }
    return any(by_kind[claim.kind](claim, each) for each in evidence) or (
        claim.kind == "number" and len(evidence) == 2 and _across(claim, evidence[0], evidence[1])
    )


def _number(claim: Claim, evidence: Known) -> bool:
    columns = evidence.columns
    named = rows_named(claim.sentence, claim.start - claim.offset, evidence.by_name)
    own = [_of_rows(column, named) for column in columns] if named else columns
    return (
        _is_cell(claim, own)
        or _is_count(claim, evidence)
        or _is_reckoned(claim, columns, truncated=evidence.answer.truncated)
        or _is_compared(claim, columns, evidence, named)
        or _is_span(claim, evidence, columns)
        or _is_in_text(claim, evidence, named)
    )


def _of_rows(column: Column, rows: frozenset[int]) -> Column:
    """A column as it is in these rows."""
    kept = [place for place, (row, _) in enumerate(column.numbers) if row in rows]
    numbers, raw = tuple(column.numbers[place] for place in kept), tuple(column.raw[place] for place in kept)
    return replace(column, numbers=numbers, raw=raw)


def _is_cell(claim: Claim, columns: list[Column]) -> bool:
    for column in columns:
        if _fits(claim, column) and any(_equal(claim, value) for value in column.values):
            return True
        is_raw = claim.is_bare and claim.dimension == "plain" and column.dimension != "epoch"
        if is_raw and any(_equal(claim, value) for value in column.raw):
            return True
    return False


def _fits(claim: Claim, column: Column) -> bool:
    """Whether a claim may be of a column by its unit."""
    if claim.noun == "#" or column.dimension != ("plain" if claim.dimension == "times" else claim.dimension):
        return False
    if claim.dimension == "times":
        return "token" not in column.unit and not _FOLD.search(claim.sentence)
    if claim.dimension == "plain" and claim.noun:
        says_tokens = bool(_TOKENS.search(claim.noun))
        is_tokens = "token" in column.unit or "token" in column.name
        return says_tokens == is_tokens or not (says_tokens or "token" in column.unit)
    return True


def _is_count(claim: Claim, evidence: Known) -> bool:
    answer = evidence.answer
    count = len(answer.rows)
    if claim.noun == "#":
        return 1 <= claim.value <= count
    if claim.dimension not in ("plain", "times") or claim.value != int(claim.value) or _FOLD.search(claim.sentence):
        return False
    if claim.is_article and claim.value == 1:
        return count >= 1
    if is_blind(evidence):
        return False
    if not _TOKENS.search(claim.noun) and not _names_fewer(claim, evidence):
        is_all = not answer.truncated or _PARTIAL.search(claim.sentence) is not None
        if claim.value == answer.total or (claim.value == count and is_all):
            return True
    return not answer.truncated and claim.value in set(_group_counts(claim, evidence))


def _group_counts(claim: Claim, evidence: Known) -> Iterator[int]:
    """How many rows have a value that the sentence names; how many values there are, if it says different ones."""
    sentence = claim.sentence.casefold()
    for counted in evidence.counted:
        if _DISTINCT.search(claim.sentence):
            yield len(counted)
        if len(counted) <= MAX_NAMED:
            named = {cell: n for cell, n in counted.items() if isinstance(cell, str) and len(cell) > 1}
            yield from (n for cell, n in named.items() if cell.casefold() in sentence)


def _names_fewer(claim: Claim, evidence: Known) -> bool:
    """Whether the words around a number name a value that only some of the rows have."""
    if evidence.answer.total == claim.value and evidence.answer.truncated:
        return False
    around = _clause(claim).casefold()
    count = len(evidence.answer.rows)
    for column, counted in zip(evidence.answer.columns, evidence.counted, strict=True):
        if len(counted) in (count, 1) or len(counted) > MAX_NAMED or column in evidence.answer.untrusted:
            continue
        if any(isinstance(cell, str) and len(cell) > 1 and cell.casefold() in around for cell in counted):
            return True
    return False


def _clause(claim: Claim) -> str:
    """The part of its sentence, between commas, that a claim is in."""
    at = 0
    for part in re.split(r"(?<=[,，、:：(（])", claim.sentence):
        if at <= claim.start - claim.offset < at + len(part):
            return part
        at += len(part)
    return claim.sentence


def _is_reckoned(claim: Claim, columns: list[Column], *, truncated: bool) -> bool:
    for column in columns:
        if not _fits(claim, column) or column.dimension == "epoch":
            continue
        values = column.values
        if (
            _SUM.search(claim.sentence)
            and not truncated
            and column.dimension != "%"
            and _equal(claim, math.fsum(values))
        ):
            return True
        if _MEAN.search(claim.sentence) and not truncated and _equal(claim, statistics.fmean(values)):
            return True
    return False


def _is_compared(claim: Claim, columns: list[Column], evidence: Known, named: frozenset[int]) -> bool:
    if claim.dimension in ("%", "times"):
        is_own = named and claim.dimension == "%" and not _DIFFERENCE.search(claim.sentence)
        ratios = _shares(columns, evidence, named) if is_own else _pairs(columns, evidence, ratios=True)
        if any(_equal_ratio(claim, above, below) for above, below in ratios):
            return True
    if not _DIFFERENCE.search(claim.sentence):
        return False
    pairs = _pairs([column for column in columns if _fits(claim, column)], evidence, ratios=False)
    return any(_equal(claim, abs(above - below), unsigned=True) for above, below in pairs)


def _shares(columns: list[Column], evidence: Known, named: frozenset[int]) -> Iterator[tuple[float, float]]:
    """What rows that are named have of the whole of a column, and of another number of theirs."""
    plain = [column for column in columns if column.dimension not in ("epoch", "%")]
    for column in () if evidence.answer.truncated else plain:
        whole = math.fsum(column.values)
        yield from ((value, whole) for row, value in column.numbers if row in named)
    for one, other in combinations(plain, 2):
        by_row = dict(other.numbers)
        if one.dimension == other.dimension:
            for row, value in one.numbers:
                if row in named and row in by_row:
                    yield from ((value, by_row[row]), (by_row[row], value))


def _pairs(columns: list[Column], evidence: Known, *, ratios: bool) -> Iterator[tuple[float, float]]:
    """Numbers that may be compared: two of one row and dimension, the ends and extremes of a column, two of few rows."""
    for column in columns:
        values = column.values
        if column.dimension == "epoch":
            continue
        yield from ((values[-1], values[0]), (max(values), min(values)))
        if not ratios and len(values) <= MAX_PAIR_ROWS // 2:
            yield from combinations(values, 2)
        if ratios and not evidence.answer.truncated and len(values) <= MAX_PAIR_ROWS and column.dimension != "%":
            whole = math.fsum(values)
            yield from ((value, whole) for value in values)
    if len(evidence.answer.rows) > MAX_PAIR_ROWS:
        return
    for one, other in combinations(columns, 2):
        if one.dimension != other.dimension or one.dimension == "epoch" or (ratios and one.dimension == "%"):
            continue
        by_row = dict(other.numbers)
        for row, value in one.numbers:
            if row in by_row:
                yield from ((value, by_row[row]), (by_row[row], value))


def _equal_ratio(claim: Claim, above: float, below: float) -> bool:
    if not below:
        return False
    share = above / below
    found = [share, share - 1] if _DIFFERENCE.search(claim.sentence) else [share]
    factor = 100 if claim.dimension == "%" else 1
    return any(_equal(claim, each * factor, unsigned=True) for each in found)


def _is_span(claim: Claim, evidence: Known, columns: list[Column]) -> bool:
    """A duration: of the range that was looked at, or between two times of a row or the first and last of a column."""
    if claim.dimension != "ns":
        return False
    answer = evidence.answer
    if answer.from_ns is not None and answer.to_ns is not None and _equal(claim, answer.to_ns - answer.from_ns):
        return True
    epochs = [column for column in columns if column.dimension == "epoch"]
    if any(_equal(claim, max(column.values) - min(column.values)) for column in epochs):
        return True
    if len(answer.rows) > MAX_PAIR_ROWS:
        return False
    if _DIFFERENCE.search(claim.sentence):
        pairs = [pair for column in epochs for pair in combinations(column.values, 2)]
        if any(_equal(claim, abs(one - other)) for one, other in pairs):
            return True
    for one, other in combinations(epochs, 2):
        by_row = dict(other.numbers)
        if any(row in by_row and _equal(claim, abs(value - by_row[row])) for row, value in one.numbers):
            return True
    return False


def _is_in_text(claim: Claim, evidence: Known, named: frozenset[int]) -> bool:
    """A number that stands as it is in a text of the evidence, with the same unit, such as 404 in a line of a log."""
    if claim.dimension == "plain" and (claim.scale != 1 or claim.value != int(claim.value)):
        return False
    shown = re.escape(claim.text.strip("` "))
    pattern = re.compile(rf"(?<![\d.,A-Za-z]){shown}(?![\d%A-Za-z]|[.,]\d)")
    rows = evidence.answer.rows
    texts = [cell for row in named for cell in rows[row] if isinstance(cell, str)] if named else evidence.texts
    return any(pattern.search(text) for text in texts)


def _across(claim: Claim, one: Known, other: Known) -> bool:
    """A difference or share between two pieces of evidence, each of few rows."""
    if len(one.answer.rows) > 3 or len(other.answer.rows) > 3:
        return False
    is_ratio = claim.dimension in ("%", "times")
    for before in one.columns:
        for after in other.columns:
            if before.name != after.name or before.dimension != after.dimension:
                continue
            pairs = [(a, b) for a in after.values for b in before.values]
            if is_ratio and any(_equal_ratio(claim, a, b) for a, b in pairs):
                return True
            is_difference = _DIFFERENCE.search(claim.sentence) and _fits(claim, before)
            if is_difference and any(_equal(claim, abs(a - b), unsigned=True) for a, b in pairs):
                return True
    return False


def _time(claim: Claim, evidence: Known) -> bool:
    answer = evidence.answer
    named = rows_named(claim.sentence, claim.start - claim.offset, evidence.by_name)
    epochs = [column for column in evidence.columns if column.dimension == "epoch"]
    moments = [value for column in epochs for row, value in column.numbers if not named or row in named]
    moments += [float(each) for each in (answer.from_ns, answer.to_ns) if each is not None]
    if claim.text.strip() and any(claim.text.removesuffix(" UTC") in text for text in evidence.texts):
        return True
    return any(_is_moment(claim, each) for each in moments)


def _is_moment(claim: Claim, moment: float) -> bool:
    if claim.dimension == "month_day":
        date = datetime.fromtimestamp(moment / 1e9, UTC)
        return claim.value == date.month * 100 + date.day
    if claim.dimension == "clock":
        return -1 <= (moment - claim.value) % DAY_NS < claim.ulp
    return -1 <= moment - claim.value < max(claim.ulp, 1)


def _name(claim: Claim, evidence: Known) -> bool:
    """A name of the evidence: a cell (as it is or as it is shown), a part of one that stands by itself, a column, the tool."""
    wanted = claim.noun.casefold()
    before = r"(?<![\w])" if wanted[:1].isalnum() else ""
    return wanted in evidence.names and re.search(rf"{before}{re.escape(wanted)}(?![\w])", evidence.names) is not None


def _texts_in(value: object) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, list | tuple):
        for each in value:
            yield from _texts_in(each)
    elif isinstance(value, dict):
        for each in value.values():
            yield from _texts_in(each)


def _none(claim: Claim, evidence: Known) -> bool:
    """That there is none: no rows, or a nought in what is named so."""
    answer = evidence.answer
    if not answer.rows:
        return not answer.truncated and not is_blind(evidence)
    columns = [column for column in evidence.columns if column.dimension != "epoch"]
    if not columns:
        return False
    if all(value == 0 for column in columns for value in column.values):
        return True
    noun = claim.noun
    for zh, word in _ZH_WORDS.items():
        noun = noun.replace(zh, f" {word} ")
    words = {word[:5] for word in re.findall(r"[a-z]{3,}", noun.lower())}
    for column in columns:
        if words & {word[:5] for word in re.findall(r"[a-z]{3,}", column.name.lower())}:
            return all(value == 0 for value in column.values)
    if words & {word[:5] for row in answer.rows for word in _words_of(row)}:
        return len(columns) == 1 and all(
            value == 0
            for row, value in columns[0].numbers
            if words & {word[:5] for word in _words_of(answer.rows[row])}
        )
    return False


def _words_of(row: Sequence[Cell]) -> list[str]:
    return [word for cell in row if isinstance(cell, str) for word in re.findall(r"[a-z]{3,}", cell.lower())]


def is_blind(evidence: Known) -> bool:
    """Whether there are no rows because something could not be read: then there may be anything."""
    answer = evidence.answer
    return not answer.rows and any(_NOT_READ.search(note) for note in answer.notes)


def _equal(claim: Claim, value: float, *, unsigned: bool = False) -> bool:
    """Whether a number is what the claim shows of it, rounded to the digits that are shown."""
    if not math.isfinite(value):
        return False
    claimed = abs(claim.value) if unsigned and not claim.is_signed else claim.value
    off, half = abs(value - claimed), claim.ulp / 2
    if off > abs(value) * MAX_ROUNDED:
        return False
    slack = abs(value) * 1e-12 + half * 1e-9
    if abs(off - half) > slack:
        return off < half
    return abs(claimed) > abs(value) or round(claimed / claim.ulp) % 2 == 0  # a tie goes up, or to the even one


def _is_number(cell: Cell) -> TypeGuard[int | float]:
    return isinstance(cell, int | float) and not isinstance(cell, bool) and math.isfinite(cell)


def _unit_by_name(name: str) -> str:
    return next((unit for suffix, unit in _SUFFIXES if name.endswith(suffix)), "")


def _dimension(unit: str) -> tuple[str, float]:
    lowered = unit.lower()
    if lowered == "epoch_ns":
        return "epoch", 1.0
    if lowered in ("ratio", "fraction"):
        return "%", 100.0
    whole, slash, _ = lowered.partition("/s")
    dimension, scale = UNITS.get(whole, ("plain", 1.0)) if len(whole) > 1 or whole in "b%sdhx" else ("plain", 1.0)
    return dimension + ("/s" if slash else ""), scale if dimension != "plain" else 1.0
