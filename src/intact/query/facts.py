"""The facts of a run in the words of `show --json`: one function a list, its SQL beside it."""

import json
from typing import Any

from intact.model.codec import finite
from intact.model.effects import basis_names
from intact.store.database import Database

Row = dict[str, Any]

ALWAYS = (-(1 << 63), (1 << 63) - 1)


def latest(table: str) -> str:
    """The last revision of each fact of a run."""
    return f"(SELECT * FROM {table} WHERE run_id = {{run:String}} ORDER BY revision DESC LIMIT 1 BY id) AS t"


RUN = """
SELECT run_id AS id, name, command, started_ns, ended_ns, exit_code, host, boot_id,
    if(root_process_id = 0, NULL, toString(root_process_id)) AS root_process_id, kernel, intact_version, problem
FROM run WHERE run_id = {run:String} ORDER BY revision DESC, ended_ns DESC NULLS LAST LIMIT 1
"""

PROCESSES = f"""
SELECT toString(t.id) AS id, t.pid AS pid, t.ppid AS ppid, toString(t.parent_id) AS parent_id, t.start_ns AS start_ns,
    t.exec_ns AS exec_ns, t.end_ns AS end_ns, t.exe AS exe, t.comm AS comm, t.argv AS argv, t.cwd AS cwd, t.uid AS uid,
    t.gid AS gid, t.cgroup AS cgroup, t.exit_code AS exit_code, t.exit_signal AS exit_signal
FROM {latest("process")} ORDER BY t.start_ns, toString(t.id)
"""

AGENTS = f"""
SELECT toString(t.id) AS id, toString(t.process_id) AS process_id, toString(t.root_process_id) AS root_process_id,
    t.biz_type AS biz_type, t.name AS name, t.recogniser AS recogniser, t.score AS score, t.reason AS reason,
    t.role AS role, t.first_seen_ns AS first_seen_ns, t.last_seen_ns AS last_seen_ns
FROM {latest("agent")} ORDER BY t.first_seen_ns, toString(t.id)
"""

TURNS = f"""
SELECT toString(t.id) AS id, toString(t.agent_id) AS agent_id, t.conversation_id AS conversation_id,
    arrayMap(x -> toString(x), t.call_ids) AS call_ids, t.started_ns AS started_ns, t.ended_ns AS ended_ns,
    t.complete AS complete
FROM {latest("agent_turn")} ORDER BY t.started_ns, toString(t.id)
"""

CALLS = f"""
SELECT toString(t.id) AS id, toString(t.process_id) AS process_id, t.provider_name AS provider_name, t.wire_api AS wire_api,
    t.operation_name AS operation_name, t.request_model AS request_model, t.response_model AS response_model,
    t.server_address AS server_address, t.server_port AS server_port, t.streamed AS streamed, t.status AS status,
    t.error_type AS error_type, t.conversation_id AS conversation_id, t.input_tokens AS input_tokens,
    t.output_tokens AS output_tokens, t.cache_read_input_tokens AS cache_read_input_tokens,
    t.cache_creation_input_tokens AS cache_creation_input_tokens, t.reasoning_output_tokens AS reasoning_output_tokens,
    t.cost_usd AS cost_usd, t.finish_reasons AS finish_reasons, t.started_ns AS started_ns,
    t.request_end_ns AS request_end_ns, t.first_chunk_ns AS first_chunk_ns, t.ended_ns AS ended_ns, t.complete AS complete,
    t.missing_bytes AS missing_bytes, t.problem AS problem
FROM {latest("llm_call")} ORDER BY t.started_ns, toString(t.id)
"""

CONTENT = f"""
SELECT toString(t.id) AS id, t.input_messages AS input_messages, t.output_messages AS output_messages,
    t.system_instructions AS system_instructions, t.tool_definitions AS tool_definitions
FROM {latest("llm_content")}
"""

TOOL_CALLS = f"""
SELECT toString(t.id) AS id, t.tool_call_id AS tool_call_id, t.name AS name, t.arguments AS arguments,
    toString(t.call_id) AS call_id, toString(t.result_call_id) AS result_call_id, t.result AS result, t.is_error AS is_error,
    t.issued_ns AS issued_ns, t.answered_ns AS answered_ns, t.server AS server
FROM {latest("tool_call")} ORDER BY t.issued_ns, toString(t.id)
"""

MCP_CALLS = f"""
SELECT toString(t.id) AS id, toString(t.process_id) AS process_id, t.transport AS transport, t.method AS method,
    t.tool_name AS tool_name, t.arguments AS arguments, t.result AS result, t.error AS error, t.started_ns AS started_ns,
    t.ended_ns AS ended_ns, toString(t.tool_call_id) AS tool_call_id
FROM {latest("mcp_call")} ORDER BY t.started_ns, toString(t.id)
"""

FINDINGS = f"""
SELECT toString(t.id) AS id, t.detector AS detector, t.severity AS severity, t.title AS title, t.message AS message,
    t.at_ns AS at_ns, toString(t.agent_id) AS agent_id, arrayMap(x -> toString(x), t.evidence_ids) AS evidence_ids,
    t.state AS state
FROM {latest("finding")} ORDER BY t.at_ns, toString(t.id)
"""

# of the links of one effect those of the highest revision stand; one that claims nothing withdraws the earlier
LINKS = """
SELECT if(t.cause_id = 0, NULL, toString(t.cause_id)) AS cause_id, t.cause_kind AS cause_kind,
    toString(t.effect_id) AS effect_id, t.basis AS basis, t.confidence AS confidence
FROM (SELECT * FROM link WHERE run_id = {run:String} LIMIT 1 BY id, revision) AS t
INNER JOIN (SELECT effect_id, max(revision) AS last FROM link WHERE run_id = {run:String} GROUP BY effect_id) AS m
    ON t.effect_id = m.effect_id AND t.revision = m.last
WHERE t.confidence > 0 AND t.at_ns >= {from:Int64} AND t.at_ns < {to:Int64}
ORDER BY t.at_ns, toString(t.effect_id), t.confidence DESC, toString(t.cause_id)
"""


def run_of(database: Database, run_id: str) -> Row | None:
    rows = database.rows(RUN, run=run_id).to_pylist()
    return rows[0] if rows else None


def processes_of(database: Database, run_id: str) -> list[Row]:
    """Without `agent_id`, which `assign_agents` adds."""
    return database.rows(PROCESSES, run=run_id).to_pylist()


def agents_of(database: Database, run_id: str) -> list[Row]:
    return [finite(row) for row in database.rows(AGENTS, run=run_id).to_pylist()]


def turns_of(database: Database, run_id: str) -> list[Row]:
    return [row | {"complete": bool(row["complete"])} for row in database.rows(TURNS, run=run_id).to_pylist()]


def calls_of(database: Database, run_id: str) -> list[Row]:
    """With their content; `agent_id` and `turn_id` are added by `show_run`."""
    content = {row.pop("id"): row for row in database.rows(CONTENT, run=run_id).to_pylist()}
    calls = database.rows(CALLS, run=run_id).to_pylist()
    for call in calls:
        call["cost_usd"] = finite(call["cost_usd"])
        for name in ("input_messages", "output_messages", "system_instructions", "tool_definitions"):
            call[name] = json_of(content.get(call["id"], {}).get(name), [])
    return calls


def tool_calls_of(database: Database, run_id: str) -> list[Row]:
    rows = database.rows(TOOL_CALLS, run=run_id).to_pylist()
    for row in rows:
        row["arguments"] = json_of(row["arguments"], {})
        row["result"] = json_of(row["result"], None)
    return rows


def mcp_calls_of(database: Database, run_id: str) -> list[Row]:
    rows = database.rows(MCP_CALLS, run=run_id).to_pylist()
    for row in rows:
        row["arguments"] = json_of(row["arguments"], {})
        row["result"] = json_of(row["result"], None)
        row["error"] = json_of(row["error"], None)
    return rows


def findings_of(database: Database, run_id: str) -> list[Row]:
    return database.rows(FINDINGS, run=run_id).to_pylist()


def links_of(
    database: Database, run_id: str, *, between: tuple[int, int] = ALWAYS, limit: int | None = None, offset: int = 0
) -> list[Row]:
    """The links that stand, by time and effect; `between` is from the first to before the second time."""
    sql = LINKS if limit is None else f"{LINKS} LIMIT {limit:d} OFFSET {offset:d}"
    rows = database.rows(sql, run=run_id, **{"from": between[0], "to": between[1]})
    columns = [column.to_pylist() for column in rows.columns]
    names = {bits: basis_names(bits) for bits in set(columns[3])}
    return [
        {
            "cause_id": cause,
            "cause_kind": kind,
            "effect_id": effect,
            "basis": list(names[bits]),
            "confidence": round(confidence, 6),  # kept as a 32-bit float
        }
        for cause, kind, effect, bits, confidence in zip(*columns, strict=True)
    ]


def assign_agents(processes: list[Row], agents: list[Row]) -> dict[str, str]:
    """The agent of each process: itself or its nearest ancestor that is one. Also set as `agent_id` of the rows."""
    parents = {row["id"]: row["parent_id"] for row in processes}
    found: dict[str, str | None] = {agent["process_id"]: agent["id"] for agent in agents}
    for start in parents:
        trail: list[str] = []
        at: str | None = start
        while at is not None and at not in found:
            found[at] = None  # a ring of parents, which hostile input could make, ends here
            trail.append(at)
            at = parents.get(at)
        agent = None if at is None else found[at]
        for process in trail:
            found[process] = agent
    for row in processes:
        row["agent_id"] = found.get(row["id"])
    return {process: agent for process, agent in found.items() if agent is not None}


def json_of(text: str | None, absent: Any) -> Any:
    """JSON that this store wrote; what cannot be read counts as absent."""
    if text is None:
        return absent
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return absent
