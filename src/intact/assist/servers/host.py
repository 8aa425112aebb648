"""Tools over hosts: this one as it is now, and what was measured of it and of others."""

from collections.abc import Callable
from typing import Any, Literal

from pydantic import Field

from intact.assist.answers import MAX_ROWS, ToolAnswer
from intact.assist.asking import Asker
from intact.assist.servers import host_tables as tables
from intact.assist.servers.host_diagnose import Diagnose, diagnosed
from intact.assist.servers.host_live import (
    Host,
    Hosted,
    Reading,
    Table,
    hosts_of,
    looked,
    sampled,
)
from intact.assist.servers.host_stored import History, Usual, history, last_measured, usual
from intact.assist.tool import Arguments, Parts, Texts, Tool, ToolRefused, texts
from intact.model.host import LogClass, Part, Within

_LOOK_S = 0.3  # between two looks where a rate is wanted
_LIMIT = Field(50, ge=1, le=MAX_ROWS, description="At most so many rows.")


class Space(Hosted):
    path: str = Field("", max_length=1_000, description="Only the file system that holds this path; empty: all.")


class CoreMetrics(Hosted):
    metrics: list[Host] = Field(
        [],
        max_length=40,
        description="Beginnings of names: cpu, memory, load, disk, network, swap, fds, space; none: all.",
    )


class Processes(Hosted):
    order: Literal["cpu", "memory", "fds", "threads", "children", "zombies", "io", "age", "pid"] = Field(
        "cpu", description="What comes first; `age`: the oldest."
    )
    name: str = Field("", max_length=200, description="Only processes whose name or command line holds this.")
    pid: int = Field(0, ge=0, le=(1 << 22), description="Only this process; 0: all.")
    state: Literal["", "R", "S", "D", "T", "Z"] = Field("", description="Only in this state; Z: zombies.")
    limit: int = _LIMIT


class ErrorLogs(Hosted):
    kinds: list[LogClass] = Field([], max_length=20, description="Only these kinds of trouble; none: all.")
    recent: bool = Field(False, description="Only those of the last ten minutes.")
    limit: int = _LIMIT


class Network(Hosted):
    what: Literal["listening", "connections", "interfaces"] = Field(
        "listening", description="Ports that are listened on, connections by process and state, or interfaces."
    )
    port: int = Field(0, ge=0, le=65_535, description="Only this port that is listened on; 0: all.")
    limit: int = _LIMIT


class Services(Hosted):
    failed: bool = Field(False, description="Only those that failed.")
    name: str = Field("", max_length=200, description="Only those whose name holds this.")
    limit: int = _LIMIT


class OpenFiles(Hosted):
    what: Literal["written", "deleted"] = Field(
        "written", description="Files open for writing, fastest growing first, or files without a name any more."
    )
    pid: int = Field(0, ge=0, le=(1 << 22), description="Only of this process; 0: of all.")
    path: str = Field("", max_length=1_000, description="Only below this path.")
    limit: int = _LIMIT


class Probe(Hosted):
    address: str = Field("127.0.0.1", max_length=64, description="An address of this machine: 127.… or ::1.")
    port: int = Field(ge=1, le=65_535, description="The port to try.")


def _space(parts: Parts, asker: Asker, given: Space) -> ToolAnswer:
    return looked(
        parts, asker, given, tool="system_space", look=sampled(Part.SPACE), show=lambda r: tables.space(r, given.path)
    )


def _core_metrics(parts: Parts, asker: Asker, given: CoreMetrics) -> ToolAnswer:
    is_here, others = hosts_of(parts, asker, given.hosts)
    if not others:
        look = sampled(Part.CORE, Part.PROCESSES, window_s=_LOOK_S, steps=1)
        return looked(
            parts, asker, given, tool="core_metrics", look=look, show=lambda r: tables.core(r, tuple(given.metrics))
        )
    if is_here:
        raise ToolRefused(
            "ask for this host and for others apart: the one is looked at now, of the others is told the last"
        )
    return last_measured(parts, asker, given, hosts=others, metrics=tuple(given.metrics))


def _processes(parts: Parts, asker: Asker, given: Processes) -> ToolAnswer:
    look = sampled(Part.PROCESSES, window_s=_LOOK_S, steps=1)
    choice = tables.Choice(order=given.order, name=given.name, pid=given.pid, state=given.state, limit=given.limit)
    return looked(parts, asker, given, tool="processes", look=look, show=lambda r: tables.processes(r, choice))


def _error_logs(parts: Parts, asker: Asker, given: ErrorLogs) -> ToolAnswer:
    def show(reading: Reading) -> Table:
        return tables.errors(reading, frozenset(given.kinds), is_recent=given.recent, limit=given.limit)

    return looked(parts, asker, given, tool="error_logs", look=sampled(Part.LOGS), show=show)


def _network(parts: Parts, asker: Asker, given: Network) -> ToolAnswer:
    def show(reading: Reading) -> Table:
        if given.what == "listening":
            return tables.listening(reading, given.port, given.limit)
        if given.what == "connections":
            return tables.connections(reading, given.limit)
        return tables.interfaces(reading, given.limit)

    return looked(parts, asker, given, tool="network", look=sampled(Part.NETWORK), show=show)


def _services(parts: Parts, asker: Asker, given: Services) -> ToolAnswer:
    def show(reading: Reading) -> Table:
        return tables.services(reading, given.name, is_failed=given.failed, limit=given.limit)

    return looked(parts, asker, given, tool="services", look=sampled(Part.SERVICES), show=show)


def _open_files(parts: Parts, asker: Asker, given: OpenFiles) -> ToolAnswer:
    look = sampled(Part.FILES, Part.PROCESSES, window_s=_LOOK_S, steps=1)

    def show(reading: Reading) -> Table:
        return tables.open_files(
            reading, given.path, pid=given.pid, is_deleted=given.what == "deleted", limit=given.limit
        )

    return looked(parts, asker, given, tool="open_files", look=look, show=show)


def _connect_probe(parts: Parts, asker: Asker, given: Probe) -> ToolAnswer:
    def look(host: Any) -> Reading:
        try:
            outcome, number = host.connect(given.address, given.port)
        except ValueError as error:
            raise ToolRefused("only addresses of this machine are tried: 127.0.0.1 or ::1") from error
        nothing = host.within(Within(paths=("/nowhere",))).sample(())
        more = {"address": given.address, "port": given.port, "outcome": outcome, "errno": number}
        return Reading(sampling=nothing, more=more)

    return looked(parts, asker, given, tool="connect_probe", look=look, show=tables.probe)


def _tool(
    name: str, about: Texts, says: Texts, takes: tuple[type[Arguments], Callable[..., ToolAnswer]], words: str
) -> Tool:
    return Tool(name=name, about=about, says=says, arguments=takes[0], run=takes[1], words=tuple(words.split()))


TOOLS: tuple[Tool, ...] = (
    _tool(
        "diagnose",
        texts(
            "What is wrong with this host, by rules over several looks: causes, symptoms, what is unusual, what is unread.",
            "诊断本机哪里有问题：按规则多次采样，给出根因、症状、异常指标以及看不到的部分。",
        ),
        texts("Diagnose the host", "诊断主机"),
        (Diagnose, diagnosed),
        "wrong slow problem fault cause root trouble health check 诊断 故障 根因 排查 异常 卡 慢 健康 问题",
    ),
    _tool(
        "system_space",
        texts(
            "File systems: size, used, free, inodes, read-only.",
            "各文件系统的容量、已用、可用、inode 使用与是否只读。",
        ),
        texts("Query disk space", "查询系统空间"),
        (Space, _space),
        "disk df full free mount partition inode storage 磁盘 空间 容量 分区 挂载 占用 剩余",
    ),
    _tool(
        "core_metrics",
        texts(
            "CPU, memory, load, swap, pressure, disk and network rates, descriptors, counts of processes, uptime: now.",
            "CPU、内存、负载、交换、压力、磁盘与网络速率、句柄、进程数、运行时长等当前核心指标。",
        ),
        texts("Query core metrics of the host", "查询主机核心指标"),
        (CoreMetrics, _core_metrics),
        "cpu memory load uptime swap usage ram cores utilisation 处理器 内存 负载 使用率 核数 运行时间 句柄 指标",
    ),
    _tool(
        "metric_history",
        texts(
            "Core metrics of hosts over time: mean, least, most by step.",
            "主机核心指标的历史曲线：按时间段给出均值、最小与最大。",
        ),
        texts("Query the history of host metrics", "查询主机指标历史"),
        (History, history),
        "trend history hour yesterday graph chart over time peak 历史 趋势 曲线 过去 昨天 峰值 小时",
    ),
    _tool(
        "baseline",
        texts(
            "What is usual for each metric, how far it is from it now, and since when its level changed.",
            "各指标的常态基线、当前偏离程度以及水平变化的时间点。",
        ),
        texts("Compare with the baseline", "对比指标基线"),
        (Usual, usual),
        "unusual anomaly change baseline deviation since when 基线 异常 突变 变化 偏离",
    ),
    _tool(
        "processes",
        texts(
            "Processes by CPU, memory, descriptors, threads, children, traffic or age, with state and command line.",
            "进程列表：按 CPU、内存、句柄、线程、子进程、读写量或时长排序，含状态与命令行。",
        ),
        texts("Query processes of the host", "查询主机进程数据"),
        (Processes, _processes),
        "top ps process pid zombie threads biggest 进程 僵尸 线程 占用最高 最多",
    ),
    _tool(
        "error_logs",
        texts(
            "What the logs (journal, kernel, syslog files) tell: kinds of errors, counts, the last line of each.",
            "日志（journal、内核、syslog 文件）中的错误：按类别统计次数与最后一行。",
        ),
        texts("Query error logs of the host", "查询主机错误日志"),
        (ErrorLogs, _error_logs),
        "errors logs journal dmesg syslog oom segfault 错误 日志 报错 内核 异常",
    ),
    _tool(
        "network",
        texts(
            "Ports that are listened on with their processes and queues, connections by state, interfaces.",
            "监听端口及其进程与队列、按状态统计的连接、网卡。",
        ),
        texts("Query the network of the host", "查询主机网络"),
        (Network, _network),
        "ports listening connections sockets tcp interface nic 端口 监听 连接 网卡 套接字 网络",
    ),
    _tool(
        "services",
        texts("Services of the service manager and their states.", "服务管理器中的服务及其状态。"),
        texts("Query services of the host", "查询主机服务"),
        (Services, _services),
        "systemd units daemon failed running 服务 守护进程 失败",
    ),
    _tool(
        "open_files",
        texts(
            "Files that grow, and files without a name that still take space, with the process that holds them.",
            "正在增长的文件，以及已删除但仍占空间的文件，含占用进程。",
        ),
        texts("Query open files of the host", "查询主机打开的文件"),
        (OpenFiles, _open_files),
        "lsof deleted growing descriptor written 打开 文件 删除 增长 句柄",
    ),
    _tool(
        "connect_probe",
        texts(
            "Try whether a port of this machine takes connections; nothing is sent.",
            "探测本机某端口是否可连接，不发送任何数据。",
        ),
        texts("Probe a port", "探测端口"),
        (Probe, _connect_probe),
        "port open refused reachable connect 端口 通不通 连通 拒绝",
    ),
)
