"""The snapshots of a sampling, process by process."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from intact.model.host import CgroupState, ProcessState, Sampling

KERNEL_THREADS = 2  # the pid of kthreadd, their parent


@dataclass(frozen=True, slots=True)
class Trend:
    """One process in every snapshot that has it."""

    states: tuple[ProcessState, ...]
    seconds: tuple[float, ...]  # since the first snapshot of the sampling
    is_whole: bool  # whether it is in all of them

    @property
    def last(self) -> ProcessState:
        return self.states[-1]

    @property
    def label(self) -> str:
        return f"{self.last.name}[{self.last.pid}]"

    @property
    def span(self) -> float:
        return self.seconds[-1] - self.seconds[0]

    def values(self, name: str) -> list[float]:
        """A count over time; without those that may not be read."""
        return [value for state in self.states if (value := getattr(state, name)) is not None]

    def rate(self, name: str) -> float:
        """Growth a second."""
        values = self.values(name)
        return (values[-1] - values[0]) / self.span if len(values) > 1 and self.span > 0 else 0.0

    def rates(self, *names: str) -> list[float]:
        """Growth a second of the sum of some counts, step by step."""
        found = []
        for (before, began), (after, ended) in pairwise(zip(self.states, self.seconds, strict=True)):
            if ended > began:
                growth = sum((getattr(after, name) or 0) - (getattr(before, name) or 0) for name in names)
                found.append(growth / (ended - began))
        return found


@dataclass(frozen=True, slots=True)
class View:
    """A sampling with its processes told apart."""

    sampling: Sampling
    trends: tuple[Trend, ...]
    by_pid: dict[int, Trend]

    @property
    def is_whole_host(self) -> bool:
        return self.sampling.within.is_all

    def label(self, pid: int | None) -> str:
        """How a process is called; empty if it is not known."""
        return self.by_pid[pid].label if pid in self.by_pid else ""

    def measure(self, name: str, device: str = "") -> float | None:
        """A core metric in the last snapshot."""
        for each in self.sampling.snapshots[-1].measures:
            if each.name == name and each.device == device:
                return each.value
        return None

    def limiting(self) -> CgroupState | None:
        """The group of the scope with the least memory left, if there is one."""
        bound = [group for group in self.sampling.snapshots[-1].cgroups if group.memory_limit_bytes is not None]
        return min(bound, key=lambda group: (group.memory_limit_bytes or 0) - (group.memory_bytes or 0), default=None)


def view_of(sampling: Sampling) -> View:
    """Tell the processes of a sampling apart; a number that was reused is another process."""
    gathered: dict[tuple[int, int], tuple[list[ProcessState], list[float]]] = {}
    began = sampling.snapshots[0].clock_ns
    for snapshot in sampling.snapshots:
        for state in snapshot.processes:
            states, seconds = gathered.setdefault((state.pid, state.started_ns), ([], []))
            states.append(state)
            seconds.append((snapshot.clock_ns - began) / 1e9)
    count = len(sampling.snapshots)
    trends = tuple(Trend(tuple(states), tuple(seconds), len(states) == count) for states, seconds in gathered.values())
    return View(sampling=sampling, trends=trends, by_pid={trend.last.pid: trend for trend in trends})


def mean(values: Sequence[float]) -> float:
    """The mean; 0 of nothing."""
    return sum(values) / len(values) if values else 0.0
