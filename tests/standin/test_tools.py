"""Logical tool calls fitted to what clients offer."""

from typing import Any

import pytest

from tests.standin.tools import NoSuchTool, instance_of, place
from tests.standin.wire import OfferedTool

ARGV = {"properties": {"command": {"type": "array"}, "timeout": {"type": "integer"}}, "required": ["timeout"]}
WRITER = {"properties": {"absolute_path": {"type": "string"}, "text": {"type": "STRING"}}}


def offered(*tools: tuple[str, dict[str, Any]]) -> list[OfferedTool]:
    return [OfferedTool(name=name, schema=schema) for name, schema in tools]


def test_shell_as_argv_with_required_arguments() -> None:
    tool, arguments = place("shell", {"command": "ls -l"}, offered(("read", {}), ("shell_command", ARGV)))
    assert tool.name == "shell_command"
    assert arguments == {"command": ["bash", "-lc", "ls -l"], "timeout": 1}


def test_writer_in_the_clients_words() -> None:
    tool, arguments = place("write_file", {"path": "/a", "content": "b"}, offered(("create_file", WRITER)))
    assert (tool.name, arguments) == ("create_file", {"absolute_path": "/a", "text": "b"})


def test_own_name_wins_and_unknown_is_said() -> None:
    assert place("Task", {"prompt": "p"}, offered(("Bash", {}), ("Task", {})))[0].name == "Task"
    with pytest.raises(NoSuchTool, match="no tool for 'shell' among Task"):
        place("shell", {}, offered(("Task", {})))


def test_smallest_instance() -> None:
    schema = {
        "type": "object",
        "properties": {
            "title": {"type": "string"},
            "count": {"type": ["integer", "null"]},
            "many": {"type": "ARRAY"},
            "either": {"anyOf": [{"type": "boolean"}, {"type": "null"}]},
            "fixed": {"const": 3},
        },
    }
    assert instance_of(schema) == {"title": "ok", "count": 1, "many": [], "either": False, "fixed": 3}
