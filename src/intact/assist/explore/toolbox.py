"""The tools as a model sees them: few at the start, others by a search; short schemas without text of others."""

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

from langchain_core.tools import BaseTool, StructuredTool

from intact.assist.asking import Language
from intact.assist.case import OfferedTool, WorkingCase
from intact.assist.vocabulary import ARGUMENTS, WORDS

FIND = "find_tools"
MAX_FOUND = 6
START_BYTES = 5_600  # of schemas at the start: below 2,000 tokens, measured
MAX_ABOUT = 160
MAX_DESCRIPTION = 70
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_-]{0,63}")
_WORD = re.compile(r"[a-z0-9]{2,}|[\u3400-\u9fff]")
_DROPPED = (
    "title",
    "additionalProperties",
    "examples",
    "minLength",
    "maxLength",
    "exclusiveMinimum",
    "exclusiveMaximum",
)
_FIND_SCHEMA = {
    "type": "object",
    "properties": {"words": {"type": "string", "description": "What is looked for, in a few words."}},
    "required": ["words"],
}


class Toolbox:
    """The tools of one answer."""

    def __init__(self, case: WorkingCase, first: Sequence[str], *, has_search: bool) -> None:
        self._case = case
        self._offered = {_model_name(tool.full_name): tool for tool in case.tools}
        self._listed: dict[str, BaseTool] = {}
        if has_search:
            about = f"Finds further tools by what they answer. There are {len(self._offered)}; those found can be called next."
            self._listed[FIND] = _tool(FIND, about, _FIND_SCHEMA)
        wanted = [_model_name(name) for name in first if _model_name(name) in self._offered]
        for name in wanted or ([] if has_search else list(self._offered)):
            listed = self._made(name)
            if not has_search or self.size + _size(listed) <= START_BYTES:
                self._listed[name] = listed

    @property
    def listed(self) -> list[BaseTool]:
        """What the model may call now, in the order of being found."""
        return list(self._listed.values())

    @property
    def size(self) -> int:
        """Bytes of the schemas that are listed."""
        return sum(_size(tool) for tool in self._listed.values())

    def offered(self, name: str) -> OfferedTool | None:
        """The tool that a model names, if it was listed for it."""
        return self._offered.get(name) if name in self._listed else None

    def find(self, words: str) -> dict[str, Any]:
        """List the tools that fit; what is told of them."""
        wanted = _words(words)
        scores = []
        for name, tool in self._offered.items():
            text = _words(self._text_of(name, tool))
            score = sum(text.count(word) > 0 for word in wanted) + 2 * sum(word in _words(name) for word in wanted)
            if score:
                scores.append((-score, name))
        found = [name for _, name in sorted(scores)[:MAX_FOUND]]
        for name in found:
            self._listed.setdefault(name, self._made(name))
        return {"found": [{"name": name, "about": self._about(self._offered[name])} for name in found]}

    def _made(self, name: str) -> BaseTool:
        tool = self._offered[name]
        return _tool(name, self._about(tool), _short(tool.schema, is_ours=tool.is_ours))

    def _about(self, tool: OfferedTool) -> str:
        if not tool.is_ours:
            return "A tool of another server; its name says what it is for."
        ours = self._case.work.ours(tool.full_name)
        about = ours.about.get(Language.EN) if ours is not None else None
        return (about or tool.about or tool.full_name)[:MAX_ABOUT]

    def _text_of(self, name: str, tool: OfferedTool) -> str:
        ours = self._case.work.ours(tool.full_name)
        if ours is None:
            return f"{name} {tool.about}"
        return " ".join([name, *ours.about.values(), *ours.says.values(), *ours.words])


def _model_name(name: str) -> str:
    """`server.tool` as the APIs of models allow it. Tools of others are named in the settings, one by one."""
    return re.sub(r"[^A-Za-z0-9_-]", "_", name)[:64]


def _tool(name: str, about: str, schema: Mapping[str, Any]) -> BaseTool:
    async def unused(**_: Any) -> str:
        raise AssertionError("tools run through the case")

    return StructuredTool(name=name, description=about, args_schema=dict(schema), coroutine=unused)


def _size(tool: BaseTool) -> int:
    return len(json.dumps([tool.name, tool.description, tool.args_schema], ensure_ascii=False).encode())


def _words(text: str) -> list[str]:
    found = _WORD.findall(text.lower())
    return [word[:-1] if len(word) > 4 and word.endswith("s") and word.isascii() else word for word in found]


def _short(schema: Mapping[str, Any], *, is_ours: bool) -> dict[str, Any]:
    """A schema without what a model does not need, and of others without what they wrote."""
    properties = {}
    named = schema.get("$defs", {})
    for name, value in list(schema.get("properties", {}).items())[:20]:
        if name == "at_ns" or not _NAME.fullmatch(str(name)) or not isinstance(value, dict):
            continue
        if not is_ours and not all(part in WORDS | ARGUMENTS for part in str(name).lower().split("_")):
            continue
        properties[name] = _short_value(value, named, is_ours=is_ours)
    required = [name for name in schema.get("required", []) if name in properties]
    return {"type": "object", "properties": properties, **({"required": required} if required else {})}


def _short_value(value: Mapping[str, Any], named: Mapping[str, Any], *, is_ours: bool) -> dict[str, Any]:
    for _ in range(3):  # of wrappings
        options = [each for each in value.get("anyOf", []) if isinstance(each, dict) and each.get("type") != "null"]
        within = options[0] if len(options) == 1 else named.get(str(value.get("$ref", "")).rpartition("/")[2])
        if within is None:
            break
        value = {**within, **{name: part for name, part in value.items() if name not in ("anyOf", "$ref")}}
    kept = {name: part for name, part in value.items() if name not in _DROPPED and part is not None}
    kept.pop("default", None)
    if not is_ours:
        return {name: part for name, part in kept.items() if name == "type" and isinstance(part, str)}
    if isinstance(kept.get("items"), dict):
        kept["items"] = _short_value(kept["items"], named, is_ours=True)
    if "description" in kept:
        kept["description"] = str(kept["description"])[:MAX_DESCRIPTION]
    return kept
