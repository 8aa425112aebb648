"""What an expert is, and what it says: statements whose every number is a cell of evidence."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, Protocol

from intact.assist.answers import Evidence
from intact.assist.asking import Asker, Question
from intact.assist.events import Chart
from intact.assist.tool import Texts


@dataclass(frozen=True, slots=True, kw_only=True)
class Value:
    """A number or text of an answer by the place in the evidence that it comes from.

    Args:
        how: `value` (of `row` and `column`), `count` (of rows), `sum`, `max`, `min`, `mean` (of `column`).
        form: how it is written: `plain`, `bytes`, `percent`, `duration` (ns), `time` (epoch ns), `usd`, `text`.
        digits: after the point, where the form has any.
    """

    evidence_id: str
    how: str = "value"
    column: str | None = None
    row: int = 0
    form: str = "plain"
    digits: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Statement:
    """One sentence: a template of ours in the asker's language, `{name}` for each value, which is cited."""

    text: str
    values: dict[str, Value] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What an expert says without a model.

    Args:
        verdict: `answered`, `found`, `nothing_wrong` or `cannot_tell`.
        title: of the whole, in the asker's language; None: none.
        detail: for programs, e.g. `{"fault": "disk_full", "object": "/mnt/x"}`.
    """

    statements: tuple[Statement, ...]
    verdict: str = "answered"
    title: str | None = None
    charts: tuple[Chart, ...] = ()
    detail: dict[str, Any] = field(default_factory=dict)


class ToolFailed(Exception):
    """A tool call did not give an answer; the text is one line of ours."""


class Case(Protocol):
    """One question being worked on; what a playbook may do."""

    question: Question
    asker: Asker

    async def call(self, tool: str, **arguments: Any) -> Evidence:
        """Call `server.tool`. Listeners hear of it; raises ToolFailed."""

    def step(self, step: str, message: str) -> None:
        """Tell what is being done."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Expert:
    """One expert; a third party offers one as an entry point of the group `intact.experts`.

    Args:
        id: what `direct_agent` and `--expert` name: `host_diagnosis`.
        prompt: for a model, in English; says nothing that a tool can check.
        tools: the 5 to 10 tools it may call, each `server.tool`.
        playbook: answers without a model, and gathers evidence before a model is asked; None stands for "not my
            question" and lets the next expert try.
        weight: of the words of a question, how well it fits (0 to 1); chooses the expert where none is named.
    """

    id: str
    names: Texts
    about: Texts
    prompt: str
    tools: tuple[str, ...]
    playbook: Callable[[Case], Awaitable[Report | None]]
    weight: Callable[[Question], float]
