"""All probes over one sampling, causes before what they cause, and a verdict that may also be that nothing is wrong."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from intact.assist.diagnosis import network_probes, process_probes, storage_probes
from intact.assist.diagnosis.baseline import baseline, change_point
from intact.assist.diagnosis.hypothesis import Fault, Hypothesis
from intact.assist.diagnosis.thresholds import at
from intact.assist.diagnosis.view import View, view_of
from intact.model.host import Sampling, Unread, Unreadable

Probe: TypeAlias = Callable[[View], Iterator[Hypothesis]]
Series: TypeAlias = Sequence[tuple[int, float]]  # time and value, oldest first

# To add a probe: one function, one line here.
PROBES: tuple[Probe, ...] = (
    process_probes.cpu_hog,
    process_probes.cpu_shortage,
    process_probes.memory_leak,
    process_probes.memory_pressure,
    process_probes.oom_kill,
    process_probes.descriptor_leak,
    process_probes.zombie_flood,
    process_probes.floods,
    process_probes.stuck_process,
    storage_probes.space,
    storage_probes.read_only_mount,
    storage_probes.growth,
    storage_probes.big_logs,
    storage_probes.deleted_open_file,
    storage_probes.io_hog,
    storage_probes.told_by_logs,
    network_probes.refused_port,
    network_probes.listen_overflow,
    network_probes.connection_leak,
    network_probes.failed_service,
)
_SAME_PID, _SAME_MOUNT, _SAME_MEMORY, _ANY = "pid", "mount", "memory", "any"
# What explains what, if both are of the same process, file system or memory.
_EXPLAINS: tuple[tuple[Fault, Fault, str], ...] = (
    (Fault.LOG_STORM, Fault.DISK_FULL, _SAME_MOUNT),
    (Fault.LOG_STORM, Fault.CPU_HOG, _SAME_PID),
    (Fault.LOG_STORM, Fault.IO_HOG, _SAME_PID),
    (Fault.FILE_GROWTH, Fault.DISK_FULL, _SAME_MOUNT),
    (Fault.FILE_GROWTH, Fault.IO_HOG, _SAME_PID),
    (Fault.FILE_GROWTH, Fault.CPU_HOG, _SAME_PID),
    (Fault.DELETED_OPEN_FILE, Fault.DISK_FULL, _SAME_MOUNT),
    (Fault.MEMORY_LEAK, Fault.OOM_KILL, _SAME_MEMORY),
    (Fault.MEMORY_LEAK, Fault.MEMORY_PRESSURE, _SAME_MEMORY),
    (Fault.MEMORY_LEAK, Fault.CPU_HOG, _SAME_PID),
    (Fault.OOM_KILL, Fault.MEMORY_PRESSURE, _SAME_MEMORY),
    (Fault.THREAD_FLOOD, Fault.CPU_HOG, _SAME_PID),
    (Fault.THREAD_FLOOD, Fault.MEMORY_LEAK, _SAME_PID),  # every thread has its stack
    (Fault.THREAD_FLOOD, Fault.PROCESS_LIMIT, _ANY),
    (Fault.FORK_FLOOD, Fault.CPU_HOG, _SAME_PID),
    (Fault.FORK_FLOOD, Fault.PROCESS_LIMIT, _ANY),
    (Fault.ZOMBIE_FLOOD, Fault.CPU_HOG, _SAME_PID),
    (Fault.ZOMBIE_FLOOD, Fault.FORK_FLOOD, _SAME_PID),
    (Fault.ZOMBIE_FLOOD, Fault.PROCESS_LIMIT, _ANY),
    (Fault.CONNECTION_LEAK, Fault.DESCRIPTOR_LEAK, _SAME_PID),
    (Fault.STUCK_PROCESS, Fault.LISTEN_OVERFLOW, _SAME_PID),
    (Fault.STUCK_PROCESS, Fault.CONNECTION_LEAK, _SAME_PID),
    (Fault.IO_HOG, Fault.CPU_HOG, _SAME_PID),
    (Fault.CPU_HOG, Fault.CPU_SHORTAGE, _ANY),
    (Fault.THREAD_FLOOD, Fault.CPU_SHORTAGE, _ANY),
    (Fault.FORK_FLOOD, Fault.CPU_SHORTAGE, _ANY),
)
FOUND, NOTHING_WRONG, CANNOT_TELL = "found", "nothing_wrong", "cannot_tell"


@dataclass(frozen=True, slots=True, kw_only=True)
class Unusual:
    """A core metric that is far from what it usually is."""

    metric: str
    device: str
    unit: str
    value: float
    middle: float
    score: float  # in robust deviations
    since_ns: int | None  # when it changed its level


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What is wrong, what follows from it, and what could not be looked at.

    Args:
        kind: `found`, `nothing_wrong` or `cannot_tell`.
        causes: the surest and most urgent first.
        symptoms: each with the cause that explains it.
    """

    kind: str
    causes: tuple[Hypothesis, ...]
    symptoms: tuple[tuple[Hypothesis, Hypothesis], ...]
    unusual: tuple[Unusual, ...]
    unread: tuple[Unread, ...]


def diagnose(sampling: Sampling, history: Mapping[tuple[str, str], Series] | None = None) -> Verdict:
    """What is wrong with the machine, or the part of it, that was sampled.

    Args:
        sampling: several looks at it.
        history: measurements of before, by metric and device, where there are some.
    """
    view = view_of(sampling)
    found = [hypothesis for probe in PROBES for hypothesis in probe(view)]
    found.sort(key=lambda each: (-each.score, each.fault, each.object))
    symptoms = []
    causes = []
    for each in found:
        cause = next((other for other in found if other is not each and _explains(other, each)), None)
        if cause is None:
            causes.append(each)
        else:
            symptoms.append((each, cause))
    unusual = _unusual(view, history or {}) if view.is_whole_host else ()
    return Verdict(
        kind=FOUND if found else CANNOT_TELL if _is_blind(view) else NOTHING_WRONG,
        causes=tuple(causes),
        symptoms=tuple(symptoms),
        unusual=unusual,
        unread=sampling.unread,
    )


def _explains(cause: Hypothesis, symptom: Hypothesis) -> bool:
    for one, other, relation in _EXPLAINS:
        if (one, other) == (cause.fault, symptom.fault):
            if relation == _SAME_PID:
                return cause.pid is not None and cause.pid == symptom.pid
            if relation == _SAME_MOUNT:
                return bool(cause.mount) and cause.mount == symptom.mount
            if relation == _ANY:
                return True
            if symptom.fault is Fault.OOM_KILL:  # of the machine's own kills logs do not tell why
                return bool(symptom.cgroup) and cause.cgroup == symptom.cgroup
            return symptom.kind == "host" or cause.cgroup in ("", symptom.cgroup)
    return False


def _is_blind(view: View) -> bool:
    """Whether too little was seen to say that nothing is wrong."""
    seen = len(view.trends)
    if not seen and not view.sampling.mounts and not view.sampling.logs:
        return True
    hidden = max((each.count for each in view.sampling.unread if each.what is Unreadable.DESCRIPTORS), default=0)
    return seen > 0 and 100.0 * hidden / seen > at("unread_share")


def _unusual(view: View, history: Mapping[tuple[str, str], Series]) -> tuple[Unusual, ...]:
    found = []
    for measure in view.sampling.snapshots[-1].measures:
        series = history.get((measure.name, measure.device), ())
        usual = baseline([value for _, value in series])
        if usual is None or usual.count < at("samples"):
            continue
        score = usual.score(measure.value)
        if abs(score) >= at("unusual"):
            place = change_point([value for _, value in series])
            found.append(
                Unusual(
                    metric=measure.name,
                    device=measure.device,
                    unit=measure.unit,
                    value=measure.value,
                    middle=usual.middle,
                    score=round(score, 1),
                    since_ns=None if place is None else series[place][0],
                )
            )
    return tuple(sorted(found, key=lambda each: -abs(each.score)))
