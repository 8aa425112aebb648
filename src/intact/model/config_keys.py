"""Every key of the config with its names in English and Chinese, what it may be, and whether a running sensor takes it over."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from pydantic import BaseModel

from intact.model.config import Config

_AFTER_RESTART = ("scope.", "spool.", "serve.", "assist.")
_AGENT = "inputs.proc.ai_agent."
_ENFORCEMENT = f"{_AGENT}enforcement."
_RULE = f"{_ENFORCEMENT}rules[]."
_MATCHER = "inputs.proc.process_matcher[]."
_TYPES = {"object": "mapping"}


class Label(NamedTuple):
    en: str
    zh: str
    description_en: str
    description_zh: str


# A key is added by its field in the config and one line here. Where DeepFlow has the key, these are the names its users know.
LABELS: Mapping[str, Label] = {
    f"{_AGENT}http_endpoints": Label(
        *("HTTP Endpoints", "HTTP 端点"),
        *("Beginnings of URL paths; who asks for one is an agent", "URL 路径前缀; 请求匹配的进程视为智能体"),
    ),
    f"{_AGENT}known_endpoints": Label(
        *("Known Endpoints", "已知端点"),
        *("Also the model APIs that Intact knows", "同时匹配 Intact 内置的模型 API"),
    ),
    f"{_AGENT}max_payload_size": Label(
        *("Max Payload Size", "最大载荷大小"),
        *(
            "Bytes of a message that are kept; 0 and all above 64 MiB mean 64 MiB",
            "每条消息保留的字节数; 0 或超过 64 MiB 按 64 MiB",
        ),
    ),
    f"{_AGENT}file_io_enabled": Label(
        *("File IO Enabled", "文件 IO 事件"),
        *("Sums of reads and writes are kept", "是否记录读写汇总"),
    ),
    f"{_AGENT}idle_hours": Label(
        *("Idle Hours", "闲置小时数"),
        *("An agent silent for so long is one no longer", "超过该时长无调用的智能体失效"),
    ),
    f"{_ENFORCEMENT}enabled": Label(
        *("Enforcement Enabled", "开启执行治理"), *("Policies are in effect in the sensor", "策略在采集器中生效")
    ),
    f"{_ENFORCEMENT}mode": Label(
        *("Mode", "模式"),
        *("audit_only: hits are only observed; block: as the rules ask", "audit_only 仅审计; block 按规则动作执行"),
    ),
    f"{_ENFORCEMENT}strategy": Label(
        *("Exec Strategy", "Exec 阻断策略"),
        *("Without effect: the mechanism is what passes its self-test", "不生效: 由自检结果选择机制"),
    ),
    f"{_ENFORCEMENT}syscall_strategy": Label(
        *("Syscall Strategy", "Syscall 阻断策略"),
        *("Without effect: the mechanism is what passes its self-test", "不生效: 由自检结果选择机制"),
    ),
    f"{_ENFORCEMENT}allowed_mechanisms": Label(
        *("Allowed Mechanisms", "允许的阻断机制"),
        *("Without effect: the mechanism is what passes its self-test", "不生效: 由自检结果选择机制"),
    ),
    f"{_ENFORCEMENT}default_fallback": Label(
        *("Default Fallback", "默认降级动作"),
        *("Without effect", "不生效"),
    ),
    f"{_ENFORCEMENT}max_rules": Label(
        *("Max Rules", "最大规则数"),
        *("More rules, those of all policies together, are not taken", "所有策略的规则总数超过时不接受新规则"),
    ),
    f"{_ENFORCEMENT}rules": Label(*("Rules", "规则"), *("Rules over the agents", "针对智能体的规则")),
    f"{_RULE}id": Label(*("Rule ID", "规则 ID"), *("Told with each hit", "随每次命中上报")),
    f"{_RULE}description": Label(*("Description", "描述"), *("For people", "仅供阅读")),
    f"{_RULE}scope": Label(*("Scope", "作用范围"), *("Agents and what they start", "智能体及其派生的进程")),
    f"{_RULE}target_type": Label(
        *("Target Type", "目标类型"),
        *(
            "exec; syscall is refused, nothing holds it for a process that runs",
            "exec; syscall 会被拒绝, 无法约束运行中的进程",
        ),
    ),
    f"{_RULE}action.type": Label(*("Action", "动作"), *("deny, or audit: only told", "deny 阻断, audit 仅审计")),
    f"{_RULE}action.errno": Label(*("Errno", "错误码"), *("Without effect: it is EPERM", "不生效: 总是 EPERM")),
    f"{_RULE}audit": Label(*("Audit", "审计"), *("Without effect: a hit is always told", "不生效: 命中总会上报")),
    f"{_RULE}exec.exact": Label(*("Exact Paths", "完整路径"), *("Paths of programs", "程序的完整路径")),
    f"{_RULE}exec.suffix": Label(*("Path Suffixes", "路径后缀"), *("Ends of paths of programs", "程序路径的结尾")),
    f"{_RULE}exec.prefix": Label(
        *("Path Prefixes", "路径前缀"), *("Beginnings of paths of programs", "程序路径的开头")
    ),
    f"{_RULE}exec.argv_matches": Label(
        *("Argument Matches", "参数匹配"), *("Any one of these arguments", "任一参数匹配")
    ),
    f"{_RULE}exec.argv_matches[].index": Label(
        *("Argument Index", "参数序号"), *("Place in the command line, the program is 0", "命令行中的位置, 程序为 0")
    ),
    f"{_RULE}exec.argv_matches[].op": Label(
        *("Argument Comparison", "参数比较方式"), *("How it is compared", "比较方式")
    ),
    f"{_RULE}exec.argv_matches[].value": Label(
        *("Argument Value", "参数值"), *("What it is compared with", "比较的值")
    ),
    f"{_RULE}exec.cmdline_prefixes": Label(
        *("Command Line Prefixes", "命令行前缀"),
        *("Beginnings of the arguments joined by spaces", "以空格连接的命令行的开头"),
    ),
    f"{_RULE}syscall.names": Label(
        *("System Call Names", "系统调用名"),
        *("Refused in the config: nothing holds it for a process that runs", "配置中会被拒绝: 无法约束运行中的进程"),
    ),
    f"{_RULE}syscall.symbols": Label(
        *("System Call Symbols", "系统调用符号"),
        *("Refused in the config: nothing holds it for a process that runs", "配置中会被拒绝: 无法约束运行中的进程"),
    ),
    "inputs.proc.process_matcher": Label(
        *("Process Matchers", "进程匹配器"), *("Processes named by a pattern", "按模式指定的进程")
    ),
    f"{_MATCHER}match_regex": Label(
        *("Match Regex", "匹配正则"), *("A regular expression, required", "正则表达式, 必填")
    ),
    f"{_MATCHER}match_type": Label(
        *("Match Type", "匹配类型"), *("What of a process it is compared with", "与进程的哪一项比较")
    ),
    f"{_MATCHER}enabled_features": Label(
        *("Enabled Features", "开启的特性"),
        *(
            "With proc.ai_agent the process is an agent; others change nothing",
            "含 proc.ai_agent 时视为智能体; 其他不生效",
        ),
    ),
    "scope.cgroup": Label(
        *("Scope Cgroup", "作用 cgroup"),
        *("Absolute path in the cgroup v2 tree; empty: the host", "cgroup v2 目录的绝对路径; 为空则为整个主机"),
    ),
    "spool.segment_seconds": Label(
        *("Segment Seconds", "分段秒数"), *("A segment of the spool ends after so long", "每个落盘分段的时长")
    ),
    "spool.raw_reads": Label(
        *("Raw Reads", "原始读写"), *("Reads and writes are also stored as they came", "读写同时按原样写入 file_event")
    ),
    "outputs.webhook.url": Label(
        *("Webhook URL", "Webhook 地址"),
        *("Hits are posted there as JSON; empty: nowhere", "命中以 JSON 推送到此; 为空则不推送"),
    ),
    "outputs.webhook.timeout_seconds": Label(
        *("Webhook Timeout", "Webhook 超时"), *("Seconds to wait for an answer", "等待应答的秒数")
    ),
    "outputs.webhook.retries": Label(
        *("Webhook Retries", "Webhook 重试次数"), *("How often it is asked again", "失败后的重试次数")
    ),
    "outputs.syslog.address": Label(
        *("Syslog Address", "Syslog 地址"),
        *("Path of a socket or udp://HOST:PORT; empty: nowhere", "套接字路径或 udp://HOST:PORT; 为空则不发送"),
    ),
    "outputs.queue": Label(
        *("Output Queue", "输出队列"), *("Hits that wait; what is beyond is counted", "等待发送的命中数; 超出的计数")
    ),
    "log_level": Label(*("Log Level", "日志级别"), *("What the sensor tells", "采集器输出的日志级别")),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Key:
    """A key; `[]` in its path stands for each entry of a list, `{}` for each name of a mapping."""

    path: str
    type: str
    allowed: str
    default: Any
    is_required: bool
    is_reloaded: bool
    label: Label


def config_keys() -> tuple[Key, ...]:
    """All keys that a sensor reads, in the order of the file."""
    return section_keys(Config, LABELS)


def section_keys(model: type[BaseModel], labels: Mapping[str, Label], before: str = "") -> tuple[Key, ...]:
    """All keys of a model whose paths begin with `before`, such as `serve.`; each has its label."""
    schema = model.model_json_schema()
    return tuple(_keys(schema, schema, before, labels))


def _keys(
    root: Mapping[str, Any], section: Mapping[str, Any], before: str, labels: Mapping[str, Label]
) -> Iterator[Key]:
    required = section.get("required", ())
    for name, found in section["properties"].items():
        field, path = _resolved(root, found), before + name
        if "properties" in field:
            yield from _keys(root, field, f"{path}.", labels)
            continue
        item, named = _resolved(root, field.get("items", {})), field.get("additionalProperties") or {}
        yield Key(
            path=path,
            type=f"list of {item.get('type')}"
            if field.get("type") == "array"
            else _TYPES.get(field["type"], field["type"]),
            allowed=_allowed(field, item),
            default=None if name in required else field.get("default"),
            is_required=name in required,
            is_reloaded=not path.startswith(_AFTER_RESTART),
            label=labels[path],
        )
        for each, sign in ((item, "[]"), (_resolved(root, named), "{}")):
            if "properties" in each:
                yield from _keys(root, each, f"{path}{sign}.", labels)


def _resolved(root: Mapping[str, Any], field: Mapping[str, Any]) -> Mapping[str, Any]:
    """The field as it is where it is given: by reference, and without the null of one that may be left out."""
    for each in field.get("anyOf", ()):
        if each.get("type") != "null":
            return _resolved(root, {**field, "anyOf": (), **each})
    reference = field.get("$ref")
    return field if reference is None else {**root["$defs"][reference.rpartition("/")[2]], **field}


def _allowed(field: Mapping[str, Any], item: Mapping[str, Any]) -> str:
    if field.get("type") == "boolean":
        return "true, false"
    for each in (field, item):
        if "const" in each:
            return str(each["const"])
        if "enum" in each:
            return ", ".join(str(value) for value in each["enum"])
    low, high = field.get("ge", field.get("minimum")), field.get("le", field.get("maximum"))
    if low is not None:
        return f"{low} to {high}"
    if "exclusiveMinimum" in field:
        return f"more than {field['exclusiveMinimum']}, at most {high}"
    if "maxLength" in field:
        return f"{field.get('minLength', 0)} to {field['maxLength']} characters"
    if "maxItems" in field:
        return f"at most {field['maxItems']} entries"
    return ""
