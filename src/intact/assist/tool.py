"""What a tool is: a name, a checked input and a function that gives a table. Which server offers it is said in `servers`."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Annotated, Any, Protocol, TypeAlias

from pydantic import BaseModel, ConfigDict, Field

from intact.assist.answers import ToolAnswer
from intact.assist.asking import Asker, Language
from intact.model.errors import IntactError
from intact.query.readers import Readers

Texts = dict[Language, str]
Time: TypeAlias = Annotated[int, Field(ge=0, le=(1 << 63) - 1)]  # epoch nanoseconds, as an argument


def texts(en: str, zh: str) -> Texts:
    """The same in both languages."""
    return {Language.EN: en, Language.ZH: zh}


class ToolRefused(IntactError):
    """What was asked of a tool is wrong or may not be seen; the text is ours and reaches the asker and the model."""


class Arguments(BaseModel):
    """The input of a tool; every field has a description, and every text a bound."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Readings(Protocol):
    """Where a reading of the live machine is kept for as long as answers cite it."""

    def put(self, asker: str, body: dict[str, Any]) -> str:
        """Keep it; its opaque id."""

    def get(self, asker: str, reading_id: str) -> dict[str, Any] | None:
        """What was kept for this asker; None: nothing, or no more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """What tools work on, given once when the servers are made; nothing of a request is in it."""

    readers: Readers
    readings: Readings
    host: Any = None  # assist.host_reader.HostReader
    library: Any = None  # assist.knowledge.library.Library


@dataclass(frozen=True, slots=True, kw_only=True)
class Tool:
    """One read-only tool.

    Args:
        name: snake_case, unique within its server.
        about: one sentence a language: what it answers, for whoever chooses a tool.
        says: what a call of it does, as a heading: 查询主机核心指标.
        words: further words by which the search of tools finds it.
        run: called in a thread; raises ToolRefused for wrong input and for what the asker may not see.
    """

    name: str
    about: Texts
    says: Texts
    arguments: type[Arguments]
    run: Callable[[Parts, Asker, Any], ToolAnswer]
    words: tuple[str, ...] = ()
    roles: tuple[str, ...] = field(default=())  # who may see and call it; empty: everybody who may ask
