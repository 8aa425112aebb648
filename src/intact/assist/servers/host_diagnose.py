"""The tool that says what is wrong with this host: samples it, keeps the samples, and concludes by rules alone."""

import time
from dataclasses import replace
from typing import Annotated, Any

from pydantic import Field

from intact.assist.answers import Cell, ToolAnswer
from intact.assist.asking import Asker
from intact.assist.diagnosis.hypothesis import Hypothesis
from intact.assist.diagnosis.verdict import Series, Verdict, diagnose
from intact.assist.host_reader import HostReader
from intact.assist.servers.host_live import Hosted, Path, Reading, Table, looked
from intact.assist.servers.host_stored import DAY_NS, stored_series
from intact.assist.tool import Parts, ToolRefused
from intact.model.host import Part, ProcessState, Sampling, Snapshot, Within

STEPS = 6
MOST_KEPT = 400  # processes of a sampling: the largest and busiest
MOST_ROWS_KEPT = 400
COLUMNS = ("rank", "role", "fault", "kind", "object", "pid", "measure", "value", "unit", "score", "because")
Pid = Annotated[int, Field(ge=1, le=1 << 22)]


class Diagnose(Hosted):
    pids: list[Pid] = Field([], max_length=100, description="Only these processes and what descends from them.")
    cgroups: list[Path] = Field([], max_length=20, description="Only the processes in these control groups.")
    paths: list[Path] = Field([], max_length=20, description="Only file systems, files and logs below these.")
    window_s: float = Field(1.2, ge=0.3, le=10.0, description="For how long to look.")


def diagnosed(parts: Parts, asker: Asker, given: Diagnose) -> ToolAnswer:
    """Causes first, each with what it was measured by; then symptoms with their cause, and what is unusual."""
    within = Within(pids=tuple(given.pids), cgroups=tuple(given.cgroups), paths=tuple(given.paths))

    def look(host: HostReader) -> Reading:
        part = host if within.is_all else host.within(within)
        sampling = _trimmed(part.sample(frozenset(Part), window_s=given.window_s, steps=STEPS))
        return Reading(sampling=sampling, more={"history": _history(parts, asker, host.name, given)})

    return looked(parts, asker, given, tool="diagnose", look=look, show=_table)


def _history(parts: Parts, asker: Asker, host: str, given: Diagnose) -> list[list[Any]]:
    """What was measured in the day before, as it is kept with the reading; a store that does not answer is no hindrance."""
    to_ns = time.time_ns() if given.at_ns is None else given.at_ns
    if given.pids or given.cgroups or given.paths:
        return []  # of a part there are no measurements
    range_ns = {"from_ns": max(to_ns - DAY_NS, 0), "to_ns": to_ns}
    wanted = {"hosts": [host], "metrics": list(_WATCHED), "device": "", **range_ns}
    try:
        found = stored_series(parts, asker, wanted)
    except ToolRefused:
        return []
    return [[metric, device, _thinned(points)] for (metric, device), points in sorted(found.items())]


_WATCHED = (
    *("cpu.busy", "cpu.iowait", "load.1m", "memory.used_percent", "swap.used", "pressure.cpu.some", "pressure.io.some"),
    *("pressure.memory.some", "processes.count", "threads.count", "fds.used"),
)


def _thinned(points: list[tuple[int, float]], most: int = 240) -> list[tuple[int, float]]:
    step = max(len(points) // most, 1)
    return points[::step][-most:]


def _table(reading: Reading) -> Table:
    history: dict[tuple[str, str], Series] = {
        (metric, device): [(int(at_ns), float(value)) for at_ns, value in points]
        for metric, device, points in reading.more.get("history", [])
    }
    sampling = reading.sampling
    verdict = diagnose(sampling, history)
    rows: list[tuple[Cell, ...]] = [
        (0, "verdict", verdict.kind, "host", sampling.host, None, name, value, unit, None, "")
        for name, value, unit in _seen(sampling, verdict)
    ]
    for rank, each in enumerate(verdict.causes, 1):
        rows += _hypothesis(rank, "cause", each, "")
    for rank, (each, cause) in enumerate(verdict.symptoms, len(verdict.causes) + 1):
        rows += _hypothesis(rank, "symptom", each, cause.fault.value)
    for odd in verdict.unusual:
        rows.append(
            (None, "unusual", odd.metric, "metric", odd.device, None, "value", odd.value, odd.unit, odd.score, "")
        )
        rows.append(
            (None, "unusual_usual", odd.metric, "metric", odd.device, None, "usual", odd.middle, odd.unit, None, "")
        )
    return Table(columns=COLUMNS, rows=rows, untrusted=("object",))


def _seen(sampling: Sampling, verdict: Verdict) -> list[tuple[str, Cell, str]]:
    return [
        ("causes", len(verdict.causes), "count"),
        ("processes_seen", len(sampling.snapshots[-1].processes), "count"),
        ("mounts_seen", len(sampling.mounts), "count"),
        ("logs_seen", len(sampling.logs), "count"),
        ("window", sampling.window_s, "s"),
        ("unread", sum(each.count for each in sampling.unread), "count"),
    ]


def _hypothesis(rank: int, role: str, each: Hypothesis, because: str) -> list[tuple[Cell, ...]]:
    return [
        (
            rank, role if place == 0 else "detail", each.fault.value, each.kind, each.object, each.pid, quantity.name,
            quantity.value, quantity.unit, each.score, because,
        )
        for place, quantity in enumerate(each.by)
    ]  # fmt: skip


def _trimmed(sampling: Sampling) -> Sampling:
    """Without the many small and quiet processes, of which nothing is concluded, and with command lines told once."""
    last = sampling.snapshots[-1]
    first = {each.pid: each for each in sampling.snapshots[0].processes}

    def weight(each: ProcessState) -> tuple[float, ...]:
        before = first.get(each.pid, each)
        odd = each.state in "TD" or each.zombies > 2 or (each.fds or 0) > 0.5 * (each.fds_limit or 1 << 40)
        moved = each.cpu_ns - before.cpu_ns + each.wait_ns - before.wait_ns
        return (float(odd), moved / 1e8 + abs(each.rss_bytes - before.rss_bytes) / 1e7, float(each.rss_bytes))

    kept = {each.pid for each in sorted(last.processes, key=weight, reverse=True)[:MOST_KEPT]}
    snapshots = []
    for snapshot in sampling.snapshots:
        argv = snapshot is last
        processes = tuple(each if argv else replace(each, argv="") for each in snapshot.processes if each.pid in kept)
        snapshots.append(Snapshot(
            at_ns=snapshot.at_ns, clock_ns=snapshot.clock_ns, processes=processes, measures=snapshot.measures,
            cgroups=snapshot.cgroups,
        ))  # fmt: skip
    return replace(
        sampling,
        snapshots=tuple(snapshots),
        files=sampling.files[:MOST_ROWS_KEPT],
        connections=sampling.connections[:MOST_ROWS_KEPT],
        connections_before=sampling.connections_before[:MOST_ROWS_KEPT],
    )
