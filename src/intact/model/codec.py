"""Facts as JSON text and back, for segments and for rows; the text is ASCII whatever the fact holds."""

import base64
import json
import math
import types
from collections.abc import Callable
from dataclasses import MISSING, dataclass, fields
from functools import cache
from typing import Any, Union, get_args, get_origin, get_type_hints

from intact.model.errors import CaptureError
from intact.model.facts import Fact

# Captured JSON may be nested as deep as the parser that read it allows; a reader of facts must not need a deep stack.
MAX_DEPTH = 100
TOO_DEEP = "(nested too deeply)"

FACTS: dict[str, type[Fact]] = {kind.__name__: kind for kind in get_args(Fact)}

# More digits than this cannot be printed by CPython without a switch, and no real value has them.
_INTEGER_BITS = 4096


class BadFact(CaptureError):
    """The text is not a fact this version knows."""


def fact_json(fact: Fact) -> tuple[str, str]:
    """The kind of a fact (its type's name) and its fields as a JSON object."""
    body = {spec.name: _plain(getattr(fact, spec.name)) for spec in _specs(type(fact).__name__)}
    try:
        return type(fact).__name__, json.dumps(body, separators=(",", ":"))
    except (RecursionError, ValueError, TypeError):
        return type(fact).__name__, json.dumps(bounded(body), separators=(",", ":"))


def fact_from_json(kind: str, body: str | bytes) -> Fact:
    """The fact that `fact_json` wrote. Fields this version does not know are left out.

    Raises:
        BadFact: the kind is unknown, the text is no JSON object, or a field is missing or of a wrong type.
    """
    try:
        factory = FACTS[kind]
        values = json.loads(body)
        return factory(**{spec.name: spec.read(values[spec.name]) for spec in _specs(kind) if _given(spec, values)})
    except (KeyError, TypeError, ValueError, RecursionError, AttributeError) as error:
        raise BadFact(f"cannot read a fact of kind {kind!r}: {type(error).__name__}") from error


def bounded(value: Any, depth: int = MAX_DEPTH) -> Any:
    """A copy that any JSON writer takes: nesting cut at `depth`, no unprintable integers, no unknown types."""
    if value is None or isinstance(value, bool | float):
        return value
    if isinstance(value, str):
        return str(value)
    if isinstance(value, int):
        return value if value.bit_length() <= _INTEGER_BITS else hex(value)
    if depth == 0:
        return TOO_DEEP
    if isinstance(value, dict):
        return {str(key): bounded(item, depth - 1) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [bounded(item, depth - 1) for item in value]
    return str(value)


def finite(value: Any) -> Any:
    """A copy without what standard JSON lacks: not-a-number and the infinities become null."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {key: finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [finite(item) for item in value]
    return value


@dataclass(frozen=True, slots=True, kw_only=True)
class _Spec:
    name: str
    required: bool
    read: Callable[[Any], Any]


@cache
def _specs(kind: str) -> tuple[_Spec, ...]:
    factory = FACTS[kind]
    hints = get_type_hints(factory)
    return tuple(
        _Spec(
            name=field.name,
            required=field.default is MISSING and field.default_factory is MISSING,
            read=_reader(hints[field.name]),
        )
        for field in fields(factory)
    )


def _given(spec: _Spec, values: dict[str, Any]) -> bool:
    return spec.required or spec.name in values


def _plain(value: Any) -> Any:
    """Bytes have no JSON: ASCII stays text, which is what most bodies are; the rest is base64 in an object."""
    if isinstance(value, bytes):
        return value.decode("ascii") if value.isascii() else {"base64": base64.b64encode(value).decode("ascii")}
    return value


def _reader(hint: Any) -> Callable[[Any], Any]:
    """What turns a JSON value back into a field of this type; raises ValueError or TypeError if it is another."""
    if hint is bytes:
        return _read_bytes
    origin = get_origin(hint)
    if origin is tuple:
        items = [_reader(item) for item in get_args(hint)]
        if items and get_args(hint)[-1] is Ellipsis:
            return lambda value: tuple(items[0](item) for item in _expect(value, list))
        return lambda value: tuple(read(item) for read, item in zip(items, _expect(value, list), strict=True))
    if origin in (Union, types.UnionType):
        members = tuple(member for member in get_args(hint) if member is not type(None))
        if len(members) == 1:
            read_member = _reader(members[0])
            return lambda value: None if value is None else read_member(value)
        return lambda value: value  # any JSON value
    if hint in (list, dict) or origin in (list, dict):
        container = origin or hint
        return lambda value: _expect(value, container)
    if hint is float:
        return lambda value: float(_expect(value, (int, float)))
    if hint is int:
        return _read_int
    if hint in (str, bool):
        return lambda value: _expect(value, hint)
    return lambda value: value


def _read_int(value: Any) -> int:
    if isinstance(value, bool):
        raise TypeError("expected an integer")
    return int(_expect(value, int))


def _read_bytes(value: Any) -> bytes:
    if isinstance(value, str):
        return value.encode("ascii")
    return base64.b64decode(_expect(value, dict)["base64"], validate=True)


def _expect(value: Any, kind: Any) -> Any:
    if not isinstance(value, kind):
        raise TypeError(f"expected {kind}")
    return value
