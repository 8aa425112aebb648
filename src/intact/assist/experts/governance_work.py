"""What topics of the governance expert work with: the runs and range that are meant, tool calls over them, sentences."""

from collections.abc import Mapping
from typing import Any

from intact.assist.answers import Evidence
from intact.assist.events import Chart
from intact.assist.expert import Case, Report, Statement, Value
from intact.assist.experts.governance_texts import sentence
from intact.assist.understand.asked import Asked
from intact.assist.understand.entities import names_in
from intact.query.catalogue import in_language
from intact.query.enums import ENUMERATIONS

ROWS = 10  # listed where the question does not say how many
MAX_LISTED = 50
_NS = {"form": "duration", "digits": 2}
_FORMS: dict[str, dict[str, Any]] = {
    "took_ns": _NS, "mean_ns": _NS, "max_ns": _NS, "cost_usd": {"form": "usd", "digits": 4}, "bytes": {"form": "bytes"},
    "at_ns": {"form": "time"}, "started_ns": {"form": "time"}, "confidence": {"digits": 2},
}  # fmt: skip


class Work:
    """One question being answered: its runs and range, what was called, what is said."""

    def __init__(self, case: Case, asked: Asked) -> None:
        self.case = case
        self.asked = asked
        self.runs: Evidence | None = None
        self.chosen: tuple[int, ...] = ()  # rows of `runs`
        self.given: dict[str, Any] = {}
        self.agent = ""
        self.said: list[Statement] = []
        self.charts: list[Chart] = []

    @property
    def limit(self) -> int:
        return min(self.asked.limit or ROWS, MAX_LISTED)

    async def call(self, tool: str, **arguments: Any) -> Evidence:
        """`agents.tool` over the runs and the range of the question."""
        return await self.case.call(f"agents.{tool}", **self.given, **arguments)

    async def filtered(self, tool: str, **arguments: Any) -> Evidence:
        """The same of the agent that the question names, if it names one."""
        return await self.call(tool, **arguments, **({"agent": self.agent} if self.agent else {}))

    def say(self, key: str, labels: Mapping[str, str] | None = None, /, **values: Value) -> None:
        """Add a sentence; `labels` are words of ours that stand in it."""
        text = sentence(key, self.asked.language)
        for name, label in (labels or {}).items():
            text = text.replace(f"{{{name}}}", label)
        self.said.append(Statement(text=text, values=values))

    def label(self, enumeration: str, code: object) -> str:
        """What a code of ours means, in the asker's language."""
        found = ENUMERATIONS[enumeration].get(str(code))
        return str(code) if found is None else in_language(found, self.asked.language.value)

    def rows(self, key: str, evidence: Evidence, columns: dict[str, str], *, limit: int | None = None) -> None:
        """One sentence a row; each value is a cell of the column."""
        found = evidence.answer.rows
        shown = min(len(found), limit or self.limit)
        for row in range(shown):
            self.say(key, **{name: cell(evidence, column, row) for name, column in columns.items()})
        if len(found) > shown or evidence.answer.truncated:
            self.said.append(Statement(text=sentence("more", self.asked.language)))

    def report(self, verdict: str = "answered") -> Report:
        return Report(
            statements=tuple(self.said), verdict=verdict, charts=tuple(self.charts), detail={"topic": self.asked.topic}
        )


def cell(evidence: Evidence, column: str, row: int = 0) -> Value:
    """A cell in the form that its column is written in."""
    return Value(evidence_id=evidence.id, column=column, row=row, **_FORMS.get(column, {}))


def count(evidence: Evidence) -> Value:
    return Value(evidence_id=evidence.id, how="count")


def total(evidence: Evidence, column: str) -> Value:
    return Value(evidence_id=evidence.id, how="sum", column=column, **_FORMS.get(column, {}))


async def look(work: Work) -> bool:
    """Find out which runs are meant; False: there is nothing to look at, which has been said."""
    asked = work.asked
    given: dict[str, Any] = {}
    if asked.between is not None:
        given = {"from_ns": asked.between.from_ns, "to_ns": asked.between.to_ns}
    work.given = given
    work.runs = runs = await work.call("runs", limit=200)
    rows = [dict(zip(runs.answer.columns, row, strict=True)) for row in runs.answer.rows]
    named = {name.lower() for name in names_in(work.case.question.text, [str(row["name"]) for row in rows])}
    wanted = [
        place
        for place, row in enumerate(rows)
        if str(row["name"]).lower() in named or any(str(row["run"]).startswith(each) for each in asked.entities.runs)
    ]
    if not rows:
        work.say("no_runs", n=count(runs))
        return False
    if asked.entities.runs and not wanted:
        work.say("no_such_run", n=count(runs))
        return False
    if not wanted and asked.wants_latest:
        wanted = [0]
    work.chosen = tuple(wanted or range(len(rows)))
    if wanted:
        work.given = {**given, "runs": [str(rows[place]["run"]) for place in wanted]}
    agents = {name for row in rows for name in str(row["agent_names"]).split(", ") if name}
    mentioned = names_in(work.case.question.text, agents)
    work.agent = mentioned[0] if len(mentioned) == 1 else ""
    return True
