"""What is answered directly, without a tool: in the asker's language, natural, and saying what can be asked."""

from intact.assist.asking import Language

EN, ZH = Language.EN, Language.ZH

NAMES: dict[str, dict[Language, str]] = {
    "invalid": {EN: "Not a question for here", ZH: "无效输入"},
    "knowledge": {EN: "Knowledge question", ZH: "知识查询"},
    "task": {EN: "Task", ZH: "一般任务"},
    "greeting": {EN: "Greeting", ZH: "问候"},
    "identity": {EN: "About the assistant", ZH: "身份询问"},
    "followup": {EN: "Follow-up", ZH: "上下文追问"},
    "suspicious": {EN: "Suspicious input", ZH: "可疑输入"},
}

_CAN: dict[Language, str] = {
    EN: "You can ask about hosts (CPU, memory, disk, network, processes, error logs), about what agents did, why, and at "
    "what cost, and about how Intact works.",
    ZH: "可以问我主机的情况（CPU、内存、磁盘、网络、进程、错误日志），智能体做过什么、为什么做、花了多少，以及 Intact 怎么用。",
}
_EXAMPLES: dict[Language, str] = {
    EN: "For example: “which processes use the most memory on web-1”, “why did agent 42 delete config.yaml”.",
    ZH: "比如：“web-1 上哪些进程最占内存”“42 号智能体为什么删了 config.yaml”。",
}
_SAID: dict[str, dict[Language, str]] = {
    "greeting": {EN: "Hello! What shall I look at?", ZH: "你好！想看点什么？"},
    "suspicious": {
        EN: "I will not do that: it asks me to change my rules, to reach what is not yours, or to run or destroy "
        "something. Nothing was run. I only look, and only at what you may see.",
        ZH: "这个请求我不能处理：它要求改变我的规则、获取不属于你的数据，或者执行、破坏什么。"
        "没有执行任何操作。我只做查看，而且只看你有权限看的内容。",
    },
    "invalid": {
        EN: "That is not something I can look into.",
        ZH: "这个问题我帮不上忙。",
    },
    "empty": {EN: "I could not read a question in that.", ZH: "没看懂你想问什么。"},
    "followup": {
        EN: "I do not know yet what this refers to. Please ask the whole question once, for example: “memory of web-1 "
        "in the last hour”.",
        ZH: "还不知道你指的是哪一个。请把问题说完整，例如：“web-1 最近一小时的内存”。",
    },
}


def direct(intent: str, language: Language, *, is_empty: bool = False, model: str | None = None) -> str | None:
    """The whole answer to what needs no tool; None: it needs work."""
    said = _SAID.get(intent, {}).get(language)
    if intent == "greeting":
        return f"{said} {_CAN[language]}" if language is EN else f"{said}{_CAN[language]}"
    if intent == "identity":
        return _who(language, model)
    if intent == "invalid":
        said = _SAID["empty"][language] if is_empty else said
        return (" " if language is EN else "").join((said or "", _CAN[language], _EXAMPLES[language]))
    return said if intent == "suspicious" else None


def unresolved(language: Language) -> str:
    """What is answered to a follow-up that follows nothing."""
    return _SAID["followup"][language]


def _who(language: Language, model: str | None) -> str:
    if language is ZH:
        told = f"当前使用的模型是 {model}。" if model else "目前没有接入大模型，回答由规则和数据直接得出。"
        return (
            f"我是 Intact 的可观测助手，负责看主机、看智能体的行为。{told}{_CAN[language]}"
            "我只能查看，不能改动任何东西；回答里的每个数字都附有查询依据，可以重新核对。"
        )
    told = (
        f"The model in use is {model}."
        if model
        else "No language model is connected; answers come from rules and data."
    )
    return (
        f"I am the observability assistant of Intact: I watch hosts and what AI agents do on them. {told} {_CAN[language]} "
        "I can only look, never change anything; every number in an answer comes with the query that gave it."
    )
