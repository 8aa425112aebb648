"""What codes mean, in English and Chinese."""

import signal
from collections.abc import Mapping
from typing import NamedTuple, TypeAlias

from intact.model.effects import CauseKind, Kind


class Label(NamedTuple):
    en: str
    zh: str


Enumeration: TypeAlias = Mapping[int | str, Label]

_KINDS_ZH = {
    "exec": "执行程序",
    "fork": "创建进程",
    "exit": "进程退出",
    "file_open": "打开文件",
    "file_read": "读文件",
    "file_write": "写文件",
    "file_create": "创建文件",
    "file_delete": "删除文件",
    "file_rename": "文件改名",
    "file_link": "创建链接",
    "file_chmod": "修改权限",
    "file_chown": "修改属主",
    "file_truncate": "截断文件",
    "dir_create": "创建目录",
    "dir_delete": "删除目录",
    "connect": "发起连接",
    "accept": "接受连接",
    "bind": "绑定地址",
    "listen": "监听",
    "dns": "域名解析",
    "credential_change": "凭证变更",
    "lock_wait": "等待锁",
    "signal": "发送信号",
    "mount": "挂载",
    "module_load": "加载内核模块",
    "namespace": "命名空间",
    "memory_exec": "内存执行",
    "ptrace": "跟踪进程",
    "io_uring": "io_uring",
    "blocked": "被阻断",
    "send": "首个数据报",
    "close": "关闭连接",
}


def _sentence(text: str) -> str:
    return text.replace("_", " ").capitalize()


_KINDS: dict[int | str, Label] = {kind.label: Label(_sentence(kind.label), _KINDS_ZH[kind.label]) for kind in Kind}
_PERMISSION_CALLS = (
    *(
        "setuid",
        "setgid",
        "setreuid",
        "setregid",
        "setresuid",
        "setresgid",
        "setfsuid",
        "setfsgid",
        "setgroups",
        "capset",
    ),
    "exec",
)
# What a rule of a policy is about; also the type of such an event.
_TARGETS: dict[int | str, Label] = {
    "exec": _KINDS["exec"],
    "open": _KINDS["file_open"],
    "delete": _KINDS["file_delete"],
    "rename": _KINDS["file_rename"],
    "connect": _KINDS["connect"],
    "bind": _KINDS["bind"],
    "socket": Label("Socket", "创建套接字"),
    "credential": Label("Credentials", "凭证"),
    "cgroup": Label("Leaving the cgroup", "离开 cgroup"),
}
_EVENT_TYPES: dict[int | str, Label] = {
    **{
        kind.label.removeprefix("file_"): _KINDS[kind.label]
        for kind in Kind
        if kind.label.startswith(("file_", "dir_"))
    },
    **{f"permop{call}": Label(call, f"{call} 变更凭证") for call in _PERMISSION_CALLS},
    **{f"proclifecycle{kind}": _KINDS[kind] for kind in ("fork", "exec", "exit")},
    **{kind: _KINDS[kind] for kind in ("connect", "accept", "bind", "listen", "send", "close", "signal")},
    **_TARGETS,
}
ENUMERATIONS: Mapping[str, Enumeration] = {
    "biz_type": {0: Label("Default", "默认"), 1: Label("AI-Agent", "智能体")},
    "signal_source": {
        1: Label("Resource", "资源"),
        2: Label("IO", "IO"),
        3: Label("Kubernetes", "Kubernetes"),
        4: Label("Process lifecycle", "进程生命周期"),
        5: Label("Process block", "进程阻断"),
        6: Label("File operation", "文件操作"),
        7: Label("Permission operation", "权限操作"),
        8: Label("Network", "网络"),
        9: Label("Signal", "信号"),
    },
    "ip_type": {0: Label("IPv6", "IPv6"), 1: Label("IPv4", "IPv4")},
    "file_type": {
        0: Label("Unknown", "未知"),
        1: Label("Regular", "普通文件"),
        2: Label("Virtual", "虚拟文件"),
        3: Label("Network", "网络文件"),
    },
    "fd_kind": {
        0: Label("Other", "其他"),
        1: Label("Regular", "普通文件"),
        2: Label("Directory", "目录"),
        3: Label("Pipe", "管道"),
        4: Label("Socket", "套接字"),
        5: Label("Character device", "字符设备"),
        6: Label("Block device", "块设备"),
        7: Label("Anonymous", "匿名"),
    },
    "kind": _KINDS,
    "event_type": _EVENT_TYPES,
    "family": {
        1: Label("Unix", "Unix"),
        2: Label("IPv4", "IPv4"),
        10: Label("IPv6", "IPv6"),
        16: Label("Netlink", "Netlink"),
    },
    "protocol": {
        0: Label("None", "无"),
        1: Label("ICMP", "ICMP"),
        6: Label("TCP", "TCP"),
        17: Label("UDP", "UDP"),
        58: Label("ICMPv6", "ICMPv6"),
    },
    "sock_kind": {1: Label("Stream", "流"), 2: Label("Datagram", "数据报"), 3: Label("Raw", "原始")},
    "role": {"": Label("Unknown", "未知"), "client": Label("Client", "客户端"), "server": Label("Server", "服务端")},
    "target_type": _TARGETS,
    "action": {
        "audit": Label("Audit", "审计"),
        "deny": Label("Deny", "拒绝"),
        "kill": Label("Kill", "终止"),
    },
    "mechanism": {
        "cgroup": Label("Cgroup program", "cgroup 程序"),
        "fanotify": Label("Fanotify", "fanotify"),
        "exec_kill": Label("Kill at exec", "执行时终止"),
        "observe": Label("Observed in the record", "记录中观察"),
        "seccomp": Label("Seccomp", "seccomp"),
        "landlock": Label("Landlock", "Landlock"),
    },
    "guarantee": {
        "prevented": Label("Prevented", "已阻止"),
        "best_effort": Label("Best effort", "尽力而为"),
        "audit_only": Label("Audit only", "仅审计"),
    },
    "outcome": {
        "prevented": Label("Prevented", "已阻止"),
        "stopped_after": Label("Stopped after", "事后终止"),
        "observed": Label("Observed", "仅观察"),
        "missed": Label("Missed", "未能处置"),
    },
    "severity": {
        1: Label("Info", "提示"),
        2: Label("Low", "低"),
        3: Label("Medium", "中"),
        4: Label("High", "高"),
        5: Label("Critical", "严重"),
    },
    "signal": {int(number): Label(number.name, number.name) for number in signal.Signals},
    "source_state": {0: Label("Exception", "异常"), 1: Label("Normal", "正常")},
    "cause_kind": {
        kind.name.lower(): Label(_sentence(kind.name.lower()), zh)
        for kind, zh in zip(CauseKind, ("工具调用", "模型调用", "MCP 调用", "日常事务"), strict=True)
    },
}
