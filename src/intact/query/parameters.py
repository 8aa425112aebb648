"""A question with its parameters: bound by the engine, of listed types, never part of the text."""

import math
import re
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, TypeAlias

from intact.model.errors import UsageError
from intact.query.row_limits import Reader
from intact.store.database import escape

Parameter: TypeAlias = str | int | float | bool

MAX_PARAMETERS = 100
MAX_CHARACTERS = 20_000
_NAME = re.compile(r"[A-Za-z]\w{0,63}", re.ASCII)
_PLACEHOLDER = re.compile(r"\{\s*(\w+)\s*:\s*([^}]*)\}")
_TYPE = re.compile(
    r"(?:Nullable\()?(?:String|U?Int(?:8|16|32|64)|Float(?:32|64)|Bool|Date|DateTime|DateTime64\(\d\))\)?", re.ASCII
)


@dataclass(frozen=True, kw_only=True)
class Question:
    """What is asked, by whom, and with which values."""

    sql: str
    reader: Reader = field(default_factory=Reader)
    parameters: dict[str, Parameter] = field(default_factory=dict)

    @cached_property
    def bound(self) -> dict[str, Any]:
        """The values as the engine takes them.

        Raises:
            UsageError: a name or a value cannot be bound.
        """
        if len(self.parameters) > MAX_PARAMETERS:
            raise UsageError(f"there are more than {MAX_PARAMETERS} parameters")
        return {self._name(name): _value(name, value) for name, value in self.parameters.items()}

    def check_placeholders(self, text: str) -> None:
        """Refuse placeholders of parameters for anything but values: a name of a table is none."""
        for name, kind in _PLACEHOLDER.findall(text):
            if name in self.parameters and not _TYPE.fullmatch(kind.replace(" ", "")):
                raise UsageError(f"the parameter {name} cannot be of type {kind.strip()[:40]!r}")

    def _name(self, name: str) -> str:
        if not _NAME.fullmatch(name):
            raise UsageError(f"{name[:60]!r} is not a name of a parameter")
        return name


def _value(name: str, value: Any) -> Any:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str) and len(value) <= MAX_CHARACTERS:
        return escape(value)
    if isinstance(value, int) and value.bit_length() <= 64:
        return value
    if isinstance(value, float) and math.isfinite(value):
        return value
    raise UsageError(f"the parameter {name} has to be a text, a number or true or false")
