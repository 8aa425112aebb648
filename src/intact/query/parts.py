"""Parts of a run page by page: the lists of `show --json` in their order, within a range of time."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from intact.query.effects import COLUMNS, effects_page
from intact.query.facts import (
    ALWAYS,
    agents_of,
    assign_agents,
    calls_of,
    findings_of,
    latest,
    links_of,
    mcp_calls_of,
    processes_of,
    run_of,
    tool_calls_of,
    turns_of,
)
from intact.query.ledger import is_whole, ledger_of
from intact.query.run import runs
from intact.store.database import Database

Row = dict[str, Any]

MISSING_BYTES = f"SELECT toString(t.id) AS id, t.missing_bytes AS missing_bytes FROM {latest('llm_call')} ORDER BY id"
AGENTS = """
SELECT run_id, toString(t.id) AS id, toString(t.process_id) AS process_id, toString(t.root_process_id) AS root_process_id,
    t.biz_type AS biz_type, t.name AS name, t.recogniser AS recogniser, t.score AS score, t.reason AS reason,
    t.role AS role, t.first_seen_ns AS first_seen_ns, t.last_seen_ns AS last_seen_ns
FROM (
    SELECT * FROM agent
    WHERE run_id IN (SELECT run_id FROM run WHERE tenant_id = {tenant:UInt32}) AND {run:String} IN ('', run_id)
    ORDER BY revision DESC LIMIT 1 BY run_id, id) AS t
ORDER BY t.last_seen_ns DESC, run_id, toString(t.id) LIMIT {limit:UInt32} OFFSET {offset:UInt32}
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Range:
    """Rows from `from_ns` to before `to_ns`, those after the row `after`, which is its time and id; at most `limit`."""

    from_ns: int = ALWAYS[0]
    to_ns: int = ALWAYS[1]
    after: tuple[int, str] | None = None
    limit: int = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """Some rows, and the time and id of the last if there are more."""

    rows: list[Row]
    more: tuple[int, str] | None


def part_of(database: Database, run_id: str, part: str, wanted: Range) -> Page:
    """One page of a list of a run. KeyError if there is no such list."""
    if part == "effects":
        return _effects(database, run_id, wanted)
    if part == "links":
        return _links(database, run_id, wanted)
    read, time = PARTS[part]
    rows = [row for row in read(database, run_id) if wanted.from_ns <= row[time] < wanted.to_ns]
    keyed = [(row[time], row["id"]) for row in rows]
    start = 0 if wanted.after is None else sum(key <= wanted.after for key in keyed)
    end = start + wanted.limit
    return Page(rows=rows[start:end], more=keyed[end - 1] if end < len(rows) else None)


def run_ledger(database: Database, run_id: str) -> Row | None:
    """The ledger of a run; None if there is no such run."""
    whole = is_whole(database, run_id)
    run = run_of(database, run_id)
    if run is None:
        return None
    calls = database.rows(MISSING_BYTES, run=run_id).to_pylist()
    return ledger_of(database, run, calls=calls, problem=run["problem"], whole=whole)


def run_row(database: Database, run_id: str) -> Row | None:
    """The run itself, as in `show --json`; None if there is none."""
    run = run_of(database, run_id)
    if run is not None:
        del run["problem"]
    return run


def newest_runs(database: Database, tenant_id: int) -> list[Row]:
    """The runs of a tenant, newest first."""
    found = database.rows("SELECT DISTINCT run_id FROM run WHERE tenant_id = {tenant:UInt32}", tenant=tenant_id)
    own = set(found.column(0).to_pylist())
    return [row for row in reversed(runs(database)) if row["id"] in own]


def agents_in(database: Database, tenant_id: int, run_id: str, limit: int, offset: int) -> list[Row]:
    """Agents of a tenant's runs, or of one of them if `run_id` is not empty, the last seen first."""
    return database.rows(AGENTS, tenant=tenant_id, run=run_id, limit=limit, offset=offset).to_pylist()


def _effects(database: Database, run_id: str, wanted: Range) -> Page:
    at_ns, identity = wanted.after or (ALWAYS[0], "")
    condition = "at_ns >= {from:Int64} AND at_ns < {to:Int64} AND (at_ns, toString(id)) > ({at:Int64}, {after:String})"
    bounds = {"from": max(wanted.from_ns, at_ns), "to": wanted.to_ns, "at": at_ns, "after": identity}
    rows = effects_page(database, run_id, condition, wanted.limit + 1, **bounds)
    page = rows[: wanted.limit]
    more = (page[-1]["at_ns"], page[-1]["id"]) if len(rows) > wanted.limit else None
    return Page(rows=page, more=more)


def _links(database: Database, run_id: str, wanted: Range) -> Page:
    # A link has no id of its own in the contract: its place is its cursor.
    offset = 0 if wanted.after is None else wanted.after[0]
    rows = links_of(database, run_id, between=(wanted.from_ns, wanted.to_ns), limit=wanted.limit + 1, offset=offset)
    more = (offset + wanted.limit, "") if len(rows) > wanted.limit else None
    return Page(rows=rows[: wanted.limit], more=more)


def _processes(database: Database, run_id: str) -> list[Row]:
    rows = processes_of(database, run_id)
    assign_agents(rows, agents_of(database, run_id))
    return rows


def _calls(database: Database, run_id: str) -> list[Row]:
    rows = calls_of(database, run_id)
    agent_of = assign_agents(processes_of(database, run_id), agents_of(database, run_id))
    turn_of = {call: turn["id"] for turn in turns_of(database, run_id) for call in turn["call_ids"]}
    for row in rows:
        row["agent_id"] = agent_of.get(row["process_id"])
        row["turn_id"] = turn_of.get(row["id"])
    return rows


# list -> how it is read, and which of its times it is ordered by
PARTS: dict[str, tuple[Callable[[Database, str], list[Row]], str]] = {
    "processes": (_processes, "start_ns"),
    "agents": (agents_of, "first_seen_ns"),
    "turns": (turns_of, "started_ns"),
    "calls": (_calls, "started_ns"),
    "tool_calls": (tool_calls_of, "issued_ns"),
    "mcp_calls": (mcp_calls_of, "started_ns"),
    "findings": (findings_of, "at_ns"),
}
LISTS = (*PARTS, "effects", "links")


def tenant_of(database: Database, run_id: str) -> int | None:
    """Whose run it is; None if there is no such run."""
    rows = database.rows("SELECT tenant_id FROM run WHERE run_id = {run:String} LIMIT 1", run=run_id)
    return int(rows.column(0)[0].as_py()) if rows.num_rows else None


def effect_count(database: Database, run_id: str) -> int:
    """How many effects a run has, or at least as many rows as they are kept in."""
    counts = " UNION ALL ".join(f"SELECT count() AS n FROM {table} WHERE run_id = {{run:String}}" for table in COLUMNS)
    return int(database.rows(f"SELECT sum(n) FROM ({counts})", run=run_id).column(0)[0].as_py())
