"""What agents and models said to each other, in numbers: runs, agents, calls, tool calls, tokens, cost, time taken."""

from intact.query.row_limits import Role
from intact.query.scope import Rows, Scope, ask, clipped, latest
from intact.store.database import Database

# by which a call counts as failed: the model's server said so
FAILED = "(t.error_type IS NOT NULL OR t.status >= 400)"
_TOOK = "if(t.ended_ns IS NULL, NULL, t.ended_ns - t.started_ns)"
_MODEL = "coalesce(t.response_model, t.request_model, '')"

RUNS = f"""
SELECT t.run_id AS run, t.name AS name, t.host AS host, t.started_ns AS started_ns, t.ended_ns AS ended_ns,
    if(t.ended_ns IS NULL, NULL, t.ended_ns - t.started_ns) AS took_ns, t.exit_code AS exit_code, a.agents AS agent_names,
    substringUTF8(arrayStringConcat(t.command, ' '), 1, 300) AS command
FROM (SELECT * FROM run WHERE run_id IN $RUNS ORDER BY revision DESC, ended_ns DESC NULLS LAST LIMIT 1 BY run_id) AS t
LEFT JOIN (SELECT t.run_id AS run_id, arrayStringConcat(arraySort(groupUniqArray(t.name)), ', ') AS agents
    FROM {latest("agent")} AS t GROUP BY run_id) AS a ON t.run_id = a.run_id
ORDER BY started_ns DESC, run
"""
# the agent whose a process is, by name
OWNERS = f"""(
    SELECT g.run_id AS run_id, g.id AS process_id, a.name AS agent
    FROM (SELECT run_id, id, argMax(agent_process_id, revision) AS agent_process_id FROM gprocess_map
        WHERE run_id IN $RUNS GROUP BY run_id, id) AS g
    INNER JOIN {latest("agent")} AS a ON g.run_id = a.run_id AND g.agent_process_id = a.process_id)"""
AGENTS = f"""
SELECT t.run_id AS run, t.name AS agent, t.role AS role, p.pid AS pid, t.first_seen_ns AS first_seen_ns,
    t.last_seen_ns AS last_seen_ns, t.recogniser AS recogniser, t.score AS score, t.reason AS reason, c.calls AS calls,
    c.failed AS failed_calls, k.tool_calls AS tool_calls, c.tokens AS tokens, c.cost_usd AS cost_usd, toString(t.id) AS id
FROM {latest("agent")} AS t
LEFT JOIN (SELECT run_id, id, argMax(pid, revision) AS pid FROM process WHERE run_id IN $RUNS GROUP BY run_id, id) AS p
    ON t.run_id = p.run_id AND t.process_id = p.id
LEFT JOIN (
    SELECT t.run_id AS run_id, t.process_id AS process_id, count() AS calls, countIf({FAILED}) AS failed,
        ifNull(sum(t.input_tokens), 0) + ifNull(sum(t.output_tokens), 0) AS tokens,
        round(ifNull(sum(t.cost_usd), 0), 9) AS cost_usd
    FROM {latest("llm_call")} AS t WHERE t.started_ns >= {{from:Int64}} AND t.started_ns < {{to:Int64}}
    GROUP BY run_id, process_id) AS c ON t.run_id = c.run_id AND t.process_id = c.process_id
LEFT JOIN (
    SELECT t.run_id AS run_id, t.process_id AS process_id, count() AS tool_calls
    FROM {latest("tool_call")} AS t WHERE t.issued_ns >= {{from:Int64}} AND t.issued_ns < {{to:Int64}}
    GROUP BY run_id, process_id) AS k ON t.run_id = k.run_id AND t.process_id = k.process_id
WHERE t.first_seen_ns < {{to:Int64}} AND t.last_seen_ns >= {{from:Int64}}
ORDER BY first_seen_ns, run, id
"""
_CALL = f"""
SELECT t.run_id AS run, t.started_ns AS at_ns, {_MODEL} AS model, t.provider_name AS provider, p.agent AS agent, t.pid AS pid,
    t.status AS status, t.error_type AS error, {FAILED} AS failed, t.input_tokens AS input_tokens,
    t.output_tokens AS output_tokens, t.cache_read_input_tokens AS cached_tokens, t.cost_usd AS cost_usd, {_TOOK} AS took_ns,
    if(t.first_chunk_ns IS NULL, NULL, t.first_chunk_ns - t.started_ns) AS first_chunk_took_ns,
    t.server_address AS server, t.complete AS complete, t.missing_bytes AS missing_bytes, toString(t.id) AS id
FROM {latest("llm_call")} AS t
LEFT JOIN {OWNERS} AS p ON t.run_id = p.run_id AND t.process_id = p.process_id
WHERE t.started_ns >= {{from:Int64}} AND t.started_ns < {{to:Int64}}
    AND ({{model:String}} = '' OR lower({_MODEL}) = lower({{model:String}})
        OR match(substring(lower({_MODEL}), 1 + length({{model:String}})), '^[-:@](20|latest|preview)')
            AND startsWith(lower({_MODEL}), lower({{model:String}}))
        OR NOT match({{model:String}}, '[0-9]') AND startsWith(lower({_MODEL}), lower({{model:String}})))
    AND ({{agent:String}} = '' OR p.agent = {{agent:String}})
    AND (NOT {{failed:Bool}} OR {FAILED})
"""
_CALL_SUMS = """
    count() AS calls, countIf(c.failed) AS failed_calls, countIf(NOT c.complete) AS incomplete_calls,
    ifNull(sum(c.input_tokens), 0) AS input_tokens, ifNull(sum(c.output_tokens), 0) AS output_tokens,
    ifNull(sum(c.input_tokens), 0) + ifNull(sum(c.output_tokens), 0) AS tokens,
    ifNull(sum(c.cached_tokens), 0) AS cached_tokens, round(ifNull(sum(c.cost_usd), 0), 9) AS cost_usd,
    countIf(c.cost_usd IS NULL AND NOT c.failed) AS calls_without_price,
    round(avg(c.took_ns), 1) AS mean_ns, max(c.took_ns) AS max_ns, min(c.at_ns) AS first_ns, max(c.at_ns) AS last_ns
"""
# what calls and costs can be summed up by, as SQL over a call
CALL_GROUPS = {
    "all": "'all'",
    "model": "c.model",
    "agent": "c.agent",
    "run": "c.run",
    "provider": "c.provider",
    "server": "ifNull(c.server, '')",
    "error": "if(c.failed, coalesce(c.error, toString(c.status)), '')",
    "day": "formatDateTime(fromUnixTimestamp64Nano(c.at_ns, 'UTC'), '%Y-%m-%d')",
    "hour": "formatDateTime(fromUnixTimestamp64Nano(c.at_ns, 'UTC'), '%Y-%m-%d %H:00')",
}
CALL_ORDERS = {
    "time": "at_ns, id",
    "slowest": "took_ns DESC NULLS LAST, at_ns, id",
    "dearest": "cost_usd DESC NULLS LAST, at_ns, id",
    "tokens": "ifNull(input_tokens, 0) + ifNull(output_tokens, 0) DESC, at_ns, id",
}
GROUP_ORDERS = {
    "time": "first_ns, of",
    "slowest": "mean_ns DESC NULLS LAST, of",
    "dearest": "cost_usd DESC, calls DESC, of",
    "tokens": "tokens DESC, calls DESC, of",
}
_TOOL = f"""
SELECT t.run_id AS run, t.issued_ns AS at_ns, t.name AS tool, p.agent AS agent, ifNull(t.server, '') AS server,
    t.is_error AS failed, if(t.answered_ns IS NULL, NULL, t.answered_ns - t.issued_ns) AS took_ns,
    $ARGUMENTS AS arguments, toString(t.id) AS id
FROM {latest("tool_call")} AS t
LEFT JOIN {OWNERS} AS p ON t.run_id = p.run_id AND t.process_id = p.process_id
WHERE t.issued_ns >= {{from:Int64}} AND t.issued_ns < {{to:Int64}}
    AND ({{tool:String}} = '' OR t.name = {{tool:String}}) AND ({{agent:String}} = '' OR p.agent = {{agent:String}})
    AND (NOT {{failed:Bool}} OR ifNull(t.is_error, false))
"""
TOOL_GROUPS = {"all": "'all'", "tool": "c.tool", "agent": "c.agent", "run": "c.run", "server": "c.server"}


def run_rows(database: Database, scope: Scope) -> Rows:
    """The runs, newest first."""
    return ask(database, RUNS, scope)


def agent_rows(database: Database, scope: Scope) -> Rows:
    """The agents of the runs, the first seen first, with what they did in the time that is looked at."""
    return ask(database, AGENTS, scope)


def call_rows(database: Database, scope: Scope, *, order: str = "time") -> Rows:
    """Calls to models, one a row. Values: `model` (or its beginning), `agent`, `failed`."""
    return ask(database, f"SELECT * FROM ({_CALL}) AS c ORDER BY {CALL_ORDERS[order]}", scope)


def call_sums(database: Database, scope: Scope, *, by: str, order: str = "time") -> Rows:
    """Calls to models summed up. Values as of `call_rows`."""
    sql = f"SELECT {CALL_GROUPS[by]} AS of, {_CALL_SUMS} FROM ({_CALL}) AS c GROUP BY of ORDER BY {GROUP_ORDERS[order]}"
    return ask(database, sql, scope)


def tool_rows(database: Database, scope: Scope) -> Rows:
    """Tool calls, one a row, in their order. Values: `tool`, `agent`, `failed`."""
    return ask(database, f"SELECT * FROM ({_tool(scope)}) AS c ORDER BY at_ns, id", scope)


def tool_sums(database: Database, scope: Scope, *, by: str) -> Rows:
    """Tool calls summed up, the most called first. Values as of `tool_rows`."""
    sql = f"""
    SELECT {TOOL_GROUPS[by]} AS of, count() AS tool_calls, countIf(ifNull(c.failed, false)) AS failed_tool_calls,
        countIf(c.took_ns IS NULL) AS unanswered, round(avg(c.took_ns), 1) AS mean_ns, max(c.took_ns) AS max_ns
    FROM ({_tool(scope)}) AS c GROUP BY of ORDER BY tool_calls DESC, of"""
    return ask(database, sql, scope)


def _tool(scope: Scope) -> str:
    # what the model wrote is said, not done
    shown = "''" if scope.reader.role is Role.AUDITOR else clipped("t.arguments_text")
    return _TOOL.replace("$ARGUMENTS", shown)
