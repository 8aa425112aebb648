"""The sentences of ours that stand around answers, in both languages."""

from intact.assist.asking import Language

_EN: dict[str, str] = {
    "bound_tool_calls": "the bound of {limit} tool calls was met; the answer uses what was found by then",
    "bound_model_calls": "the bound of {limit} model calls was met; the answer uses what was found by then",
    "bound_tokens": "the bound of {limit} tokens was met; the answer uses what was found by then",
    "bound_seconds": "the bound of {limit} seconds was met; the answer uses what was found by then",
    "no_such_tool": "there is no such tool",
    "tool_failed": "the tool failed; the log of serve says more",
    "tool_timeout": "the tool did not answer in time",
    "no_such_expert": "there is no expert of that name; there are: {experts}",
    "expert_failed": "the expert {expert} could not finish: {reason}",
    "tools_failed": "the tools cannot be reached: {reason}",
    "gate_failed": "the intent could not be judged; it is taken as a task",
    "model_failed": "the model cannot be asked ({reason}); the answer is made without it",
    "intent": "Understand the question",
    "route": "Ask the expert: {expert}",
    "plan": "Look with: {expert}",
    "verify": "Check every number against its evidence",
    "model": "Ask the model",
    "model_round": "Look further: round {round}",
    "search_tools": "Search for tools: {words}",
    "cannot": "I cannot answer this without a model. What I can do:",
    "cannot_model": "I could not answer this. What I can do:",
    "cut_short": "I could not finish. What was found by then:",
    "found_rows": "{says}: {{rows}} rows",
    "no_evidence": "I could not find out: {reason}",
    "unknown": "unknown",
    "yes": "yes",
    "no": "no",
    "unproven": "(unproven)",
    "wrong": "(unproven)",
}
_ZH: dict[str, str] = {
    "bound_tool_calls": "已达到工具调用上限（{limit} 次），以下根据已有证据回答",
    "bound_model_calls": "已达到模型调用上限（{limit} 次），以下根据已有证据回答",
    "bound_tokens": "已达到词元上限（{limit}），以下根据已有证据回答",
    "bound_seconds": "已达到时间上限（{limit} 秒），以下根据已有证据回答",
    "no_such_tool": "没有这个工具",
    "tool_failed": "工具执行失败，详见 serve 日志",
    "tool_timeout": "工具未在规定时间内返回",
    "no_such_expert": "没有这个专家，可选：{experts}",
    "expert_failed": "专家 {expert} 未能完成：{reason}",
    "tools_failed": "无法连接工具：{reason}",
    "gate_failed": "意图判断失败，按任务处理",
    "model_failed": "模型不可用（{reason}），以下为不使用模型的回答",
    "intent": "理解问题",
    "route": "直达专家：{expert}",
    "plan": "由专家排查：{expert}",
    "verify": "逐项核对数字与证据",
    "model": "请求模型分析",
    "model_round": "继续排查：第 {round} 轮",
    "search_tools": "查找工具：{words}",
    "cannot": "未配置模型，这个问题我无法回答。我可以：",
    "cannot_model": "这个问题我没能回答。我可以：",
    "cut_short": "未能查完，目前查到：",
    "found_rows": "{says}：{{rows}} 行",
    "no_evidence": "没有查到：{reason}",
    "unknown": "未知",
    "yes": "是",
    "no": "否",
    "unproven": "（未证实）",
    "wrong": "（不成立）",
}
_BY_LANGUAGE = {Language.EN: _EN, Language.ZH: _ZH}


def phrase(name: str, language: Language, **values: object) -> str:
    """One of our sentences, with its values."""
    return _BY_LANGUAGE[language][name].format(**values) if values else _BY_LANGUAGE[language][name]
