"""What was read of the machine as tables: pure functions, so that a reading that was kept gives the same rows."""

from collections.abc import Callable
from dataclasses import dataclass

from intact.assist.answers import Cell
from intact.assist.diagnosis.view import Trend, view_of
from intact.assist.servers.host_live import Reading, Table
from intact.model.host import LogClass, Measure, ProcessState

ALL = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """Which processes, in which order."""

    order: str
    name: str = ""
    pid: int = 0
    state: str = ""
    limit: int = 50


def space(reading: Reading, path: str) -> Table:
    mounts = reading.sampling.mounts
    if path:
        holding = [each for each in mounts if path == each.path or path.startswith(f"{each.path.rstrip('/')}/")]
        mounts = tuple(sorted(holding, key=lambda each: len(each.path))[-1:])
    return Table(
        columns=(
            "host", "path", "device", "filesystem", "size_bytes", "used_bytes", "free_bytes", "used_percent", "inodes",
            "inodes_used", "inodes_percent", "is_read_only",
        ),
        rows=[
            (
                reading.sampling.host, each.path, each.device, each.filesystem, each.size_bytes, each.used_bytes,
                each.free_bytes, round(each.used_percent, 1), each.inodes, each.inodes_used,
                round(each.inodes_percent, 1), each.is_read_only,
            )
            for each in mounts
        ],
        units={
            **dict.fromkeys(("size_bytes", "used_bytes", "free_bytes"), "bytes"),
            **dict.fromkeys(("used_percent", "inodes_percent"), "%"),
            **dict.fromkeys(("inodes", "inodes_used"), "count"),
        },
        untrusted=("host", "path", "device"),
    )  # fmt: skip


def core(reading: Reading, metrics: tuple[str, ...]) -> Table:
    last = reading.sampling.snapshots[-1]
    measures = [*last.measures, *_state_counts(last.processes)]
    chosen = [
        each for each in measures if not metrics or any(each.name.startswith(name.lower().strip()) for name in metrics)
    ]
    return Table(
        columns=("host", "metric", "device", "value", "unit"),
        rows=[(reading.sampling.host, each.name, each.device, each.value, each.unit) for each in chosen],
        untrusted=("host", "device"),
    )


def _state_counts(processes: tuple[ProcessState, ...]) -> list[Measure]:
    states = [each.state for each in processes]
    return [
        Measure(name="processes.zombies", value=float(states.count("Z")), unit="count"),
        Measure(name="processes.stopped", value=float(states.count("T")), unit="count"),
    ]


def processes(reading: Reading, choice: Choice) -> Table:
    view = view_of(reading.sampling)
    memory = max(reading.sampling.memory_bytes, 1)
    last = reading.sampling.snapshots[-1]
    found = [trend for trend in view.trends if trend.last in last.processes and _is_wanted(trend.last, choice)]
    keys: dict[str, Callable[[Trend], float]] = {
        "cpu": lambda t: -t.rate("cpu_ns"),
        "memory": lambda t: -t.last.rss_bytes,
        "fds": lambda t: -(t.last.fds or 0),
        "threads": lambda t: -t.last.threads,
        "children": lambda t: -t.last.children,
        "zombies": lambda t: -t.last.zombies,
        "io": lambda t: -(t.rate("read_bytes") + t.rate("write_bytes")),
        "age": lambda t: t.last.started_ns,
        "pid": lambda t: t.last.pid,
    }
    found.sort(key=lambda trend: (keys[choice.order](trend), trend.last.pid))
    return Table(
        columns=(
            "host", "pid", "ppid", "name", "argv", "uid", "state", "cpu_percent", "rss_bytes", "memory_percent", "threads",
            "fds", "fds_limit", "children", "zombies", "age_s", "read_bytes_per_s", "write_bytes_per_s", "started_ns",
        ),
        rows=[_process(reading.sampling.host, trend, last.at_ns, memory) for trend in found],
        units={
            "cpu_percent": "%", "memory_percent": "%", "rss_bytes": "bytes", "age_s": "s", "started_ns": "epoch_ns",
            **dict.fromkeys(("threads", "fds", "fds_limit", "children", "zombies"), "count"),
            **dict.fromkeys(("read_bytes_per_s", "write_bytes_per_s"), "bytes/s"),
        },
        untrusted=("host", "name", "argv"),
        limit=choice.limit,
    )  # fmt: skip


def _is_wanted(state: ProcessState, choice: Choice) -> bool:
    if choice.name and choice.name.lower() not in f"{state.name} {state.argv}".lower():
        return False
    return choice.pid in (0, state.pid) and choice.state in ("", state.state)


def _process(host: str, trend: Trend, now_ns: int, memory: int) -> tuple[Cell, ...]:
    each = trend.last
    return (
        host, each.pid, each.ppid, each.name, each.argv, each.uid, each.state, round(trend.rate("cpu_ns") / 1e7, 1),
        each.rss_bytes, round(100.0 * each.rss_bytes / memory, 2), each.threads, each.fds, each.fds_limit, each.children,
        each.zombies, max((now_ns - each.started_ns) // 1_000_000_000, 0),
        None if each.read_bytes is None else round(trend.rate("read_bytes")),
        None if each.write_bytes is None else round(trend.rate("write_bytes")), each.started_ns,
    )  # fmt: skip


def errors(reading: Reading, kinds: frozenset[LogClass], *, is_recent: bool, limit: int) -> Table:
    rows: list[tuple[Cell, ...]] = [
        (
            reading.sampling.host, each.source, each.kind.value, each.count, each.recent, each.last_ns, each.last_line,
            ", ".join(each.endpoints),
        )
        for each in reading.sampling.troubles
        if (not kinds or each.kind in kinds) and (each.recent or not is_recent)
    ]  # fmt: skip
    rows.sort(key=lambda row: (-int(row[4] or 0), -int(row[3] or 0)))
    return Table(
        columns=("host", "source", "kind", "count", "recent", "last_ns", "last_line", "endpoints"),
        rows=rows,
        units={"count": "count", "recent": "count", "last_ns": "epoch_ns"},
        untrusted=("host", "source", "last_line", "endpoints"),
        limit=limit,
        notes=(f"{len(reading.sampling.logs)} logs were read, the end of each",),
    )


def listening(reading: Reading, port: int, limit: int) -> Table:
    return Table(
        columns=("host", "protocol", "address", "port", "pid", "name", "queued", "backlog"),
        rows=[
            (
                reading.sampling.host,
                each.protocol,
                each.address,
                each.port,
                each.pid,
                each.name,
                each.queued,
                each.backlog,
            )
            for each in reading.sampling.listeners
            if port in (0, each.port)
        ],
        units={"queued": "count", "backlog": "count"},
        untrusted=("host", "name"),
        limit=limit,
    )


def connections(reading: Reading, limit: int) -> Table:
    return Table(
        columns=("host", "pid", "name", "state", "count"),
        rows=[
            (reading.sampling.host, each.pid, each.name, each.state, each.count)
            for each in reading.sampling.connections
        ],
        units={"count": "count"},
        untrusted=("host", "name"),
        limit=limit,
    )


def interfaces(reading: Reading, limit: int) -> Table:
    return Table(
        columns=("host", "interface", "is_up", "received_bytes", "sent_bytes", "errors", "dropped"),
        rows=[
            (
                reading.sampling.host, each.name, each.is_up, each.received_bytes, each.sent_bytes, each.errors,
                each.dropped,
            )
            for each in reading.sampling.interfaces
        ],
        units={"received_bytes": "bytes", "sent_bytes": "bytes", "errors": "count", "dropped": "count"},
        untrusted=("host", "interface"),
        limit=limit,
    )  # fmt: skip


def services(reading: Reading, name: str, *, is_failed: bool, limit: int) -> Table:
    return Table(
        columns=("host", "service", "load", "active", "sub"),
        rows=[
            (reading.sampling.host, each.name, each.load, each.active, each.sub)
            for each in reading.sampling.services
            if name.lower() in each.name.lower() and (each.active == "failed" or not is_failed)
        ],
        untrusted=("host", "service", "load", "active", "sub"),
        limit=limit,
    )


def open_files(reading: Reading, path: str, *, pid: int, is_deleted: bool, limit: int) -> Table:
    view = view_of(reading.sampling)
    names = {trend.last.pid: trend.last.name for trend in view.trends}
    rows: list[tuple[Cell, ...]] = [
        (reading.sampling.host, each.pid, names.get(each.pid, ""), each.path, each.bytes, each.growth_bytes, each.mount)
        for each in reading.sampling.files
        if each.is_deleted == is_deleted and pid in (0, each.pid) and (not path or each.path.startswith(path))
    ]
    if is_deleted:
        rows.sort(key=lambda row: -int(row[4] or 0))
    return Table(
        columns=("host", "pid", "name", "path", "bytes", "growth_bytes", "mount"),
        rows=rows,
        units={"bytes": "bytes", "growth_bytes": "bytes"},
        untrusted=("host", "name", "path", "mount"),
        limit=limit,
    )


def probe(reading: Reading) -> Table:
    more = reading.more
    return Table(
        columns=("host", "address", "port", "outcome", "errno"),
        rows=[(reading.sampling.host, more["address"], more["port"], more["outcome"], more["errno"])],
        untrusted=("host",),
    )
