"""What was concluded and what was missed: findings, losses by run and cause, and a run in one row."""

from intact.query.deeds import deeds_sql, with_filters
from intact.query.dialogue import FAILED
from intact.query.dialogue import RUNS as RUN_ROWS
from intact.query.scope import Rows, Scope, ask, latest
from intact.store.database import Database

FINDINGS = f"""
SELECT t.run_id AS run, t.at_ns AS at_ns, t.severity AS severity, t.detector AS detector, t.title AS title,
    substringUTF8(t.message, 1, 500) AS message, t.state AS state, a.name AS agent, length(t.evidence_ids) AS evidence,
    toString(t.id) AS id
FROM {latest("finding")} AS t
LEFT JOIN {latest("agent")} AS a ON t.run_id = a.run_id AND t.agent_id = a.id
WHERE t.at_ns >= {{from:Int64}} AND t.at_ns < {{to:Int64}} AND t.severity >= {{severity:UInt8}}
ORDER BY severity DESC, at_ns, id
"""
LOSSES = """
SELECT t.run_id AS run, t.stage AS stage, t.cause AS cause, sum(t.count) AS lost, max(ifNull(t.note, '')) AS note,
    min(t.at_ns) AS first_ns, max(t.at_ns) AS last_ns
FROM (SELECT * FROM loss WHERE run_id IN $RUNS AND count > 0) AS t
GROUP BY run, stage, cause ORDER BY lost DESC, run, stage, cause
"""
# the words of the ledger of `show`: complete is what is whole, ended, and of which nothing is known to be missed
_COMPLETE = f"""
SELECT r.run_id AS run, r.name AS name, l.lost AS lost, s.short AS short_stages, c.clipped AS clipped_calls,
    ifNull(m.final, false) AS whole, r.ended_ns IS NOT NULL AS ended, ifNull(r.problem, '') AS problem,
    s.seen AS seen, l.lost = 0 AND s.short = 0 AND c.clipped = 0 AND whole AND ended AND problem = '' AS complete
FROM (SELECT * FROM run WHERE run_id IN $RUNS ORDER BY revision DESC, ended_ns DESC NULLS LAST LIMIT 1 BY run_id) AS r
LEFT JOIN (SELECT run_id, sum(count) AS lost FROM loss WHERE run_id IN $RUNS GROUP BY run_id) AS l ON r.run_id = l.run_id
LEFT JOIN (
    SELECT g.run_id AS run_id, countIf(g.came != g.went) AS short, sum(g.came) AS seen FROM (
        SELECT run_id, stage, sum(seen) AS came, sum(passed) AS went FROM stage_count WHERE run_id IN $RUNS
        GROUP BY run_id, stage) AS g
    GROUP BY run_id) AS s ON r.run_id = s.run_id
LEFT JOIN (SELECT t.run_id AS run_id, countIf(t.missing_bytes > 0) AS clipped FROM {latest("llm_call")} AS t
    GROUP BY run_id) AS c ON r.run_id = c.run_id
LEFT JOIN (SELECT run_id, max(final) AS final FROM manifest WHERE run_id IN $RUNS GROUP BY run_id) AS m
    ON r.run_id = m.run_id
"""
_BETWEEN = "{{from:Int64}} <= t.{0} AND t.{0} < {{to:Int64}}"
SUMMARY = f"""
SELECT r.run AS run, r.name AS name, r.host AS host, r.started_ns AS started_ns, r.took_ns AS took_ns, r.exit_code AS exit_code,
    r.command AS command, a.agents AS agents, c.calls AS calls, c.failed AS failed_calls, c.models AS models,
    c.tokens AS tokens, c.cost_usd AS cost_usd, k.tool_calls AS tool_calls, k.failed AS failed_tool_calls,
    k.tools AS tools, d.effects AS effects, d.commands AS commands, d.changed_files AS changed_files, d.deleted AS deleted,
    d.unexplained AS unexplained, d.blocked AS blocked, f.findings AS findings, l.lost AS lost, l.complete AS complete
FROM ({RUN_ROWS}) AS r
LEFT JOIN (SELECT t.run_id AS run, count() AS agents FROM {latest("agent")} AS t GROUP BY run) AS a ON r.run = a.run
LEFT JOIN (
    SELECT t.run_id AS run, count() AS calls, countIf({FAILED}) AS failed,
        arrayStringConcat(arraySort(groupUniqArray(coalesce(t.response_model, t.request_model, ''))), ', ') AS models,
        ifNull(sum(t.input_tokens), 0) + ifNull(sum(t.output_tokens), 0) AS tokens,
        round(ifNull(sum(t.cost_usd), 0), 9) AS cost_usd
    FROM {latest("llm_call")} AS t WHERE {_BETWEEN.format("started_ns")} GROUP BY run) AS c ON r.run = c.run
LEFT JOIN (
    SELECT t.run_id AS run, count() AS tool_calls, countIf(ifNull(t.is_error, false)) AS failed,
        arrayStringConcat(arraySort(groupUniqArray(t.name)), ', ') AS tools
    FROM {latest("tool_call")} AS t WHERE {_BETWEEN.format("issued_ns")} GROUP BY run) AS k ON r.run = k.run
LEFT JOIN (
    SELECT t.run AS run, count() AS effects, countIf(t.kind = 'exec') AS commands, countIf(t.kind = 'blocked') AS blocked,
        uniqExactIf(t.object, t.kind IN ('file_create', 'file_write', 'file_rename', 'file_chmod', 'file_truncate')
            AND startsWith(t.object, '/') AND NOT startsWith(t.object, '/dev/')) AS changed_files,
        countIf(t.kind = 'file_delete' AND t.result >= 0) AS deleted, countIf(t.cause = 'unexplained') AS unexplained
    FROM ({deeds_sql()}) AS t GROUP BY run) AS d ON r.run = d.run
LEFT JOIN (SELECT t.run_id AS run, count() AS findings FROM {latest("finding")} AS t GROUP BY run) AS f ON r.run = f.run
LEFT JOIN ({_COMPLETE}) AS l ON r.run = l.run
ORDER BY started_ns DESC, run
"""


def finding_rows(database: Database, scope: Scope) -> Rows:
    """Findings, the most severe first. Values: `severity`, the least."""
    return ask(database, FINDINGS, scope)


def loss_rows(database: Database, scope: Scope) -> Rows:
    """What is known to be missed by run, stage and cause, the most first."""
    return ask(database, LOSSES, scope)


def completeness(database: Database, scope: Scope) -> Rows:
    """Whether the record of each run is complete, and if not why."""
    return ask(database, f"SELECT * FROM ({_COMPLETE}) AS d ORDER BY run DESC", scope)


def run_summaries(database: Database, scope: Scope) -> Rows:
    """Each run in one row, the newest first."""
    return ask(database, SUMMARY, with_filters(scope))
