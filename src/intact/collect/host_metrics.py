"""The core metrics of this machine: cheap enough to be taken every few seconds for ever."""

import contextlib
import os
import time
from collections.abc import Sequence
from pathlib import Path

import psutil

from intact.collect.host_processes import pressure
from intact.collect.host_space import read_mounts
from intact.model.facts import HostMetric
from intact.model.host import Measure, Within
from intact.model.identity import text_id

MOST_DEVICES = 32
_VIRTUAL_DISKS = ("loop", "ram", "zram", "sr", "fd")


class HostMeter:
    """Measures again and again; what is a rate is so since the measurement before."""

    def __init__(self) -> None:
        self._before: dict[tuple[str, str], float] = {}
        self._cpu_before: dict[str, float] = {}
        self._at = 0.0

    def measure(self) -> tuple[Measure, ...]:
        """The core metrics now; the first time without rates."""
        now = time.monotonic()
        elapsed, self._at = now - self._at, now
        return (
            *self._cpu(),
            *_load(),
            *_memory(),
            *_pressure(),
            *self._devices(elapsed),
            *_counts(),
            *_space(),
        )

    def _cpu(self) -> list[Measure]:
        times = psutil.cpu_times()._asdict()
        # guest time is told within user time, too
        own = {name: value for name, value in times.items() if name not in ("guest", "guest_nice")}
        before, self._cpu_before = self._cpu_before, own
        found = [Measure(name="cpu.count", value=float(psutil.cpu_count() or 1), unit="count")]
        if before:
            spent = {name: max(value - before.get(name, 0.0), 0.0) for name, value in own.items()}
            total = sum(spent.values())
            if total > 0:
                idle = spent["idle"] + spent.get("iowait", 0.0)
                found.append(_percent("cpu.busy", 100.0 * (1.0 - idle / total)))
                found += [
                    _percent(f"cpu.{name}", 100.0 * spent.get(name, 0.0) / total)
                    for name in ("user", "system", "iowait", "steal")
                ]
        return found

    def _devices(self, elapsed: float) -> list[Measure]:
        found: list[Measure] = []
        disks = psutil.disk_io_counters(perdisk=True, nowrap=False) or {}
        for name, disk in sorted(disks.items())[:MOST_DEVICES]:
            if not name.startswith(_VIRTUAL_DISKS):
                found += self._rate("disk.read", disk.read_bytes, name, elapsed)
                found += self._rate("disk.write", disk.write_bytes, name, elapsed)
                for busy in self._rate("disk.busy", disk.busy_time / 10.0, name, elapsed):  # ms a second -> percent
                    found.append(Measure(name=busy.name, value=min(busy.value, 100.0), unit="%", device=name))
        for name, nic in sorted(psutil.net_io_counters(pernic=True, nowrap=False).items())[:MOST_DEVICES]:
            found += self._rate("network.received", nic.bytes_recv, name, elapsed)
            found += self._rate("network.sent", nic.bytes_sent, name, elapsed)
        return found

    def _rate(self, name: str, value: float, device: str, elapsed: float) -> list[Measure]:
        before = self._before.get((name, device))
        self._before[name, device] = value
        if before is None or elapsed <= 0:
            return []
        return [Measure(name=name, value=round(max(value - before, 0.0) / elapsed, 1), unit="bytes/s", device=device)]


def sample(measures: Sequence[Measure], host: str, at_ns: int) -> list[HostMetric]:
    """Measurements as facts, each under the name of its host."""
    return [
        HostMetric(
            id=text_id("host_metric", host, each.name, each.device, at_ns),
            name=each.name,
            value=each.value,
            unit=each.unit,
            at_ns=at_ns,
            labels={"host": host, **({"device": each.device} if each.device else {})},
        )
        for each in measures
    ]


def _percent(name: str, value: float) -> Measure:
    return Measure(name=name, value=round(min(max(value, 0.0), 100.0), 2), unit="%")


def _load() -> list[Measure]:
    return [
        Measure(name=f"load.{name}", value=round(value, 2), unit="count")
        for name, value in zip(("1m", "5m", "15m"), os.getloadavg(), strict=True)
    ]


def _memory() -> list[Measure]:
    fields = {}
    for line in Path("/proc/meminfo").read_text().splitlines():
        name, _, value = line.partition(":")
        fields[name] = int(value.split()[0]) * 1024
    total, available = fields["MemTotal"], fields.get("MemAvailable", fields.get("MemFree", 0))
    swap, swap_free = fields.get("SwapTotal", 0), fields.get("SwapFree", 0)
    return [
        Measure(name="memory.total", value=float(total), unit="bytes"),
        Measure(name="memory.available", value=float(available), unit="bytes"),
        Measure(name="memory.used", value=float(total - available), unit="bytes"),
        _percent("memory.used_percent", 100.0 * (total - available) / max(total, 1)),
        Measure(name="swap.total", value=float(swap), unit="bytes"),
        Measure(name="swap.used", value=float(swap - swap_free), unit="bytes"),
    ]


def _pressure() -> list[Measure]:
    return [
        _percent(f"pressure.{resource}.{kind}", value)
        for resource in ("cpu", "memory", "io")
        for kind, value in pressure(Path(f"/proc/pressure/{resource}")).items()
        if (resource, kind) != ("cpu", "full")  # of the whole machine it is always zero
    ]


def _counts() -> list[Measure]:
    found = {"processes.count": sum(name.isdigit() for name in os.listdir("/proc"))}
    with contextlib.suppress(OSError, ValueError, IndexError):
        running, _, threads = Path("/proc/loadavg").read_text().split()[3].partition("/")
        found |= {"threads.running": int(running), "threads.count": int(threads)}
    with contextlib.suppress(OSError, ValueError):
        for line in Path("/proc/stat").read_text().splitlines():
            if line.startswith("procs_blocked "):
                found["processes.blocked"] = int(line.split()[1])
    with contextlib.suppress(OSError, ValueError, IndexError):
        used, _, most = Path("/proc/sys/fs/file-nr").read_text().split()
        found |= {"fds.used": int(used), "fds.max": min(int(most), 1 << 53)}
    with contextlib.suppress(OSError, ValueError):
        found["uptime"] = int(float(Path("/proc/uptime").read_text().split()[0]) * 1e9)
    return [
        Measure(name=name, value=float(value), unit="ns" if name == "uptime" else "count")
        for name, value in found.items()
    ]


def _space() -> list[Measure]:
    found = []
    for mount in read_mounts(Within()).rows[:MOST_DEVICES]:
        if not mount.is_image:
            found.append(Measure(name="space.free", value=float(mount.free_bytes), unit="bytes", device=mount.path))
            found.append(
                Measure(name="space.used_percent", value=round(mount.used_percent, 2), unit="%", device=mount.path)
            )
            if mount.inodes:
                found.append(
                    Measure(
                        name="space.inodes_percent", value=round(mount.inodes_percent, 2), unit="%", device=mount.path
                    )
                )
    return found
