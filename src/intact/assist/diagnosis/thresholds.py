"""From which value on something counts as wrong: one table, each with its reason."""

from dataclasses import dataclass

MIB = 1 << 20
GIB = 1 << 30


@dataclass(frozen=True, slots=True, kw_only=True)
class Threshold:
    value: float
    unit: str
    reason: str


def _of(value: float, unit: str, reason: str) -> Threshold:
    return Threshold(value=value, unit=unit, reason=reason)


THRESHOLDS: dict[str, Threshold] = {
    "cpu_demand": _of(
        0.9, "cores", "who runs, or waits to run, nine tenths of the whole time never waits for anything"
    ),
    "cpu_demand_step": _of(
        0.7, "cores", "the clock of /proc ticks at 10 ms: one step of a steady load may look smaller"
    ),
    "cpu_demand_ready": _of(0.6, "cores", "who is found running or ready in every single look does not sleep at all"),
    "cpu_share": _of(0.4, "", "a full core is a trouble where it is a good part of what the process may use"),
    "cpu_short": _of(85.0, "%", "above this queues for a processor grow faster than load"),
    "rss_growth": _of(4 * MIB, "bytes", "less within a second is the breathing of an allocator"),
    "time_left": _of(3_600.0, "s", "what is used up within the hour needs somebody now"),
    "young": _of(60.0, "s", "a program that starts takes memory all the time, and is at its size within a minute"),
    "time_left_young": _of(30.0, "s", "a start that would use up all memory within half a minute is none"),
    "memory_used": _of(95.0, "%", "above this the kernel reclaims all the time, and the next burst is killed"),
    "memory_pressure": _of(10.0, "%", "a tenth of the time in which nobody gets on is felt by whoever waits"),
    "space_used": _of(95.0, "%", "file systems place files badly from here on, and root's reserve begins"),
    "space_free": _of(20 * GIB, "bytes", "of a large disk five percent are still room for days"),
    "inodes_used": _of(95.0, "%", "as for space; small files come in bursts"),
    "fds_used": _of(80.0, "%", "a burst of connections is a fifth of a usual limit"),
    "fds_growth": _of(10.0, "count", "fewer within a second open and close again"),
    "zombies": _of(10.0, "count", "a parent that waits at all has fewer at any moment"),
    "thread_growth": _of(20.0, "count", "pools start with fewer within a second, and then stand still"),
    "processes_used": _of(90.0, "%", "the next program that is started may be refused"),
    "log_growth": _of(1 * MIB, "bytes/s", "a gigabyte in a quarter of an hour; nobody reads that"),
    "log_share": _of(30.0, "%", "a third of a full file system is what to look at first"),
    "io_rate": _of(20 * MIB, "bytes/s", "a good part of what a plain disk takes, without a pause"),
    "close_wait": _of(20.0, "count", "the peer has closed, the program never will; some are usual for a moment"),
    "deleted_share": _of(20.0, "%", "a fifth of a file system that no listing shows"),
    "deleted_used": _of(70.0, "%", "with more than this left the lost room is nobody's trouble yet"),
    "refused_lines": _of(3.0, "count", "one or two are a restart"),
    "error_lines": _of(3.0, "count", "one or two are an accident"),
    "unread_share": _of(50.0, "%", "who may not see half of it cannot say that nothing is wrong"),
    "unusual": _of(
        6.0, "deviations", "of ten thousand usual values none is so far out, also where they are not normal"
    ),
    "samples": _of(30.0, "count", "fewer say little of what is usual"),
}


def at(name: str) -> float:
    """The value of a threshold."""
    return THRESHOLDS[name].value
