"""The agents of every run: who is one, why, since when, and what they did."""

from typing import Any

from intact.store.database import Database

Row = dict[str, Any]

AGENTS = """
SELECT a.run_id AS run_id, toString(a.id) AS id, toString(a.process_id) AS process_id,
    toString(a.root_process_id) AS root_process_id, a.biz_type AS biz_type, a.name AS name, a.recogniser AS recogniser,
    a.score AS score, a.reason AS reason, a.role AS role, a.first_seen_ns AS first_seen_ns, a.last_seen_ns AS last_seen_ns
FROM (SELECT * FROM agent ORDER BY revision DESC LIMIT 1 BY run_id, id) AS a
ORDER BY a.first_seen_ns, id
"""
PROCESSES = """
SELECT p.run_id AS run_id, toString(p.id) AS id, p.pid AS pid, p.ppid AS ppid, p.start_ns AS start_ns, p.end_ns AS end_ns
FROM (SELECT * FROM process ORDER BY revision DESC LIMIT 1 BY run_id, id) AS p
WHERE (p.run_id, p.id) IN (SELECT run_id, process_id FROM agent)
"""
COUNTS = """
SELECT run_id, toString(process_id) AS id, uniqExact(t.id) AS calls, sum(t.input_tokens) AS input_tokens,
    sum(t.output_tokens) AS output_tokens
FROM (SELECT * FROM llm_call ORDER BY revision DESC LIMIT 1 BY run_id, id) AS t GROUP BY run_id, process_id
"""
TOOL_COUNTS = """
SELECT run_id, toString(process_id) AS id, uniqExact(t.id) AS tool_calls
FROM (SELECT run_id, id, process_id FROM tool_call) AS t GROUP BY run_id, process_id
"""


def agents_known(database: Database) -> list[Row]:
    """One row an agent and run, oldest first; `pid` and `end_ns` null where the process was not seen to start or end."""
    processes = _by_process(database, PROCESSES)
    counts, tools = _by_process(database, COUNTS), _by_process(database, TOOL_COUNTS)
    rows: list[Row] = database.rows(AGENTS).to_pylist()
    for row in rows:
        key = (row["run_id"], row["process_id"])
        process, count = processes.get(key, {}), counts.get(key, {})
        row |= {name: process.get(name) for name in ("pid", "ppid", "start_ns", "end_ns")}
        row |= {name: count.get(name) or 0 for name in ("calls", "input_tokens", "output_tokens")}
        row["tool_calls"] = tools.get(key, {}).get("tool_calls") or 0
    return rows


def _by_process(database: Database, sql: str) -> dict[tuple[str, str], Row]:
    return {(row["run_id"], row["id"]): row for row in database.rows(sql).to_pylist()}
