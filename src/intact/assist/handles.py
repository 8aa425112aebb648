"""Text of others never reaches a model as text: it becomes a handle, `⟦u3 path 48 chars: /var/log⟧`, that stands for it.

A model may put a handle in the arguments of a tool, where the text takes its place, and in its answer, where the text is
shown escaped. What passes as it is (an atom) is only: numbers, truth values, nothing; addresses; ids of hex digits; a word
of the closed vocabulary, alone or with a kind of file or unit or a number after one of `.-_:/@`. A handle tells the kind
of its text, its length, what of the vocabulary it is about (in an order of ours), and of a path the first folders and the
kind of file, if they are words of the vocabulary.
"""

import ipaddress
import json
import re
from collections.abc import Mapping
from typing import Any

from intact.assist.answers import Cell, Evidence, ToolAnswer
from intact.assist.rendering import code_span, moment
from intact.assist.vocabulary import FEATURES, KINDS, UNITS, WORDS

MAX_ROWS = 40
MAX_BYTES = 8_000  # of what one call gives a model
MAX_HANDLES = 2_000
MAX_FEATURES = 4
MAX_RESTORED = 4_000  # characters of a text that takes the place of its handle in arguments
# columns that hold text of others whatever the tool says of them
_FOREIGN = """
    path old_path file folder host hosts host_name hostname argv command command_line arguments exe comm cwd message text
    title name words url address object of detail process question answer content subject unit mount device user heading
    query reason value
"""
FOREIGN = frozenset(_FOREIGN.split())
# tools that give texts of ours and nothing else: names of tables, columns and values, and what they mean
CATALOGUE = frozenset({"query.tables", "query.describe", "query.enum"})
_HANDLE = re.compile(r"⟦\s*(u\d{1,5})\b[^⟧\n]{0,200}⟧")
_QUOTE = re.compile(r"\\.|''", re.DOTALL)
_BROKEN = re.compile(r"[⟦⟧]")
_HEX = re.compile(r"(?=[0-9a-f-]*\d)[0-9a-f]{6,64}(?:-[0-9a-f]{2,32}){0,5}")
_PREFIXED_HEX = re.compile(r"([a-z]{1,12})[-_:]((?=[0-9a-f]*\d)[0-9a-f]{6,64})")
_FIGURES = re.compile(r"[0-9][0-9.,:/%+TZ\- ]{0,40}")
_TWO_WORDS = re.compile(r"([A-Za-z0-9]{1,16})(?:[.\-_:/@]([A-Za-z0-9]{1,16}))?")
_COLUMN = re.compile(r"[a-z_][a-z0-9_]{0,40}")
_KINDS = {"path": "path", "file": "path", "mount": "path", "cwd": "path", "exe": "path", "host": "host", "hostname": "host",
          "host_name": "host", "message": "log", "log": "log", "argv": "argv", "command": "argv", "command_line": "argv",
          "arguments": "argv", "name": "name", "title": "title", "url": "url", "text": "text"}  # fmt: skip


class Handles:
    """The handles of one answer."""

    def __init__(self) -> None:
        self._texts: dict[str, str] = {}
        self._names: dict[str, str] = {}

    def handle(self, text: str, column: str = "") -> str:
        """What stands for a text; the same text has the same handle."""
        name = self._names.get(text)
        if name is None:
            if len(self._texts) >= MAX_HANDLES:
                return "⟦left out⟧"
            name = f"u{len(self._texts) + 1}"
            self._texts[name] = text
            self._names[text] = name
        kind = _KINDS.get(column, "text")
        about = _features(text) if kind != "path" else _path_features(text)
        return f"⟦{name} {kind} {len(text)} chars{': ' if about else ''}{about}⟧"

    def shown(self, cell: Cell, column: str, *, is_foreign: bool) -> Cell:
        """A cell as a model sees it."""
        if not isinstance(cell, str) or not is_foreign or is_atom(cell):
            return cell
        return self.handle(cell, column)

    def resolve(self, value: Any) -> tuple[Any, bool]:
        """Arguments with each handle replaced by its text; and whether there was one."""
        if isinstance(value, str):
            found = _HANDLE.sub(lambda match: self._texts.get(match[1], match[0])[:MAX_RESTORED], value)
            return found, found != value
        if isinstance(value, list):
            parts = [self.resolve(each) for each in value]
            return [part for part, _ in parts], any(was for _, was in parts)
        if isinstance(value, dict):
            named = {str(name): self.resolve(each) for name, each in value.items()}
            return {name: part for name, (part, _) in named.items()}, any(was for _, was in named.values())
        return value, False

    def resolve_sql(self, sql: str) -> str:
        """A query with each handle replaced by its text as a literal: nothing in the text is SQL."""
        parts, end, is_inside = [], 0, False
        for match in _HANDLE.finditer(sql):
            between = sql[end : match.start()]
            parts.append(between)
            is_inside ^= _QUOTE.sub("", between).count("'") % 2 == 1
            text = self._texts.get(match[1])
            shown = "" if text is None else text[:MAX_RESTORED].replace("\\", "\\\\").replace("'", "\\'")
            parts.append(shown if is_inside else f"'{shown}'")
            end = match.end()
        return "".join([*parts, sql[end:]])

    def restore(self, text: str) -> str:
        """An answer of a model with the texts, escaped and in code spans, where their handles stand."""
        whole = re.sub(rf"`\s*({_HANDLE.pattern})\s*`", r"\1", text)
        whole = _HANDLE.sub(lambda match: self._restored(match[1]), whole)
        return _BROKEN.sub("", whole)

    def _restored(self, name: str) -> str:
        text = self._texts.get(name)
        return "" if text is None else code_span(text)


def is_atom(text: str) -> bool:
    """Whether a text of others may reach a model as it is; the rule is in the sentence at the top of this file."""
    if len(text) > 64 or not text.isascii():
        return False
    if _FIGURES.fullmatch(text) or _HEX.fullmatch(text):
        return True
    prefixed = _PREFIXED_HEX.fullmatch(text)
    if prefixed is not None:
        return prefixed[1] in WORDS
    words = _TWO_WORDS.fullmatch(text)
    if words is not None:
        first, second = words[1].lower(), (words[2] or "").lower()
        return first in WORDS and (not second or second in KINDS or second.isdigit())
    try:
        return bool(ipaddress.ip_address(text))
    except ValueError:
        return False


def as_data(evidence: Evidence, handles: Handles, *, is_ours: bool = True, named: str = "") -> dict[str, Any]:
    """Evidence as a model gets it: typed, bounded, told where it is cut.

    Args:
        is_ours: whether the tool is; if not, its columns are numbered unless they are words of the vocabulary.
        named: of a query, its text before handles were resolved: names of columns that stand in it are the model's own.
    """
    answer = evidence.answer
    columns = [_column(name, at, is_ours=is_ours, named=named) for at, name in enumerate(answer.columns, 1)]
    doubted = frozenset() if evidence.tool in CATALOGUE else FOREIGN
    foreign = [not is_ours or name in answer.untrusted or name in doubted for name in answer.columns]
    body: dict[str, Any] = {
        "evidence": evidence.id,
        "columns": columns,
        "units": {columns[at]: answer.units[name] for at, name in enumerate(answer.columns) if _has_unit(answer, name)},
        "rows": [],
        "total": answer.total if answer.total is not None else len(answer.rows),
    }
    if answer.from_ns is not None and answer.to_ns is not None:
        body["range"] = [moment(answer.from_ns), moment(answer.to_ns)]
        body["range_ns"] = [answer.from_ns, answer.to_ns]
    if is_ours and answer.notes:
        body["notes"] = [note[:300] for note in answer.notes[:5]]
    size = len(json.dumps(body, ensure_ascii=False).encode())
    for row in answer.rows[:MAX_ROWS]:
        cells = [
            moment(cell)
            if answer.units.get(name) == "epoch_ns" and isinstance(cell, int)
            else handles.shown(cell, name, is_foreign=foreign[at])
            for at, (cell, name) in enumerate(zip(row, answer.columns, strict=True))
        ]
        cells = [cell[:1_000] if isinstance(cell, str) else cell for cell in cells]
        size += len(json.dumps(cells, ensure_ascii=False).encode()) + 1
        if size > MAX_BYTES:
            break
        body["rows"].append(cells)
    if len(body["rows"]) < len(answer.rows) or answer.truncated:
        body["cut"] = f"{len(body['rows'])} rows are shown of {body['total']}"
    return body


def said_before(text: str, handles: Handles) -> dict[str, Any]:
    """An earlier answer as data: what it was about and its numbers; the whole of it behind a handle."""
    numbers = re.findall(r"(?<![\w`])\d[\d,.]{0,20}(?: ?(?:%|[KMGT]?i?B|ms|s|min|h|d))?(?![\w`])", _without_code(text))
    return {"answer": handles.handle(text, "answer"), "numbers": [number.rstrip(".,") for number in numbers[:12]]}


def detail_as_data(detail: Mapping[str, Any], handles: Handles) -> dict[str, Any]:
    """What an expert says for programs."""
    found: dict[str, Any] = {}
    for name, value in list(detail.items())[:20]:
        if isinstance(value, str):
            found[name] = value if is_atom(value) or _is_vocabulary(value) else handles.handle(value, "object")
        elif isinstance(value, int | float | bool) or value is None:
            found[name] = value
    return found


def _is_vocabulary(text: str) -> bool:
    return len(text) <= 40 and all(word in WORDS for word in re.split(r"[_\- ]", text.lower()))


def _without_code(text: str) -> str:
    return re.sub(r"`[^`\n]*`", " ", text)


def _column(name: str, at: int, *, is_ours: bool, named: str) -> str:
    if named:
        return name if _COLUMN.fullmatch(name) and re.search(rf"\b{re.escape(name)}\b", named) else f"column_{at}"
    if is_ours:
        return name if _COLUMN.fullmatch(name) else f"column_{at}"
    return name if _is_vocabulary(name) else f"column_{at}"


def _has_unit(answer: ToolAnswer, column: str) -> bool:
    return all(part in UNITS or part in WORDS for part in re.split(r"[/_ ]", answer.units.get(column, " ").lower()))


def _features(text: str) -> str:
    lowered = text[:4_000].lower()
    found = [name for name, signs in FEATURES.items() if any(sign in lowered for sign in signs)]
    return ", ".join(found[:MAX_FEATURES])


def _path_features(text: str) -> str:
    parts = [part for part in text[:400].lower().split("/") if part]
    first = parts[0] if parts and text.startswith("/") and parts[0] in WORDS else ""
    second = parts[1] if first and len(parts) > 2 and parts[1] in WORDS else ""
    kind = parts[-1].rpartition(".")[2] if parts and "." in parts[-1] else ""
    shown = "".join(f"/{part}" for part in (first, second) if part)
    return f"{shown}{' ' if shown and kind in WORDS else ''}{f'.{kind}' if kind in WORDS else ''}"
