"""From a question to its answer: what it is, who of the experts looks, what they found, whether it holds, and how it is said.

Nothing of a request is kept on the executor: each has a run of its own.
"""

import asyncio
import logging
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

from intact.assist.answers import Evidence
from intact.assist.asking import Asker, Language, Question
from intact.assist.case import OfferedTool, ToolPool, Work, WorkingCase, reason, says
from intact.assist.events import (
    Chart,
    Done,
    Event,
    EvidenceFound,
    ModelCalled,
    Problem,
    Step,
    Token,
    ToolEnded,
    ToolStarted,
)
from intact.assist.expert import Expert, Report, Statement, ToolFailed, Value
from intact.assist.intent import replies
from intact.assist.phrases import phrase
from intact.assist.plain_events import Plain
from intact.assist.servers.registry import tool_named
from intact.assist.settings import AssistSettings
from intact.assist.tool import Tool
from intact.assist.verify.verifier import check_report, check_text, grounds

_LOG = logging.getLogger("intact.assist")

MAX_EVENTS_WAITING = 10_000
LIST_S = 15.0  # for the lists of tools of all servers
_DIRECT = {"greeting": "answered", "identity": "answered", "invalid": "refused", "suspicious": "refused"}
_ALWAYS_DIRECT = frozenset(_DIRECT)
_TOLD = frozenset({"thinking_step", "tool_call", "tool_result", "evidence", "chart", "error", "model_call"})


class Verdict(Protocol):
    """What the intent gate makes of a question."""

    @property
    def intent_type(self) -> str: ...
    @property
    def intent_name(self) -> str: ...
    @property
    def direct_response(self) -> str | None: ...
    @property
    def resolved_text(self) -> str | None:
        """Of a followup: the question made whole with the history."""


class Gate(Protocol):
    """The intent gate."""

    def judge(self, question: Question) -> Awaitable[Verdict]:
        """What the question is; never raises for any text."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """What a model wrote, with citations, before it is checked."""

    text: str
    model: str


class Exploring(Protocol):
    """A model that works with tools; `assist.models.Models` is one."""

    @property
    def usable(self) -> bool:
        """Whether there is a model."""

    async def explore(
        self, case: WorkingCase, *, experts: Sequence[Expert], report: Report | None, is_route: bool
    ) -> Draft | None:
        """What the model says, after as many tool calls as it needs; None: nothing.

        Args:
            experts: the one whose prompt and tools it begins with, first.
            report: what the playbook found.
            is_route: only the tools of the expert.
        """


class Executor:
    """Answers questions.

    Args:
        gate: says what a question is; not asked in route mode.
        experts: those that there are, the first ones first where several fit.
        pool: the tools.
        models: None: there is none.
        ours: the tool of ours that `server.tool` stands for.
    """

    def __init__(
        self,
        gate: Gate,
        experts: Sequence[Expert],
        pool: ToolPool,
        models: Exploring | None,
        settings: AssistSettings,
        *,
        ours: Callable[[str], Tool | None] = tool_named,
    ) -> None:
        self._gate = gate
        self._experts = {expert.id: expert for expert in experts}
        self._pool = pool
        self._models = models if models is not None and models.usable else None
        self._settings = settings
        self._ours = ours

    @property
    def experts(self) -> tuple[Expert, ...]:
        return tuple(self._experts.values())

    async def run(
        self, question: Question, asker: Asker, recorded: tuple[Plain, ...] | None = None
    ) -> AsyncGenerator[Event, None]:
        """The events of one answer, ended by `Done`; without `Started`, which is told before this is called.

        Args:
            recorded: the events of an earlier attempt. What they found is not looked up again, and what comes is only what
                they did not tell.
        """
        events: asyncio.Queue[Event | None] = asyncio.Queue()  # bounded by `_Untold`: its text and its end always fit
        filtered = _Untold(recorded or (), events)
        run = _Run(self._gate, self._experts, self._pool, models=self._models, settings=self._settings, ours=self._ours)
        task = asyncio.ensure_future(run.answer(question, asker, told=filtered))
        task.add_done_callback(lambda _: events.put_nowait(None))
        try:
            while (event := await events.get()) is not None:
                yield event
            task.result()  # a fault of ours is for the caller
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)


class _Untold:
    """Passes on the events that an earlier attempt did not tell."""

    def __init__(self, recorded: tuple[Plain, ...], events: asyncio.Queue[Event | None]) -> None:
        self.recorded = tuple(event for event in recorded if event.get("type") in _TOLD)
        self._events = events
        self._left: dict[str, int] = {}
        for event in self.recorded:
            key = _key_of_plain(event)
            self._left[key] = self._left.get(key, 0) + 1

    def __call__(self, event: Event) -> None:
        key = _key_of(event)
        if self._left.get(key, 0):
            self._left[key] -= 1
        elif self._events.qsize() < MAX_EVENTS_WAITING or isinstance(event, Done | Token):
            self._events.put_nowait(event)


def _key_of_plain(event: Plain) -> str:
    kind = event["type"]
    if kind == "thinking_step":
        return f"{kind} {event['step']} {event['message']}"
    return f"{kind} {event['code'] if kind == 'error' else event['title'] if kind == 'chart' else event['id']}"


def _key_of(event: Event) -> str:
    """By what an event is known to be one that was told before."""
    match event:
        case Step():
            return f"thinking_step {event.step} {event.message}"
        case ToolStarted():
            return f"tool_call {event.call_id}"
        case ToolEnded():
            return f"tool_result {event.call_id}"
        case EvidenceFound():
            return f"evidence {event.evidence.id}"
        case ModelCalled():
            return f"model_call {event.call_id}"
        case Chart():
            return f"chart {event.title}"
        case Problem():
            return f"error {event.code}"
        case _:
            return ""


@dataclass(slots=True)
class _Run:
    """The work on one question."""

    gate: Gate
    experts: dict[str, Expert]
    pool: ToolPool
    models: Exploring | None = field(kw_only=True)
    settings: AssistSettings = field(kw_only=True)
    ours: Callable[[str], Tool | None] = field(kw_only=True)

    async def answer(self, question: Question, asker: Asker, *, told: _Untold) -> None:
        done = Done(verdict="failed")
        if question.direct_agent is not None:
            expert = self.experts.get(question.direct_agent)
            if expert is None:
                names = ", ".join(self.experts)
                message = phrase("no_such_expert", question.language, experts=names)
                told(Problem(code="no_such_expert", message=message))
                told(done)
                return
            told(Step(step="route", message=self._says("route", expert, question.language)))
            told(await self._with_experts(question, asker, told=told, experts=[expert], is_route=True))
            return
        told(Step(step="intent", message=phrase("intent", question.language)))
        verdict = await self._judge(question, told)
        if verdict is not None:
            named: dict[str, Any] = {"intent_type": verdict.intent_type, "intent_name": verdict.intent_name}
            if verdict.intent_type in _ALWAYS_DIRECT or verdict.direct_response:
                said = verdict.direct_response or replies.direct(verdict.intent_type, question.language)
                told(Token(message=said or ""))
                told(Done(verdict=_DIRECT.get(verdict.intent_type, "answered"), **named))
                return
            if verdict.intent_type == "followup" and verdict.resolved_text:
                question = replace(question, text=verdict.resolved_text)
        else:
            named = {}
        weights = [(expert.weight(question), expert) for expert in self.experts.values()]
        ranked = sorted((each for each in weights if each[0] > 0), key=lambda each: -each[0])
        done = await self._with_experts(
            question, asker, told=told, experts=[each for _, each in ranked], is_route=False
        )
        told(replace(done, **named))

    async def _judge(self, question: Question, told: _Untold) -> Verdict | None:
        try:
            return await self.gate.judge(question)
        except Exception:  # the gate is not what an answer should fail for
            _LOG.exception("the intent gate failed")
            told(Problem(code="gate_failed", message=phrase("gate_failed", question.language)))
            return None

    async def _with_experts(
        self, question: Question, asker: Asker, *, told: _Untold, experts: list[Expert], is_route: bool
    ) -> Done:
        """Gather, word, verify and tell; what is said last."""
        try:
            async with asyncio.timeout(LIST_S):
                tools = {tool.full_name: tool for tool in await self.pool.list_tools(asker)}
        except Exception as error:  # without tools there is still something to say
            line = reason(error, question.language)
            told(Problem(code="tools_failed", message=phrase("tools_failed", question.language, reason=line)))
            tools = {}
        for line in self.pool.problems:  # of servers that are away: the answer is made without them
            told(Problem(code="server_away", message=line))
        bounds = self.settings.bounds
        work = Work(pool=self.pool, tools=tools, bounds=bounds, tell=told, ours=self.ours, recorded=told.recorded)
        case = WorkingCase(question, asker, work)
        gathered = _Gathered()
        try:
            async with asyncio.timeout(self.settings.bounds.seconds):
                await self._gather(case, experts, gathered=gathered, is_route=is_route)
        except TimeoutError:
            case.bite("seconds", self.settings.bounds.seconds)
        finally:
            await case.close()
        return await self._tell(case, gathered)

    async def _gather(self, case: WorkingCase, experts: list[Expert], *, gathered: "_Gathered", is_route: bool) -> None:
        for expert in experts:
            if not is_route:
                case.step("plan", self._says("plan", expert, case.question.language))
            case.limit_tools(expert.tools)
            gathered.expert = expert
            report = await self._playbook(case, expert, gathered)
            if report is not None or gathered.failed:
                gathered.report = report
                break
            gathered.expert = None
        if self.models is None:
            return
        if not is_route:
            case.limit_tools(None)
        case.step("model", phrase("model", case.question.language))
        first = [gathered.expert] if gathered.expert is not None else []
        known = [*first, *(expert for expert in experts if expert not in first)]
        try:
            gathered.draft = await self.models.explore(case, experts=known, report=gathered.report, is_route=is_route)
        except Exception as error:  # whatever a model's library raises: the playbook's answer stands
            line = reason(error, case.question.language) if isinstance(error, ToolFailed) else type(error).__name__
            _LOG.warning("the model failed: %s", type(error).__name__, exc_info=error)
            case.problem("model_failed", phrase("model_failed", case.question.language, reason=line))

    async def _playbook(self, case: WorkingCase, expert: Expert, gathered: "_Gathered") -> Report | None:
        try:
            return await expert.playbook(case)
        except Exception as error:  # an expert of somebody else may raise anything
            if not isinstance(error, ToolFailed):
                _LOG.exception("the expert %s failed", expert.id)
            gathered.failed = reason(error, case.question.language)
            name = expert.names[case.question.language]
            message = phrase("expert_failed", case.question.language, expert=name, reason=gathered.failed)
            case.problem("expert_failed", message)
            return None

    async def _tell(self, case: WorkingCase, gathered: "_Gathered") -> Done:
        language, tell = case.question.language, case.work.tell
        report = gathered.report or self._without(case, gathered)
        draft = gathered.draft
        case.step("verify", phrase("verify", language))
        cited = case.evidence if draft is not None else _cited(report, case)
        on = await grounds(case.question, case.asker, cited, self.pool)
        if draft is not None:
            checked = await asyncio.to_thread(check_text, draft.text, on)  # of many claims it takes a while
        else:
            checked = check_report(report, on)
        for chart in report.charts:
            if chart.evidence_id in on.holds:
                tell(chart)
        for line in checked.text.splitlines(keepends=True):
            tell(Token(message=line))
        return Done(
            verdict="answered" if draft is not None and gathered.report is None else report.verdict,
            expert=gathered.expert.id if gathered.expert is not None else None,
            model=draft.model if draft is not None else None,
            struck=checked.struck,
            tool_calls=case.spent.tool_calls,
            input_tokens=case.spent.input_tokens,
            output_tokens=case.spent.output_tokens,
            detail={**report.detail, **({"bounds": list(case.spent.bitten)} if case.spent.bitten else {})},
        )

    def _without(self, case: WorkingCase, gathered: "_Gathered") -> Report:
        """What is said where no expert came to an answer: what was found by then, or what could be asked instead."""
        language = case.question.language
        if case.evidence and (gathered.failed or case.spent.bitten):
            lines = [Statement(text=phrase("cut_short", language))]
            for each in case.evidence.values():
                values = {"rows": Value(evidence_id=each.id, how="count")}
                heading = says(each.tool, language, ours=self.ours(each.tool))
                lines.append(Statement(text=phrase("found_rows", language, says=heading), values=values))
            return Report(statements=tuple(lines), verdict="cannot_tell")
        if gathered.failed:
            line = phrase("no_evidence", language, reason=gathered.failed)
            return Report(statements=(Statement(text=line),), verdict="cannot_tell")
        name = "cannot" if self.models is None else "cannot_model"
        text = f"{phrase(name, language)}\n{self._what_i_can(language)}"
        return Report(statements=(Statement(text=text),), verdict="cannot_tell")

    def _what_i_can(self, language: Language) -> str:
        colon = "：" if language is Language.ZH else ": "
        return "\n".join(f"- {each.names[language]}{colon}{each.about[language]}" for each in self.experts.values())

    def _says(self, name: str, expert: Expert, language: Language) -> str:
        return phrase(name, language, expert=expert.names[language])


def _cited(report: Report, case: WorkingCase) -> dict[str, Evidence]:
    """The evidence that a report stands on; what else was looked at need not be got again."""
    ids = {value.evidence_id for statement in report.statements for value in statement.values.values()}
    ids |= {chart.evidence_id for chart in report.charts}
    return {name: each for name, each in case.evidence.items() if name in ids}


@dataclass(slots=True)
class _Gathered:
    """What came of the experts and the model."""

    expert: Expert | None = None
    report: Report | None = None
    draft: Draft | None = None
    failed: str = ""


__all__ = ["Draft", "Executor", "Exploring", "Gate", "OfferedTool", "Verdict"]
