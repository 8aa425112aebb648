"""A question put to the experts without a model, and what its answer cites."""

import asyncio
import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from intact.assist.answers import Cell, Evidence, ToolAnswer
from intact.assist.asking import Asker, Language, Question
from intact.assist.case import Work, WorkingCase
from intact.assist.expert import Report, ToolFailed
from intact.assist.experts.registry import load_experts
from intact.assist.rendering import cell_of, render, text_of
from intact.assist.servers.offer import checked, schema
from intact.assist.servers.registry import SERVERS, tool_named, tools_of
from intact.assist.settings import Bounds
from intact.assist.tool import Parts, ToolRefused
from intact.assist.verify.again import holding

HERE = Path(__file__).parent
NEAR = 0.1  # of what changes between two looks


@dataclass(frozen=True, slots=True, kw_only=True)
class Listed:
    """A question with its true value, by name, and how the answer is compared with it."""

    id: str
    lang: str
    over: str  # `runs` or `host`
    text: str
    truth: str
    how: str  # `number`, `near`, `text` or `set`


def listed(name: str) -> list[Listed]:
    lines = (HERE / f"{name}.jsonl").read_text("utf-8").splitlines()
    return [Listed(**json.loads(line)) for line in lines]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Offered:
    full_name: str
    about: str
    schema: dict[str, Any]
    is_ours: bool = True


class Direct:
    """The tools as functions, without servers between."""

    def __init__(self, parts: Parts) -> None:
        self.parts = parts
        self.tools = {f"{server.name}.{tool.name}": tool for server in SERVERS for tool in tools_of(server)}

    @property
    def problems(self) -> tuple[str, ...]:
        return ()

    async def list_tools(self, asker: Asker) -> list[_Offered]:
        return [
            _Offered(full_name=name, about=tool.about[Language.EN], schema=schema(tool.arguments))
            for name, tool in self.tools.items()
        ]

    async def call(self, asker: Asker, tool: str, arguments: Mapping[str, Any]) -> ToolAnswer:
        found = self.tools[tool]
        try:
            return await asyncio.to_thread(found.run, self.parts, asker, checked(found, arguments))
        except ToolRefused as error:
            raise ToolFailed(str(error)) from error


@dataclass(frozen=True, slots=True, kw_only=True)
class Got:
    """What came of a question: cited cells by statement and column, only those whose evidence is the same a second time."""

    report: Report | None
    text: str
    cited: list[list[tuple[str, Cell]]]  # a statement each: columns and cells
    expert: str | None
    stale: tuple[str, ...] = ()


def ask(listed_one: Listed, pool: Direct, asker: Asker, asked_ns: int) -> Got:
    """The answer of the expert that fits best."""
    return asyncio.run(_ask(listed_one, pool, asker, asked_ns))


async def _ask(listed_one: Listed, pool: Direct, asker: Asker, asked_ns: int) -> Got:
    question = Question(
        id=listed_one.id, session_id="s", text=listed_one.text, language=Language(listed_one.lang), asked_ns=asked_ns
    )
    offered = {tool.full_name: tool for tool in await pool.list_tools(asker)}
    work = Work(pool=pool, tools=offered, bounds=Bounds(), tell=lambda _: None, ours=tool_named)  # type: ignore[call-arg]
    case = WorkingCase(question, asker, work)
    weights = [(expert.weight(question), expert) for expert in load_experts([])]
    for _, expert in sorted((each for each in weights if each[0] > 0), key=lambda each: -each[0]):
        case.limit_tools(expert.tools)
        report = await expert.playbook(case)
        if report is not None:
            held = await holding(case.evidence.values(), pool, asker)
            text = text_of(render(report, case.evidence, question.language))
            stale = tuple(name for name in case.evidence if name not in held)
            return Got(report=report, text=text, cited=_cited(report, held), expert=expert.id, stale=stale)
    return Got(report=None, text="", cited=[], expert=None)


def _cited(report: Report, evidence: dict[str, Evidence]) -> list[list[tuple[str, Cell]]]:
    found: list[list[tuple[str, Cell]]] = []
    for statement in report.statements:
        values = statement.values.values()
        cells = [(value.column or "count", cell_of(value, evidence.get(value.evidence_id))) for value in values]
        found.append([each for each in cells if each[1] is not None])
    return [cells for cells in found if cells]


def is_right(how: str, true: Any, got: Got) -> bool:
    """Whether the answer cites the true value: a number or text in its first sentences, a set as one whole column."""
    first = [cell for cells in got.cited[:3] for _, cell in cells]
    numbers = [cell for cell in first if isinstance(cell, int | float) and not isinstance(cell, bool)]
    if how in ("number", "near"):
        tolerance = 1e-6 if how == "number" else NEAR
        return any(math.isclose(number, true, rel_tol=tolerance, abs_tol=1e-9) for number in numbers)
    if how == "text":
        wanted = {true} if isinstance(true, str) else set(true)
        return any(any(re.search(rf"(?<!\w){re.escape(text)}(?!\w)", str(cell)) for cell in first) for text in wanted)
    every = [each for cells in got.cited for each in cells]
    return any({cell for name, cell in every if name == column} == true for column, _ in every)
