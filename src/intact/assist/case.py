"""One question being worked on: every tool call of it, by a playbook or by a model, goes this one way.

A call is known by its tool and arguments: asked for again it gives the evidence it gave before. Evidence of an earlier
attempt (`recorded`) is given instead of calling again, so that an answer that was interrupted goes on as it began.
"""

import asyncio
import json
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from intact.assist.answers import Evidence, ToolAnswer
from intact.assist.asking import Asker, Language, Question
from intact.assist.events import Event, EvidenceFound, Problem, Step, ToolEnded, ToolStarted
from intact.assist.expert import ToolFailed
from intact.assist.phrases import phrase
from intact.assist.plain_events import Plain, evidence_of
from intact.assist.settings import Bounds
from intact.assist.tool import Tool
from intact.model.errors import IntactError

_LOG = logging.getLogger("intact.assist")

MAX_PROBLEM = 300  # characters of the line that says why a tool failed
MAX_HEADING = 200  # of the description of a call
MAX_NAMED = 3  # values of one argument that a description names
# arguments that say on what and what is looked at, in the order in which a description names them
_SAID = {
    "hosts": ("目标", "hosts"),
    "run": ("运行", "run"),
    "run_id": ("运行", "run"),
    "agent": ("智能体", "agent"),
    "metrics": ("指标", "metrics"),
    "path": ("路径", "path"),
    "pid": ("进程", "pid"),
    "query": ("查询", "query"),
    "sql": ("SQL", "SQL"),
    "name": ("名称", "name"),
}


class OfferedTool(Protocol):
    """A tool as its server offers it to one asker; `assist.pool.ToolInfo` is one."""

    @property
    def full_name(self) -> str:
        """`server.tool`."""

    @property
    def about(self) -> str:
        """What it answers, in the words of its server."""

    @property
    def schema(self) -> dict[str, Any]:
        """Its input as JSON schema."""

    @property
    def is_ours(self) -> bool:
        """Not so: what it is about, takes and gives is text of others."""


class ToolPool(Protocol):
    """All tools of all servers; identity goes with each call. `assist.pool.ToolPool` is one."""

    @property
    def problems(self) -> Sequence[str]:
        """One line for each server that does not answer now."""

    async def list_tools(self, asker: Asker) -> Sequence[OfferedTool]:
        """Those that the asker may see, in an order that does not change."""

    async def call(self, asker: Asker, tool: str, arguments: Mapping[str, Any]) -> ToolAnswer:
        """One call.

        Raises:
            ToolFailed: no answer; the text is one line of ours.
        """


@dataclass(slots=True)
class Spent:
    """What an answer has cost so far."""

    tool_calls: int = 0
    model_calls: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    bitten: list[str] = field(default_factory=list)  # the bounds that bit

    @property
    def tokens(self) -> int:
        return self.input_tokens + self.output_tokens


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """What a case works with.

    Args:
        tools: by name; what the asker may call.
        ours: the tool of ours that a name stands for, with its texts; None: it is of another server.
        tell: listeners hear of each event through it.
        recorded: events of an earlier attempt at the same response.
    """

    pool: ToolPool
    tools: Mapping[str, OfferedTool]
    bounds: Bounds
    tell: Callable[[Event], None]
    ours: Callable[[str], Tool | None]
    recorded: tuple[Plain, ...] = ()


class WorkingCase:
    """The `expert.Case` that playbooks and models get."""

    def __init__(self, question: Question, asker: Asker, work: Work) -> None:
        self.question = question
        self.asker = asker
        self.work = work
        self.spent = Spent()
        self.evidence: dict[str, Evidence] = {}
        self._allowed: frozenset[str] | None = None  # None: every tool the asker may call
        self._calls: dict[str, asyncio.Task[Evidence]] = {}
        self._recorded, self._numbers = _recorded_calls(work.recorded)
        self._next = max(self._numbers.values(), default=0)

    def limit_tools(self, names: Sequence[str] | None) -> None:
        """From here on only these may be called; None: all."""
        self._allowed = None if names is None else frozenset(names)

    @property
    def tools(self) -> list[OfferedTool]:
        """What may be called now."""
        return [tool for name, tool in self.work.tools.items() if self._allowed is None or name in self._allowed]

    def step(self, step: str, message: str) -> None:
        self.work.tell(Step(step=step, message=message))

    def problem(self, code: str, message: str) -> None:
        self.work.tell(Problem(code=code, message=message))

    def bite(self, bound: str, limit: float) -> None:
        """Tell, once, that a bound was met; the answer is made of what is there."""
        if bound not in self.spent.bitten:
            self.spent.bitten.append(bound)
            self.problem(f"bound_{bound}", phrase(f"bound_{bound}", self.question.language, limit=f"{limit:g}"))

    async def call(self, tool: str, **arguments: Any) -> Evidence:
        """Call `server.tool`; the same call again gives the same evidence.

        Raises:
            ToolFailed: it gave no answer, or may not be called; the text is ours.
        """
        given = {name: value for name, value in arguments.items() if value is not None}
        key = call_key(tool, given)
        task = self._calls.get(key)
        if task is None:
            offered = self.work.tools.get(tool)
            if offered is None or (self._allowed is not None and tool not in self._allowed):
                raise ToolFailed(phrase("no_such_tool", self.question.language))
            recorded = self._recorded.get(key)
            if recorded is not None:
                self.spent.tool_calls += 1
                self.evidence[recorded.id] = recorded
                return recorded
            if self.spent.tool_calls >= self.work.bounds.tool_calls:
                self.bite("tool_calls", self.work.bounds.tool_calls)
                raise ToolFailed(phrase("bound_tool_calls", self.question.language, limit=self.work.bounds.tool_calls))
            self.spent.tool_calls += 1
            number = self._numbers.pop(key, 0)
            if not number:
                number = self._next = self._next + 1
            task = asyncio.ensure_future(self._call(tool, given, number))
            task.add_done_callback(_take_note)
            self._calls[key] = task
        try:
            return await asyncio.shield(task)
        except ToolFailed:
            self._calls.pop(key, None)
            raise

    async def close(self) -> None:
        """End the calls that nobody waits for any more."""
        tasks = [task for task in self._calls.values() if not task.done()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _call(self, tool: str, given: dict[str, Any], number: int) -> Evidence:
        call_id, tell = f"c{number}", self.work.tell
        says = describe(tool, given, self.question.language, ours=self.work.ours(tool))
        tell(ToolStarted(call_id=call_id, name=tool, description=says, arguments=given))
        began = time.perf_counter()
        try:
            answer = await self.work.pool.call(self.asker, tool, self._complete(tool, given))
        except asyncio.CancelledError:
            raise
        except Exception as error:
            line = reason(error, self.question.language)
            ms = (time.perf_counter() - began) * 1e3
            tell(ToolEnded(call_id=call_id, name=tool, ok=False, ms=ms, problem=line))
            raise ToolFailed(line) from error
        evidence = Evidence(id=f"e{number}", tool=tool, answer=answer)
        self.evidence[evidence.id] = evidence
        tell(ToolEnded(call_id=call_id, name=tool, ok=True, ms=(time.perf_counter() - began) * 1e3))
        tell(EvidenceFound(evidence=evidence))
        return evidence

    def _complete(self, tool: str, given: dict[str, Any]) -> dict[str, Any]:
        """The arguments, with the moment of the question as the `now` of tools that have one."""
        if "at_ns" in self.work.tools[tool].schema.get("properties", {}) and "at_ns" not in given:
            return {**given, "at_ns": self.question.asked_ns}
        return dict(given)


def call_key(tool: str, arguments: Mapping[str, Any]) -> str:
    """By what a call is known."""
    return f"{tool} {json.dumps(arguments, sort_keys=True, ensure_ascii=True, default=str)}"


def describe(tool: str, arguments: Mapping[str, Any], language: Language, *, ours: Tool | None) -> str:
    """What a call does: `查询主机核心指标 - 目标: web-1 - 指标: cpu`."""
    parts = [says(tool, language, ours=ours)]
    for name, (zh, en) in _SAID.items():
        value = arguments.get(name)
        if value in (None, "", [], ()):
            continue
        values = list(value) if isinstance(value, list | tuple) else [value]
        text = ", ".join(_one_line(each) for each in values[:MAX_NAMED]) + (" …" if len(values) > MAX_NAMED else "")
        parts.append(f"{zh if language is Language.ZH else en}: {text}")
    return " - ".join(parts)[:MAX_HEADING]


def says(tool: str, language: Language, *, ours: Tool | None) -> str:
    """What a call of a tool does, without its arguments."""
    bare = tool.partition(".")[2] or tool
    fallback = f"执行{bare}" if language is Language.ZH else f"Run {bare}"
    return fallback if ours is None else ours.says.get(language) or fallback


def reason(error: BaseException, language: Language) -> str:
    """Why something failed, in one line of ours; what others wrote stays in the log."""
    if isinstance(error, IntactError | ToolFailed):
        return _one_line(error)[:MAX_PROBLEM] or phrase("tool_failed", language)
    if isinstance(error, TimeoutError):
        return phrase("tool_timeout", language)
    _LOG.warning("a tool failed: %s", type(error).__name__, exc_info=error)
    return phrase("tool_failed", language)


def _one_line(value: object) -> str:
    text = " ".join(str(value).split())
    text = "".join(character if character.isprintable() else "\N{REPLACEMENT CHARACTER}" for character in text)
    return text if len(text) <= MAX_PROBLEM else text[: MAX_PROBLEM - 1] + "…"


def _take_note(task: asyncio.Task[Evidence]) -> None:
    """Whoever asked may be gone by the time a call fails; its end was told of."""
    if not task.cancelled():
        task.exception()


def _recorded_calls(events: tuple[Plain, ...]) -> tuple[dict[str, Evidence], dict[str, int]]:
    """The evidence that an earlier attempt found, and the numbers it gave, both by call."""
    calls: dict[int, str] = {}
    found: dict[str, Evidence] = {}
    for event in events:
        if event.get("type") == "tool_call":
            calls[int(event["id"][1:])] = call_key(event["name"], event["arguments"])
        elif event.get("type") == "evidence":
            try:
                evidence = evidence_of(event)
            except ValueError:
                _LOG.warning("recorded evidence does not read; the call is made again")
                continue
            key = calls.get(int(evidence.id[1:]))
            if key is not None:
                found[key] = evidence
    return found, {key: number for number, key in calls.items()}
