"""What the tools over recorded runs share: the range and runs of a call made absolute, and rows as an answer."""

import time
from collections.abc import Mapping
from typing import Annotated, Any, Self, TypeAlias

from pydantic import Field, StringConstraints, model_validator

from intact.assist.answers import MAX_ROWS, Cell, ToolAnswer
from intact.assist.asking import Asker
from intact.assist.tool import Arguments, Parts, Time, ToolRefused
from intact.model.errors import IntactError
from intact.query.dialogue import run_rows
from intact.query.scope import MAX_RUNS, Asking, Rows, Scope, chosen_runs

Values: TypeAlias = Mapping[str, str | int | bool]
Run = Annotated[str, StringConstraints(min_length=1, max_length=200)]

_NO_RUN = "there is no such run or host in that time, or it is not yours; the tool runs lists those that are"
# a unit by the name of a column, whichever tool it is of
_UNITS = {
    **dict.fromkeys(
        ("at_ns", "first_ns", "last_ns", "started_ns", "ended_ns", "first_seen_ns", "last_seen_ns"), "epoch_ns"
    ),
    **dict.fromkeys(("took_ns", "mean_ns", "max_ns", "first_chunk_took_ns"), "ns"),
    **dict.fromkeys(("lasted_ns", "p50_ns", "p99_ns"), "ns"),
    **dict.fromkeys(("bytes", "written_bytes", "missing_bytes"), "bytes"),
    **dict.fromkeys(("tokens", "input_tokens", "output_tokens", "cached_tokens"), "tokens"),
    "cost_usd": "usd",
    **dict.fromkeys(
        (
            *("agents", "calls", "failed_calls", "incomplete_calls", "calls_without_price", "tool_calls", "unanswered"),
            *(
                "failed_tool_calls",
                "effects",
                "commands",
                "changed_files",
                "deleted",
                "unexplained",
                "findings",
                "lost",
            ),
            *("created", "writes", "renamed", "permissions", "contacts", "failed", "processes", "hits", "objects"),
            *("operations", "times", "runs", "clipped_calls", "short_stages", "seen", "evidence", "blocked"),
            *("asked", "askers", "questions", "followups"),
        ),
        "count",
    ),
}
# columns that hold what models, programs, files, peers or whoever named a thing wrote; all others are ours or numbers
_FOREIGN = frozenset(
    {
        *(
            "of",
            "object",
            "detail",
            "path",
            "from_path",
            "command",
            "arguments",
            "words",
            "process",
            "tool",
            "tools",
            "agent",
        ),
        *(
            "agents",
            "agent_names",
            "name",
            "host",
            "model",
            "models",
            "provider",
            "server",
            "called_as",
            "address",
            "error",
            "reason",
        ),
        *("question", "work"),
        *("title", "message", "note", "problem", "rule", "value", "label"),
    }
)


class Timed(Arguments):
    """Which time, how much."""

    from_ns: Time | None = Field(None, description="From this time on (epoch ns); default: from the first.")
    to_ns: Time | None = Field(None, description="To before this time (epoch ns); default: now.")
    at_ns: Time | None = Field(None, description="Now (epoch ns); default: now.")
    limit: int = Field(100, ge=1, le=MAX_ROWS, description="At most so many rows.")

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.from_ns is not None and self.to_ns is not None and self.to_ns < self.from_ns:
            raise ValueError("to_ns is before from_ns")
        return self

    def times(self) -> tuple[int, int, int]:
        """`from_ns`, `to_ns` and `at_ns` with every default in them."""
        at_ns = time.time_ns() if self.at_ns is None else self.at_ns
        to_ns = at_ns if self.to_ns is None else self.to_ns
        return 0 if self.from_ns is None else min(self.from_ns, to_ns), to_ns, at_ns


class Ranged(Timed):
    """Which runs, which time, how much."""

    runs: list[Run] = Field(
        [], max_length=MAX_RUNS, description="Ids or names of runs, or `latest`; none: all in the time."
    )
    hosts: list[Run] = Field([], max_length=50, description="Only runs of these hosts; none: of all.")


def answered(
    parts: Parts,
    asker: Asker,
    given: Ranged,
    question: Asking,
    *,
    values: Values | None = None,
) -> ToolAnswer:
    """What a question of the query room says to a call.

    Raises:
        ToolRefused: a run or host is not there or may not be seen, or the store cannot answer now.
    """
    resolved, notes = resolve(parts, asker, given)
    scope = Scope(
        reader=asker.reader(),
        run_ids=tuple(resolved["runs"]),
        from_ns=resolved["from_ns"],
        to_ns=resolved["to_ns"],
        limit=given.limit,
        values=dict(values or {}),
    )
    return as_answer(asked(parts, question, scope), resolved, notes=notes)


def asked(parts: Parts, question: Asking, scope: Scope) -> Rows:
    """What a question of the query room gives.

    Raises:
        ToolRefused: the store cannot answer now.
    """
    try:
        return parts.readers.ask(question, scope)
    except IntactError as error:
        raise ToolRefused(str(error)) from error


def resolve(parts: Parts, asker: Asker, given: Ranged) -> tuple[dict[str, Any], tuple[str, ...]]:
    """The arguments with every default in them, and what there is to note of that.

    Raises:
        ToolRefused: a run or host is not there or may not be seen.
    """
    from_ns, to_ns, at_ns = given.times()
    if not all(asker.may_see_host(host) for host in given.hosts):
        raise ToolRefused(_NO_RUN)
    try:
        runs, more = parts.readers.ask(chosen_runs, asker.reader(), given.runs, from_ns=from_ns, to_ns=to_ns)
        if given.hosts:
            runs = _of_hosts(parts, asker, runs, given.hosts)
    except IntactError as error:
        raise ToolRefused(str(error)) from error
    if given.hosts and not runs:
        raise ToolRefused(_NO_RUN)
    resolved = given.model_dump() | {"runs": list(runs), "from_ns": from_ns, "to_ns": to_ns, "at_ns": at_ns}
    notes = (f"there are more than {MAX_RUNS} runs in that time: the newest {MAX_RUNS} were looked at",) if more else ()
    return resolved, notes


def as_answer(rows: Rows, resolved: dict[str, Any], *, notes: tuple[str, ...] = ()) -> ToolAnswer:
    """Rows of the query room as an answer."""
    return ToolAnswer(
        query=rows.sql,
        arguments=resolved,
        columns=rows.names,
        rows=rows.rows,
        units={name: _UNITS[name] for name in rows.names if name in _UNITS},
        untrusted=tuple(name for name in rows.names if name in _FOREIGN),
        from_ns=resolved["from_ns"],
        to_ns=resolved["to_ns"],
        truncated=rows.truncated,
        total=None if rows.truncated else len(rows.rows),
        notes=notes,
    )


def table(query: str, names: tuple[str, ...], rows: list[tuple[Cell, ...]], limit: int) -> Rows:
    """Rows that were made here and not by one query."""
    return Rows(sql=query, names=names, rows=tuple(rows[:limit]), truncated=len(rows) > limit)


def _of_hosts(parts: Parts, asker: Asker, runs: tuple[str, ...], hosts: list[str]) -> tuple[str, ...]:
    found = parts.readers.ask(run_rows, Scope(reader=asker.reader(), run_ids=runs, limit=MAX_RUNS))
    run, host = found.names.index("run"), found.names.index("host")
    return tuple(str(row[run]) for row in found.rows if row[host] in hosts)
