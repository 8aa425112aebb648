"""A machine's processes in one cgroup, as raw slices: the live counterpart of a capture file."""

import os
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Self

import numpy as np
import numpy.typing as npt

from intact.collect.cgroup import held
from intact.collect.loader import Ring, recording_loader
from intact.collect.targets import Sighting, Targets
from intact.collect.uprobes import Uprobes
from intact.model.slice import Host, RawSlice

Bytes = npt.NDArray[np.uint8]

FAMILIES = ("process", "file", "io", "net", "tls")  # in the order of enum intact_family of bpf/wire.h
COUNTERS = 8  # COUNT_COUNTERS of bpf/wire.h
# The part of intact_header of bpf/wire.h that is needed here; the rest is for decode.
HEAD = np.dtype({"names": ["start_ns", "tgid"], "formats": ["u8", "u4"], "offsets": [8, 16], "itemsize": 56})

# A drain costs milliseconds whatever it brings: few of them leave the processors to what is observed, and a reader of what
# happened waits for this at most. Rings are looked at more often, and drained at once where one fills.
INTERVAL_S = 0.1
LOOK_S = 0.02
# The fullest ring: up to the first we sleep the whole interval, from the second on not at all.
CALM, PRESSED = 0.3, 0.6
SWEEP_S = 0.05  # read/write sums end after 100 ms without traffic: twice as often is soon enough
COUNT_S = 0.1  # reading the counters costs a call each
# One drain of one ring takes at most this: it bounds what a slice and all that is made from it can hold.
DRAIN_BYTES = 3 << 20
# A record's time is taken before it is visible in its ring; the kernel side needs microseconds, a stolen or busy processor
# milliseconds. What is younger than this waits for the next slice.
SETTLE_NS = 20_000_000
# After the end everything is detached, so the rings can only run dry; this bound is for a kernel that does not keep that.
FINAL_DRAINS = 1000


def boot_offset_ns(attempts: int = 64) -> int:
    """What to add to the boot clock to get the epoch: from the tightest of several pairs of readings."""
    best: tuple[int, int] | None = None
    for _ in range(attempts):
        before = time.clock_gettime_ns(time.CLOCK_REALTIME)
        boot = time.clock_gettime_ns(time.CLOCK_BOOTTIME)
        after = time.clock_gettime_ns(time.CLOCK_REALTIME)
        if best is None or after - before < best[0]:
            best = (after - before, (before + after) // 2 - boot)
    assert best is not None
    return best[1]


def this_host() -> Host:
    """The facts of this machine that every recording needs."""
    kernel = os.uname()
    return Host(
        name=kernel.nodename,
        boot_id=Path("/proc/sys/kernel/random/boot_id").read_text().strip(),
        kernel=f"{kernel.sysname} {kernel.release} {kernel.machine}",
        boot_offset_ns=boot_offset_ns(),
    )


class Collector:
    """Observes one cgroup: `attach`, then iterate over `slices`, then `close`.

    `command` is what is about to run in it, so that the files it will use carry their hooks before it does; `root_tgid` the
    process that will become it, already waiting in the cgroup.
    """

    def __init__(
        self,
        cgroup: Path,
        *,
        command: str | None = None,
        root_tgid: int = 0,
        tls: bool = True,
        cache: Path | None = None,
    ) -> None:
        self.host = this_host()
        self.loader = recording_loader()
        self._cgroup = cgroup
        self._command = command
        self._root_tgid = root_tgid
        self._tls = tls
        self._cache = cache
        self._targets: Targets | None = None
        self._notes: list[str] = []
        self._held: dict[str, Bytes] = {}  # records younger than the cut of their drain
        self._until = 0
        self._next_sweep = 0.0
        self._unusable = 0  # records of a wrong size: the object and the library are of two versions

    def attach(self) -> None:
        """Load the programs and attach them; from here on nothing in the scope is missed unless it is counted.

        Raises:
            NotSupported: the kernel or our privileges do not allow it; the message names the remedy.
        """
        self._load()
        self.loader.set_scope(self._cgroup)
        self._notes += [f"probe not attached: {line}" for line in self.loader.attach()]
        if self._tls:
            self._targets = self._new_targets()
            self._expect(self._targets)
        self.loader.iterate()
        if self._root_tgid:
            self.host = replace(self.host, root_tgid=self._root_tgid, root_start_ns=self._start_of(self._root_tgid))

    def _load(self) -> None:
        self.loader.load()

    def _new_targets(self) -> Targets:
        # What we started ourselves may be held for the moment in which a program it starts is searched.
        return Targets(Uprobes(self.loader), cache=self._cache, hold=lambda: held(self._cgroup))

    def _expect(self, targets: Targets) -> None:
        """Hook what will be used before it is."""
        if self._command:
            targets.expect(self._command)

    def now_ns(self) -> int:
        """Now, on the clock of the recording."""
        return time.clock_gettime_ns(time.CLOCK_BOOTTIME) + self.host.boot_offset_ns

    def slices(self, stopped: Callable[[], bool], *, interval_s: float = INTERVAL_S) -> Iterator[RawSlice]:
        """Drain until `stopped()`, then to the last record. A slice's buffers may be kept."""
        next_count = 0.0
        while not stopped():
            now = time.monotonic()
            raw, pressure = self._drain(time.clock_gettime_ns(time.CLOCK_BOOTTIME) - SETTLE_NS)
            if now >= next_count:
                raw = replace(raw, counters=self._counters())
                next_count = now + COUNT_S
            yield self._noted(raw, self._sighting())
            self._rest(now + interval_s * min(1.0, (PRESSED - pressure) / (PRESSED - CALM)), stopped)
        yield from self._last_slices()

    def _rest(self, until: float, stopped: Callable[[], bool]) -> None:
        """Sleep till then, or till a ring fills; sums are swept meanwhile."""
        while True:
            now = time.monotonic()
            if now >= self._next_sweep:
                self.loader.run("sweep")
                self._next_sweep = now + SWEEP_S
            if self._targets is not None:
                self._targets.look()
            if now >= until or stopped() or self._pressure() > CALM:
                return
            time.sleep(min(LOOK_S, until - now))

    def _pressure(self) -> float:
        """How full the fullest ring is."""
        return max(self.loader.waiting(ring) / ring.size_bytes for ring in self.loader.rings)

    def close(self) -> None:
        """Take everything off the kernel. May be called twice."""
        if self._targets is not None:
            self._targets.close()
        self.loader.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _last_slices(self) -> Iterator[RawSlice]:
        self.loader.detach()
        self.loader.run("sweep_all")  # after it no sum can begin
        sighting = self._sighting(last=True)
        if self._targets is not None:
            self._targets.close()
        if self._unusable:
            self._notes.append(f"{self._unusable} records of a wrong size were skipped: rebuild with make setup")
        time.sleep(SETTLE_NS / 1e9)
        for _ in range(FINAL_DRAINS):
            raw, _ = self._drain(time.clock_gettime_ns(time.CLOCK_BOOTTIME))
            if not raw.rings and not self._held:
                yield self._noted(replace(raw, counters=self._counters()), sighting)
                return
            yield raw

    def _sighting(self, *, last: bool = False) -> Sighting:
        return self._targets.poll(last=last) if self._targets is not None else Sighting()

    def _noted(self, raw: RawSlice, sighting: Sighting) -> RawSlice:
        notes, self._notes = (*self._notes, *sighting.notes), []
        return replace(raw, notes=notes, unheard=sighting.unheard)

    def _start_of(self, tgid: int) -> int:
        """Start of a process as the kernel counts it, from the records of those already running; 0 if there are none."""
        self._drain(0)
        for ring in self.loader.rings:
            held = self._held.get(ring.name)
            if held is None or not ring.name.startswith("process_"):
                continue
            heads = held.reshape(-1, ring.record_bytes)[:, : HEAD.itemsize].copy().view(HEAD)[:, 0]
            mine = heads[heads["tgid"] == tgid]
            if len(mine):
                return int(mine["start_ns"][0])
        return 0

    def _drain(self, until: int) -> tuple[RawSlice, float]:
        """One slice, and how full the fullest ring was (0 to 1; 1 also if something had to stay behind)."""
        buffers: dict[str, Bytes] = {}
        pressure = 0.0
        for ring in self.loader.rings:
            waiting = self.loader.waiting(ring)
            if not waiting and ring.name not in self._held:
                continue
            buffer, cut_short = self._take(ring, waiting)
            pressure = max(pressure, 1.0 if cut_short else waiting / ring.size_bytes)
            buffers[ring.name] = buffer
            if cut_short and len(buffer):
                # Younger records of this ring are still in it, so the slice ends before them.
                until = min(until, int(_times(buffer, ring.record_bytes)[-1]) - SETTLE_NS)
        self._until = until = max(until, self._until)
        records = {ring.name: ring.record_bytes for ring in self.loader.rings}
        rings = {name: self._cut(name, buffer, records[name]) for name, buffer in buffers.items()}
        raw = RawSlice(
            until_ktime_ns=until,
            rings={name: memoryview(part) for name, part in rings.items() if len(part)},  # type: ignore[arg-type]
        )
        return raw, pressure

    def _take(self, ring: Ring, waiting: int) -> tuple[Bytes, bool]:
        """What was held back of this ring and what it has now, and whether some had to stay for want of room."""
        held = self._held.pop(ring.name, None)
        head = 0 if held is None else len(held)
        room = min(waiting // ring.record_bytes * ring.record_bytes, DRAIN_BYTES)
        buffer = np.empty(head + room, np.uint8)
        if held is not None:
            buffer[:head] = held
        drained = self.loader.drain(ring, buffer[head:])
        self._unusable += drained.odd
        return buffer[: head + drained.bytes], drained.left_bytes > 0 and drained.bytes + ring.record_bytes > room

    def _cut(self, name: str, buffer: Bytes, record_bytes: int) -> Bytes:
        """The records before the cut; the others are held back."""
        young = _times(buffer, record_bytes) >= np.uint64(self._until)
        if not young.any():
            return buffer
        rows = buffer.reshape(-1, record_bytes)
        self._held[name] = rows[young].reshape(-1)
        first = int(young.argmax())
        # Rings are nearly in order of time: mostly the young ones are the tail, and nothing has to be copied.
        return buffer[: first * record_bytes] if young[first:].all() else rows[~young].reshape(-1)

    def _counters(self) -> dict[str, tuple[int, ...]]:
        values = self.loader.counters(len(FAMILIES) * COUNTERS)
        if len(values) != len(FAMILIES) * COUNTERS:
            return {}
        return {family: values[i * COUNTERS : (i + 1) * COUNTERS] for i, family in enumerate(FAMILIES)}


def _times(buffer: Bytes, record_bytes: int) -> np.ndarray[tuple[int], np.dtype[np.uint64]]:
    """`ktime_ns` of each record: the first field of every header."""
    return buffer.view(np.uint64)[:: record_bytes // 8]
