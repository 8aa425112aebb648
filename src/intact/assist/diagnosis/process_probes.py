"""What may be wrong with processes and with the memory that they share."""

from collections.abc import Iterator

from intact.assist.diagnosis.baseline import rises, seconds_left
from intact.assist.diagnosis.hypothesis import Fault, Hypothesis, Quantity
from intact.assist.diagnosis.thresholds import at
from intact.assist.diagnosis.view import KERNEL_THREADS, Trend, View, mean
from intact.model.host import LogClass

MOST_STEPS_FLAT = 0.2  # of the steps of a growth may stand still: a busy machine does not run everybody in every step
_STUCK = frozenset("TD")


def cpu_hog(view: View) -> Iterator[Hypothesis]:
    """Who never stops to compute. Waiting for a processor counts: on a busy machine nobody gets what he wants."""
    busy = view.measure("cpu.busy") if view.is_whole_host else None
    is_short = busy is not None and busy >= at("cpu_short")
    for trend in _steady(view):
        is_single = trend.last.threads == 1  # of the others only the main thread tells of waiting
        steps = trend.rates("cpu_ns", "wait_ns") if is_single else trend.rates("cpu_ns")
        demand = mean(steps) / 1e9
        cpus = max(min(trend.last.cpus_allowed, view.sampling.cpus), 1)
        is_steady = demand >= at("cpu_demand") and min(steps) / 1e9 >= at("cpu_demand_step")
        # A wait is told only when it is over: where many wait, who was ready in every look may seem to want less.
        is_ready = is_single and demand >= at("cpu_demand_ready") and all(each.state == "R" for each in trend.states)
        if not (is_steady or is_ready):
            continue
        share = (max(demand, 1.0) if is_ready else demand) / cpus
        if share >= at("cpu_share") or is_short:
            yield _process(
                trend, Fault.CPU_HOG, 0.55 + 0.2 * min(share, 1.0),
                Quantity(name="cpu_demand", value=round(demand, 2), unit="cores"),
                Quantity(name="cpu_used", value=round(trend.rate("cpu_ns") / 1e9, 2), unit="cores"),
            )  # fmt: skip


def cpu_shortage(view: View) -> Iterator[Hypothesis]:
    """Too much work for the processors, whoever does it."""
    busy, waits = view.measure("cpu.busy"), view.measure("pressure.cpu.some")
    if view.is_whole_host and busy is not None and busy >= at("cpu_short") and (waits is None or waits >= 10):
        load = view.measure("load.1m") or 0.0
        yield Hypothesis(
            fault=Fault.CPU_SHORTAGE, object="cpu", kind="host", score=0.5,
            by=(Quantity(name="cpu.busy", value=busy, unit="%"), Quantity(name="load.1m", value=load, unit="count")),
        )  # fmt: skip


def memory_leak(view: View) -> Iterator[Hypothesis]:
    """Whose memory grows all the time, so that it will be used up soon."""
    group = view.limiting()
    available = view.measure("memory.available")
    for trend in _steady(view):
        sizes = trend.values("rss_bytes")
        growth, rate = sizes[-1] - sizes[0], trend.rate("rss_bytes")
        if growth < at("rss_growth") or not rises(sizes, share=1 - MOST_STEPS_FLAT):
            continue
        room = available if available is not None else float(view.sampling.memory_bytes)
        if group is not None and group.memory_limit_bytes is not None:
            room = min(room, float(group.memory_limit_bytes - (group.memory_bytes or 0)))
        left = seconds_left(room, rate)
        age = (view.sampling.snapshots[-1].at_ns - trend.last.started_ns) / 1e9
        if left is not None and left <= at("time_left_young" if age < at("young") else "time_left"):
            yield _process(
                trend, Fault.MEMORY_LEAK, 0.85,
                Quantity(name="rss_growth", value=round(rate), unit="bytes/s"),
                Quantity(name="rss", value=sizes[-1], unit="bytes"),
                Quantity(name="time_left", value=round(left, 1), unit="s"),
                cgroup=group.path if group is not None else "",
            )  # fmt: skip


def memory_pressure(view: View) -> Iterator[Hypothesis]:
    """Memory that is nearly used up, of a group or of the machine."""
    for group in view.sampling.snapshots[-1].cgroups:
        if group.memory_limit_bytes and group.memory_bytes is not None:
            used = 100.0 * group.memory_bytes / group.memory_limit_bytes
            if used >= at("memory_used"):
                yield Hypothesis(
                    fault=Fault.MEMORY_PRESSURE, object=group.path, kind="cgroup", score=0.6, cgroup=group.path,
                    by=(
                        Quantity(name="memory_used", value=round(used, 1), unit="%"),
                        Quantity(name="memory_limit", value=float(group.memory_limit_bytes), unit="bytes"),
                    ),
                )  # fmt: skip
    if view.is_whole_host:
        used, waits = view.measure("memory.used_percent") or 0.0, view.measure("pressure.memory.full") or 0.0
        if used >= at("memory_used") or waits >= at("memory_pressure"):
            yield Hypothesis(
                fault=Fault.MEMORY_PRESSURE, object="memory", kind="host", score=0.7,
                by=(
                    Quantity(name="memory.used_percent", value=used, unit="%"),
                    Quantity(name="pressure.memory.full", value=waits, unit="%"),
                ),
            )  # fmt: skip


def oom_kill(view: View) -> Iterator[Hypothesis]:
    """Processes that the kernel killed for want of memory."""
    first = {group.path: group.oom_kills or 0 for group in view.sampling.snapshots[0].cgroups}
    last = {group.path: group for snapshot in view.sampling.snapshots for group in snapshot.cgroups}
    is_told = False
    for path, group in last.items():
        kills = (group.oom_kills or 0) - first.get(path, 0)
        if kills > 0:
            is_told = True
            yield Hypothesis(
                fault=Fault.OOM_KILL, object=path, kind="cgroup", score=0.9, cgroup=path,
                by=(
                    Quantity(name="oom_kills", value=float(kills), unit="count"),
                    Quantity(name="memory_limit", value=float(group.memory_limit_bytes or 0), unit="bytes"),
                ),
            )  # fmt: skip
    for trouble in view.sampling.troubles:
        if trouble.kind is LogClass.OOM and trouble.source == "kernel" and trouble.recent and not is_told:
            yield Hypothesis(
                fault=Fault.OOM_KILL, object="memory", kind="host", score=0.8,
                by=(Quantity(name="oom_lines", value=float(trouble.recent), unit="count"),),
            )  # fmt: skip


def descriptor_leak(view: View) -> Iterator[Hypothesis]:
    """Who is near the bound of its open files, or comes there soon."""
    for trend in _steady(view):
        counts, limit = trend.values("fds"), trend.last.fds_limit
        if not counts or not limit:
            continue
        used = 100.0 * counts[-1] / limit
        left = seconds_left(limit - counts[-1], trend.rate("fds"))
        is_growing = counts[-1] - counts[0] >= at("fds_growth") and rises(counts, share=1 - MOST_STEPS_FLAT)
        if used >= at("fds_used") or (is_growing and left is not None and left <= at("time_left")):
            yield _process(
                trend, Fault.DESCRIPTOR_LEAK, 0.8 if used >= at("fds_used") else 0.7,
                Quantity(name="fds", value=counts[-1], unit="count"),
                Quantity(name="fds_limit", value=float(limit), unit="count"),
                Quantity(name="fds_used", value=round(used, 1), unit="%"),
            )  # fmt: skip


def zombie_flood(view: View) -> Iterator[Hypothesis]:
    """A parent that does not wait for its children."""
    for trend in _steady(view):
        counts = trend.values("zombies")
        if min(counts[0], counts[-1]) >= at("zombies"):
            yield _process(
                trend, Fault.ZOMBIE_FLOOD, 0.75, Quantity(name="zombies", value=counts[-1], unit="count")
            )  # fmt: skip


def floods(view: View) -> Iterator[Hypothesis]:
    """Who starts threads or processes without an end, and groups that may have no more."""
    for trend in _steady(view):
        threads = trend.values("threads")
        living = [float(state.children - state.zombies) for state in trend.states]
        for fault, name, values in (
            (Fault.THREAD_FLOOD, "threads", threads),
            (Fault.FORK_FLOOD, "children", living),
        ):
            if values[-1] - values[0] >= at("thread_growth") and rises(values, share=1 - 2 * MOST_STEPS_FLAT):
                yield _process(
                    trend, fault, 0.8,
                    Quantity(name=name, value=values[-1], unit="count"),
                    Quantity(name=f"{name}_growth", value=round((values[-1] - values[0]) / trend.span, 1), unit="per_s"),
                )  # fmt: skip
    for group in view.sampling.snapshots[-1].cgroups:
        if group.processes and group.processes_limit:
            used = 100.0 * group.processes / group.processes_limit
            if used >= at("processes_used"):
                yield Hypothesis(
                    fault=Fault.PROCESS_LIMIT, object=group.path, kind="cgroup", score=0.65, cgroup=group.path,
                    by=(
                        Quantity(name="processes_used", value=round(used, 1), unit="%"),
                        Quantity(name="processes_limit", value=float(group.processes_limit), unit="count"),
                    ),
                )  # fmt: skip


def stuck_process(view: View) -> Iterator[Hypothesis]:
    """Who is stopped, or waits for a device, and has not moved at all."""
    stuck = {
        trend.last.pid: trend
        for trend in _steady(view)
        if all(state.state == trend.last.state for state in trend.states)
        and trend.last.state in _STUCK
        and trend.rate("cpu_ns") == 0
    }
    for trend in stuck.values():
        if trend.last.ppid not in stuck:  # a stopped job is told once, by its first process
            yield _process(
                trend, Fault.STUCK_PROCESS, 0.7 if trend.last.state == "T" else 0.6,
                Quantity(name="stuck_for", value=round(trend.span, 2), unit="s"),
                Quantity(name="state_stopped", value=float(trend.last.state == "T"), unit="bool"),
            )  # fmt: skip


def _steady(view: View) -> Iterator[Trend]:
    """The processes that were there all the time; threads of the kernel are nobody's fault."""
    for trend in view.trends:
        is_kernel = trend.last.ppid == KERNEL_THREADS or trend.last.pid == KERNEL_THREADS
        if trend.is_whole and len(trend.states) > 1 and not is_kernel and trend.last.state != "Z":
            yield trend


def _process(trend: Trend, fault: Fault, score: float, *by: Quantity, cgroup: str = "") -> Hypothesis:
    return Hypothesis(
        fault=fault, object=trend.label, kind="process", score=round(score, 3), by=by, pid=trend.last.pid, cgroup=cgroup
    )
