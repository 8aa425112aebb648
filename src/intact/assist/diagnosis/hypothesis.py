"""What may be wrong, with what it was measured by."""

from dataclasses import dataclass
from enum import StrEnum


class Fault(StrEnum):
    """What can be wrong with a host; the words are for programs."""

    CPU_HOG = "cpu_hog"
    CPU_SHORTAGE = "cpu_shortage"
    MEMORY_LEAK = "memory_leak"
    MEMORY_PRESSURE = "memory_pressure"
    OOM_KILL = "oom_kill"
    DISK_FULL = "disk_full"
    INODES_EXHAUSTED = "inodes_exhausted"
    FILE_GROWTH = "file_growth"
    LOG_STORM = "log_storm"
    DELETED_OPEN_FILE = "deleted_open_file"
    READ_ONLY_MOUNT = "read_only_mount"
    IO_HOG = "io_hog"
    DEVICE_ERRORS = "device_errors"
    DESCRIPTOR_LEAK = "descriptor_leak"
    ZOMBIE_FLOOD = "zombie_flood"
    THREAD_FLOOD = "thread_flood"
    FORK_FLOOD = "fork_flood"
    PROCESS_LIMIT = "process_limit"
    STUCK_PROCESS = "stuck_process"
    CRASHES = "crashes"
    REFUSED_PORT = "refused_port"
    LISTEN_OVERFLOW = "listen_overflow"
    CONNECTION_LEAK = "connection_leak"
    SERVICE_FAILED = "service_failed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Quantity:
    """A number that was measured, with its unit."""

    name: str
    value: float
    unit: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Hypothesis:
    """One thing that is wrong with one object.

    Args:
        object: the process as `name[pid]`, the path of a mount or file, the `address:port`, the cgroup.
        kind: `process`, `mount`, `file`, `port`, `cgroup`, `service`, `log` or `host`.
        score: from 0 to 1: how sure and how urgent.
        by: what it is concluded from, the decisive one first, which passed its threshold.
        mount, cgroup, port: where it is, to find out what causes what.
    """

    fault: Fault
    object: str
    kind: str
    score: float
    by: tuple[Quantity, ...]
    pid: int | None = None
    mount: str = ""
    cgroup: str = ""
    port: int = 0
