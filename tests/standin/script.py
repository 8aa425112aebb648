"""What the stand-in answers: scripts of steps, as Python values and as a JSON file."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

DEFAULT = "default"
COMPRESSIONS = ("none", "gzip", "br", "zstd")
CLOSES = ("", "before", "middle")


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolCall:
    """A tool the model asks for: a logical name (`shell`, `write_file`, `read_file`) or the client's own."""

    name: str
    arguments: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One answer to one main request of a conversation, and how it travels."""

    text: str = ""
    thinking: str = ""
    tool_calls: tuple[ToolCall, ...] = ()
    error_status: int = 0
    """An HTTP status instead of an answer; 0 is a good answer."""
    error_body: str = ""
    """Empty: an error in the form of the wire API."""
    headers: Mapping[str, str] = field(default_factory=dict)
    delay_s: float = 0.0
    """Before the first byte of the answer."""
    delta_delay_s: float = 0.0
    """Between two pieces (events) of a streamed answer."""
    chunk_bytes: tuple[int, ...] = ()
    """Sizes of the HTTP chunks of the body, used in turn; empty: one chunk for each event."""
    write_bytes: tuple[int, ...] = ()
    """Sizes of the TLS writes of the whole response, framing or not; empty: one write for each chunk."""
    compression: str = "none"
    compression_forced: bool = False
    """Compress even where the client did not offer to accept it."""
    close: str = ""
    """`before` drops the connection instead of answering, `middle` in the middle of the body."""
    text_bytes: int = 0
    """Pad the text to this many bytes."""

    def __post_init__(self) -> None:
        if self.compression not in COMPRESSIONS:
            raise ValueError(f"compression {self.compression!r} is none of {COMPRESSIONS}")
        if self.close not in CLOSES:
            raise ValueError(f"close {self.close!r} is none of {CLOSES}")
        if any(size < 1 for size in (*self.chunk_bytes, *self.write_bytes)):
            raise ValueError("a chunk or write has at least one byte")


@dataclass(frozen=True, slots=True, kw_only=True)
class Script:
    """The steps of one conversation, in order."""

    steps: tuple[Step, ...]
    tools_required: bool = True
    """Only requests that offer tools are main requests; titles, topics and the like offer none."""
    side_text: str = "ok"
    """The answer to every other request."""

    def positions(self) -> list[int]:
        """For each step, how many tool results a conversation holds when that step is due."""
        held, positions = 0, []
        for step in self.steps:
            positions.append(held)
            # A step that fails leaves nothing behind: its calls are never made.
            held += 0 if step.error_status or step.close else len(step.tool_calls)
        return positions


Scripts = Mapping[str, Script]


def named(script: Script | Scripts) -> dict[str, Script]:
    """Scripts by name; a single script is the one for prompts without a marker."""
    return {DEFAULT: script} if isinstance(script, Script) else dict(script)


def to_json(scripts: Scripts) -> dict[str, Any]:
    """The JSON form of a set of scripts."""
    return {name: asdict(script) for name, script in scripts.items()}


def from_json(document: Any, values: Mapping[str, str] | None = None) -> dict[str, Script]:
    """Scripts from their JSON form: a list of steps, one script, or scripts by name.

    Args:
        document: the parsed JSON.
        values: texts put in place of `{{name}}` wherever it stands in a string.
    """
    document = _with_values(document, values or {})
    if isinstance(document, list) or "steps" in document:
        return {DEFAULT: _script(document)}
    return {name: _script(part) for name, part in document.items()}


def load(path: Path, values: Mapping[str, str] | None = None) -> dict[str, Script]:
    """Scripts from a JSON file."""
    return from_json(json.loads(path.read_text()), values)


def _script(document: Any) -> Script:
    fields = {"steps": document} if isinstance(document, list) else dict(document)
    return Script(**{**fields, "steps": tuple(_step(step) for step in fields["steps"])})


def _step(document: Mapping[str, Any]) -> Step:
    fields = dict(document)
    fields["tool_calls"] = tuple(ToolCall(**call) for call in fields.get("tool_calls", ()))
    for sizes in ("chunk_bytes", "write_bytes"):
        value = fields.get(sizes, ())
        fields[sizes] = (value,) if isinstance(value, int) else tuple(value)
    return Step(**fields)


def _with_values(document: Any, values: Mapping[str, str]) -> Any:
    if isinstance(document, str):
        for name, value in values.items():
            document = document.replace("{{" + name + "}}", value)
        return document
    if isinstance(document, list):
        return [_with_values(part, values) for part in document]
    if isinstance(document, dict):
        return {key: _with_values(part, values) for key, part in document.items()}
    return document
