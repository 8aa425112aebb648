"""A small world for the executor: tools that answer from tables, experts, a gate, all without servers."""

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from intact.assist.answers import ToolAnswer
from intact.assist.asking import Asker, Language, Question
from intact.assist.events import Event
from intact.assist.executor import Executor
from intact.assist.expert import Case, Expert, Report
from intact.assist.plain_events import Plain, as_text, plain
from intact.assist.settings import AssistSettings
from intact.assist.tool import Arguments, Texts, Tool

NOW_NS = 1_795_176_000_000_000_000


@dataclass(frozen=True, kw_only=True)
class Offered:
    full_name: str
    about: str
    schema: dict[str, Any] = field(default_factory=lambda: {"type": "object", "properties": {}})
    is_ours: bool = True


Give = Callable[[Asker, dict[str, Any]], ToolAnswer | Awaitable[ToolAnswer]]


class Pool:
    """Tools as functions."""

    def __init__(self) -> None:
        self.tools: dict[str, tuple[Offered, Give]] = {}
        self.texts: dict[str, Tool] = {}
        self.calls: list[tuple[str, str, dict[str, Any]]] = []

    def add(self, name: str, give: Give, *, about: str = "answers", says: Texts | None = None, **more: Any) -> None:
        self.tools[name] = (Offered(full_name=name, about=about, **more), give)
        if says:
            self.texts[name] = Tool(
                name=name, about={}, says=says, arguments=Arguments, run=lambda _parts, _asker, _arguments: table("n")
            )

    @property
    def problems(self) -> tuple[str, ...]:
        return ()

    async def list_tools(self, asker: Asker) -> list[Offered]:
        return [offered for offered, _ in self.tools.values()]

    async def call(self, asker: Asker, tool: str, arguments: Mapping[str, Any]) -> ToolAnswer:
        given = dict(arguments)
        self.calls.append((asker.name, tool, given))
        answer = self.tools[tool][1](asker, given)
        return answer if isinstance(answer, ToolAnswer) else await answer


def table(columns: str, *rows: tuple[Any, ...], **more: Any) -> ToolAnswer:
    return ToolAnswer(
        query=more.pop("query", "made up"), arguments=more.pop("arguments", {}), columns=tuple(columns.split()),
        rows=rows, **more,
    )  # fmt: skip


def gives(answer: ToolAnswer) -> Give:
    """A tool that always gives the same rows, under the arguments it was called with."""
    return lambda _asker, arguments: replace(answer, arguments=dict(arguments))


def expert(
    playbook: Callable[[Case], Awaitable[Report | None]], *, name: str = "host_diagnosis", tools: tuple[str, ...] = (),
    weight: float = 1.0,
) -> Expert:  # fmt: skip
    return Expert(
        id=name, names={Language.EN: name, Language.ZH: f"专家{name}"},
        about={Language.EN: "looks at hosts", Language.ZH: "查看主机"},
        prompt="Look at hosts.", tools=tools, playbook=playbook, weight=lambda _question: weight,
    )  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Judged:
    intent_type: str = "task"
    intent_name: str = "task"
    direct_response: str | None = None
    resolved_text: str | None = None


@dataclass(kw_only=True)
class Gate:
    verdict: Judged = field(default_factory=Judged)
    asked: int = 0

    async def judge(self, question: Question) -> Judged:
        self.asked += 1
        return self.verdict


def question(text: str = "is the disk full?", **more: Any) -> Question:
    return Question(
        id="r1", session_id="s1", text=text, language=more.pop("language", Language.EN), asked_ns=NOW_NS, **more
    )


def settings(**bounds: Any) -> AssistSettings:
    return AssistSettings.model_validate({"bounds": bounds})


ALICE = Asker(name="alice")


def events_of(executor: Executor, asked: Question, *, recorded: tuple[Plain, ...] = ()) -> list[Event]:
    async def all_of() -> list[Event]:
        return [event async for event in executor.run(asked, ALICE, recorded)]

    return asyncio.run(all_of())


def as_plain(events: list[Event]) -> tuple[Plain, ...]:
    """Events as the log of a response keeps them."""
    return tuple(json.loads(as_text(plain(event, 0))) for event in events)
