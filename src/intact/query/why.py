"""Why a file, a host or a process is as it is: every effect on it, and the words that caused each."""

import re
from typing import Any

from intact.query.effects import COLUMNS, effects_of
from intact.query.facts import (
    agents_of,
    assign_agents,
    calls_of,
    links_of,
    mcp_calls_of,
    processes_of,
    tool_calls_of,
    turns_of,
)
from intact.query.run import runs
from intact.query.words import user_words
from intact.store.database import Database

Row = dict[str, Any]

MAX_PID = 1 << 22  # of Linux; a longer number is a process id of ours
MAX_RENAMES = 32  # a file that was renamed more often than this is followed no further back
MAX_ANCESTORS = 64

_PATH_TABLES = ("file_open_event", "file_mgmt_event", "file_agg_event")
_ON_PATH = "path = {target:String}"
_ON_OLD_PATH = "path = {target:String} OR old_path = {target:String}"
_ON_NAME = "file_name = {target:String}"
_ON_END = "endsWith(path, {end:String})"
_BECAME = "kind IN ('file_rename', 'file_link') AND result = 0 AND path = {target:String} AND old_path != ''"
_BY_PID = "pid = {pid:UInt32}"
_BY_PROCESS = "gprocess_id = {process:UInt64}"
_TO_HOST = "address = {target:String} OR local_address = {target:String}"
# a name is not in a connect: the calls to that name tell the process, the port and the latest time
_TO_NAME = """
kind = 'connect' AND (gprocess_id, port) IN (
    SELECT process_id, assumeNotNull(server_port) FROM llm_call
    WHERE run_id = {run:String} AND server_address = {target:String} AND server_port IS NOT NULL)
"""


def why(database: Database, target: str, run_id: str | None = None) -> list[Row]:
    """Every effect on a path, a host or a process (by pid or process id), newest first, with what caused it.

    Each is `{run_id, effect, process, ancestors, link, tool_call, call, turn, user_words}`; `link` and what hangs on it are
    null where nothing explains the effect. A file is followed back through its renames and links.

    Args:
        database: the store.
        target: `/a/path`, `name.py`, `10.0.0.7`, `api.example.org`, `4711`.
        run_id: one run; None: all of them.
    """
    if not target:
        return []
    wanted = [run["id"] for run in runs(database)] if run_id is None else [run_id]
    found: list[Row] = []
    for run in wanted:
        effects = _effects_on(database, target, run)
        if effects:
            found += _Explainer(database, run).explain(effects)
    found.sort(key=lambda row: (row["effect"]["at_ns"], row["effect"]["id"]), reverse=True)
    return found


def _effects_on(database: Database, target: str, run_id: str) -> list[Row]:
    if re.fullmatch(r"\d{1,20}", target, re.ASCII):
        return _by_process(database, int(target), run_id)
    if target.startswith("/"):
        return _on_path(database, target, run_id)
    if "/" in target:
        # the agent's directory is not ours: every path that ends in this one
        ending = dict.fromkeys(_PATH_TABLES, _ON_END)
        return _with_renames(database, effects_of(database, run_id, ending, end=f"/{target}"), run_id)
    if peer := re.fullmatch(r"\[?([^]]+?)\]?:(\d{1,5})", target, re.ASCII):
        there = effects_of(database, run_id, {"net_event": f"({_TO_HOST}) OR ({_TO_NAME})"}, target=peer[1])
        found = [row for row in there if int(peer[2]) in (row["port"], row["detail"]["local_port"])]
        if found:
            return found
    named = {**dict.fromkeys(_PATH_TABLES, _ON_NAME), "net_event": f"({_TO_HOST}) OR ({_TO_NAME})"}
    effects = effects_of(database, run_id, named, target=target)
    return _with_renames(database, effects, run_id)


def _with_renames(database: Database, effects: list[Row], run_id: str) -> list[Row]:
    """A name is a file somewhere: go on with the files found, so that their renames are followed."""
    paths = sorted({row["path"] for row in effects if row["kind"].startswith("file_")})
    known = {row["id"]: row for row in effects}
    for path in paths[:MAX_RENAMES]:
        known.update((row["id"], row) for row in _on_path(database, path, run_id))
    return list(known.values())


def _by_process(database: Database, number: int, run_id: str) -> list[Row]:
    if number > MAX_PID:
        return (
            effects_of(database, run_id, dict.fromkeys(COLUMNS, _BY_PROCESS), process=number)
            if number >> 64 == 0
            else []
        )
    where = dict.fromkeys(COLUMNS, _BY_PID)
    where["proc_ops_event"] = "pid = {pid:UInt32} OR actor_pid = {pid:UInt32}"
    where["proc_signal_event"] = "pid = {pid:UInt32} OR target_pid = {pid:UInt32}"
    return effects_of(database, run_id, where, pid=number)


def _on_path(database: Database, path: str, run_id: str) -> list[Row]:
    """Effects on the path and, up to the time it got this name, on the names it had before."""
    where = {table: _ON_PATH for table in ("file_open_event", "file_agg_event")} | {"file_mgmt_event": _ON_OLD_PATH}
    where["proc_ops_event"] = "kind = 'exec' AND exec_path = {target:String}"
    where["proc_block_event"] = "path = {target:String} OR exec_path = {target:String}"
    where["net_event"] = _TO_HOST  # a unix socket
    found: dict[str, Row] = {}
    todo: list[tuple[str, int | None]] = [(path, None)]
    seen: set[str] = set()
    while todo and len(seen) < MAX_RENAMES:
        name, until_ns = todo.pop(0)
        if name in seen:
            continue
        seen.add(name)
        for row in effects_of(database, run_id, where, target=name):
            if until_ns is None or row["at_ns"] <= until_ns:
                found[row["id"]] = row
        for row in effects_of(database, run_id, {"file_mgmt_event": _BECAME}, target=name):
            if until_ns is None or row["at_ns"] <= until_ns:
                todo.append((row["old_path"], row["at_ns"]))
    return list(found.values())


class _Explainer:
    """What the effects of one run are explained with."""

    def __init__(self, database: Database, run_id: str) -> None:
        self._run_id = run_id
        rows = processes_of(database, run_id)
        assign_agents(rows, agents_of(database, run_id))
        self._processes = {row["id"]: row for row in rows}
        self._turns = {call: turn for turn in turns_of(database, run_id) for call in turn["call_ids"]}
        self._calls = {row["id"]: row for row in calls_of(database, run_id)}
        self._tools = {row["id"]: row for row in tool_calls_of(database, run_id)}
        self._mcp = {row["id"]: row for row in mcp_calls_of(database, run_id)}
        self._links: dict[str, Row] = {}
        for link in links_of(database, run_id):
            best = self._links.get(link["effect_id"])
            if best is None or link["confidence"] > best["confidence"]:
                self._links[link["effect_id"]] = link

    def explain(self, effects: list[Row]) -> list[Row]:
        return [self._explained(effect) for effect in effects]

    def _explained(self, effect: Row) -> Row:
        link = self._links.get(effect["id"])
        tool, call = self._cause(link)
        turn = None if call is None else self._turns.get(call["id"])
        first = call if turn is None else self._calls.get(turn["call_ids"][0], call)
        process = self._processes.get(effect["process_id"])
        return {
            "run_id": self._run_id,
            "effect": effect,
            "process": process,
            "ancestors": self._ancestors(process),
            "link": link,
            "tool_call": tool,
            "call": None if call is None else {key: value for key, value in call.items() if key not in _CONTENT},
            "turn": turn,
            "user_words": None if first is None else user_words(first["input_messages"]),
        }

    def _cause(self, link: Row | None) -> tuple[Row | None, Row | None]:
        """The tool call and the call behind a link, where there are any."""
        if link is None:
            return None, None
        cause = link["cause_id"]
        if link["cause_kind"] == "call":
            return None, self._calls.get(cause)
        if link["cause_kind"] == "mcp_call":
            cause = self._mcp.get(cause, {}).get("tool_call_id")
        tool = self._tools.get(cause)
        return tool, None if tool is None else self._calls.get(tool["call_id"])

    def _ancestors(self, process: Row | None) -> list[Row]:
        """From the parent up, as far as they are known."""
        above: list[Row] = []
        seen = set() if process is None else {process["id"]}
        while process is not None and len(above) < MAX_ANCESTORS:
            process = self._processes.get(process["parent_id"])
            if process is None or process["id"] in seen:
                break
            seen.add(process["id"])
            above.append(process)
        return above


_CONTENT = {"input_messages", "output_messages", "system_instructions", "tool_definitions"}
