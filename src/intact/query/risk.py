"""What is risky in what agents did: a table of kinds of risk, each a condition over effects; nothing is guessed from words."""

from dataclasses import dataclass, replace

from intact.query.deeds import CHANGES, deeds_sql
from intact.query.enums import Label
from intact.query.scope import Rows, Scope, ask, latest
from intact.store.database import Database

# what is readable by its owner alone for a reason; tried in vain also counts, missing does not
_SECRETS = (
    r"(^/etc/(g?shadow|sudoers)|/\.ssh/(id_|identity|.*_key$)|/\.aws/credentials|/\.netrc$|/\.git-credentials$|/\.kube/config$"
    r"|/\.docker/config\.json$|/\.config/gcloud/|/\.gnupg/|/\.pgpass$|/\.vault-token$|/\.npmrc$|/\.pypirc$|/\.env(\.[a-z]+)?$"
    r"|\.(key|p12|pfx|jks|keystore)$|/(id_rsa|id_ed25519|id_ecdsa)$|/proc/\d+/(environ|mem)$|/run/secrets/)"
)
# what runs by itself later, or decides who may do what
_SENSITIVE = (
    r"(^/etc/(passwd|g?shadow|sudoers|crontab|cron\.|systemd/|ssh/|ld\.so|pam\.d/|profile|hosts$)|/\.ssh/authorized_keys"
    r"|^/var/spool/cron|^/(usr/)?(local/)?s?bin/|^/boot/|^/lib/systemd/|/\.(bashrc|bash_profile|profile|zshrc)$"
    r"|/\.git/hooks/|/\.config/(systemd|autostart)/)"
)
_TEMPORARY = r"^/(dev|proc|sys|tmp|var/tmp|run/user)(/|$)"
_CHANGE = f"e.kind IN ({', '.join(repr(kind) for kind in CHANGES)}) AND e.result >= 0 AND startsWith(e.object, '/')"


@dataclass(frozen=True, slots=True, kw_only=True)
class Risk:
    """A kind of risk: how severe (1 to 5), and what an effect has to be; `w.cwd` is the agent's work directory."""

    name: str
    severity: int
    title: Label
    condition: str


RISKS = (
    Risk(
        name="setuid_bit",
        severity=5,
        title=Label("a program was given the setuid or setgid bit", "给程序设置了 setuid/setgid 位"),
        condition="e.kind = 'file_chmod' AND e.result >= 0 AND bitAnd(e.number, 3072) != 0",
    ),
    Risk(
        name="sensitive_change",
        severity=5,
        title=Label("a file of the system or of a start-up was changed", "修改了系统或启动相关的文件"),
        condition=f"{_CHANGE} AND match(e.object, {{sensitive:String}})",
    ),
    Risk(
        name="privilege_change",
        severity=4,
        title=Label("a process became another user or got more rights", "进程切换了用户或提升了权限"),
        condition="e.kind = 'credential_change' AND e.result >= 0 AND e.number > 0",
    ),
    Risk(
        name="credential_read",
        severity=4,
        title=Label("a file with credentials was read or tried", "读取或尝试读取凭证文件"),
        condition="e.kind IN ('file_open', 'file_read') AND e.result != -2 AND match(e.object, {secrets:String})",
    ),
    Risk(
        name="unexplained_change",
        severity=3,
        title=Label(
            "something was changed, run or contacted that no words asked for", "有改动、执行或连接找不到对应的指令"
        ),
        condition=f"(({_CHANGE}) OR e.kind IN ('exec', 'connect')) AND e.cause = 'unexplained'",
    ),
    Risk(
        name="outside_write",
        severity=3,
        title=Label("files outside the work directory were changed", "改动了工作目录以外的文件"),
        condition=f"{_CHANGE} AND w.cwd != '' AND NOT startsWith(e.object, concat(w.cwd, '/')) AND e.cause != 'housekeeping' "
        "AND NOT match(e.object, {temporary:String})",
    ),
    Risk(
        name="world_writable",
        severity=3,
        title=Label("a file was made writable for everybody", "文件被改成所有人可写"),
        condition="e.kind = 'file_chmod' AND e.result >= 0 AND bitAnd(e.number, 2) != 0",
    ),
    Risk(
        name="blocked",
        severity=3,
        title=Label("a policy met something", "触发了策略"),
        condition="e.kind = 'blocked'",
    ),
    Risk(
        name="outside_contact",
        severity=2,
        title=Label("a host that is no model's was contacted", "连接了模型服务以外的主机"),
        condition="e.kind IN ('connect', 'send') AND n.calls = 0 "
        "AND NOT match(e.object, '^(127[.]|::1:|:|/|@|0[.]0[.]0[.]0:|$)')",
    ),
    Risk(
        name="signal",
        severity=2,
        title=Label("a signal was sent to another process", "向其他进程发送了信号"),
        condition="e.kind = 'signal' AND e.number > 0",
    ),
)
BY_NAME = {risk.name: risk for risk in RISKS}
_KINDS = (*CHANGES, "credential_change", "file_open", "file_read", "exec", "connect", "send", "signal", "blocked")
_FOUND = ", ".join(f"if({risk.condition}, '{risk.name}', '')" for risk in RISKS)
_NAMES = ", ".join(f"'{risk.name}'" for risk in RISKS)
_SEVERITIES = ", ".join(str(risk.severity) for risk in RISKS)
_WORK = """(
    SELECT g.run_id AS run_id, g.id AS process_id, p.cwd AS cwd
    FROM (SELECT run_id, id, argMax(agent_process_id, revision) AS agent_process_id FROM gprocess_map
        WHERE run_id IN $RUNS GROUP BY run_id, id) AS g
    INNER JOIN (SELECT run_id, id, ifNull(argMax(cwd, revision), '') AS cwd FROM process
        WHERE run_id IN $RUNS GROUP BY run_id, id) AS p ON g.run_id = p.run_id AND g.agent_process_id = p.id)"""
_MODELS = f"""(
    SELECT t.run_id AS run_id, t.process_id AS process_id, t.server_port AS port, count() AS calls
    FROM {latest("llm_call")} AS t WHERE t.server_port IS NOT NULL GROUP BY run_id, process_id, port)"""
_RISKY = f"""
SELECT e.run AS run, e.at_ns AS at_ns, e.kind AS kind, e.object AS object, e.detail AS detail, e.result AS result,
    e.agent AS agent, e.pid AS pid, e.cause AS cause, e.tool AS tool,
    arrayJoin(arrayFilter(x -> x != '', [{_FOUND}])) AS risk
FROM ({deeds_sql(_KINDS)}) AS e
LEFT JOIN {_WORK} AS w ON e.run = w.run_id AND e.process = w.process_id
LEFT JOIN {_MODELS} AS n ON e.run = n.run_id AND e.process = n.process_id AND e.number = n.port
"""
_SEVERITY = f"toUInt8(transform(d.risk, [{_NAMES}], [{_SEVERITIES}], 1))"


def risks(database: Database, scope: Scope) -> Rows:
    """What is risky, one row an object, process and kind of risk, the most severe first. Values as of effects, and `risk`."""
    sql = f"""
    SELECT d.risk AS risk, {_SEVERITY} AS severity, d.object AS object, max(d.detail) AS detail, d.agent AS agent, d.pid AS pid,
        d.run AS run, count() AS times, countIf(d.result < 0) AS failed, max(d.tool) AS tool, max(d.cause) AS cause,
        min(d.at_ns) AS first_ns, max(d.at_ns) AS last_ns
    FROM ({_RISKY}) AS d WHERE {{risk:String}} = '' OR d.risk = {{risk:String}}
    GROUP BY risk, object, agent, pid, run ORDER BY severity DESC, risk, first_ns, object, pid, run"""
    return ask(database, sql, _bound(scope))


def risk_sums(database: Database, scope: Scope) -> Rows:
    """How much of each kind of risk there is, the most severe first."""
    sql = f"""
    SELECT d.risk AS risk, {_SEVERITY} AS severity, count() AS effects, uniqExact(d.object) AS objects,
        uniqExact(d.run) AS runs, min(d.at_ns) AS first_ns, max(d.at_ns) AS last_ns
    FROM ({_RISKY}) AS d WHERE {{risk:String}} = '' OR d.risk = {{risk:String}}
    GROUP BY risk ORDER BY severity DESC, effects DESC, risk"""
    return ask(database, sql, _bound(scope))


def _bound(scope: Scope) -> Scope:
    patterns = {"secrets": _SECRETS, "sensitive": _SENSITIVE, "temporary": _TEMPORARY}
    return replace(scope, values={"risk": "", **scope.values, **patterns})
