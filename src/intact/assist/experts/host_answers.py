"""Plain questions about a host: for each topic which tool is asked, and the sentences that cite its cells."""

import re
from collections.abc import Awaitable, Callable
from typing import TypeAlias

from intact.assist.answers import Evidence
from intact.assist.asking import Language
from intact.assist.events import Chart
from intact.assist.expert import Case, Statement, Value
from intact.assist.experts.host_topics import Asked

Said: TypeAlias = tuple[list[Statement], list[Chart]]
Answerer: TypeAlias = Callable[[Case, Asked], Awaitable[Said]]
MOST_LISTED = 8
_ROOT = re.compile(r"根分区|根目录|系统盘|root (?:partition|file ?system|disk)|(?<![\w/.])/(?![\w/])", re.IGNORECASE)
_FORMS = {"bytes": "bytes", "bytes/s": "bytes", "%": "percent", "ns": "duration", "count": "plain"}
# Metric of the history by topic.
_METRICS = {
    "cpu": ("cpu.busy",),
    "load": ("load.1m",),
    "memory": ("memory.used_percent",),
    "swap": ("swap.used",),
    "traffic": ("network.received", "network.sent"),
    "disk_io": ("disk.read", "disk.write"),
    "space": ("space.used_percent",),
    "inodes": ("space.inodes_percent",),
    "process_count": ("processes.count",),
    "thread_count": ("threads.count",),
    "fds": ("fds.used",),
    "pressure": ("pressure.cpu.some", "pressure.memory.some", "pressure.io.some"),
}


def is_zh(case: Case) -> bool:
    return case.question.language is Language.ZH


def said(case: Case, en: str, zh: str, **values: Value) -> Statement:
    """A sentence in the asker's language; the values that it does not name are left out."""
    text = zh if is_zh(case) else en
    return Statement(text=text, values={name: value for name, value in values.items() if f"{{{name}}}" in text})


def cell(evidence: Evidence, row: int, column: str, *, form: str = "plain", digits: int = 1) -> Value:
    return Value(evidence_id=evidence.id, row=row, column=column, form=form, digits=digits)


def text(evidence: Evidence, row: int, column: str) -> Value:
    return Value(evidence_id=evidence.id, row=row, column=column, form="text")


def metric_rows(evidence: Evidence, name: str) -> list[int]:
    """The rows of one metric."""
    return [row for row in range(len(evidence.answer.rows)) if evidence.answer.cell(row, "metric") == name]


def metric(evidence: Evidence, name: str, *, digits: int = 1) -> Value | None:
    """The value of a metric without a device, in the form of its unit."""
    rows = metric_rows(evidence, name)
    if not rows:
        return None
    unit = str(evidence.answer.cell(rows[0], "unit"))
    is_whole = unit == "count" and not name.startswith("load")
    return cell(evidence, rows[0], "value", form=_FORMS.get(unit, "plain"), digits=0 if is_whole else digits)


def _none(case: Case, evidence: Evidence, en: str, zh: str) -> Statement:
    """That there is nothing, with the count that says so."""
    return said(case, f"{en}: {{count}}", f"{zh}：{{count}} 个", count=Value(evidence_id=evidence.id, how="count"))


async def answer(case: Case, asked: Asked, topic: str) -> Said:
    """What there is to say of one topic."""
    if asked.range is not None and topic in _METRICS and not asked.of_processes:
        return await _over_time(case, asked, topic)
    if asked.of_processes and topic in ("memory", "cpu", "fds", "thread_count", "disk_io", "processes"):
        return await _top(case, asked, topic)
    return await _ANSWERERS[topic](case, asked)


def _hosts(asked: Asked) -> list[str]:
    return list(asked.hosts)


async def _core(case: Case, asked: Asked, *names: str) -> Evidence:
    return await case.call("host.core_metrics", hosts=_hosts(asked), metrics=list(names), at_ns=case.question.asked_ns)


def _metrics_answer(
    names: tuple[str, ...], en: str, zh: str, *, digits: int = 1, takes: tuple[str, ...] | None = None
) -> Answerer:
    """An answer of one sentence; `{0}`, `{1}` … are the metrics in their order."""

    async def of(case: Case, asked: Asked) -> Said:
        evidence = await _core(case, asked, *(takes or names))
        values = {
            f"m{place}": value for place, name in enumerate(names) if (value := metric(evidence, name, digits=digits))
        }
        if len(values) < len(names):
            return [said(case, "this machine does not tell that", "本机不提供该指标")], []
        return [said(case, en, zh, **values)], []

    return of


async def _space(case: Case, asked: Asked) -> Said:
    path = next((path for path in asked.named.paths if path.startswith("/")), "")
    if not path and _names_root(case.question.text):
        path = "/"
    evidence = await case.call("host.system_space", hosts=_hosts(asked), path=path, at_ns=case.question.asked_ns)
    rows = range(len(evidence.answer.rows))
    found = [
        said(
            case,
            "{path}: {used} of {size} used ({percent}), {free} free",
            "{path}：已用 {used} / 共 {size}（{percent}），剩余 {free}",
            path=text(evidence, row, "path"),
            used=cell(evidence, row, "used_bytes", form="bytes"),
            size=cell(evidence, row, "size_bytes", form="bytes"),
            percent=cell(evidence, row, "used_percent", form="percent"),
            free=cell(evidence, row, "free_bytes", form="bytes"),
        )
        for row in list(rows)[:MOST_LISTED]
    ]
    return found or [said(case, "there is no file system to be seen", "没有可查看的文件系统")], []


async def _inodes(case: Case, asked: Asked) -> Said:
    path = next((path for path in asked.named.paths if path.startswith("/")), "")
    evidence = await case.call("host.system_space", hosts=_hosts(asked), path=path, at_ns=case.question.asked_ns)
    found = [
        said(
            case,
            "{path}: {used} of {all} inodes used ({percent})",
            "{path}：inode 已用 {used} / 共 {all}（{percent}）",
            path=text(evidence, row, "path"),
            used=cell(evidence, row, "inodes_used"),
            all=cell(evidence, row, "inodes"),
            percent=cell(evidence, row, "inodes_percent", form="percent"),
        )
        for row in range(len(evidence.answer.rows))
        if evidence.answer.cell(row, "inodes")
    ]
    return found[:MOST_LISTED], []


def _names_root(question: str) -> bool:
    return _ROOT.search(question) is not None


_ORDERS = {
    "memory": "memory",
    "cpu": "cpu",
    "fds": "fds",
    "thread_count": "threads",
    "disk_io": "io",
    "processes": "cpu",
}


async def _top(case: Case, asked: Asked, topic: str) -> Said:
    limit = min(asked.limit or (1 if _is_single(case.question.text) else 5), 20)
    order = _ORDERS[topic]
    evidence = await case.call(
        "host.processes", hosts=_hosts(asked), order=order, limit=limit, at_ns=case.question.asked_ns
    )
    return [_process_line(case, evidence, row, order) for row in range(len(evidence.answer.rows))], []


def _is_single(question: str) -> bool:
    return any(
        word in question.lower() for word in ("哪个", "which process", "what process", "谁", "the most", "最大的进程")
    )


def _process_line(case: Case, evidence: Evidence, row: int, order: str) -> Statement:
    known = {
        "name": text(evidence, row, "name"),
        "pid": cell(evidence, row, "pid", form="text"),
        "rss": cell(evidence, row, "rss_bytes", form="bytes"),
        "memory": cell(evidence, row, "memory_percent", form="percent"),
        "cpu": cell(evidence, row, "cpu_percent", form="percent"),
        "fds": cell(evidence, row, "fds"),
        "threads": cell(evidence, row, "threads"),
        "reads": cell(evidence, row, "read_bytes_per_s", form="bytes"),
        "writes": cell(evidence, row, "write_bytes_per_s", form="bytes"),
    }
    en, zh = {
        "memory": ("{name} (pid {pid}): {rss} of memory ({memory})", "{name}（pid {pid}）：内存 {rss}（{memory}）"),
        "fds": ("{name} (pid {pid}): {fds} open files", "{name}（pid {pid}）：打开 {fds} 个文件描述符"),
        "threads": ("{name} (pid {pid}): {threads} threads", "{name}（pid {pid}）：{threads} 个线程"),
        "io": (
            "{name} (pid {pid}): reads {reads} and writes {writes} a second",
            "{name}（pid {pid}）：每秒读 {reads}、写 {writes}",
        ),
    }.get(order, ("{name} (pid {pid}): {cpu} CPU, {rss} of memory", "{name}（pid {pid}）：CPU {cpu}，内存 {rss}"))
    return said(case, en, zh, **known)


async def _processes(case: Case, asked: Asked) -> Said:
    pid = asked.named.pids[0] if asked.named.pids else 0
    name = asked.named.quoted[0] if asked.named.quoted and not pid else ""
    evidence = await case.call(
        "host.processes", hosts=_hosts(asked), pid=pid, name=name, limit=5, at_ns=case.question.asked_ns
    )
    if not evidence.answer.rows:
        return [_none(case, evidence, "there is no such process", "没有这样的进程")], []
    return [_process_line(case, evidence, row, "cpu") for row in range(len(evidence.answer.rows))], []


async def _zombies(case: Case, asked: Asked) -> Said:
    evidence = await _core(case, asked, "processes.zombies")
    count = metric(evidence, "processes.zombies")
    if count is None:
        return [said(case, "this machine does not tell that", "本机不提供该指标")], []
    found = [said(case, "there are {count} zombies", "当前有 {count} 个僵尸进程", count=count)]
    if evidence.answer.cell(count.row, "value"):
        parents = await case.call(
            "host.processes", hosts=_hosts(asked), order="zombies", limit=5, at_ns=case.question.asked_ns
        )
        found += [
            said(
                case,
                "{name} (pid {pid}) does not wait for {zombies} of its children",
                "父进程 {name}（pid {pid}）未回收 {zombies} 个子进程",
                name=text(parents, row, "name"),
                pid=cell(parents, row, "pid", form="text"),
                zombies=cell(parents, row, "zombies"),
            )
            for row in range(len(parents.answer.rows))
            if parents.answer.cell(row, "zombies")
        ]
    return found, []


async def _ports(case: Case, asked: Asked) -> Said:
    evidence = await case.call(
        "host.network", hosts=_hosts(asked), what="listening", port=asked.port, at_ns=case.question.asked_ns
    )
    count = len(evidence.answer.rows)
    if asked.port and not count:
        return [_none(case, evidence, "nobody listens on that port", "没有进程监听该端口")], []
    found = [
        said(
            case,
            "{count} ports are listened on",
            "共有 {count} 个监听端口",
            count=Value(evidence_id=evidence.id, how="count"),
        )
    ]
    for row in range(min(count, 20)):
        has_owner = evidence.answer.cell(row, "pid") is not None
        found.append(
            said(
                case,
                "{protocol} {address} port {port}" + (": {name} (pid {pid})" if has_owner else ""),
                "{protocol} {address} 端口 {port}" + ("：{name}（pid {pid}）" if has_owner else ""),
                protocol=cell(evidence, row, "protocol"),
                address=cell(evidence, row, "address"),
                port=cell(evidence, row, "port", form="text"),
                name=text(evidence, row, "name"),
                pid=cell(evidence, row, "pid", form="text"),
            )
        )
    return found, []


async def _connections(case: Case, asked: Asked) -> Said:
    evidence = await case.call("host.network", hosts=_hosts(asked), what="connections", at_ns=case.question.asked_ns)
    if not evidence.answer.rows:
        return [_none(case, evidence, "there are no connections", "当前没有连接")], []
    total = Value(evidence_id=evidence.id, how="sum", column="count", digits=0)
    found = [said(case, "there are {total} connections", "当前共有 {total} 个连接", total=total)]
    for row in range(min(len(evidence.answer.rows), MOST_LISTED)):
        has_owner = evidence.answer.cell(row, "pid") is not None
        found.append(
            said(
                case,
                "{state}: {count}" + (" of {name} (pid {pid})" if has_owner else ""),
                "{state}：{count} 个" + ("，属于 {name}（pid {pid}）" if has_owner else ""),
                state=cell(evidence, row, "state"),
                count=cell(evidence, row, "count"),
                name=text(evidence, row, "name"),
                pid=cell(evidence, row, "pid", form="text"),
            )
        )
    return found, []


async def _interfaces(case: Case, asked: Asked) -> Said:
    evidence = await case.call("host.network", hosts=_hosts(asked), what="interfaces", at_ns=case.question.asked_ns)
    return [
        said(
            case,
            "{name}: up: {up}, received {received}, sent {sent}, {errors} errors, {dropped} dropped",
            "网卡 {name}：启用：{up}，累计接收 {received}，发送 {sent}，错误 {errors}，丢弃 {dropped}",
            name=text(evidence, row, "interface"),
            up=cell(evidence, row, "is_up"),
            received=cell(evidence, row, "received_bytes", form="bytes"),
            sent=cell(evidence, row, "sent_bytes", form="bytes"),
            errors=cell(evidence, row, "errors"),
            dropped=cell(evidence, row, "dropped"),
        )
        for row in range(min(len(evidence.answer.rows), MOST_LISTED))
    ], []


def _by_device(names: tuple[str, ...], en: str, zh: str) -> Answerer:
    """A sentence for each device; `{0}`, `{1}` … are the metrics."""

    async def of(case: Case, asked: Asked) -> Said:
        evidence = await _core(case, asked, *names)
        devices = {str(evidence.answer.cell(row, "device")): row for row in metric_rows(evidence, names[0])}
        found = []
        for device, first in list(devices.items())[:MOST_LISTED]:
            values: dict[str, Value] = {"device": text(evidence, first, "device")}
            for place, name in enumerate(names):
                for row in metric_rows(evidence, name):
                    if evidence.answer.cell(row, "device") == device:
                        form = _FORMS.get(str(evidence.answer.cell(row, "unit")), "plain")
                        values[f"m{place}"] = cell(evidence, row, "value", form=form)
            if len(values) == len(names) + 1:
                found.append(said(case, en, zh, **values))
        return found or [said(case, "this machine does not tell that", "本机不提供该指标")], []

    return of


async def _error_logs(case: Case, asked: Asked) -> Said:
    evidence = await case.call("host.error_logs", hosts=_hosts(asked), limit=20, at_ns=case.question.asked_ns)
    if not evidence.answer.rows:
        return [_none(case, evidence, "the logs that may be read tell of no errors", "可读取的日志中没有错误")], []
    return [
        said(
            case,
            "{source}: {count} lines of the kind {kind}, {recent} of them recent; the last: {line}",
            "{source}：{kind} 类 {count} 行，其中近期 {recent} 行；最后一行：{line}",
            source=text(evidence, row, "source"),
            kind=cell(evidence, row, "kind"),
            count=cell(evidence, row, "count"),
            recent=cell(evidence, row, "recent"),
            line=text(evidence, row, "last_line"),
        )
        for row in range(min(len(evidence.answer.rows), MOST_LISTED))
    ], []


async def _services(case: Case, asked: Asked) -> Said:
    is_failed = any(word in case.question.text.lower() for word in ("失败", "fail", "异常"))
    evidence = await case.call(
        "host.services", hosts=_hosts(asked), failed=is_failed, limit=500, at_ns=case.question.asked_ns
    )
    if any("service manager" in note for note in evidence.answer.notes):
        return [
            said(
                case,
                "cannot tell: there is no service manager that can be asked",
                "无法判断：本机没有可查询的服务管理器",
            )
        ], []
    count = Value(evidence_id=evidence.id, how="count")
    found = [
        said(case, "{count} services have failed", "有 {count} 个服务失败", count=count)
        if is_failed
        else said(case, "there are {count} services", "共有 {count} 个服务", count=count)
    ]
    for row in range(min(len(evidence.answer.rows), MOST_LISTED)):
        name, active = text(evidence, row, "service"), text(evidence, row, "active")
        found.append(said(case, "{name}: {active}", "{name}：{active}", name=name, active=active))
    return found, []


def _files(what: str) -> Answerer:
    async def of(case: Case, asked: Asked) -> Said:
        evidence = await case.call("host.open_files", hosts=_hosts(asked), what=what, at_ns=case.question.asked_ns)
        if not evidence.answer.rows:
            return [_none(case, evidence, "there are none that may be seen", "没有可见的此类文件")], []
        return [
            said(
                case,
                "{path}: {bytes}, held by {name} (pid {pid})",
                "{path}：{bytes}，由 {name}（pid {pid}）打开",
                path=text(evidence, row, "path"),
                bytes=cell(evidence, row, "bytes", form="bytes"),
                name=text(evidence, row, "name"),
                pid=cell(evidence, row, "pid", form="text"),
            )
            for row in range(min(len(evidence.answer.rows), MOST_LISTED))
        ], []

    return of


async def _baseline(case: Case, asked: Asked) -> Said:
    given = {} if asked.range is None else {"from_ns": asked.range.from_ns, "to_ns": asked.range.to_ns}
    evidence = await case.call("host.baseline", hosts=_hosts(asked), at_ns=case.question.asked_ns, **given)
    odd = [row for row in range(len(evidence.answer.rows)) if evidence.answer.cell(row, "is_unusual")]
    if not evidence.answer.rows:
        return [said(case, "cannot tell: there are no measurements", "无法判断：没有历史指标")], []
    count = Value(evidence_id=evidence.id, how="count")
    found = [said(case, "{count} metrics were compared with their usual", "已将 {count} 项指标与常态对比", count=count)]
    for row in odd[:MOST_LISTED]:
        found.append(
            said(
                case,
                "{metric} {device} is {last}, usually {middle}",
                "{metric} {device} 当前 {last}，平时 {middle}",
                metric=cell(evidence, row, "metric"),
                device=text(evidence, row, "device"),
                last=cell(evidence, row, "last", digits=2),
                middle=cell(evidence, row, "middle", digits=2),
            )
        )
    if not odd:
        found.append(said(case, "none is far from it", "均未明显偏离"))
    return found, []


async def _hostname(case: Case, asked: Asked) -> Said:
    evidence = await _core(case, asked, "cpu.count")
    return [said(case, "this host is {name}", "本机主机名为 {name}", name=text(evidence, 0, "host"))], []


async def _over_time(case: Case, asked: Asked, topic: str) -> Said:
    assert asked.range is not None
    given = {
        "hosts": _hosts(asked),
        "metrics": list(_METRICS[topic]),
        "from_ns": asked.range.from_ns,
        "to_ns": asked.range.to_ns,
        "at_ns": case.question.asked_ns,
    }
    total = await case.call("host.metric_history", **given, is_total=True)
    if not total.answer.rows:
        return [said(case, "cannot tell: there are no measurements of that time", "无法判断：该时段没有指标数据")], []
    found = []
    for row in range(min(len(total.answer.rows), MOST_LISTED)):
        unit = str(total.answer.cell(row, "unit"))
        form = _FORMS.get(unit, "plain")
        per = "/s" if unit == "bytes/s" else ""
        values = {
            name: cell(total, row, column, form=form, digits=2)
            for name, column in (("mean", "mean"), ("least", "least"), ("most", "most"))
        }
        device = " {device}" if total.answer.cell(row, "device") else ""
        found.append(
            said(
                case,
                f"{{metric}}{device}: peak {{most}}{per}, mean {{mean}}{per}, least {{least}}{per}",
                f"{{metric}}{device}：峰值 {{most}}{per}，均值 {{mean}}{per}，最低 {{least}}{per}",
                metric=cell(total, row, "metric"),
                device=text(total, row, "device"),
                **values,
            )
        )
    points = await case.call("host.metric_history", **given)
    chart = Chart(
        title=", ".join(_METRICS[topic]),
        kind="line",
        evidence_id=points.id,
        x="at_ns",
        y=("mean", "most"),
        unit=str(total.answer.cell(0, "unit")),
    )
    return found, [chart]


_memory = _metrics_answer(
    ("memory.used", "memory.total", "memory.used_percent", "memory.available"),
    "memory: {m0} of {m1} used ({m2}), {m3} available",
    "内存：已用 {m0} / 共 {m1}（{m2}），可用 {m3}",
    takes=("memory",),
)
_cpu = _metrics_answer(
    ("cpu.busy", "cpu.user", "cpu.system", "cpu.iowait"),
    "CPU: {m0} busy (user {m1}, system {m2}, waiting for disks {m3})",
    "CPU 使用率 {m0}（用户态 {m1}，内核态 {m2}，IO 等待 {m3}）",
    takes=("cpu",),
)
_load = _metrics_answer(
    ("load.1m", "load.5m", "load.15m"),
    "load: {m0} (1 min), {m1} (5 min), {m2} (15 min)",
    "负载：1 分钟 {m0}，5 分钟 {m1}，15 分钟 {m2}",
    digits=2,
    takes=("load",),
)


async def _overview(case: Case, asked: Asked) -> Said:
    found: list[Statement] = []
    for part in (_cpu, _load, _memory, _space):
        found += (await part(case, asked))[0]
    return found, []


_ANSWERERS: dict[str, Answerer] = {
    "baseline": _baseline,
    "deleted_files": _files("deleted"),
    "growing_files": _files("written"),
    "error_logs": _error_logs,
    "services": _services,
    "interfaces": _interfaces,
    "traffic": _by_device(
        ("network.received", "network.sent"),
        "{device}: receives {m0}/s, sends {m1}/s",
        "{device}：接收 {m0}/s，发送 {m1}/s",
    ),
    "connections": _connections,
    "ports": _ports,
    "inodes": _inodes,
    "zombies": _zombies,
    "process_count": _metrics_answer(
        ("processes.count",), "there are {m0} processes", "当前共有 {m0} 个进程"
    ),
    "thread_count": _metrics_answer(("threads.count",), "there are {m0} threads", "当前共有 {m0} 个线程"),
    "fds": _metrics_answer(
        ("fds.used", "fds.max"), "{m0} file descriptors are in use of {m1}", "已使用文件描述符 {m0} 个，上限 {m1}"
    ),
    "disk_io": _by_device(
        ("disk.read", "disk.write", "disk.busy"),
        "{device}: reads {m0}/s, writes {m1}/s, busy {m2}",
        "磁盘 {device}：读 {m0}/s，写 {m1}/s，繁忙 {m2}",
    ),
    "space": _space,
    "swap": _metrics_answer(
        ("swap.used", "swap.total"), "swap: {m0} of {m1} used", "交换分区：已用 {m0} / 共 {m1}"
    ),
    "pressure": _metrics_answer(
        ("pressure.cpu.some", "pressure.memory.some", "pressure.io.some"),
        "somebody waited for CPU {m0}, for memory {m1}, for disks {m2} of the last ten seconds",
        "近 10 秒压力：CPU {m0}，内存 {m1}，IO {m2}",
        takes=("pressure",),
    ),
    "uptime": _metrics_answer(("uptime",), "this machine has been up for {m0}", "本机已运行 {m0}"),
    "cpu_count": _metrics_answer(("cpu.count",), "this machine has {m0} CPUs", "本机共有 {m0} 个 CPU 核"),
    "load": _load,
    "memory": _memory,
    "cpu": _cpu,
    "processes": _processes,
    "hostname": _hostname,
    "overview": _overview,
}  # fmt: skip
