"""What the sensor costs when nothing happens, and whether it stays as small: `python -m bench sensor`. Needs root.

`[--idle N] [--seconds S] [--processes N]`. A cgroup with idle processes is watched, then short processes run in it.
"""

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from bench.outcome import Outcome
from intact.collect.cgroup import ScopeCgroup
from intact.collect.sensor import RING_BYTES

ROOT = Path(__file__).parents[1]
INTACT = str(ROOT / ".venv" / "bin" / "intact")
ENVIRONMENT = {"PATH": "/usr/bin:/bin", "HOME": "/root", "LANG": "C.UTF-8"}
TICKS = os.sysconf("SC_CLK_TCK")
CPU_BAR, MEMORY_BAR_MB, RING_BAR_MB = 1.0, 150.0, 16.0
FLAT_MB = 8.0  # allocators breathe; a leak of 100 bytes a process would be more than this
MOST_NEW_ENTRIES = 16  # a file that is hooked late is a new entry; one that stays for each process would be 100,000
SETTLE_S = 3.0
START_S, STOP_S = 120.0, 60.0
SHORT = 'i=0; while [ $i -lt "$1" ]; do /bin/true; i=$((i + 1)); done'
WARM_UP = 5_000  # what fills once (caches, tables of the allocator) is full after them
MAP_TYPES = ("hash", "lru_hash", "percpu_hash", "lru_percpu_hash", "hash_of_maps")
# A small process, many times: from one parent, without an interpreter for each.
IDLE = (
    "import os, signal, sys\nfor _ in range(int(sys.argv[1])):\n if not os.fork(): signal.pause()\nprint(flush=True)\n"
)


class Sensor:
    """`intact sensor` on a scope, and what the kernel counts of it."""

    def __init__(self, scope: ScopeCgroup, base: Path) -> None:
        config = base / "intact.yaml"
        config.write_text(json.dumps({"scope": {"cgroup": str(scope.path)}}))
        line = [INTACT, "sensor", "--config", str(config), "--data", str(base / "data")]
        self.process = subprocess.Popen(line, env=ENVIRONMENT, stderr=subprocess.PIPE, text=True)
        assert self.process.stderr is not None
        first = self.process.stderr.readline()
        if "watching" not in first:
            raise SystemExit(f"bench sensor: the sensor did not start: {first}")
        self.maps = kernel_maps(self.process.pid)

    def stop(self) -> str:
        """The last line it said."""
        self.process.send_signal(signal.SIGTERM)
        _, said = self.process.communicate(timeout=STOP_S)
        return said.strip().rpartition("\n")[2]

    def cpu_s(self) -> float:
        """User and system time so far, of all its threads."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / TICKS

    def memory_mb(self) -> float:
        """Resident memory now."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmRSS:")) / 1024

    def wakeups(self) -> int:
        """How often a thread of it was put to sleep by itself."""
        lines = [
            line
            for task in Path(f"/proc/{self.process.pid}/task").iterdir()
            for line in (task / "status").read_text().splitlines()
        ]
        return sum(int(line.split()[1]) for line in lines if line.startswith("voluntary_ctxt"))

    def entries(self) -> dict[str, int]:
        """Entries of each of its kernel tables that can grow."""
        return {name: holds(number) or 0 for number, name in self.maps.items()}


def kernel_maps(pid: int) -> dict[int, str]:
    """The tables with keys that a process holds, by id."""
    lines = [line for info in Path(f"/proc/{pid}/fdinfo").iterdir() for line in info.read_text().splitlines()]
    ours = {int(line.split()[1]) for line in lines if line.startswith("map_id:")}
    found = {}
    for number in sorted(ours):
        line = ["/usr/sbin/bpftool", "-j", "map", "show", "id", str(number)]
        told = json.loads(subprocess.run(line, check=True, capture_output=True).stdout)
        if told["type"] in MAP_TYPES:
            found[number] = told["name"]
    return found


def holds(number: int) -> int | None:
    """Entries of a kernel table; None where it cannot be read."""
    shown = subprocess.run(["/usr/sbin/bpftool", "-j", "map", "dump", "id", str(number)], capture_output=True)
    if shown.returncode:
        return None
    return len(json.loads(shown.stdout))


@contextmanager
def idle(scope: ScopeCgroup, count: int) -> Iterator[None]:
    """So many processes in the scope that do nothing."""
    parent = in_scope(scope, ["/usr/bin/python3", "-I", "-c", IDLE, str(count)])
    assert parent.stdout is not None
    parent.stdout.readline()
    try:
        yield
    finally:
        for pid in scope.processes():
            os.kill(pid, signal.SIGKILL)  # the scope is ours, and so is all that is in it
        parent.communicate()


def in_scope(scope: ScopeCgroup, argv: Sequence[str]) -> subprocess.Popen[str]:
    """A program that begins inside the scope."""
    enter = 'echo $$ > "$0/cgroup.procs"; exec "$@"'
    line = ["/bin/sh", "-c", enter, str(scope.path), *argv]
    return subprocess.Popen(line, env=ENVIRONMENT, stdout=subprocess.PIPE, text=True)


def burst(scope: ScopeCgroup, count: int, look: Callable[[], None]) -> float:
    """Run short processes one after the other; seconds."""
    started = time.monotonic()
    program = in_scope(scope, ["/bin/sh", "-c", SHORT, "short", str(count)])
    while program.poll() is None:
        look()
        time.sleep(1)
    program.communicate()
    time.sleep(SETTLE_S)
    return time.monotonic() - started


def measure(argv: Sequence[str]) -> Outcome:
    """Share of a core and memory when idle, then memory and kernel tables over many short processes."""
    parser = argparse.ArgumentParser(prog="python -m bench sensor")
    parser.add_argument("--idle", type=int, default=200)
    parser.add_argument("--seconds", type=float, default=30.0)
    parser.add_argument("--processes", type=int, default=100_000)
    options = parser.parse_args(argv)
    with (
        tempfile.TemporaryDirectory(prefix="intact-bench-") as base,
        ScopeCgroup(f"intact-bench-{os.getpid()}") as scope,
        idle(scope, options.idle),
    ):
        sensor = Sensor(scope, Path(base))
        try:
            report: dict[str, Any] = {"ring_mb": sum(RING_BYTES.values()) / (1 << 20)}
            report |= resting(sensor, scope, options.seconds)
            report |= busy(sensor, scope, options.processes)
        finally:
            report_end = sensor.stop()
    print(report_end, file=sys.stderr)
    return Outcome(report=report, reached=is_reached(report))


def resting(sensor: Sensor, scope: ScopeCgroup, seconds: float) -> dict[str, Any]:
    """The sensor while nothing happens."""
    time.sleep(SETTLE_S)
    cpu, woken, started = sensor.cpu_s(), sensor.wakeups(), time.monotonic()
    time.sleep(seconds)
    passed = time.monotonic() - started
    found = {
        "idle_processes": float(len(scope.processes())),
        "idle_s": passed,
        "idle_cpu_percent": 100 * (sensor.cpu_s() - cpu) / passed,
        "idle_wakeups_per_s": (sensor.wakeups() - woken) / passed,
        "idle_rss_mb": sensor.memory_mb(),
    }
    print(
        f"{found['idle_processes']:.0f} idle processes, {passed:.0f} s: {found['idle_cpu_percent']:.2f} % of a core, "
        f"{found['idle_wakeups_per_s']:.0f} wakeups/s, {found['idle_rss_mb']:.0f} MB"
    )
    return found


def busy(sensor: Sensor, scope: ScopeCgroup, processes: int) -> dict[str, Any]:
    """The sensor over many short processes."""
    burst(scope, min(WARM_UP, processes), lambda: None)
    memory, tables, cpu = sensor.memory_mb(), sensor.entries(), sensor.cpu_s()
    seen: list[float] = []
    seconds = burst(scope, processes, lambda: seen.append(sensor.memory_mb()))
    after, tables_after = sensor.memory_mb(), sensor.entries()
    seen.append(after)
    grown = {name: (tables[name], count) for name, count in tables_after.items() if count > tables.get(name, 0)}
    print(
        f"{processes:,} short processes in {seconds:.0f} s: {memory:.1f} MB before, {after:.1f} after, "
        f"{max(seen):.1f} at most, {1e6 * (sensor.cpu_s() - cpu) / processes:.0f} us each; "
        f"kernel entries {sum(tables.values())} before, {sum(tables_after.values())} after; grown: {grown or 'none'}"
    )
    return {
        "short_processes": processes,
        "short_s": seconds,
        "rss_before_mb": memory,
        "rss_after_mb": after,
        "rss_most_mb": max(seen),
        "rss_tenths_mb": [round(seen[len(seen) * tenth // 10], 1) for tenth in range(10)],
        "cpu_us_per_process": 1e6 * (sensor.cpu_s() - cpu) / processes,
        "entries_before": tables,
        "entries_after": tables_after,
        "tables_grown": grown,
    }


def is_reached(report: dict[str, Any]) -> bool:
    """Whether all that is promised of the sensor holds."""
    return bool(
        report["idle_cpu_percent"] <= CPU_BAR
        and max(report["idle_rss_mb"], report["rss_most_mb"]) <= MEMORY_BAR_MB
        and report["ring_mb"] <= RING_BAR_MB
        and report["rss_after_mb"] - report["rss_before_mb"] <= FLAT_MB
        and sum(after - before for before, after in report["tables_grown"].values()) <= MOST_NEW_ENTRIES
    )
