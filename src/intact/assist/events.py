"""What happens while a question is answered, as its listeners hear it."""

from dataclasses import dataclass, field
from typing import Any, TypeAlias

from intact.assist.answers import Evidence


@dataclass(frozen=True, slots=True, kw_only=True)
class Started:
    """First of all, before anything slow."""

    session_id: str
    response_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """What is being done now, in the asker's language."""

    step: str  # `intent route plan tool verify model …`: a word for programs
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolStarted:
    call_id: str
    name: str  # `server.tool`
    description: str  # in the asker's language: 查询主机核心指标 - 目标: web-1 - 指标: cpu
    arguments: dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolEnded:
    call_id: str
    name: str
    ok: bool
    ms: float
    problem: str | None = None  # one line of ours


@dataclass(frozen=True, slots=True, kw_only=True)
class EvidenceFound:
    evidence: Evidence


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelCalled:
    """One call to a model ended."""

    call_id: str
    model: str
    provider: str
    ok: bool
    ms: float
    input_tokens: int = 0
    output_tokens: int = 0
    error_type: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Chart:
    """A chart as data: series over the rows of one piece of evidence."""

    title: str
    kind: str  # `line` or `bar`
    evidence_id: str
    x: str  # a column
    y: tuple[str, ...]  # columns
    unit: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Token:
    """A piece of the answer (Markdown), sent only after the whole of it was verified."""

    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Title:
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """Something failed; the run goes on unless `Done` follows."""

    code: str
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Done:
    """Last of all.

    Args:
        verdict: `answered found nothing_wrong cannot_tell refused failed cancelled`.
        struck: claims that the verifier struck out.
    """

    verdict: str
    intent_type: str | None = None
    intent_name: str | None = None
    expert: str | None = None
    model: str | None = None  # None: answered without one
    struck: int = 0
    tool_calls: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    detail: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Decided:
    """The answer is made and verified; its text follows, then `Done` with the same."""

    done: Done


Event: TypeAlias = (
    Started
    | Step
    | ToolStarted
    | ToolEnded
    | EvidenceFound
    | ModelCalled
    | Chart
    | Token
    | Title
    | Problem
    | Decided
    | Done
)
