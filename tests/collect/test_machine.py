"""The drain: every record once, none later than its slice, and on a real kernel exactly what a known workload did."""

import os
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from intact.collect import machine
from intact.collect.cgroup import ScopeCgroup
from intact.collect.features import Answer, probe_features
from intact.collect.loader import Drained, Loader, Ring
from intact.collect.machine import Collector, boot_offset_ns
from intact.decode.stage import decode
from intact.model.effects import Kind
from intact.model.errors import NotSupported
from intact.model.facts import Loss, Process, StageCount
from intact.model.slice import RawSlice, Slice

RINGS = (
    Ring(index=0, name="file_256", record_bytes=256, size_bytes=1 << 16),
    Ring(index=1, name="tls_1k", record_bytes=1024, size_bytes=1 << 16),
)


class FakeLoader:
    """Rings in memory: what the kernel side would have written by now."""

    def __init__(self) -> None:
        self.rings = RINGS
        self.waiting_records: dict[int, list[bytes]] = {0: [], 1: []}

    def put(self, ring: int, ktime_ns: int, number: int) -> None:
        record = np.zeros(RINGS[ring].record_bytes, np.uint8)
        record.view(np.uint64)[0], record.view(np.uint64)[1] = ktime_ns, number
        self.waiting_records[ring].append(record.tobytes())

    def waiting(self, ring: Ring) -> int:
        return len(self.waiting_records[ring.index]) * (ring.record_bytes + 8)

    def drain(self, ring: Ring, buffer: np.ndarray[Any, Any]) -> Drained:
        records = self.waiting_records[ring.index]
        count = min(len(records), len(buffer) // ring.record_bytes)
        buffer[: count * ring.record_bytes] = np.frombuffer(b"".join(records[:count]), np.uint8)
        del records[:count]
        return Drained(bytes=count * ring.record_bytes, left_bytes=self.waiting(ring), discarded=0, odd=0)

    def counters(self, count: int) -> tuple[int, ...]:
        return ()

    def run(self, program: str) -> None:
        pass

    def detach(self) -> None:
        pass


def collector_of(loader: FakeLoader) -> Collector:
    collector = Collector.__new__(Collector)
    collector.__dict__.update(
        loader=loader, _targets=None, _notes=[], _held={}, _until=0, _unusable=0, host=machine.this_host()
    )
    return collector


def records_of(raw: RawSlice) -> Iterator[tuple[int, int]]:
    sizes = {ring.name: ring.record_bytes for ring in RINGS}
    for name, data in raw.rings.items():
        words = np.frombuffer(data, np.uint64).reshape(-1, sizes[name] // 8)
        yield from ((int(ktime), int(number)) for ktime, number in words[:, :2])


@settings(max_examples=80, deadline=None)
@given(
    steps=st.lists(st.lists(st.tuples(st.integers(0, 1), st.integers(-20, 60)), max_size=12), max_size=8),
    room=st.integers(1, 8),
)
def test_every_record_comes_once_and_not_after_its_slice(steps: list[list[tuple[int, int]]], room: int) -> None:
    """Records out of order by less than the settling time, more of them than one drain takes."""
    loader = FakeLoader()
    collector = collector_of(loader)
    put: list[tuple[int, int]] = []
    got: list[tuple[int, int]] = []
    before, now = 0, 10 * machine.SETTLE_NS
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(machine, "DRAIN_BYTES", room * 1024)
        for step in [*steps, *[[] for _ in range(200)]]:
            for ring, shift in step:
                record = (now + shift * machine.SETTLE_NS // 100, len(put))
                put.append(record)
                loader.put(ring, *record)
            now += machine.SETTLE_NS // 2
            raw, _ = collector._drain(now - machine.SETTLE_NS)
            found = list(records_of(raw))
            assert all(before <= ktime < raw.until_ktime_ns for ktime, _ in found)
            before = raw.until_ktime_ns
            got += found
    assert sorted(got) == sorted(put)


def test_a_buffer_may_be_kept() -> None:
    loader = FakeLoader()
    collector = collector_of(loader)
    loader.put(0, 1, 7)
    first, _ = collector._drain(100)
    loader.put(0, 2, 8)
    collector._drain(100)
    assert list(records_of(first)) == [(1, 7)]


def test_the_last_slices_hold_the_rest() -> None:
    loader = FakeLoader()
    collector = collector_of(loader)
    future = time.clock_gettime_ns(time.CLOCK_BOOTTIME) + 3_000_000
    loader.put(1, future, 1)
    slices = list(collector.slices(lambda: True))
    assert [r for raw in slices for r in records_of(raw)] == [(future, 1)]


def test_the_offset_of_the_boot_clock_is_good_to_a_millisecond() -> None:
    offsets = [boot_offset_ns() for _ in range(5)]
    assert max(offsets) - min(offsets) < 1_000_000
    assert abs(time.time_ns() - time.clock_gettime_ns(time.CLOCK_BOOTTIME) - offsets[0]) < 10_000_000


lacking = [f"{f.name}: {f.reason}" for f in probe_features() if f.needed and f.answer is not Answer.YES]


def on_kernel(test: Any) -> Any:
    reason = f"this machine cannot record: {'; '.join(lacking)}"
    return pytest.mark.kernel(pytest.mark.skipif(bool(lacking), reason=reason)(test))


class Recorded:
    """What a recording of one shell or Python command in a scope of its own gave."""

    def __init__(self, command: list[str], *, late: bool = False) -> None:
        """`late`: nothing is drained before the command has ended."""
        self.slices: list[Slice] = []
        with ScopeCgroup(f"intact-test-{os.getpid()}") as cgroup:
            gate = ["/bin/sh", "-c", 'read go; exec "$@"', "sh", *command]
            child = subprocess.Popen(gate, stdin=subprocess.PIPE, env={"PATH": "/usr/bin:/bin"}, cwd="/")
            self.pid = child.pid
            cgroup.add(child.pid)
            with Collector(cgroup.path, root_tgid=child.pid, tls=False) as collector:
                collector.attach()
                self.host = collector.host
                ended = threading.Event()
                waiter = threading.Thread(target=self._wait, args=(child, ended))
                waiter.start()
                if late:
                    waiter.join()
                for one in decode(collector.slices(ended.is_set), collector.host):
                    self.slices.append(one)

    def _wait(self, child: "subprocess.Popen[bytes]", ended: threading.Event) -> None:
        child.communicate(b"\n")
        ended.set()

    def rows(self, family: str) -> list[dict[str, Any]]:
        return [row for one in self.slices if family in one.effects for row in one.effects[family].to_pylist()]

    def facts(self, kind: type) -> list[Any]:
        return [fact for one in self.slices for fact in one.facts if isinstance(fact, kind)]


def opens(count: int, *, pause_s: float) -> list[str]:
    """A program that opens a file so often, with a pause after every 200."""
    loop = f"import os, time\nfor i in range({count}):\n os.close(os.open('/etc/hostname', 0))\n"
    return [sys.executable, "-S", "-c", loop + (f" if i % 200 == 0: time.sleep({pause_s})" if pause_s else "")]


OPENS = 100_003  # a prime, and three times what the ring holds


@on_kernel
def test_every_open_of_a_loop_is_seen_once() -> None:
    recorded = Recorded(opens(OPENS, pause_s=0.001))
    count, ids, paths = 0, set(), Counter()
    for one in recorded.slices:
        if "file" in one.effects:
            batch = one.effects["file"]
            ids.update(batch["id"].to_pylist())
            paths.update(batch["path"].to_pylist())
            count += batch.num_rows
    assert paths["/etc/hostname"] == OPENS
    assert len(ids) == count
    assert not recorded.facts(Loss)
    counts: Counter[str] = Counter()
    for stage in recorded.facts(StageCount):
        counts[f"{stage.stage} seen"] += stage.seen
        counts[f"{stage.stage} passed"] += stage.passed
    assert counts["kernel.file seen"] == counts["kernel.file passed"] == counts["decode.file seen"] == count
    assert counts["decode.file passed"] == count


@on_kernel
def test_what_does_not_fit_the_ring_is_counted_exactly() -> None:
    recorded = Recorded(opens(OPENS, pause_s=0), late=True)
    decoded = sum(one.effects["file"].num_rows for one in recorded.slices if "file" in one.effects)
    (lost,) = [loss for loss in recorded.facts(Loss) if loss.stage == "kernel.file"]
    (kernel,) = [count for count in recorded.facts(StageCount) if count.stage == "kernel.file"]
    assert lost.cause == "ring_full"
    assert kernel.passed == decoded
    assert kernel.seen == decoded + lost.count
    assert OPENS < kernel.seen < OPENS + 1_000


@on_kernel
def test_a_small_script_is_told_as_it_was(tmp_path: Path) -> None:
    script = f"cd {tmp_path}; echo hi > a; mv a b; /bin/true x 'y z' ''; rm b; exit 3"
    recorded = Recorded(["/bin/sh", "-c", script])
    (root,) = [p for p in recorded.facts(Process) if p.pid == recorded.pid]
    assert recorded.host.root_tgid == recorded.pid
    assert recorded.host.root_start_ns + recorded.host.boot_offset_ns == root.start_ns
    execs = {row["exe"].rpartition("/")[2]: row for row in recorded.rows("process") if row["kind"] == Kind.EXEC}
    assert execs["true"]["argv"] == ["/bin/true", "x", "y z", ""]
    assert execs["true"]["parent_id"] == root.id
    assert execs["true"]["cwd"] == str(tmp_path)
    (end,) = [row for row in recorded.rows("process") if row["kind"] == Kind.EXIT and row["pid"] == recorded.pid]
    assert end["exit_code"] == 3
    changes = [(row["kind"], row["path"]) for row in recorded.rows("file") if row["path"].startswith(str(tmp_path))]
    assert changes == [
        (Kind.FILE_CREATE, f"{tmp_path}/a"),
        (Kind.FILE_RENAME, f"{tmp_path}/b"),
        (Kind.FILE_DELETE, f"{tmp_path}/b"),
    ]
    (wrote,) = [row for row in recorded.rows("io") if row["path"] == f"{tmp_path}/a"]
    assert (wrote["kind"], wrote["bytes"], wrote["count"]) == (Kind.FILE_WRITE, 3, 1)


@on_kernel
def test_a_process_outside_the_scope_is_not_seen() -> None:
    outside = subprocess.Popen(
        [sys.executable, "-S", "-c", "import os\nwhile True: os.close(os.open('/etc/passwd', 0))"], env={}
    )
    try:
        recorded = Recorded(["/bin/sleep", "0.2"])
    finally:
        outside.kill()
        outside.wait()
    assert outside.pid not in {row["pid"] for family in ("file", "process", "io") for row in recorded.rows(family)}
    assert recorded.rows("file")


def test_without_privilege_the_remedy_is_named() -> None:
    if os.geteuid() != 0:
        pytest.skip("only root can give its privileges up")
    code = (
        "import os\nfrom pathlib import Path\nfrom intact.collect.machine import Collector\n"
        "from intact.model.errors import NotSupported\n"
        "collector = Collector(Path('/sys/fs/cgroup'))\n"
        "os.setgroups([]); os.setgid(65534); os.setuid(65534)\n"
        "try: collector.attach()\n"
        "except NotSupported as e: print(e)"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd="/")
    assert run.stdout.count("\n") == 1
    assert "run as root" in run.stdout
    assert run.stderr == ""


def test_an_object_that_was_not_built_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with pytest.raises(NotSupported, match="make setup"):
        Loader(tmp_path / "absent.bpf.o")
    broken = tmp_path / "broken.bpf.o"
    broken.write_bytes(b"\x7fELF nonsense")
    with pytest.raises(NotSupported, match="cannot open the kernel object"):
        Loader(broken)
