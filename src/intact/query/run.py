"""One run whole: the object of `show --json`, and the list of runs."""

from typing import Any

from intact.model.errors import IntactError
from intact.query.effects import effects_of
from intact.query.facts import (
    agents_of,
    assign_agents,
    calls_of,
    findings_of,
    links_of,
    mcp_calls_of,
    processes_of,
    run_of,
    tool_calls_of,
    turns_of,
)
from intact.query.ledger import is_whole, ledger_of
from intact.store.database import Database

Row = dict[str, Any]

RUNS = """
SELECT run_id AS id, name, command, started_ns, ended_ns, exit_code, host, boot_id,
    if(root_process_id = 0, NULL, toString(root_process_id)) AS root_process_id, kernel, intact_version
FROM (SELECT * FROM run ORDER BY revision DESC, ended_ns DESC NULLS LAST LIMIT 1 BY run_id)
ORDER BY started_ns, run_id
"""


def runs(database: Database) -> list[Row]:
    """The runs in the store, oldest first."""
    return database.rows(RUNS).to_pylist()


def show_run(database: Database, run_id: str) -> Row:
    """The whole of one run, every key of the contract present.

    Raises:
        IntactError: the store has no such run.
    """
    whole = is_whole(database, run_id)
    run = run_of(database, run_id)
    if run is None:
        raise IntactError(f"run {run_id[:80]!r} is not in the store; list the runs with: intact runs")
    problem = run.pop("problem")
    processes = processes_of(database, run_id)
    agents = agents_of(database, run_id)
    agent_of = assign_agents(processes, agents)
    turns = turns_of(database, run_id)
    calls = calls_of(database, run_id)
    turn_of = {call: turn["id"] for turn in turns for call in turn["call_ids"]}
    for call in calls:
        call["agent_id"] = agent_of.get(call["process_id"])
        call["turn_id"] = turn_of.get(call["id"])
    return {
        "run": run,
        "processes": processes,
        "agents": agents,
        "turns": turns,
        "calls": calls,
        "tool_calls": tool_calls_of(database, run_id),
        "mcp_calls": mcp_calls_of(database, run_id),
        "effects": effects_of(database, run_id),
        "links": links_of(database, run_id),
        "findings": findings_of(database, run_id),
        "ledger": ledger_of(database, run, calls=calls, problem=problem, whole=whole),
    }
