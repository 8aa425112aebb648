"""What was done to the machine, and by which words: effects of all tables as one, changed files, network, policies' hits.

An effect is claimed by the link of its highest revision, if that has a confidence of a half or more; else nothing explains it.
"""

from collections.abc import Iterable
from dataclasses import replace

from intact.query.dialogue import OWNERS
from intact.query.scope import Rows, Scope, ask, latest
from intact.store.database import Database

_TIME = "run_id IN $RUNS AND at_ns >= {from:Int64} AND at_ns < {to:Int64}"
_COMMON = "run_id, toString(id) AS effect, kind, gprocess_id, at_ns, result, pid, uid"
_OCTAL = f"concat({', '.join(f'toString(bitAnd(bitShiftRight(mode, {shift}), 7))' for shift in (9, 6, 3, 0))})"
# kinds of effects by the table they are in, and how a row of it is told: what it was done to, by which name before,
# bytes, how often, and a number that belongs to the kind: mode, signal, port; of credentials 1 another user, 2 more rights
_TABLES: dict[str, tuple[tuple[str, ...], str]] = {
    "proc_ops_event": (
        ("exec", "fork", "exit"),
        "run_id, toString(id) AS effect, kind, gprocess_id, at_ns, result, actor_pid AS pid, uid, "
        "if(kind = 'exec', exec_path, process_kname) AS object, substringUTF8(cmdline, 1, 300) AS detail, "
        "toUInt64(0) AS bytes, toUInt64(1) AS times, toInt64(if(kind = 'exit', exit_code, child_pid)) AS number",
    ),
    "file_open_event": (
        ("file_open", "file_create"),
        f"{_COMMON}, path AS object, old_path AS detail, toUInt64(0) AS bytes, toUInt64(1) AS times, toInt64(mode) AS number",
    ),
    "file_mgmt_event": (
        (
            *("file_create", "file_delete", "file_rename", "file_link", "file_chmod", "file_chown", "file_truncate"),
            *("dir_create", "dir_delete"),
        ),
        f"{_COMMON}, path AS object, if(kind = 'file_chmod', {_OCTAL}, old_path) AS detail, toUInt64(0) AS bytes, "
        "toUInt64(1) AS times, toInt64(mode) AS number",
    ),
    "proc_perm_event": (
        ("credential_change",),
        "run_id, toString(id) AS effect, kind, gprocess_id, at_ns, result, pid, old_uid AS uid, call AS object, "
        "concat('uid ', toString(old_uid), '/', toString(old_euid), ' to ', toString(new_uid), '/', toString(new_euid)) "
        "AS detail, toUInt64(0) AS bytes, toUInt64(1) AS times, "
        "toInt64((old_uid != new_uid OR old_euid != new_euid) + 2 * (bitAnd(new_caps, bitNot(old_caps)) != 0)) AS number",
    ),
    "proc_signal_event": (
        ("signal",),
        f"{_COMMON}, concat('pid ', toString(target_pid)) AS object, concat('signal ', toString(signal)) AS detail, "
        "toUInt64(0) AS bytes, toUInt64(1) AS times, toInt64(signal) AS number",
    ),
    "proc_block_event": (
        ("blocked",),
        f"{_COMMON}, multiIf(path != '', path, address != '', concat(address, ':', toString(port)), exec_path) AS object, "
        "concat(rule_id, ' ', outcome) AS detail, toUInt64(0) AS bytes, toUInt64(1) AS times, toInt64(errno) AS number",
    ),
    "net_event": (
        ("connect", "accept", "bind", "listen", "send", "close"),
        f"{_COMMON}, if(family = 1, address, concat(address, ':', toString(port))) AS object, '' AS detail, "
        "sent_bytes + received_bytes AS bytes, toUInt64(1) AS times, toInt64(port) AS number",
    ),
}
_SUMS = """
    SELECT m.run_id AS run_id, toString(m.member.1) AS effect, m.kind AS kind, m.gprocess_id AS gprocess_id,
        m.member.2 AS at_ns, m.result AS result, m.pid AS pid, m.uid AS uid, m.object AS object, '' AS detail,
        toUInt64(m.member.3) AS bytes, toUInt64(m.member.4) AS times, toInt64(m.fd_kind) AS number
    FROM (SELECT run_id, kind, gprocess_id, result, pid, uid, path AS object, fd_kind,
            arrayJoin(arrayZip(effect_ids, effect_at_ns, effect_bytes, effect_counts)) AS member
        FROM file_agg_event WHERE run_id IN $RUNS) AS m
    WHERE m.member.2 >= {from:Int64} AND m.member.2 < {to:Int64}"""
_SUM_KINDS = ("file_read", "file_write")
KINDS = tuple(dict.fromkeys([*(kind for kinds, _ in _TABLES.values() for kind in kinds), *_SUM_KINDS]))
# what changes something, and for whom
CHANGES = (
    *("file_write", "file_create", "file_delete", "file_rename", "file_link", "file_chmod", "file_chown"),
    *("file_truncate", "dir_create", "dir_delete"),
)
CLAIMS = """(
    SELECT run_id, toString(effect_id) AS effect, argMax(tuple(cause_kind, cause_id, confidence, basis),
        tuple(revision, confidence, cause_id)) AS best
    FROM link WHERE run_id IN $RUNS GROUP BY run_id, effect)"""
_TOOLS = f"(SELECT t.run_id AS run_id, t.id AS id, t.name AS tool FROM {latest('tool_call')} AS t)"
_MCP = f"(SELECT t.run_id AS run_id, t.id AS id, t.tool_name AS tool FROM {latest('mcp_call')} AS t)"
GROUPS = {
    "kind": "d.kind",
    "path": "d.object",
    "process": "concat(toString(d.pid), ' ', d.agent)",
    "agent": "d.agent",
    "run": "d.run",
    "cause": "d.cause",
    "tool": "d.tool",
    "all": "'all'",
}


# what a model asked for, then what nothing explains, then an agent's own files, then devices
_ASKED_FOR = "startsWith(of, '/dev/'), max(d.cause = 'housekeeping'), max(d.cause IN ('tool_call', 'mcp_call')) DESC, "


def effects_sql(kinds: Iterable[str] = ()) -> str:
    """The effects of these kinds (none: all) of the runs, of all tables they are in."""
    wanted = tuple(kinds) or KINDS
    parts = [
        f"SELECT {columns} FROM {table} WHERE {_TIME}"
        + ("" if wanted == KINDS else f" AND kind IN ({_listed(wanted)})")
        for table, (held, columns) in _TABLES.items()
        if set(held) & set(wanted)
    ]
    if set(_SUM_KINDS) & set(wanted):
        parts.append(_SUMS + ("" if set(_SUM_KINDS) <= set(wanted) else f" AND m.kind IN ({_listed(wanted)})"))
    return " UNION ALL ".join(parts)


def deeds_sql(kinds: Iterable[str] = ()) -> str:
    """The same with the agent that did each and what caused it: `tool_call call mcp_call housekeeping` or `unexplained`."""
    return f"""
    SELECT e.run_id AS run, e.at_ns AS at_ns, e.kind AS kind, e.object AS object, e.detail AS detail, e.result AS result,
        p.agent AS agent, e.pid AS pid, e.uid AS uid, e.bytes AS bytes, e.times AS times, e.number AS number,
        if(tupleElement(l.best, 3) >= 0.5, tupleElement(l.best, 1), 'unexplained') AS cause,
        if(tupleElement(l.best, 3) >= 0.5, if(k.tool != '', k.tool, ifNull(m.tool, '')), '') AS tool,
        if(tupleElement(l.best, 3) >= 0.5, toString(tupleElement(l.best, 2)), '') AS cause_id, e.effect AS effect,
        e.gprocess_id AS process
    FROM ({effects_sql(kinds)}) AS e
    LEFT JOIN {CLAIMS} AS l ON e.run_id = l.run_id AND e.effect = l.effect
    LEFT JOIN {OWNERS} AS p ON e.run_id = p.run_id AND e.gprocess_id = p.process_id
    LEFT JOIN {_TOOLS} AS k ON e.run_id = k.run_id AND tupleElement(l.best, 2) = k.id
    LEFT JOIN {_MCP} AS m ON e.run_id = m.run_id AND tupleElement(l.best, 2) = m.id
    WHERE ({{path:String}} = '' OR e.object = {{path:String}} OR endsWith(e.object, concat('/', {{path:String}}))
            OR startsWith(e.object, if(endsWith({{path:String}}, '/'), {{path:String}}, concat({{path:String}}, '/')))
            OR e.detail = {{path:String}})
        AND ({{pid:UInt32}} = 0 OR e.pid = {{pid:UInt32}}) AND ({{agent:String}} = '' OR p.agent = {{agent:String}})
        AND ({{cause:String}} = '' OR cause = {{cause:String}})
        AND (NOT {{changed:Bool}} OR e.result >= 0)"""


def with_filters(scope: Scope, **values: str | int | bool) -> Scope:
    """The scope with the filters of effects; those not given are open: `path pid agent cause`, `changed` (what succeeded)."""
    return replace(scope, values={"path": "", "pid": 0, "agent": "", "cause": "", "changed": False, **values})


def effect_rows(database: Database, scope: Scope, *, kinds: Iterable[str] = ()) -> Rows:
    """Effects, one a row, in their order."""
    return ask(database, f"SELECT d.* EXCEPT (process) FROM ({deeds_sql(kinds)}) AS d ORDER BY at_ns, effect", scope)


def effect_sums(database: Database, scope: Scope, *, kinds: Iterable[str] = (), by: str = "kind") -> Rows:
    """Effects summed up, the most first: how many, how many failed, bytes, how many distinct paths or peers.

    Of paths, those that a model asked for come first, and an agent's own files and devices last.
    """
    first = _ASKED_FOR if by == "path" else ""
    sql = f"""
    SELECT {GROUPS[by]} AS of, count() AS effects, countIf(d.result < 0) AS failed, sum(d.bytes) AS bytes,
        sum(d.times) AS operations, uniqExact(d.object) AS objects, countIf(d.cause = 'unexplained') AS unexplained,
        min(d.at_ns) AS first_ns, max(d.at_ns) AS last_ns
    FROM ({deeds_sql(kinds)}) AS d GROUP BY of ORDER BY {first}effects DESC, of"""
    return ask(database, sql, scope)


def process_of_effect(database: Database, scope: Scope) -> Rows:
    """The id of the process that an effect is of. Values: `effect`."""
    sql = f"SELECT toString(e.gprocess_id) AS process FROM ({effects_sql()}) AS e WHERE e.effect = {{effect:String}}"
    return ask(database, sql, scope)


def changed_files(database: Database, scope: Scope) -> Rows:
    """Files and directories that were changed, one a row, the first changed first."""
    sql = f"""
    SELECT d.object AS path, d.run AS run, countIf(d.kind = 'file_create') AS created, countIf(d.kind = 'file_write') AS writes,
        sumIf(d.bytes, d.kind = 'file_write') AS written_bytes, countIf(d.kind IN ('file_delete', 'dir_delete')) AS deleted,
        countIf(d.kind = 'file_rename') AS renamed, countIf(d.kind IN ('file_chmod', 'file_chown')) AS permissions,
        maxIf(d.detail, d.kind IN ('file_rename', 'file_link')) AS from_path, max(d.agent) AS agent, max(d.tool) AS tool,
        countIf(d.cause = 'unexplained') AS unexplained, min(d.at_ns) AS first_ns, max(d.at_ns) AS last_ns
    FROM ({deeds_sql(CHANGES)}) AS d WHERE startsWith(d.object, '/') AND NOT startsWith(d.object, '/dev/')
    GROUP BY path, run ORDER BY first_ns, path, run"""
    return ask(database, sql, scope)


def contacted(database: Database, scope: Scope) -> Rows:
    """Peers that were connected to or sent to, the most contacted first."""
    sql = f"""
    SELECT e.address AS address, e.port AS port, max(n.server) AS called_as, count() AS contacts,
        countIf(e.result < 0 AND e.result != -115) AS failed, uniqExact(e.gprocess_id) AS processes,
        arrayStringConcat(arraySort(groupUniqArray(p.agent)), ', ') AS agents, e.is_local AS is_local,
        min(e.at_ns) AS first_ns, max(e.at_ns) AS last_ns
    FROM (SELECT run_id, gprocess_id, at_ns, result, address, port, address IN ('127.0.0.1', '::1', '') OR family = 1
            OR startsWith(address, '127.') AS is_local
        FROM net_event WHERE {_TIME} AND kind IN ('connect', 'send')) AS e
    LEFT JOIN {OWNERS} AS p ON e.run_id = p.run_id AND e.gprocess_id = p.process_id
    LEFT JOIN (SELECT t.run_id AS run_id, t.process_id AS process_id, t.server_port AS port,
            max(t.server_address) AS server FROM {latest("llm_call")} AS t WHERE t.server_port IS NOT NULL
        GROUP BY run_id, process_id, port) AS n
        ON e.run_id = n.run_id AND e.gprocess_id = n.process_id AND toInt64(e.port) = n.port
    WHERE ({{agent:String}} = '' OR p.agent = {{agent:String}})
        AND ({{host:String}} = '' OR e.address = {{host:String}} OR n.server = {{host:String}})
        AND ({{local:Bool}} OR NOT e.is_local)
    GROUP BY address, port, is_local ORDER BY contacts DESC, address, port"""
    return ask(database, sql, scope)


def policy_hits(database: Database, scope: Scope, *, each: bool) -> Rows:
    """What policies met: each hit, or counts by rule and outcome."""
    rows = f"""
    SELECT t.run_id AS run, t.at_ns AS at_ns, t.rule_id AS rule, t.target_type AS target, t.action AS action,
        t.outcome AS outcome, t.mechanism AS mechanism,
        multiIf(t.path != '', t.path, t.address != '', concat(t.address, ':', toString(t.port)), t.exec_path) AS object,
        p.agent AS agent, t.pid AS pid, t.errno AS errno, toString(t.id) AS effect
    FROM (SELECT * FROM proc_block_event WHERE {_TIME}) AS t
    LEFT JOIN {OWNERS} AS p ON t.run_id = p.run_id AND t.gprocess_id = p.process_id"""
    if each:
        return ask(database, f"SELECT * FROM ({rows}) AS d ORDER BY at_ns, effect", scope)
    sums = f"""
    SELECT d.rule AS rule, d.action AS action, d.outcome AS outcome, count() AS hits, uniqExact(d.object) AS objects,
        min(d.at_ns) AS first_ns, max(d.at_ns) AS last_ns
    FROM ({rows}) AS d GROUP BY rule, action, outcome ORDER BY hits DESC, rule, outcome"""
    return ask(database, sums, scope)


def _listed(kinds: Iterable[str]) -> str:
    return ", ".join(f"'{kind}'" for kind in kinds)
