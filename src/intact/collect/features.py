"""What this machine and kernel can do, each found out by trying; yes, no, or could not tell, with the reason and the remedy.

One function a feature, listed in PROBES. A probe never raises: what it did not expect is "could not tell".
"""

import ctypes
import errno
import os
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from intact.collect.cgroup import cgroup2_mount
from intact.collect.loader import BTF, LIBRARY, OBJECT, open_library
from intact.model.errors import NotSupported

CAPABILITIES = {"CAP_BPF": 39, "CAP_PERFMON": 38, "CAP_SYS_PTRACE": 19, "CAP_DAC_READ_SEARCH": 2, "CAP_NET_ADMIN": 12}
CAP_SYS_ADMIN = 21
AS_ROOT = "run as root, or with " + ", ".join(CAPABILITIES)

_MAP_RINGBUF, _MAP_TASK_STORAGE = 27, 29  # enum bpf_map_type
_LOOP, _COPY_FROM_USER_TASK = 181, 191  # enum bpf_func_id
_LIBBPF_LEAST = (1, 0)
_TP_BTF, _FENTRY, _LSM, _ITERATOR = 1, 2, 3, 4  # enum intact_probe_kind of bpf/loader/probe.h
_FAN_CLOEXEC, _FAN_CLASS_CONTENT = 1, 4
_SYS_LANDLOCK_CREATE_RULESET, _LANDLOCK_VERSION = 444, 1
_EVENT_SOURCES = Path("/sys/bus/event_source/devices")


class Answer(Enum):
    """Three ways, because a probe that is refused has learnt nothing."""

    YES = "yes"
    NO = "no"
    UNKNOWN = "could not tell"


@dataclass(frozen=True, slots=True, kw_only=True)
class Feature:
    """One answer. `needed`: without it nothing can be recorded; the others make it better or are for what comes later."""

    name: str
    answer: Answer
    reason: str
    remedy: str = ""
    needed: bool = False


def probe_features() -> tuple[Feature, ...]:
    """Every feature, in the order in which they build on each other."""
    return tuple(_asked(probe) for probe in PROBES)


def _asked(probe: Callable[[], Feature]) -> Feature:
    try:
        return probe()
    except (OSError, NotSupported, AttributeError) as error:
        name = probe.__name__.removeprefix("_").replace("_", " ")
        return Feature(name=name, answer=Answer.UNKNOWN, reason=f"the probe failed: {error}")


def _privilege() -> Feature:
    effective = _effective_capabilities()
    missing = [name for name, bit in CAPABILITIES.items() if not effective >> bit & 1]
    if missing and effective >> CAP_SYS_ADMIN & 1:
        missing = [name for name in missing if name not in ("CAP_BPF", "CAP_PERFMON")]
    who = "root" if os.geteuid() == 0 else f"user {os.geteuid()}"
    if not missing:
        return Feature(
            name="privilege", answer=Answer.YES, reason=f"{who} has all capabilities that are needed", needed=True
        )
    reason = f"{who} lacks {', '.join(missing)}"
    return Feature(
        name="privilege", answer=Answer.NO, reason=reason, remedy="run with sudo -E, or as root", needed=True
    )


def _native_part() -> Feature:
    absent = [path.name for path in (OBJECT, LIBRARY) if not path.exists()]
    if absent:
        reason = f"{' and '.join(absent)} not built"
        return Feature(name="native part", answer=Answer.NO, reason=reason, remedy="run: make setup", needed=True)
    try:
        open_library()
    except NotSupported as error:
        return Feature(
            name="native part",
            answer=Answer.NO,
            reason=str(error),
            remedy="install libbpf1 (apt install libbpf1)",
            needed=True,
        )
    return Feature(name="native part", answer=Answer.YES, reason="kernel object and loader are there", needed=True)


def _btf() -> Feature:
    if BTF.exists():
        return Feature(name="BTF", answer=Answer.YES, reason=f"{BTF} is there", needed=True)
    remedy = "use a kernel built with CONFIG_DEBUG_INFO_BTF=y (all current distributions)"
    return Feature(name="BTF", answer=Answer.NO, reason=f"there is no {BTF}", remedy=remedy, needed=True)


def _cgroup_v2() -> Feature:
    try:
        mount = cgroup2_mount()
    except NotSupported as error:
        reason, _, remedy = str(error).partition("; ")
        return Feature(name="cgroup v2", answer=Answer.NO, reason=reason, remedy=remedy, needed=True)
    if os.access(mount, os.W_OK):
        return Feature(name="cgroup v2", answer=Answer.YES, reason=f"mounted at {mount}", needed=True)
    reason = f"mounted at {mount}, not writable for us"
    remedy = "run as root; in a container, mount it read-write"
    return Feature(name="cgroup v2", answer=Answer.NO, reason=reason, remedy=remedy, needed=True)


def _ring_buffer() -> Feature:
    return _told("ring buffer", open_library().intact_probe_map(_MAP_RINGBUF), since="Linux 5.8", needed=True)


def _task_storage() -> Feature:
    return _told("task storage", open_library().intact_probe_map(_MAP_TASK_STORAGE), since="Linux 5.11", needed=True)


def _tp_btf() -> Feature:
    return _told("BTF tracepoints", _hook(_TP_BTF, b"sched_process_exec"), since="Linux 5.5", needed=True)


def _task_iterator() -> Feature:
    return _told("task iterator", _hook(_ITERATOR, b"task"), since="Linux 5.8", needed=True)


def _bpf_loop() -> Feature:
    return _helper("bpf_loop", _LOOP, since="Linux 5.17")


def _bpf_copy_from_user_task() -> Feature:
    return _helper("bpf_copy_from_user_task", _COPY_FROM_USER_TASK, since="Linux 5.18")


def _libbpf() -> Feature:
    library = open_library()
    found = library.libbpf_major_version(), library.libbpf_minor_version()
    version = f"version {found[0]}.{found[1]}"
    if found >= _LIBBPF_LEAST:
        return Feature(name="libbpf", answer=Answer.YES, reason=version, needed=True)
    least = ".".join(str(part) for part in _LIBBPF_LEAST)
    return Feature(
        name="libbpf", answer=Answer.NO, reason=version, remedy=f"install libbpf {least} or later", needed=True
    )


def _uprobe_multi() -> Feature:
    found = open_library().intact_probe_uprobe_multi()
    feature = _told("uprobe_multi", found, since="Linux 6.6")
    if feature.answer is Answer.NO and (_EVENT_SOURCES / "uprobe").exists():
        return Feature(name=feature.name, answer=Answer.NO, reason=f"{feature.reason}; single uprobes are used instead")
    return feature


def _uprobes() -> Feature:
    return _event_source("uprobes", "uprobe", "CONFIG_UPROBE_EVENTS=y", needed=True)


def _kprobes() -> Feature:
    return _event_source("kprobes", "kprobe", "CONFIG_KPROBE_EVENTS=y")


def _fentry() -> Feature:
    return _told("fentry", _hook(_FENTRY, b"do_sys_openat2"), since="Linux 5.5 with CONFIG_FUNCTION_TRACER=y")


def _lsm() -> Feature:
    return _told("BPF LSM", _hook(_LSM, b"bprm_check_security"), since="Linux 5.7 with lsm=…,bpf")


def _fanotify() -> Feature:
    libc = ctypes.CDLL(None, use_errno=True)
    descriptor = libc.fanotify_init(_FAN_CLASS_CONTENT | _FAN_CLOEXEC, os.O_RDONLY)
    if descriptor < 0:
        return _told("fanotify permission events", -ctypes.get_errno(), since="CONFIG_FANOTIFY_ACCESS_PERMISSIONS=y")
    os.close(descriptor)
    return _told("fanotify permission events", 1, since="")


def _landlock() -> Feature:
    libc = ctypes.CDLL(None, use_errno=True)
    version = libc.syscall(_SYS_LANDLOCK_CREATE_RULESET, None, 0, _LANDLOCK_VERSION)
    if version < 0:
        return _told("Landlock", -ctypes.get_errno(), since="Linux 5.13 with lsm=landlock,…")
    return Feature(name="Landlock", answer=Answer.YES, reason=f"version {version} of its interface")


def _tracefs() -> Feature:
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        before, _, after = line.partition(" - ")
        if after.startswith("tracefs "):
            return Feature(name="tracefs", answer=Answer.YES, reason=f"mounted at {before.split()[4]}")
    remedy = "mount -t tracefs none /sys/kernel/tracing"
    return Feature(name="tracefs", answer=Answer.NO, reason="not mounted; nothing here needs it", remedy=remedy)


# A probe is added by its function and one line here.
PROBES: tuple[Callable[[], Feature], ...] = (
    _privilege,
    _native_part,
    _libbpf,
    _btf,
    _cgroup_v2,
    _ring_buffer,
    _task_storage,
    _tp_btf,
    _task_iterator,
    _bpf_loop,
    _bpf_copy_from_user_task,
    _uprobes,
    _uprobe_multi,
    _kprobes,
    _fentry,
    _lsm,
    _fanotify,
    _landlock,
    _tracefs,
)


def _hook(kind: int, target: bytes) -> int:
    return int(open_library().intact_probe_hook(kind, target, 1))


def _helper(name: str, number: int, *, since: str) -> Feature:
    return _told(name, int(open_library().intact_probe_helper(number)), since=since, needed=True)


def _told(name: str, result: int, *, since: str, needed: bool = False) -> Feature:
    """A feature from what the kernel answered: 1 yes, 0 no, else -errno."""
    if result > 0:
        return Feature(name=name, answer=Answer.YES, reason="tried", needed=needed)
    refused = -result in (errno.EPERM, errno.EACCES)
    if not _may_try() and (refused or result == 0):
        return Feature(name=name, answer=Answer.UNKNOWN, reason="not allowed to try", remedy=AS_ROOT, needed=needed)
    if refused:
        return Feature(name=name, answer=Answer.NO, reason="refused even with all privileges", needed=needed)
    reason = f"the kernel says: {os.strerror(-result)}" if result else "the kernel does not know it"
    return Feature(name=name, answer=Answer.NO, reason=reason, remedy=f"needs {since}", needed=needed)


def _may_try() -> bool:
    return bool(_effective_capabilities() >> CAP_SYS_ADMIN & 1)


def _event_source(name: str, source: str, option: str, *, needed: bool = False) -> Feature:
    path = _EVENT_SOURCES / source / "type"
    if path.exists():
        return Feature(name=name, answer=Answer.YES, reason=f"{path} is there", needed=needed)
    if not _EVENT_SOURCES.exists():
        return Feature(
            name=name, answer=Answer.UNKNOWN, reason="sysfs is not mounted", remedy="mount -t sysfs none /sys"
        )
    remedy = f"use a kernel built with {option}"
    return Feature(name=name, answer=Answer.NO, reason=f"there is no {path}", remedy=remedy, needed=needed)


def _effective_capabilities() -> int:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("CapEff:"):
            return int(line.split()[1], 16)
    return 0
