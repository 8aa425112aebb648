"""What topics of the governance expert work with: the runs and range that are meant, tool calls over them, sentences."""

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from intact.assist.answers import Evidence
from intact.assist.asking import Language
from intact.assist.events import Chart
from intact.assist.expert import Case, Report, Statement, Value
from intact.assist.experts.governance_texts import KINDS, sentence
from intact.assist.rendering import cell_of
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


_LOOKED = ("Looked at", "查看范围")
_NUMBERED = re.compile(r"‹(?:(?P<name>\w+):)?(?P<one>[^|›]*)\|(?P<many>[^›]*)›")


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
        self._evidence: dict[str, Evidence] = {}
        self._is_yes = False

    @property
    def limit(self) -> int:
        return min(self.asked.limit or ROWS, MAX_LISTED)

    async def call(self, tool: str, **arguments: Any) -> Evidence:
        """`agents.tool` over the runs and the range of the question."""
        return self._noted(await self.case.call(f"agents.{tool}", **self.given, **arguments))

    async def filtered(self, tool: str, **arguments: Any) -> Evidence:
        """The same of the agent that the question names, if it names one."""
        return await self.call(tool, **arguments, **({"agent": self.agent} if self.agent else {}))

    async def of_run(self, tool: str, run: str, **arguments: Any) -> Evidence:
        """`agents.tool` over one run."""
        return self._noted(await self.case.call(f"agents.{tool}", **{**self.given, "runs": [run]}, **arguments))

    def is_run(self, name: str) -> bool:
        """Whether a run is called so."""
        assert self.runs is not None
        column = self.runs.answer.columns.index("name")
        return any(str(row[column]).lower() == name.lower() for row in self.runs.answer.rows)

    def _noted(self, evidence: Evidence) -> Evidence:
        self._evidence[evidence.id] = evidence
        return evidence

    def say_whether(self, key: str, labels: Mapping[str, str] | None = None, /, **values: Value) -> None:
        """As `say`, of what is there; a question that asks whether it is hears that first."""
        self.say(key, labels, **values)
        said = self.said[-1]
        if self.asked.is_whether and not self._is_yes:
            self._is_yes = True
            self.said[-1] = replace(said, text=sentence("yes", self.asked.language) + said.text)
        else:
            self.said[-1] = replace(said, text=said.text[:1].upper() + said.text[1:])

    def say(self, key: str, labels: Mapping[str, str] | None = None, /, **values: Value) -> None:
        """Add a sentence; `labels` are words of ours that stand in it."""
        text = _NUMBERED.sub(lambda match: self._form(match, values), sentence(key, self.asked.language))
        for name, label in (labels or {}).items():
            text = text.replace(f"{{{name}}}", label)
        self.said.append(Statement(text=text, values=values))

    def _form(self, match: re.Match[str], values: Mapping[str, Value]) -> str:
        """Of `‹name:one|many›` the form that fits the number that stands for the name, `n` where there is none."""
        value = values.get(match["name"] or "n")
        number = None if value is None else cell_of(value, self._evidence.get(value.evidence_id))
        return match["one"] if number == 1 else match["many"]

    def label(self, enumeration: str, code: object) -> str:
        """What a code of ours means, in the asker's language."""
        if enumeration == "kind" and self.asked.language is Language.EN and str(code) in KINDS:
            return KINDS[str(code)]
        found = ENUMERATIONS[enumeration].get(str(code))
        return str(code) if found is None else in_language(found, self.asked.language.value)

    def rows(self, key: str, evidence: Evidence, columns: dict[str, str], *, limit: int | None = None) -> None:
        """One sentence a row; each value is a cell of the column."""
        found = evidence.answer.rows
        shown = min(len(found), limit or self.limit)
        for row in range(shown):
            self.say(key, **{name: cell(evidence, column, row) for name, column in columns.items()})
        is_all_wanted = shown == self.asked.limit
        if (len(found) > shown or evidence.answer.truncated) and not is_all_wanted:
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


def nothing(work: Work, key: str, evidence: Evidence, verdict: str) -> str:
    """Say that there is nothing, by the number of rows, and where was looked."""
    work.say(key, n=count(evidence))
    is_told = any(each.text.startswith(_LOOKED) for each in work.said)
    if verdict == "nothing_wrong" and work.asked.topic != "summary" and work.runs is not None and not is_told:
        newest = work.chosen[0]
        values = {"name": cell(work.runs, "name", newest), "started": cell(work.runs, "started_ns", newest)}
        if len(work.chosen) == 1:
            work.say("looked_at", **values)
        elif len(work.chosen) == len(work.runs.answer.rows):
            work.say("looked", n=count(work.runs), **values)
    return verdict


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
    mentioned = names_in(work.case.question.text, agents - {"agent", "agents"})  # which agent is none of that name
    work.agent = mentioned[0] if len(mentioned) == 1 else ""
    return True
