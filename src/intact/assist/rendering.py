"""A report as Markdown: each value in the form it asks for, cited; text of others escaped and in code spans.

Times are in UTC: an answer is read by people in several places, and is compared with logs. Bytes are in powers of 1024.
"""

import re
import statistics
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from intact.assist.answers import Cell, Evidence
from intact.assist.asking import Language
from intact.assist.expert import Report, Statement, Value
from intact.assist.phrases import phrase
from intact.model.characters import written_out

MAX_TEXT = 200  # characters of a text of others
_CLOSING = re.compile(r"[)）”\"’'】]+")
_END = re.compile(r"[.:;。：；]?\s*\Z")
_PLACE = re.compile(r"\{(\w{1,40})\}")
_MARKUP = re.compile(r"([\\`*_{}\[\]<>()#+!|~$&])")
_BYTES = ("B", "KiB", "MiB", "GiB", "TiB", "PiB")
TO_BYTES = {"bytes": 1, "byte": 1, "b": 1, "kib": 1 << 10, "mib": 1 << 20, "gib": 1 << 30, "tib": 1 << 40,
            "kb": 10**3, "mb": 10**6, "gb": 10**9, "tb": 10**12}  # fmt: skip
TO_NS = {"ns": 1, "us": 10**3, "ms": 10**6, "s": 10**9, "min": 60 * 10**9, "h": 3600 * 10**9, "d": 86400 * 10**9}
# numbers that are names: they have no thousands
_NUMBERED = re.compile(r"(?:^|_)(?:pid|ppid|tgid|tid|uid|gid|port|inode|id|year|line|signal|code|errno)$")


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """A report as text, before its claims are checked.

    Args:
        lines: of Markdown, in pieces: a piece with a Value is what it was rendered to.
    """

    lines: tuple[tuple["Piece", ...], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Piece:
    """A part of a line; `value` where it stands for one."""

    text: str
    value: Value | None = None


def render(report: Report, evidence: Mapping[str, Evidence], language: Language) -> Shown:
    """The report in pieces, so that each value can be checked by where it comes from."""
    lines: list[tuple[Piece, ...]] = []
    if report.title:
        lines += [(Piece(text=f"### {report.title}"),), ()]
    several = len(report.statements) > 1
    for statement in report.statements:
        pieces = _pieces(statement, evidence, language)
        own_markup = statement.text.startswith(("- ", "#", "|", "> ", " "))
        if statement.text[:1] == " " and not statement.text.lstrip().startswith(("- ", "> ", "|")):
            pieces = (replace(pieces[0], text=pieces[0].text.lstrip()), *pieces[1:])  # a line that is no item of a list
        lines.append((Piece(text="- "), *pieces) if several and not own_markup else pieces)
    return Shown(lines=tuple(lines))


def text_of(shown: Shown) -> str:
    """The pieces as one text."""
    return "\n".join("".join(piece.text for piece in line) for line in shown.lines)


def _pieces(statement: Statement, evidence: Mapping[str, Evidence], language: Language) -> tuple[Piece, ...]:
    pieces: list[Piece] = []
    template = statement.text
    places = [match for match in _PLACE.finditer(template) if match[1] in statement.values]
    cited = [statement.values[match[1]].evidence_id for match in places]
    is_cited_last = len(set(cited)) == 1  # a sentence of one evidence is cited at its end
    at = 0
    for index, match in enumerate(places):
        value = statement.values[match[1]]
        if match.start() > at:
            pieces.append(Piece(text=template[at : match.start()]))
        pieces.append(Piece(text=written(value, evidence.get(value.evidence_id), language), value=value))
        at = match.end()
        # values of one evidence that follow each other are cited once
        if not is_cited_last and cited[index] != (cited[index + 1] if index + 1 < len(cited) else None):
            closing = _CLOSING.match(template, at)
            if closing is not None:
                pieces.append(Piece(text=closing[0]))
                at = closing.end()
            pieces.append(Piece(text=f" [{value.evidence_id}]"))
    rest = template[at:]
    if is_cited_last:
        end = _END.search(rest)
        rest = f"{rest[: end.start()]} [{cited[0]}]{end[0]}" if end is not None else f"{rest} [{cited[0]}]"
    pieces.append(Piece(text=rest))
    return tuple(pieces)


def cell_of(value: Value, evidence: Evidence | None) -> Cell:
    """What a value is; None: it is not there."""
    if evidence is None:
        return None
    answer = evidence.answer
    if value.how == "count":
        return len(answer.rows)
    if value.column not in answer.columns:
        return None
    if value.how == "value":
        return answer.cell(value.row, value.column) if 0 <= value.row < len(answer.rows) else None
    index = answer.columns.index(value.column)
    cells = [row[index] for row in answer.rows]
    numbers = [cell for cell in cells if isinstance(cell, int | float) and not isinstance(cell, bool)]
    if not numbers:
        return 0 if value.how == "sum" and not answer.rows else None
    match value.how:
        case "sum":
            return sum(numbers)
        case "max":
            return max(numbers)
        case "min":
            return min(numbers)
        case "mean":
            return statistics.fmean(numbers)
        case _:
            return None


def written(value: Value, evidence: Evidence | None, language: Language) -> str:
    """A value as an answer writes it."""
    cell = cell_of(value, evidence)
    if cell is None or evidence is None:
        return phrase("unknown", language)
    if isinstance(cell, bool):
        return phrase("yes" if cell else "no", language)
    column = value.column or ""
    if isinstance(cell, str):
        is_foreign = column in evidence.answer.untrusted or value.form == "text"
        return code_span(cell) if is_foreign else escaped(cell)
    unit = "" if value.how == "count" else evidence.answer.units.get(column, "")
    return number(cell, value, unit=unit)


def number(cell: int | float, value: Value, *, unit: str = "") -> str:
    """A number in the form that is asked for; `unit` is that of its column."""
    kind = unit.lower()
    if value.form == "bytes":
        return size(cell * TO_BYTES.get(kind, 1), value.digits)
    if value.form == "percent":
        return f"{_rounded(cell * 100 if kind in ('ratio', 'fraction') else cell, value.digits)}%"
    if value.form == "duration":
        return duration(cell * TO_NS.get(kind, 1), value.digits)
    if value.form == "time":
        return moment(int(cell))
    if value.form == "usd":
        digits = max(value.digits, 2)
        while digits < 8 and cell and abs(cell) < 10 ** (1 - digits):
            digits += 1
        return f"${cell:,.{digits}f}"
    if value.form == "text" or (isinstance(cell, int) and _NUMBERED.search(value.column or "")):
        return str(cell)
    return f"{cell:,}" if isinstance(cell, int) else _rounded(cell, value.digits)


def size(count: float, digits: int = 1) -> str:
    """Bytes: `1.5 GiB`."""
    power, amount = 0, float(count)
    while abs(amount) >= 1024 and power < len(_BYTES) - 1:
        amount /= 1024
        power += 1
    return f"{int(count)} B" if power == 0 else f"{amount:.{digits}f} {_BYTES[power]}"


def duration(ns: float, digits: int = 1) -> str:
    """Nanoseconds: `3.2 ms`, `4.0 min`."""
    for unit in ("d", "h", "min", "s", "ms", "us"):
        if abs(ns) >= TO_NS[unit] * (2 if unit in ("d", "h", "min") else 1):
            return f"{ns / TO_NS[unit]:.{digits}f} {unit.replace('us', 'µs')}"
    return f"{ns:.0f} ns"


def moment(ns: int) -> str:
    """Epoch nanoseconds: `2026-11-20 12:00:00 UTC`."""
    try:
        return datetime.fromtimestamp(ns // 10**9, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
    except (ValueError, OverflowError, OSError):
        return str(ns)


def visible(text: str, limit: int = MAX_TEXT) -> str:
    """Text of others on one line: whatever does not show, or turns the line round, is written out."""
    shown = "".join(_shown(character) for character in text[:limit])
    return shown if len(text) <= limit else f"{shown}…"


def code_span(text: str, limit: int = MAX_TEXT) -> str:
    """Text of others as Markdown that is nothing but text."""
    inside = visible(text, limit).replace("`", "\\x60").replace("\N{MATHEMATICAL LEFT WHITE SQUARE BRACKET}", "\\u27e6")
    return f"`{inside}`" if inside.strip() else '`""`'


def escaped(text: str) -> str:
    """Text that is Markdown to nobody."""
    return _MARKUP.sub(r"\\\1", visible(text))


def _shown(character: str) -> str:
    if character == " ":
        return character
    category = unicodedata.category(character)
    return written_out(character) if category[0] == "C" or category in ("Zl", "Zp", "Zs") else character


def _rounded(cell: float, digits: int) -> str:
    return f"{cell:,.{digits}f}"
