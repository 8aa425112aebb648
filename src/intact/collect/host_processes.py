"""The processes of this machine and the control groups that bind them, from /proc and cgroupfs, without a privilege."""

import contextlib
import os
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from intact.collect.masking import masked_command
from intact.model.host import CgroupState, Look, ProcessState, Unread, Unreadable, Within

MOST_PROCESSES = 20_000
MOST_CGROUPS = 64
ARGV_CHARACTERS = 200
READ_BYTES = 1 << 16
_TICK_NS = 1_000_000_000 // os.sysconf("SC_CLK_TCK")
_PAGE = os.sysconf("SC_PAGE_SIZE")
_NO_LIMIT = 1 << 60  # the old interface writes "none" as the highest page-aligned number


@dataclass(frozen=True, slots=True)
class _Stat:
    """What /proc/PID/stat tells."""

    pid: int
    name: str
    state: str
    ppid: int
    cpu_ns: int
    threads: int
    start_ticks: int
    rss_bytes: int


@dataclass(frozen=True, slots=True)
class _Identity:
    """What does not change while a process lives, near enough."""

    argv: str
    uid: int
    fds_limit: int | None
    cpus_allowed: int


class ProcessReader:
    """Reads processes again and again; what stays the same is read once."""

    def __init__(self, within: Within) -> None:
        self._within = within
        self._known: dict[tuple[int, int], _Identity] = {}
        self._boot_ns = _boot_ns()

    def read(self) -> Look[ProcessState]:
        """The processes of the scope, in order of their number."""
        stats = _all_stats()
        wanted = self._wanted(stats)
        children = Counter(stat.ppid for stat in stats.values())
        zombies = Counter(stat.ppid for stat in stats.values() if stat.state == "Z")
        unread: Counter[Unreadable] = Counter()
        rows = []
        for pid in wanted[:MOST_PROCESSES]:
            with contextlib.suppress(FileNotFoundError, ProcessLookupError):  # it has ended meanwhile
                rows.append(self._one(stats[pid], children[pid], zombies[pid], unread))
        if len(wanted) > MOST_PROCESSES:
            unread[Unreadable.REST] += len(wanted) - MOST_PROCESSES
        return Look(
            rows=tuple(rows), unread=tuple(Unread(what=what, count=n) for what, n in sorted(unread.items()) if n)
        )

    def pids(self) -> list[int]:
        """The numbers of the processes of the scope."""
        return self._wanted(_all_stats())

    def _wanted(self, stats: dict[int, _Stat]) -> list[int]:
        if self._within.is_all:
            return sorted(stats)
        roots = {pid for pid in self._within.pids if pid in stats}
        for directory in self._within.cgroups:
            roots |= processes_below(Path(directory)) & stats.keys()
        by_parent: dict[int, list[int]] = {}
        for stat in stats.values():
            by_parent.setdefault(stat.ppid, []).append(stat.pid)
        found: set[int] = set()
        waiting = list(roots)
        while waiting:
            pid = waiting.pop()
            if pid not in found:
                found.add(pid)
                waiting += by_parent.get(pid, [])
        return sorted(found)

    def _one(self, stat: _Stat, children: int, zombies: int, unread: Counter[Unreadable]) -> ProcessState:
        who = self._known.get((stat.pid, stat.start_ticks))
        if who is None:
            who = self._known[stat.pid, stat.start_ticks] = _identity(stat)
        is_gone = stat.state == "Z"
        traffic = {} if is_gone else _traffic(stat.pid)
        fds = 0 if is_gone else _fds(stat.pid)
        unread[Unreadable.DESCRIPTORS] += fds is None
        unread[Unreadable.TRAFFIC] += traffic is None
        traffic = traffic or {}
        return ProcessState(
            pid=stat.pid,
            ppid=stat.ppid,
            started_ns=self._boot_ns + stat.start_ticks * _TICK_NS,
            name=stat.name,
            argv=who.argv,
            uid=who.uid,
            state=stat.state,
            threads=stat.threads,
            rss_bytes=stat.rss_bytes,
            cpu_ns=stat.cpu_ns,
            wait_ns=_waited(stat.pid),
            cpus_allowed=who.cpus_allowed,
            children=children,
            zombies=zombies,
            fds=fds,
            fds_limit=who.fds_limit,
            read_bytes=traffic.get("read_bytes"),
            write_bytes=traffic.get("write_bytes"),
            written_bytes=traffic.get("wchar"),
        )


def processes_below(directory: Path) -> set[int]:
    """The processes of a control group and of those in it."""
    found: set[int] = set()
    for count, (path, _, files) in enumerate(os.walk(directory)):
        if count >= MOST_CGROUPS:
            break
        if "cgroup.procs" in files:
            with contextlib.suppress(OSError):  # a threaded or a removed one
                found |= {int(line) for line in Path(path, "cgroup.procs").read_text().split()}
    return found


def cgroup_states(within: Within, pids: Iterable[int]) -> tuple[CgroupState, ...]:
    """The groups of the scope, and those that limit the memory or the number of these processes."""
    directories = dict.fromkeys(within.cgroups)
    for pid in pids:
        directories |= dict.fromkeys(_limiting_groups(pid))
        if len(directories) > MOST_CGROUPS:
            break
    return tuple(_cgroup(Path(directory)) for directory in list(directories)[:MOST_CGROUPS])


def _limiting_groups(pid: int) -> list[str]:
    """The directories of a process's groups that count memory or processes; those of the root bind nothing."""
    found = []
    mounts = _cgroup_mounts()
    with contextlib.suppress(OSError):
        for line in Path(f"/proc/{pid}/cgroup").read_text().splitlines():
            _, controllers, path = line.split(":", 2)
            for controller in controllers.split(","):
                if controller in mounts and path not in ("/", ""):
                    found.append(f"{mounts[controller]}{path}")
    return found


@cache
def _cgroup_mounts() -> dict[str, str]:
    """Where the unified hierarchy ("") and the old ones of memory and pids are."""
    found: dict[str, str] = {}
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        before, _, after = line.partition(" - ")
        kind, _, options = after.split(" ", 2)
        if kind == "cgroup2":
            found[""] = before.split()[4]
        elif kind == "cgroup":
            found |= {name: before.split()[4] for name in ("memory", "pids") if name in options.split(",")}
    return found


def _cgroup(directory: Path) -> CgroupState:
    kills = _field(directory / "memory.events", "oom_kill")
    if kills is None:
        kills = _field(directory / "memory.oom_control", "oom_kill")
    used = _number(directory / "memory.current", directory / "memory.usage_in_bytes")
    droppable = _field(directory / "memory.stat", "total_inactive_file")
    if droppable is None:
        droppable = _field(directory / "memory.stat", "inactive_file")
    return CgroupState(
        path=str(directory),
        memory_bytes=None if used is None else max(used - (droppable or 0), 0),
        memory_limit_bytes=_number(directory / "memory.max", directory / "memory.limit_in_bytes"),
        oom_kills=kills,
        processes=_number(directory / "pids.current"),
        processes_limit=_number(directory / "pids.max"),
    )


def pressure(path: Path) -> dict[str, float]:
    """`some` and `full` of a file of the kernel's pressure: percent of the last ten seconds; empty where there is none."""
    found = {}
    with contextlib.suppress(OSError, ValueError, IndexError):
        for line in path.read_text().splitlines():
            words = line.split()
            found[words[0]] = float(words[1].partition("=")[2])
    return found


def _number(*paths: Path) -> int | None:
    for path in paths:
        with contextlib.suppress(OSError, ValueError):
            value = int(path.read_text())
            return None if value >= _NO_LIMIT else value
    return None


def _field(path: Path, name: str) -> int | None:
    with contextlib.suppress(OSError, ValueError):
        for line in path.read_text().splitlines():
            key, _, value = line.partition(" ")
            if key == name:
                return int(value)
    return None


def _all_stats() -> dict[int, _Stat]:
    found = {}
    for name in os.listdir("/proc"):
        if name.isdigit():
            with contextlib.suppress(OSError, ValueError, IndexError):
                found[int(name)] = _stat(_small(f"/proc/{name}/stat"))
    return found


def _stat(line: bytes) -> _Stat:
    # The name stands in parentheses and may hold any of them: proc_pid_stat(5).
    head, _, tail = line.rpartition(b")")
    pid, _, name = head.partition(b" (")
    words = tail.split()
    return _Stat(
        pid=int(pid),
        name=name.decode("utf-8", "replace"),
        state=words[0].decode("ascii"),
        ppid=int(words[1]),
        cpu_ns=(int(words[11]) + int(words[12])) * _TICK_NS,
        threads=int(words[17]),
        start_ticks=int(words[19]),
        rss_bytes=int(words[21]) * _PAGE,
    )


def _identity(stat: _Stat) -> _Identity:
    argv = ""
    limit = None
    cpus = os.cpu_count() or 1
    uid = os.stat(f"/proc/{stat.pid}").st_uid
    with contextlib.suppress(OSError):
        words = _small(f"/proc/{stat.pid}/cmdline")[: 4 * ARGV_CHARACTERS].rstrip(b"\0").decode("utf-8", "replace")
        argv = masked_command(words.split("\0"))[:ARGV_CHARACTERS]
    with contextlib.suppress(OSError, ValueError, IndexError):
        for line in _small(f"/proc/{stat.pid}/limits").splitlines():
            if line.startswith(b"Max open files"):
                limit = int(line.split()[3])
    with contextlib.suppress(OSError):
        cpus = len(os.sched_getaffinity(stat.pid))
    return _Identity(argv, uid, limit, cpus)


def _traffic(pid: int) -> dict[str, int] | None:
    try:
        lines = _small(f"/proc/{pid}/io").decode("ascii").splitlines()
    except PermissionError:
        return None
    except OSError:
        return {}
    return {name: int(value) for name, _, value in (line.partition(": ") for line in lines)}


def _fds(pid: int) -> int | None:
    path = f"/proc/{pid}/fd"
    try:
        # Since Linux 6.2 the size of the directory is the number of its entries, and anybody may ask for it.
        return os.stat(path).st_size or len(os.listdir(path))
    except PermissionError:
        return None


def _waited(pid: int) -> int:
    with contextlib.suppress(OSError, ValueError, IndexError):  # a kernel without CONFIG_SCHED_INFO
        return int(_small(f"/proc/{pid}/schedstat").split()[1])
    return 0


def _small(path: str) -> bytes:
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        return os.read(fd, READ_BYTES)
    finally:
        os.close(fd)


def _boot_ns() -> int:
    for line in Path("/proc/stat").read_text().splitlines():
        if line.startswith("btime "):
            return int(line.split()[1]) * 1_000_000_000
    return 0
