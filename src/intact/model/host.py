"""What a look at the live machine gives: its parts as they are now, and what may not be read."""

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Generic, TypeVar

Row = TypeVar("Row")


@dataclass(frozen=True, slots=True, kw_only=True)
class Within:
    """The part of the machine that is looked at; nothing given: all of it.

    Args:
        pids: these processes and all that descend from them.
        cgroups: directories of cgroups: the processes in them and below.
        paths: mounts at or below them, and files and logs below them.
    """

    pids: tuple[int, ...] = ()
    cgroups: tuple[str, ...] = ()
    paths: tuple[str, ...] = ()

    @property
    def is_all(self) -> bool:
        return not (self.pids or self.cgroups or self.paths)


class Part(StrEnum):
    """What of the machine a look is for."""

    CORE = "core"
    PROCESSES = "processes"
    SPACE = "space"
    FILES = "files"
    NETWORK = "network"
    LOGS = "logs"
    SERVICES = "services"


class Unreadable(StrEnum):
    """What may not be read, or is not there."""

    DESCRIPTORS = "descriptors of other users' processes"
    TRAFFIC = "input and output of other users' processes"
    MOUNT = "a mount that does not answer"
    KERNEL_LOG = "kernel log"
    JOURNAL = "journal"
    LOG_FILE = "log file"
    SERVICES = "service manager"
    REST = "more than the bound of one look"


@dataclass(frozen=True, slots=True, kw_only=True)
class Unread:
    """Something that could not be looked at."""

    what: Unreadable
    count: int = 1
    detail: str = ""  # a path or a word of ours


@dataclass(frozen=True, slots=True, kw_only=True)
class Measure:
    """One core metric now; the same names are kept in `host_metric`."""

    name: str
    value: float
    unit: str
    device: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Mount:
    """One file system."""

    path: str
    device: str
    filesystem: str
    size_bytes: int
    used_bytes: int
    free_bytes: int  # for whoever is not root
    inodes: int  # 0: it counts none
    inodes_used: int
    is_read_only: bool
    is_image: bool  # made full, never written: squashfs, iso9660, …

    @property
    def used_percent(self) -> float:
        room = self.used_bytes + self.free_bytes
        return 100.0 * self.used_bytes / room if room else 0.0

    @property
    def inodes_percent(self) -> float:
        return 100.0 * self.inodes_used / self.inodes if self.inodes else 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessState:
    """One process now; None is what may not be read."""

    pid: int
    ppid: int
    started_ns: int
    name: str
    argv: str
    uid: int
    state: str  # R S D T Z t I …
    threads: int
    rss_bytes: int
    cpu_ns: int
    wait_ns: int  # ready to run, but not running: its main thread
    cpus_allowed: int
    children: int
    zombies: int  # children that it has not waited for
    fds: int | None = None
    fds_limit: int | None = None
    read_bytes: int | None = None  # of block devices
    write_bytes: int | None = None
    written_bytes: int | None = None  # by calls of write, whatever became of them


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenFile:
    """A regular file that a process holds open for writing, or that has no name any more."""

    pid: int
    path: str
    bytes: int
    is_deleted: bool
    is_written: bool
    mount: str
    growth_bytes: int = 0  # within the sampling


@dataclass(frozen=True, slots=True, kw_only=True)
class Listener:
    """A port that is listened on."""

    address: str
    port: int
    protocol: str
    pid: int | None
    name: str
    queued: int  # connections that wait to be accepted
    backlog: int | None  # as many may wait


@dataclass(frozen=True, slots=True, kw_only=True)
class Connections:
    """Connections of one process in one state."""

    pid: int | None
    name: str
    state: str
    count: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Interface:
    """One network interface."""

    name: str
    is_up: bool
    received_bytes: int
    sent_bytes: int
    errors: int
    dropped: int


class LogClass(StrEnum):
    """What kind of trouble a line of a log tells of."""

    OOM = "oom"
    DISK_FULL = "disk_full"
    READ_ONLY = "read_only"
    TOO_MANY_FILES = "too_many_files"
    REFUSED = "refused"
    TIMEOUT = "timeout"
    SEGFAULT = "segfault"
    IO_ERROR = "io_error"
    PERMISSION = "permission"
    NAME_RESOLUTION = "name_resolution"
    RESET = "reset"
    CRASH = "crash"
    OTHER = "other"  # an error without a class


@dataclass(frozen=True, slots=True, kw_only=True)
class LogTrouble:
    """The lines of one class in one log."""

    source: str  # `journal`, `kernel`, or the path of a file
    kind: LogClass
    count: int  # in the part that was read
    recent: int  # of these, of the last minutes
    last_ns: int | None  # time of the last one, where the line tells it
    last_line: str
    endpoints: tuple[str, ...] = ()  # `address:port` in recent lines
    paths: tuple[str, ...] = ()  # in recent lines


@dataclass(frozen=True, slots=True, kw_only=True)
class LogSource:
    """One log that was read, in part."""

    source: str
    bytes: int
    lines: int
    changed_ns: int | None
    growth_bytes: int = 0  # within the sampling


@dataclass(frozen=True, slots=True, kw_only=True)
class Service:
    """One unit of the service manager."""

    name: str
    load: str
    active: str
    sub: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CgroupState:
    """A control group with the limits that bind its processes; None: no limit, or no such count."""

    path: str
    memory_bytes: int | None = None  # without what can be dropped at once
    memory_limit_bytes: int | None = None
    oom_kills: int | None = None
    processes: int | None = None
    processes_limit: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """What changes from moment to moment."""

    at_ns: int
    processes: tuple[ProcessState, ...]
    measures: tuple[Measure, ...] = ()
    cgroups: tuple[CgroupState, ...] = ()
    clock_ns: int = 0  # steady


@dataclass(frozen=True, slots=True, kw_only=True)
class Sampling:
    """Several looks at the machine within about a second, from which a diagnosis is made."""

    host: str
    within: Within
    cpus: int
    memory_bytes: int
    snapshots: tuple[Snapshot, ...]
    mounts: tuple[Mount, ...] = ()
    files: tuple[OpenFile, ...] = ()
    listeners_before: tuple[Listener, ...] = ()
    listeners: tuple[Listener, ...] = ()
    ports: tuple[int, ...] = ()  # that anybody listens on over TCP
    connections_before: tuple[Connections, ...] = ()
    connections: tuple[Connections, ...] = ()
    troubles: tuple[LogTrouble, ...] = ()
    logs: tuple[LogSource, ...] = ()
    services: tuple[Service, ...] = ()
    interfaces: tuple[Interface, ...] = ()
    unread: tuple[Unread, ...] = ()
    window_s: float = 0.0
    reading_s: float = 0.0  # beyond the window


@dataclass(frozen=True, slots=True, kw_only=True)
class Look(Generic[Row]):
    """One part of the machine, with what could not be read of it."""

    rows: tuple[Row, ...]
    unread: tuple[Unread, ...] = field(default=())
