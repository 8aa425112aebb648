"""YAML read strictly, with the line of every value: no aliases, no tags, no key twice."""

from collections.abc import Sequence
from typing import Any

import yaml

MAX_DEPTH = 30


class YamlProblem(Exception):
    """What is wrong with the YAML itself."""

    def __init__(self, line: int, message: str, remedy: str = "") -> None:
        super().__init__(message)
        self.line, self.message, self.remedy = line, message, remedy


class Positions:
    """Lines by the way to a value: ("rules", 0, "exec")."""

    def __init__(self) -> None:
        self._lines: dict[tuple[int | str, ...], int] = {(): 1}

    def put(self, way: tuple[int | str, ...], line: int) -> None:
        self._lines[way] = line

    def line(self, way: Sequence[int | str]) -> int:
        """Of the value, or of the nearest thing around it that is in the file."""
        for length in range(len(way), -1, -1):
            found = self._lines.get(tuple(way[:length]))
            if found is not None:
                return found
        return 1


def read_yaml(raw: bytes) -> tuple[Any, Positions]:
    """The content and its positions.

    Raises:
        YamlProblem: it is not YAML, or uses what is refused here.
    """
    try:
        text = raw.decode("utf-8")
        loader = yaml.SafeLoader(text)
        _refuse_aliases(text)
        node = loader.get_single_node()
    except UnicodeDecodeError as error:
        raise YamlProblem(raw[: error.start].count(b"\n") + 1, "not UTF-8", "save the file as UTF-8") from None
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        raise YamlProblem(
            mark.line + 1 if mark else 1, error.problem or "not YAML", "check indent and quotes"
        ) from None
    except yaml.YAMLError as error:
        raise YamlProblem(1, " ".join(str(error).split()), "remove control characters") from None
    except RecursionError:
        raise YamlProblem(1, f"nested deeper than {MAX_DEPTH}", "a policy needs no such depth") from None
    if node is None:
        raise YamlProblem(1, "the file is empty", "see docs/enforcement.md for an example")
    positions = Positions()
    return _value(node, (), positions, loader), positions


def _refuse_aliases(text: str) -> None:
    depth = 0
    for event in yaml.parse(text, Loader=yaml.SafeLoader):
        line = event.start_mark.line + 1 if event.start_mark is not None else 1
        if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None):
            raise YamlProblem(line, "anchors and aliases are not read", "write the value out")
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
        if depth > MAX_DEPTH:
            raise YamlProblem(line, f"nested deeper than {MAX_DEPTH}", "a policy needs no such depth")


def _value(node: yaml.Node, way: tuple[int | str, ...], positions: Positions, loader: yaml.SafeLoader) -> Any:
    positions.put(way, node.start_mark.line + 1)
    if isinstance(node, yaml.SequenceNode):
        return [_value(item, (*way, i), positions, loader) for i, item in enumerate(node.value)]
    if not isinstance(node, yaml.MappingNode):
        try:
            return loader.construct_object(node)
        except (yaml.YAMLError, ValueError) as error:
            message = " ".join(str(getattr(error, "problem", None) or error).split())
            raise YamlProblem(node.start_mark.line + 1, message, "put the value in quotes") from None
    content: dict[str, Any] = {}
    for key_node, value_node in node.value:
        key = key_node.value if isinstance(key_node, yaml.ScalarNode) else None
        line = key_node.start_mark.line + 1
        if key is None:
            raise YamlProblem(line, "a key that is no text", "put it in quotes")
        if key in content:
            raise YamlProblem(line, f"the key {key!r} stands here twice", "keep one")
        content[key] = _value(value_node, (*way, key), positions, loader)
        positions.put((*way, key), line)
    return content
