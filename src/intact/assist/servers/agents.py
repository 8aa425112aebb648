"""Tools over what agents did: runs, agents, calls, tool calls, effects and their causes, risk, cost, and what was missed."""

import json
from collections.abc import Callable
from typing import Any, Literal

from pydantic import Field

from intact.assist.answers import Cell, ToolAnswer
from intact.assist.asking import Asker
from intact.assist.servers.own import OWN_TOOLS
from intact.assist.servers.scoped import Ranged, Values, answered, as_answer, resolve, table
from intact.assist.tool import Parts, Texts, Tool, ToolRefused, texts
from intact.model.errors import IntactError
from intact.query.conclusions import completeness, finding_rows, loss_rows, run_summaries
from intact.query.deeds import (
    changed_files,
    contacted,
    effect_rows,
    effect_sums,
    policy_hits,
    process_of_effect,
    with_filters,
)
from intact.query.dialogue import (
    agent_rows,
    call_rows,
    call_sums,
    run_rows,
    tool_rows,
    tool_sums,
)
from intact.query.risk import risk_sums, risks
from intact.query.row_limits import Role
from intact.query.scope import Scope
from intact.query.why import why

_WHY_RUNS = 20  # each is read whole
_MAX_TEXT = 500
_MAX_PID = (1 << 22) - 1
Kind = Literal[
    "exec", "fork", "exit", "file_open", "file_read", "file_write", "file_create", "file_delete", "file_rename", "file_link",
    "file_chmod", "file_chown", "file_truncate", "dir_create", "dir_delete", "connect", "accept", "bind", "listen", "send",
    "close", "credential_change", "signal", "blocked",
]  # fmt: skip
Cause = Literal["", "tool_call", "call", "mcp_call", "housekeeping", "unexplained"]
RiskName = Literal[
    "", "setuid_bit", "sensitive_change", "privilege_change", "credential_read", "unexplained_change", "outside_write",
    "world_writable", "blocked", "outside_contact", "signal",
]  # fmt: skip
_AGENT = Field("", max_length=200, description="Only of agents of this name; empty: of all.")


class Calls(Ranged):
    by: Literal["each", "all", "model", "agent", "run", "provider", "server", "error", "day", "hour"] = Field(
        "each", description="One row a call, or sums by this."
    )
    order: Literal["time", "slowest", "dearest", "tokens"] = Field("time", description="What comes first.")
    model: str = Field("", max_length=200, description="Only this model, or this family of models: gpt-4o, claude.")
    agent: str = _AGENT
    failed: bool = Field(False, description="Only calls that the model's server answered with an error.")


class ToolCalls(Ranged):
    by: Literal["each", "all", "tool", "agent", "run", "server"] = Field(
        "each", description="One row a tool call, or counts by this."
    )
    tool: str = Field("", max_length=200, description="Only of the tool of this name.")
    agent: str = _AGENT
    failed: bool = Field(False, description="Only those whose result was an error.")


class Effects(Ranged):
    by: Literal["each", "all", "kind", "path", "process", "agent", "run", "cause", "tool"] = Field(
        "kind", description="One row an effect, or counts by this."
    )
    kinds: list[Kind] = Field([], max_length=30, description="Only these kinds; none: all.")
    path: str = Field("", max_length=1000, description="Only on this path, in it, or on files of this name.")
    pid: int = Field(0, ge=0, le=_MAX_PID, description="Only of this process; 0: of all.")
    agent: str = _AGENT
    cause: Cause = Field("", description="Only what this caused; `unexplained`: what nothing explains.")
    succeeded: bool = Field(False, description="Only what succeeded.")


class Why(Ranged):
    target: str = Field(
        "", max_length=1000, description="A path, name of a file, host, address or number of a process."
    )
    effect: str = Field("", max_length=20, pattern="^[0-9]*$", description="Instead: the id of one effect.")
    changes: bool = Field(False, description="Without opens, reads, closes and what began or ended processes.")
    limit: int = Field(20, ge=1, le=200, description="At most so many rows, the newest.")


class Files(Ranged):
    path: str = Field("", max_length=1000, description="Only this path, what is in it, or files of this name.")
    agent: str = _AGENT


class Network(Ranged):
    host: str = Field("", max_length=300, description="Only this host or address.")
    agent: str = _AGENT
    local: bool = Field(True, description="Also this machine itself.")


class Findings(Ranged):
    severity: int = Field(1, ge=1, le=5, description="The least severity, 1 (info) to 5 (critical).")


class Risks(Ranged):
    by: Literal["each", "risk"] = Field("each", description="One row an object, or counts by kind of risk.")
    risk: RiskName = Field("", description="Only this kind.")
    path: str = Field("", max_length=1000, description="Only on this path, in it, or on files of this name.")
    agent: str = _AGENT


class Cost(Ranged):
    by: Literal["all", "model", "agent", "run", "provider", "day", "hour"] = Field("run", description="Sums by this.")
    model: str = Field("", max_length=200, description="Only this model, or this family of models: gpt-4o, claude.")
    agent: str = _AGENT


class Losses(Ranged):
    by: Literal["run", "cause"] = Field("run", description="One row a run, or one a stage and cause.")


class Hits(Ranged):
    by: Literal["each", "rule"] = Field("rule", description="One row a hit, or counts by rule and outcome.")


def _runs(parts: Parts, asker: Asker, given: Ranged) -> ToolAnswer:
    return answered(parts, asker, given, run_rows)


def _run_summary(parts: Parts, asker: Asker, given: Ranged) -> ToolAnswer:
    return answered(parts, asker, given, run_summaries)


def _agents(parts: Parts, asker: Asker, given: Ranged) -> ToolAnswer:
    return answered(parts, asker, given, agent_rows)


def _calls(parts: Parts, asker: Asker, given: Calls) -> ToolAnswer:
    values: Values = {"model": given.model, "agent": given.agent, "failed": given.failed}
    if given.by == "each":
        return answered(parts, asker, given, lambda d, s: call_rows(d, s, order=given.order), values=values)
    return answered(parts, asker, given, lambda d, s: call_sums(d, s, by=given.by, order=given.order), values=values)


def _tool_calls(parts: Parts, asker: Asker, given: ToolCalls) -> ToolAnswer:
    values: Values = {"tool": given.tool, "agent": given.agent, "failed": given.failed}
    if given.by == "each":
        return answered(parts, asker, given, tool_rows, values=values)
    return answered(parts, asker, given, lambda d, s: tool_sums(d, s, by=given.by), values=values)


def _effects(parts: Parts, asker: Asker, given: Effects) -> ToolAnswer:
    values: dict[str, str | int | bool] = {
        "path": given.path,
        "pid": given.pid,
        "agent": given.agent,
        "cause": given.cause,
    }
    values["changed"] = given.succeeded
    if given.by == "each":
        return answered(parts, asker, given, lambda d, s: effect_rows(d, s, kinds=given.kinds), values=values)
    by = given.by
    return answered(parts, asker, given, lambda d, s: effect_sums(d, s, kinds=given.kinds, by=by), values=values)


def _files_changed(parts: Parts, asker: Asker, given: Files) -> ToolAnswer:
    return answered(
        parts, asker, given, lambda d, s: changed_files(d, with_filters(s, path=given.path, agent=given.agent))
    )


def _network(parts: Parts, asker: Asker, given: Network) -> ToolAnswer:
    values: Values = {"host": given.host, "agent": given.agent, "local": given.local}
    return answered(parts, asker, given, contacted, values=values)


def _findings(parts: Parts, asker: Asker, given: Findings) -> ToolAnswer:
    return answered(parts, asker, given, finding_rows, values={"severity": given.severity})


def _risk(parts: Parts, asker: Asker, given: Risks) -> ToolAnswer:
    values: Values = {
        "path": given.path,
        "pid": 0,
        "agent": given.agent,
        "cause": "",
        "changed": False,
        "risk": given.risk,
    }
    return answered(parts, asker, given, risks if given.by == "each" else risk_sums, values=values)


def _cost(parts: Parts, asker: Asker, given: Cost) -> ToolAnswer:
    values: Values = {"model": given.model, "agent": given.agent, "failed": False}
    return answered(parts, asker, given, lambda d, s: call_sums(d, s, by=given.by, order="dearest"), values=values)


def _losses(parts: Parts, asker: Asker, given: Losses) -> ToolAnswer:
    return answered(parts, asker, given, completeness if given.by == "run" else loss_rows)


def _policy_hits(parts: Parts, asker: Asker, given: Hits) -> ToolAnswer:
    return answered(parts, asker, given, lambda d, s: policy_hits(d, s, each=given.by == "each"))


_WHY_COLUMNS = (
    *("run", "at_ns", "kind", "object", "detail", "result", "process", "pid", "cause", "confidence", "basis", "tool"),
    *("arguments", "model", "words", "effect"),
)
_QUIET = frozenset({"file_open", "file_read", "close", "fork", "exit"})


def _why(parts: Parts, asker: Asker, given: Why) -> ToolAnswer:
    resolved, notes = resolve(parts, asker, given)
    if bool(given.target) == bool(given.effect):
        raise ToolRefused("give a target or the id of an effect")
    if len(resolved["runs"]) > _WHY_RUNS:
        resolved["runs"] = resolved["runs"][:_WHY_RUNS]
        notes = (*notes, f"only the newest {_WHY_RUNS} runs were looked at; name runs to look at others")
    is_auditor = asker.role is Role.AUDITOR
    rows: list[tuple[int, str, tuple[Cell, ...]]] = []
    try:
        for run in resolved["runs"]:
            target = given.target or _process_of(parts, asker, given, run)
            for found in parts.readers.ask(why, target, run) if target else ():
                effect = found["effect"]
                in_time = resolved["from_ns"] <= effect["at_ns"] < resolved["to_ns"]
                wanted = given.effect in ("", effect["id"]) and not (given.changes and effect["kind"] in _QUIET)
                if in_time and wanted:
                    rows.append((effect["at_ns"], effect["id"], _explained(found, words=not is_auditor)))
    except IntactError as error:
        raise ToolRefused(str(error)) from error
    rows.sort(key=lambda row: row[:2], reverse=True)
    if is_auditor:
        notes = (*notes, "what was said is not shown to auditors")
    query = f"why {ascii(given.target or given.effect)[1:-1]} runs={','.join(resolved['runs'])}"
    return as_answer(table(query, _WHY_COLUMNS, [row for _, _, row in rows], given.limit), resolved, notes=notes)


def _process_of(parts: Parts, asker: Asker, given: Why, run: str) -> str:
    """The id of the process that an effect is of, by which `why` finds it; empty: it is not in this run."""
    scope = Scope(reader=asker.reader(), run_ids=(run,), limit=1, values={"effect": given.effect})
    found = parts.readers.ask(process_of_effect, scope)
    return str(found.rows[0][0]) if found.rows else ""


def _explained(found: dict[str, Any], *, words: bool) -> tuple[Cell, ...]:
    effect, link, tool, call = found["effect"], found["link"], found["tool_call"], found["call"]
    process = found["process"] or {}
    is_claim = link is not None and link["confidence"] >= 0.5
    return (
        found["run_id"],
        effect["at_ns"],
        effect["kind"],
        _clip(effect["path"] or effect["address"] or " ".join(effect["argv"] or ()) or None),
        _clip(effect["old_path"] or (" ".join(effect["argv"]) if effect["argv"] else None)),
        effect["result"],
        _clip(process.get("comm") or process.get("exe")),
        effect["detail"].get("pid"),
        link["cause_kind"] if is_claim else "unexplained",
        None if link is None else link["confidence"],
        None if link is None else ", ".join(link["basis"]),
        None if tool is None else _clip(tool["name"]),
        _clip(json.dumps(tool["arguments"], ensure_ascii=False)) if tool is not None and words else None,
        None if call is None else _clip(call["response_model"] or call["request_model"]),
        _clip(found["user_words"]) if words else None,
        effect["id"],
    )


def _clip(text: str | None) -> str | None:
    return None if text is None else text[:_MAX_TEXT]


def _tool(
    name: str, about: Texts, says: Texts, arguments: type[Ranged], run: Callable[..., ToolAnswer], words: str
) -> Tool:
    return Tool(name=name, about=about, says=says, arguments=arguments, run=run, words=tuple(words.split()))


TOOLS: tuple[Tool, ...] = (
    _tool(
        "runs",
        texts(
            "Which runs were recorded: id, name, host, command, when, how long, exit code.",
            "有哪些运行记录：编号、名称、主机、命令、时间、耗时与退出码。",
        ),
        texts("List recorded runs", "列出运行记录"),
        Ranged,
        _runs,
        "recordings sessions history list duration exit code 运行 记录 录制 历史 次数 耗时 退出码",
    ),
    _tool(
        "run_summary",
        texts(
            "A run in one row: agents, models, calls, errors, tokens, cost, tool calls, effects, what is unexplained, missed.",
            "每次运行一行概要：智能体、模型、调用、错误、Token、费用、工具调用、影响、未解释与丢失。",
        ),
        texts("Sum up runs", "汇总运行情况"),
        Ranged,
        _run_summary,
        "overview what happened did do report 概览 总结 概况 做了什么 情况",
    ),
    _tool(
        "agents",
        texts(
            "Which agents there were, why they were recognised, and how many calls, tokens and tool calls each made.",
            "有哪些智能体、识别依据，以及各自的调用数、Token 与工具调用数。",
        ),
        texts("List agents", "列出智能体"),
        Ranged,
        _agents,
        "who agent assistants bots recognised pid 智能体 代理 谁 识别",
    ),
    _tool(
        "calls",
        texts(
            "Calls to models, each or summed up: model, tokens, cost, latency, errors.",
            "模型调用明细或汇总：模型、Token、费用、时延、错误。",
        ),
        texts("Query calls to models", "查询模型调用"),
        Calls,
        _calls,
        "llm requests tokens latency slow errors failed usage 模型 大模型 调用 请求 时延 延迟 慢 错误 失败 用量",
    ),
    _tool(
        "tool_calls",
        texts(
            "Tool calls that models asked for, each or counted by tool, agent or run, with errors and time taken.",
            "模型发起的工具调用明细，或按工具、智能体、运行统计，含错误与耗时。",
        ),
        texts("Query tool calls", "查询工具调用"),
        ToolCalls,
        _tool_calls,
        "functions shell bash tools used failed 工具 调用 函数 次数 失败",
    ),
    _tool(
        "effects",
        texts(
            "What was done to the machine, counted by kind, path, process, agent, run, cause or tool, or each: files, "
            "commands, network, signals, permissions; also only what nothing explains.",
            "对主机产生的影响明细，或按种类、路径、进程、智能体、运行、起因、工具统计；也可只看无法解释的。",
        ),
        texts("Query effects on the machine", "查询对主机的影响"),
        Effects,
        _effects,
        "actions commands executed files read written deleted processes unexplained 操作 动作 影响 命令 执行 读写 未解释",
    ),
    _tool(
        "why",
        texts(
            "Why something on a path, host or process happened: the user's words, the call and the tool call behind it.",
            "某个路径、主机或进程上的动作为何发生：对应的用户原话、模型调用与工具调用。",
        ),
        texts("Trace causes", "追溯起因"),
        Why,
        _why,
        "cause reason who asked explain origin because link evidence 为什么 原因 起因 谁 来源 依据",
    ),
    _tool(
        "files_changed",
        texts(
            "Which files were created, written, deleted, renamed or given other permissions, by which agent and tool.",
            "哪些文件被创建、写入、删除、改名或改权限，由哪个智能体、哪个工具完成。",
        ),
        texts("List changed files", "列出改动的文件"),
        Files,
        _files_changed,
        "modified edited created deleted renamed written diff 文件 修改 改动 新建 删除 写入 重命名",
    ),
    _tool(
        "network",
        texts(
            "Which hosts and addresses agents contacted, how often, and whether it failed.",
            "智能体连接过哪些主机与地址、次数以及是否失败。",
        ),
        texts("List contacted hosts", "列出网络连接"),
        Network,
        _network,
        "connections contacted servers addresses outbound internet egress 网络 连接 外联 地址 主机 访问 出站",
    ),
    _tool(
        "findings",
        texts(
            "Findings of detectors and policies, with severity and state.",
            "检测器与策略产生的发现：严重程度与处理状态。",
        ),
        texts("List findings", "列出发现"),
        Findings,
        _findings,
        "alerts alarms detections security issues 告警 发现 安全 检测 问题",
    ),
    _tool(
        "risk",
        texts(
            "What was risky: setuid bits, changed rights, credential reads, changes of system files or outside the work "
            "directory, signals, blocked acts, unexplained changes, contacts to other hosts.",
            "风险操作：setuid 位、提权、读取凭证、修改系统文件或工作目录外文件、信号、策略命中、无法解释的改动与外联。",
        ),
        texts("Look for risky acts", "检查风险操作"),
        Risks,
        _risk,
        "danger secrets credentials keys setuid privilege escalation permissions outside 风险 危险 密钥 凭证 提权 权限 越权",
    ),
    _tool(
        "cost",
        texts(
            "What calls to models cost and how many tokens they took, by model, agent, run, provider, day or hour.",
            "模型调用的费用与 Token，按模型、智能体、运行、提供方、天或小时汇总。",
        ),
        texts("Sum up cost", "汇总费用"),
        Cost,
        _cost,
        "price spend money dollars usd tokens budget expensive 费用 花费 成本 钱 价格 预算 贵",
    ),
    _tool(
        "losses",
        texts(
            "Whether the record of each run is complete, and what is known to be missed, by stage and cause.",
            "每次运行的记录是否完整，以及已知丢失的内容（按阶段与原因）。",
        ),
        texts("Check what was missed", "检查记录完整性"),
        Losses,
        _losses,
        "ledger complete missing dropped lost gaps 账本 完整 丢失 缺失 漏采 丢数据",
    ),
    _tool(
        "policy_hits",
        texts(
            "What governance policies met: prevented, stopped afterwards, only observed or missed; by rule or each.",
            "治理策略命中情况：已阻止、事后终止、仅观察或未能处置；按规则或逐条。",
        ),
        texts("Query policy hits", "查询策略命中"),
        Hits,
        _policy_hits,
        "blocked denied prevented enforcement rules 策略 拦截 阻断 阻止 拒绝 规则 命中",
    ),
    *OWN_TOOLS,
)
