"""User CPU from ring bytes to decoded batches, for file records; run: python -m bench decode."""

import resource
import time
from collections.abc import Iterator, Sequence

import numpy as np

from bench.outcome import Outcome
from intact.decode import wire
from intact.decode.stage import decode
from intact.model.slice import Host, RawSlice

RECORDS = 2_000_000
SLICE_RECORDS = 4_000  # 20 ms at 200,000 records a second
BAR_NS = 500


def file_ring(count: int, seed: int) -> np.ndarray:
    """Opens of one process with paths of 20 to 120 bytes, as a drain would bring them."""
    random = np.random.default_rng(seed)
    ring = np.zeros(count * 256, np.uint8)
    rows = ring.view(wire.DTYPES[wire.File][256])
    rows["ktime_ns"] = 1_000_000_000 + np.arange(count) * 5_000 + random.integers(0, 9_000, count)
    rows["enter_ns"] = rows["ktime_ns"] - 1_500
    rows["start_ns"], rows["tgid"], rows["tid"] = 77, 4321, 4321
    rows["type"], rows["op"] = wire.Type.FILE, wire.FileOp.OPEN
    rows["path_length"] = rows["length"] = random.integers(20, 120, count)
    rows["inode"] = random.integers(1, 1 << 40, count)
    begin = wire.DATA_OFFSET[wire.File]
    ring.reshape(-1, 256)[:, begin:] = np.frombuffer(b"/usr/lib/python3/dist-packages/" * 5, np.uint8)[: 256 - begin]
    return ring


def slices(ring: np.ndarray, total: int) -> Iterator[RawSlice]:
    """The ring's records over and over, a fresh copy each time as a drain makes one."""
    for i in range(total * 256 // ring.nbytes):
        yield RawSlice(until_ktime_ns=1_000_000_000 + (i + 1) * 20_000_000, rings={"file_256": memoryview(ring.copy())})


def measure(argv: Sequence[str]) -> Outcome:
    """Decode 2,000,000 records (or as many as `argv` says) and print what one costs."""
    total = int(argv[0]) if argv else RECORDS
    host = Host(name="bench", boot_id="bench", kernel="", boot_offset_ns=1_700_000_000_000_000_000)
    ring = file_ring(SLICE_RECORDS, seed=1)
    for _ in decode(slices(ring, 20 * SLICE_RECORDS), host):
        pass
    before, began = resource.getrusage(resource.RUSAGE_SELF), time.perf_counter()
    rows = sum(one.effects["file"].num_rows for one in decode(slices(ring, total), host) if one.effects)
    wall, after = time.perf_counter() - began, resource.getrusage(resource.RUSAGE_SELF)
    user = (after.ru_utime - before.ru_utime) * 1e9 / rows
    system = (after.ru_stime - before.ru_stime) * 1e9 / rows
    rss_mb = after.ru_maxrss / 1024
    print(
        f"decode: {rows:,} file records, {user:.0f} ns user + {system:.0f} ns system each, {rows / wall:,.0f} a second"
    )
    print(f"decode: peak RSS {rss_mb:.0f} MB; bar {BAR_NS} ns user")
    report = {"records": rows, "user_ns": user, "system_ns": system, "peak_rss_mb": rss_mb, "bar_user_ns": BAR_NS}
    return Outcome(reached=user <= BAR_NS, report=report)
