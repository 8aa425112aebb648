"""Fit a logical tool call to the tools a client offers."""

from collections.abc import Mapping, Sequence
from typing import Any

from tests.standin.wire import OfferedTool

# In order of preference: the first name the client offers is taken.
TOOL_NAMES: Mapping[str, tuple[str, ...]] = {
    "shell": (
        "Bash",
        "bash",
        "shell",
        "exec_command",
        "shell_command",
        "run_shell_command",
        "local_shell",
        "execute",
        "run_command",
        "terminal",
    ),
    "write_file": ("Write", "write", "write_file", "create_file"),
    "read_file": ("Read", "read", "read_file", "view"),
    "edit_file": ("Edit", "edit", "replace", "edit_file", "str_replace"),
}
ARGUMENT_NAMES: Mapping[str, tuple[str, ...]] = {
    "command": ("command", "cmd", "script"),
    "path": ("file_path", "path", "absolute_path", "filePath", "filename"),
    "content": ("content", "contents", "text", "file_text"),
    "old": ("old_string", "old_str", "oldString"),
    "new": ("new_string", "new_str", "newString"),
}


class NoSuchTool(Exception):
    """A script asks for a tool that the client does not offer."""


def place(
    name: str, arguments: Mapping[str, Any], offered: Sequence[OfferedTool]
) -> tuple[OfferedTool, dict[str, Any]]:
    """The offered tool that a call means, and the arguments in that tool's words."""
    by_name = {tool.name: tool for tool in offered}
    for candidate in (name, *TOOL_NAMES.get(name, ())):
        if candidate in by_name:
            tool = by_name[candidate]
            return tool, _fit(arguments, tool.schema)
    raise NoSuchTool(f"no tool for {name!r} among {', '.join(sorted(by_name)) or 'none'}")


def instance_of(schema: Mapping[str, Any]) -> Any:
    """The smallest value a JSON schema allows; what a side request that demands JSON is given."""
    if "const" in schema:
        return schema["const"]
    if schema.get("enum"):
        return schema["enum"][-1]
    for choice in ("anyOf", "oneOf"):
        if schema.get(choice):
            return instance_of(schema[choice][0])
    kind = _type_of(schema)
    if kind == "object":
        properties = schema.get("properties") or {}
        return {key: instance_of(part) for key, part in properties.items()}
    if kind == "array":
        return []
    return {"boolean": False, "integer": 1, "number": 1, "null": None}.get(kind, "ok")


def _type_of(schema: Mapping[str, Any]) -> str:
    kind = schema.get("type", "string")
    # Gemini writes the types of JSON schema in capitals.
    return str(kind[0] if isinstance(kind, list) else kind).lower()


def _fit(arguments: Mapping[str, Any], schema: Mapping[str, Any]) -> dict[str, Any]:
    properties: Mapping[str, Any] = schema.get("properties") or {}
    fitted: dict[str, Any] = {}
    for key, value in arguments.items():
        names = (key, *ARGUMENT_NAMES.get(key, ()))
        name = next((candidate for candidate in names if candidate in properties), key)
        wants_argv = isinstance(value, str) and _type_of(properties.get(name, {})) == "array"
        fitted[name] = ["bash", "-lc", value] if wants_argv else value
    for name in schema.get("required") or ():
        if name not in fitted:
            fitted[name] = instance_of(properties.get(name, {}))
    return fitted
