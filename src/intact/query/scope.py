"""Questions over the runs that a reader may see: every one goes through `run_sql`, so that no row of others shows.

Runs are looked up among those the reader may see and then put into the query by their ids; everything else that an asker
gives is bound as a parameter.
"""

import json
import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from sqlglot import exp

from intact.model.errors import UsageError
from intact.query.parameters import Parameter
from intact.query.row_limits import RUN_ID, Reader
from intact.query.sql import OWNER, run_sql
from intact.store.database import Database

Cell: TypeAlias = str | int | float | bool | None

MAX_RUNS = 200
_FEW_RUNS = 3  # are listed in the text of a query, which is then read more easily
MAX_TEXT = 2_000  # characters of one cell
LATEST = "latest"
_PARAMETER = re.compile(r"\{(\w+):\w+\}")

RUNS = """
SELECT run_id, name, started_ns FROM (
    SELECT * FROM run ORDER BY revision DESC, ended_ns DESC NULLS LAST LIMIT 1 BY run_id) AS t
WHERE started_ns < {to:Int64} AND (ended_ns IS NULL OR ended_ns >= {from:Int64})
ORDER BY started_ns DESC, run_id
"""


class NoSuchRun(UsageError):
    """There is none, or it may not be seen: the words are the same."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scope:
    """Whose runs, which of them, which time (from `from_ns` to before `to_ns`) and at most how many rows."""

    reader: Reader = OWNER
    run_ids: tuple[str, ...] = ()
    from_ns: int = 0
    to_ns: int = (1 << 63) - 1
    limit: int = 100
    values: dict[str, Parameter] = field(default_factory=dict)  # of the parameters of a query

    @property
    def runs(self) -> str:
        """The runs as the right side of an IN."""
        if len(self.run_ids) > _FEW_RUNS:
            return "(SELECT arrayJoin(splitByChar(',', {runs:String})))"
        return f"({', '.join(f'{{run{place}:String}}' for place in range(len(self.run_ids))) or _literal('')})"


@dataclass(frozen=True, slots=True, kw_only=True)
class Rows:
    """A bounded answer, and the SQL that gave it, with its values in it."""

    sql: str
    names: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    truncated: bool


Asking: TypeAlias = Callable[[Database, Scope], Rows]


def chosen_runs(
    database: Database, reader: Reader, wanted: Sequence[str], *, from_ns: int, to_ns: int
) -> tuple[tuple[str, ...], bool]:
    """The ids of the runs that are meant, newest first, and whether there are more of them than can be looked at.

    Args:
        database: the store.
        reader: who asks.
        wanted: ids, names, beginnings of ids, or `latest`; none: all that ran between the two times.
        from_ns, to_ns: a run is looked at if any of it is between.

    Raises:
        NoSuchRun: one of them is not there or may not be seen.
    """
    found = run_sql(database, RUNS, limit=10_000, reader=reader, parameters={"from": from_ns, "to": to_ns}).rows
    if not wanted:
        ids = [str(row[0]) for row in found if RUN_ID.fullmatch(str(row[0]))]
        return tuple(ids[:MAX_RUNS]), len(ids) > MAX_RUNS
    chosen: dict[str, None] = {}
    for name in wanted:
        exact = [row[0] for row in found if row[0] == name]
        named = [row[0] for row in found if str(row[1]).lower() == name.lower()]
        begun = [row[0] for row in found if len(name) >= 8 and str(row[0]).startswith(name)]
        newest = [found[0][0]] if name == LATEST and found else []
        meant = exact or named or newest or begun
        if not meant:
            raise NoSuchRun("there is no such run in that time, or it is not yours; the tool runs lists those that are")
        chosen.update(dict.fromkeys(meant))
    return tuple(list(chosen)[:MAX_RUNS]), len(chosen) > MAX_RUNS


def ask(database: Database, sql: str, scope: Scope) -> Rows:
    """The answer to a query of ours: `$RUNS` in it stands for the runs; `{from:Int64}`, `{to:Int64}` and values are bound."""
    text = " ".join(sql.replace("$RUNS", scope.runs).split())
    values: dict[str, Parameter] = {
        **scope.values,
        "from": scope.from_ns,
        "to": scope.to_ns,
        "runs": ",".join(scope.run_ids),
        **{f"run{place}": run for place, run in enumerate(scope.run_ids[:_FEW_RUNS])},
    }
    used = {name: values[name] for name in _PARAMETER.findall(text)}
    answer = run_sql(database, text, limit=scope.limit, reader=scope.reader, parameters=used)
    rows = tuple(tuple(cell_of(value) for value in row) for row in answer.rows)
    return Rows(sql=with_values(text, used), names=answer.names, rows=rows, truncated=answer.truncated)


def with_values(sql: str, values: dict[str, Parameter]) -> str:
    """The query with the values in the place of its parameters, to be run again by a person."""

    def literal(match: re.Match[str]) -> str:
        value = values[match[1]]
        return _literal(value) if isinstance(value, str) else str(value)

    return _PARAMETER.sub(literal, sql)


def latest(table: str) -> str:
    """The last revision of each fact of the runs."""
    return f"(SELECT * FROM {table} WHERE run_id IN $RUNS ORDER BY revision DESC LIMIT 1 BY run_id, id)"


def clipped(expression: str, characters: int = 300) -> str:
    """SQL for the beginning of a text."""
    return f"substringUTF8({expression}, 1, {characters:d})"


def cell_of(value: Any) -> Cell:
    """A value of a row as an answer holds it: finite, bounded, nested ones as JSON."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, list | dict):
        value = json.dumps(value, ensure_ascii=False)
    return value[:MAX_TEXT] if isinstance(value, str) else value


def _literal(text: str) -> str:
    return exp.Literal.string(text).sql("clickhouse")
