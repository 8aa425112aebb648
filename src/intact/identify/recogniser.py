"""What a recogniser is given, and what it says."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol, TypeAlias

from intact.model.identity import ProcessKey
from intact.model.recognition import RecognitionRules


@dataclass(frozen=True, slots=True, kw_only=True)
class Image:
    """What a process runs."""

    exe: str = ""
    argv: tuple[str, ...] = ()
    cwd: str = ""
    key: ProcessKey | None = None
    boot_id: str = ""
    environment: Mapping[str, str] = field(default_factory=dict)  # only looked at, never kept


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """The first line of a request, and where it went."""

    method: str
    path: str  # without query
    host: str
    port: int = 0
    upgrades: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Understood:
    """A request that was understood as a call of a model."""

    wire_api: str
    host: str


Sight: TypeAlias = Image | Request | Understood


@dataclass(frozen=True, slots=True, kw_only=True)
class Recognition:
    """That a process is an agent, how sure, and why; `is_agent` False refuses it whatever others say."""

    recogniser: str
    score: float
    reason: str
    is_agent: bool = True


class Recogniser(Protocol):
    """One kind of evidence. Says nothing (None) of sights of other kinds."""

    name: str

    def recognise(self, sight: Sight, rules: RecognitionRules) -> Recognition | None:
        """What this sight says of its process."""
        ...
