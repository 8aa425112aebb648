"""The sentences of the governance expert, en and zh: `{name}` stands for a value of evidence."""

from intact.assist.asking import Language

# key: English, Chinese
_SENTENCES: dict[str, tuple[str, str]] = {
    "no_runs": (
        "No run is recorded in that time ({n} found), so there is nothing to answer from.",
        "该时间范围内没有运行记录（找到 {n} 条），无法回答。",
    ),
    "no_such_run": ("There is no such run among the {n} that can be seen.", "在可查看的 {n} 条运行记录中没有这一条。"),
    "no_calls": ("No calls to models are recorded there ({n} found).", "没有记录到模型调用（找到 {n} 条）。"),
    "no_target": (
        "Nothing that was recorded touches it ({n} effects found), so why cannot be told.",
        "记录中没有与它相关的动作（找到 {n} 条），无法说明原因。",
    ),
    "gap": (
        "Note: the record of run {name} is incomplete: "
        "{lost} ‹lost:thing is|things are› known to be missed; the answer may lack them.",
        "注意：运行 {name} 的记录不完整，已知丢失 {lost} 条，以上结论可能有遗漏。",
    ),
    "gap_clipped": (
        "Note: the record of run {name} is incomplete: "
        "{lost} ‹lost:thing is|things are› known to be missed, {clipped} ‹clipped:call was|calls were› clipped; "
        "the answer may lack them.",
        "注意：运行 {name} 的记录不完整，已知丢失 {lost} 条、截断的调用 {clipped} 次，以上结论可能有遗漏。",
    ),
    "more": ("Only the first are listed.", "仅列出前面的部分。"),
    # runs
    "runs": ("{n} ‹run is|runs are› recorded:", "共有 {n} 条运行记录："),
    "runs_row": ("- {name}, started {started}, took {took}", "- {name}，开始于 {started}，用时 {took}"),
    "runs_row_open": ("- {name}, started {started}, not ended", "- {name}，开始于 {started}，尚未结束"),
    "duration": ("Run {name} took {took}.", "运行 {name} 用时 {took}。"),
    "duration_open": ("Run {name} began {started} and has not ended.", "运行 {name} 开始于 {started}，尚未结束。"),
    "exit_code": ("Run {name} ended with exit code {code}.", "运行 {name} 的退出码是 {code}。"),
    "agents": ("{n} ‹agent was|agents were› recognised:", "识别出 {n} 个智能体："),
    "agents_row": (
        "- {agent} (pid {pid}): {calls} model ‹calls:call|calls›, {tools} tool ‹tools:call|calls›, {tokens} tokens, {cost}",
        "- {agent}（进程 {pid}）：模型调用 {calls} 次，工具调用 {tools} 次，{tokens} Token，费用 {cost}",
    ),
    # cost and calls
    "cost": (
        "It cost {cost}: {calls} ‹calls:call|calls› to models with {tokens} tokens.",
        "总费用 {cost}，共 {calls} 次模型调用、{tokens} Token。",
    ),
    "cost_top": ("{of} cost the most: {cost}.", "花费最高的是 {of}，共 {cost}。"),
    "cost_row": (
        "- {of}: {cost} ({calls} ‹calls:call|calls›, {tokens} tokens)",
        "- {of}：{cost}（{calls} 次调用，{tokens} Token）",
    ),
    "unpriced": (
        "{n} ‹call has|calls have› no known price and ‹is|are› not in it.",
        "另有 {n} 次调用没有公开价格，未计入。",
    ),
    "tokens": (
        "{tokens} tokens in total: {input} input (of them {cached} cached) and {output} output, in {calls} ‹calls:call|calls›.",
        "共消耗 {tokens} Token：输入 {input}（其中缓存 {cached}），输出 {output}，共 {calls} 次调用。",
    ),
    "tokens_top": ("{of} took the most tokens: {tokens}.", "Token 用量最多的是 {of}，共 {tokens}。"),
    "calls": (
        "{calls} ‹calls:call to a model was|calls to models were› made, {failed} of them failed.",
        "共有 {calls} 次模型调用，其中失败 {failed} 次。",
    ),
    "call_errors": ("{n} ‹call to a model|calls to models› failed:", "有 {n} 次模型调用失败："),
    "call_errors_row": ("- {of}: {n} ‹time|times›", "- {of}：{n} 次"),
    "no_call_errors": ("None of the {calls} calls to models failed.", "{calls} 次模型调用均未失败。"),
    "incomplete": ("{n} ‹call|calls› broke off before the end.", "有 {n} 次调用中途断开。"),
    "models": ("{n} ‹model was|models were› used:", "用过 {n} 个模型："),
    "models_row": ("- {of}: {calls} ‹calls:call|calls›, {tokens} tokens", "- {of}：{calls} 次调用，{tokens} Token"),
    "latency": (
        "A call took {mean} on average and {max} at most, over {calls} ‹calls:call|calls›.",
        "平均每次调用耗时 {mean}，最长 {max}，共 {calls} 次调用。",
    ),
    "latency_row": ("- {of}: {mean} on average, {max} at most", "- {of}：平均 {mean}，最长 {max}"),
    "slowest": (
        "The slowest call took {took}: {model}, at {at}.",
        "最慢的一次调用耗时 {took}，模型 {model}，时间 {at}。",
    ),
    "slowest_row": ("- {took}: {model}, at {at}", "- {took}：{model}，时间 {at}"),
    # tool calls
    "tools": (
        "{n} tool ‹call was|calls were› made, most of {of}: {top}.",
        "共有 {n} 次工具调用，最多的是 {of}，{top} 次。",
    ),
    "tools_top": ("{of} was used most often: {top} ‹top:time|times›.", "调用最多的工具是 {of}，共 {top} 次。"),
    "tools_row": ("- {of}: {n} ‹time|times›, {failed} failed", "- {of}：{n} 次，失败 {failed} 次"),
    "tool_named": (
        "{of} was called {n} ‹time|times›, {failed} of them failed.",
        "{of} 被调用 {n} 次，失败 {failed} 次。",
    ),
    "no_tools": ("No tool calls are recorded there ({n} found).", "没有记录到工具调用（{n} 次）。"),
    "tool_errors": ("{n} tool ‹call|calls› failed:", "有 {n} 次工具调用失败："),
    "tool_errors_row": ("- {of}: {n} ‹time|times›", "- {of}：{n} 次"),
    "no_tool_errors": ("No tool call is recorded as failed ({n}).", "没有记录到失败的工具调用（{n} 次）。"),
    # effects
    "delete": ("{n} ‹file was|files were› deleted:", "删除了 {n} 个文件："),
    "create": ("{n} ‹file was|files were› created:", "新建了 {n} 个文件："),
    "write": ("{n} ‹file was|files were› written:", "写入了 {n} 个文件："),
    "read": ("{n} ‹file was|files were› read:", "读取了 {n} 个文件："),
    "files": ("{n} ‹file or directory was|files and directories were› changed:", "改动了 {n} 个文件或目录："),
    "path_row": ("- {of}", "- {of}"),
    "path_bytes_row": ("- {of} ({bytes})", "- {of}（{bytes}）"),
    "no_such_agent": (
        "No agent called {name} was recognised in these runs; this is of all agents:",
        "这些运行里没有识别出名为 {name} 的智能体，以下是全部智能体的情况：",
    ),
    "dearest": ("The calls that cost most:", "最贵的模型调用："),
    "dearest_row": ("- {cost}: {model}, at {at}", "- {cost}：{model}，时间 {at}"),
    "program_like": ("it was run under these names:", "执行过，程序名如下："),
    "agent_most": ("{of} did so to the most files: {n}.", "最多的是 {of}，涉及 {n} 个文件。"),
    "agent_most_row": ("- {of}: {n} ‹file|files›", "- {of}：{n} 个文件"),
    "failed_commands": ("these processes ended with an exit code of failure:", "下列进程以失败的退出码结束："),
    "failed_commands_row": (
        "- {object} (pid {pid} of {agent}): exit code {code}",
        "- {object}（进程 {pid}，{agent}）：退出码 {code}",
    ),
    "no_failed_commands": (
        "None of the {n} processes that ended did so with an exit code of failure.",
        "已结束的 {n} 个进程都没有返回失败的退出码。",
    ),
    "yes": ("Yes: ", "是的，"),
    "no_read": ("No: no read of it was seen ({n} found).", "没有，记录里没有读取它的动作（{n} 次）。"),
    "no_write": ("No: no write to it was seen ({n} found).", "没有，记录里没有写入它的动作（{n} 次）。"),
    "no_delete": ("No: it was not seen to be deleted ({n} found).", "没有，记录里没有删除它的动作（{n} 次）。"),
    "no_create": ("No: it was not seen to be created ({n} found).", "没有，记录里没有新建它的动作（{n} 次）。"),
    "no_files": ("No: no change of it was seen ({n} found).", "没有，记录里没有改动它的动作（{n} 次）。"),
    "no_rename": ("No rename was seen ({n} found).", "没有改名的记录（{n} 次）。"),
    "no_permissions": ("No change of permissions was seen ({n} found).", "没有改权限的记录（{n} 次）。"),
    "no_program": ("No: it was not seen to be run ({n} found).", "没有，记录里没有执行过它（{n} 次）。"),
    "program": ("it was run {n} ‹time|times›:", "执行过 {n} 次："),
    "no_network": ("No connection is recorded ({n} found).", "没有网络连接的记录（{n} 条）。"),
    "no_outside": (
        "No connection to another machine is recorded ({n} found).",
        "没有连接其他机器的记录（{n} 条）。",
    ),
    "otherwise": (
        "- but there is of it: {kind}, {n} ‹time|times›, {failed} in vain",
        "- 不过有其他动作：{kind} {n} 次，其中未成功 {failed} 次",
    ),
    "looked": (
        "Looked at: {n} recorded runs, the newest {name}, started {started}.",
        "查看范围：{n} 次运行，最近一次是 {name}（开始于 {started}）。",
    ),
    "looked_at": ("Looked at: run {name}, started {started}.", "查看范围：运行 {name}（开始于 {started}）。"),
    "cause": (
        "- {object}: {kind}, because the model called the tool {tool} with {arguments}",
        "- {object}：{kind}，起因是模型调用工具 {tool}，参数 {arguments}",
    ),
    "cause_plain": ("- {object}: {kind}, caused by: {cause}", "- {object}：{kind}，起因：{cause}"),
    "cause_unknown": ("- {object}: no words that were seen explain it", "- {object}：没有找到能解释它的指令"),
    "cause_words": ("  It goes back to the user's words: {words}", "  用户的原话：{words}"),
    "compare_row": ("- {name}: took {took}", "- {name}：用时 {took}"),
    "compare_calls": (
        "  - {calls} model ‹calls:call|calls›, {tokens} tokens, {cost}",
        "  - 模型调用 {calls} 次，{tokens} Token，费用 {cost}",
    ),
    "compare_files": ("  - {n} ‹file|files› changed", "  - 改动 {n} 个文件"),
    "runs_counted": ("{n} runs are recorded.", "共有 {n} 次运行。"),
    "rename": ("{n} ‹file was|files were› renamed:", "有 {n} 个文件被改名："),
    "rename_row": ("- {old} became {new} ({tool})", "- {old} 改名为 {new}（工具 {tool}）"),
    "permissions": ("permissions were changed {n} ‹time|times›:", "权限被改动 {n} 次："),
    "permissions_row": ("- {path}: {mode}, pid {pid} of {agent}", "- {path}：{mode}，进程 {pid}，智能体 {agent}"),
    "none_of_it": ("Nothing of the kind is recorded ({n} found).", "没有记录到这类操作（{n} 条）。"),
    "bytes": (
        "{bytes} in {n} ‹operation|operations› on {objects} ‹objects:file|files›.",
        "共 {bytes}，{n} 次操作，涉及 {objects} 个文件。",
    ),
    "commands": ("{n} ‹command was|commands were› executed:", "共执行了 {n} 条命令："),
    "commands_row": ("- {of}: {n} ‹time|times›", "- {of}：{n} 次"),
    "processes": ("{n} ‹process ran a program|processes ran programs›:", "有 {n} 个进程执行过程序："),
    "network": ("{n} ‹address was|addresses were› contacted:", "连接过 {n} 个地址："),
    "network_row": (
        "- {address} port {port}: {n} ‹time|times›, by {agents}",
        "- {address} 端口 {port}：{n} 次，智能体 {agents}",
    ),
    "signals": ("{n} ‹signal was|signals were› sent to other processes:", "向其他进程发送了 {n} 次信号："),
    "signals_row": (
        "- {detail} to {object}, by pid {pid} of {agent}",
        "- {detail} 发给 {object}，来自进程 {pid}（{agent}）",
    ),
    # why
    "why": (
        "{object}: {kind}, at {at}, by {process} (pid {pid}). The model {model} had called the tool {tool} with {arguments}.",
        "{object}：{at} 由 {process}（进程 {pid}）{kind}；起因是模型 {model} 调用了工具 {tool}，参数 {arguments}。",
    ),
    "why_plain": (
        "{object}: {kind}, at {at}, by {process} (pid {pid}). Cause: {cause}.",
        "{object}：{at} 由 {process}（进程 {pid}）{kind}；起因：{cause}。",
    ),
    "why_tool": (
        "{object}: {kind}, at {at}, by {process} (pid {pid}). Cause: {cause} of {tool}.",
        "{object}：{at} 由 {process}（进程 {pid}）{kind}；起因：{cause}（{tool}）。",
    ),
    "why_words": ("The user had asked: {words}", "用户的原话：{words}"),
    "why_basis": ("This rests on {basis}, with a confidence of {confidence}.", "依据：{basis}，置信度 {confidence}。"),
    "why_unexplained": (
        "{object}: {kind}, at {at}, by {process} (pid {pid}). No words that were seen explain it.",
        "{object}：{at} 由 {process}（进程 {pid}）{kind}，没有找到能解释它的指令。",
    ),
    # judgement
    "unexplained": ("{n} ‹effect has|effects have› no cause that was seen:", "有 {n} 个动作找不到起因："),
    "unexplained_row": (
        "- {kind} {object}, by pid {pid} of {agent}, at {at}",
        "- {kind} {object}，进程 {pid}（{agent}），时间 {at}",
    ),
    "no_unexplained": ("Every effect has a cause ({n} without).", "所有动作都能找到起因（无法解释的 {n} 个）。"),
    "losses": (
        "The record of run {name} is incomplete: "
        "{lost} ‹lost:thing is|things are› known to be missed, {clipped} ‹clipped:call was|calls were› clipped.",
        "运行 {name} 的记录不完整：已知丢失 {lost} 条，截断的调用 {clipped} 次。",
    ),
    "losses_row": ("- {stage}, {cause}: {lost}", "- {stage}，{cause}：{lost} 条"),
    "no_losses": (
        "The record of {n} ‹run|runs› is complete: {lost} lost of {seen} events seen.",
        "{n} 次运行的记录完整：共收到 {seen} 条事件，丢失 {lost} 条。",
    ),
    "running": (
        "Run {name} has not ended in order: its end may be missing.",
        "运行 {name} 没有正常结束，末尾可能缺失。",
    ),
    "policy": ("policies met {n} ‹act|acts›:", "策略命中了 {n} 次操作："),
    "policy_row": ("- {object}: {detail}, pid {pid} of {agent}", "- {object}：{detail}，进程 {pid}（{agent}）"),
    "no_policy": ("No policy met anything ({n} hits).", "没有触发任何策略（{n} 次）。"),
    "findings": ("{n} ‹finding|findings›:", "共有 {n} 条发现："),
    "findings_row": ("- severity {severity}: {title} ({state})", "- 严重程度 {severity}：{title}（{state}）"),
    "no_findings": ("There are no findings ({n}).", "没有告警或发现（{n} 条）。"),
    "credentials": ("{n} ‹file|files› with credentials ‹was|were› touched:", "有 {n} 个凭证文件被读取或尝试读取："),
    "credentials_row": (
        "- {object}, by pid {pid} of {agent}, {times} ‹times:time|times›, {failed} in vain",
        "- {object}，进程 {pid}（{agent}），{times} 次，其中未成功 {failed} 次",
    ),
    "no_credentials": ("No file with credentials was touched ({n}).", "没有读取凭证文件的记录（{n} 处）。"),
    "privileges": ("rights were raised {n} ‹time|times›:", "有 {n} 处提权或 setuid 操作："),
    "privileges_row": ("- {object}: {detail}, pid {pid} of {agent}", "- {object}：{detail}，进程 {pid}（{agent}）"),
    "no_privileges": ("No rights were raised ({n}).", "没有提权操作（{n} 处）。"),
    "risk": ("{n} risky ‹act was|acts were› found, the most severe first:", "发现 {n} 处风险操作，按严重程度排列："),
    "risk_row": (
        "- {title}: {object} (severity {severity}, pid {pid} of {agent})",
        "- {title}：{object}（严重程度 {severity}，进程 {pid}，{agent}）",
    ),
    "no_risk": ("Nothing risky was found ({n}).", "没有发现风险操作（{n} 处）。"),
    # summary
    "summary_runs": (
        "{n} ‹run was|runs were› looked at, the newest is {name}.",
        "共查看 {n} 次运行，最近一次是 {name}。",
    ),
    "summary_run": ("Run {name} of {agents}, started {started}.", "运行 {name}，智能体 {agents}，开始于 {started}。"),
    "summary_tools": ("{n} tool ‹call|calls›, most of {of}.", "工具调用 {n} 次，最多的是 {of}。"),
    "summary_kind": ("- {of}: {n}", "- {of}：{n}"),
}


def sentence(key: str, language: Language) -> str:
    """A sentence in a language."""
    en, zh = _SENTENCES[key]
    return zh if language is Language.ZH else en


KEYS = tuple(_SENTENCES)
# what was done, as an English sentence says it; the Chinese labels of the catalogue do
KINDS = {
    "exec": "program run", "fork": "process started", "exit": "process ended", "file_open": "file opened",
    "file_read": "file read", "file_write": "file written", "file_create": "file created", "file_delete": "file deleted",
    "file_rename": "file renamed", "file_link": "link made", "file_chmod": "permissions changed", "file_chown": "owner changed",
    "file_truncate": "file shortened", "dir_create": "directory created", "dir_delete": "directory deleted",
    "connect": "connection made", "accept": "connection accepted", "bind": "address taken", "listen": "port listened on",
    "send": "data sent", "close": "connection closed", "credential_change": "rights changed", "signal": "signal sent",
    "blocked": "met by a policy",
}  # fmt: skip
# on what a cause rests
BASES_ZH = {
    "ancestry": "进程父子关系", "bracket": "发生在工具调用期间", "argument": "与调用参数吻合", "result": "与调用结果吻合",
    "time": "时间相邻", "cgroup": "同一控制组", "descriptor": "同一文件描述符",
}  # fmt: skip
