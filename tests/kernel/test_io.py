"""Sums of reads and writes: every byte in exactly one, and none over a pause."""

import os
import threading
from collections import Counter
from itertools import pairwise
from pathlib import Path

import pytest

from intact.decode.wire import Flag, IoOp, Type
from tests.kernel.recording import Recording, record

pytestmark = pytest.mark.kernel

STALL_NS = 500_000_000  # what a busy machine may add
KINDS = {"other": 0, "regular": 1, "directory": 2, "pipe": 3, "socket": 4, "character": 5}


def _totals(recording: Recording, directory: Path) -> dict[tuple[str, int], tuple[int, int]]:
    """Bytes and calls by name and direction."""
    totals: dict[tuple[str, int], tuple[int, int]] = {}
    for r in recording.under(directory, Type.IO):
        key = (os.fsdecode(r.path)[len(str(directory)) + 1 :], r.op)
        size, calls = totals.get(key, (0, 0))
        totals[key] = (size + r.bytes, calls + r.count)
    return totals


def test_each_call_of_the_families_is_summed(tmp_path: Path) -> None:
    recording = record(
        f"""
import ctypes, os
os.chdir({str(tmp_path)!r})
libc = ctypes.CDLL(None)
def fd(name): return os.open(name, os.O_CREAT | os.O_RDWR)
f = fd("plain")
for i in range(7): os.write(f, b"x" * 11)
os.lseek(f, 0, 0)
for i in range(5): os.read(f, 13)
os.read(f, 1000); os.read(f, 1000)  # the rest; the end
f = fd("p"); os.pwrite(f, b"x" * 17, 3); os.pread(f, 5, 0)
f = fd("v"); os.writev(f, [b"a" * 3, b"b" * 4]); os.lseek(f, 0, 0); os.readv(f, [bytearray(2), bytearray(3)])
f = fd("pv"); os.pwritev(f, [b"a" * 3, b"b" * 4], 0); os.preadv(f, [bytearray(2), bytearray(3)], 0)
f = fd("pv2"); os.pwritev(f, [b"a" * 3, b"b" * 4], 0, os.RWF_DSYNC); os.preadv(f, [bytearray(2)], 0, os.RWF_HIPRI)
a = fd("from"); os.write(a, b"z" * 31); b = fd("to")
os.sendfile(b, a, 0, 19)
os.copy_file_range(a, b, 23, 0, 30)
r, w = os.pipe()
os.splice(a, w, 29, 0); os.splice(r, b, 29)
"""
    )
    recording.check_counts()
    assert recording.output == ""
    read, write = IoOp.READ, IoOp.WRITE
    assert _totals(recording, tmp_path) == {
        ("plain", write): (77, 7),
        ("plain", read): (77, 6),
        ("p", write): (17, 1),
        ("p", read): (5, 1),
        ("v", write): (7, 1),
        ("v", read): (5, 1),
        ("pv", write): (7, 1),
        ("pv", read): (5, 1),
        ("pv2", write): (7, 1),
        ("pv2", read): (2, 1),
        ("from", write): (31, 1),
        ("from", read): (19 + 23 + 29, 3),
        ("to", write): (19 + 23 + 29, 3),
    }
    pipes = [r for r in recording.of(Type.IO) if r.fd_kind == KINDS["pipe"] and r.bytes == 29]
    assert sorted(r.op for r in pipes) == [read, write]


def test_what_is_mapped_is_not_counted(tmp_path: Path) -> None:
    (tmp_path / "mapped").write_bytes(b"x" * 65536)
    recording = record(
        f"""
import mmap
with open({str(tmp_path / "mapped")!r}, "r+b") as f:
    m = mmap.mmap(f.fileno(), 0)
    m[:] = m[:].upper(); m.flush()
"""
    )
    assert recording.under(tmp_path, Type.IO) == []


def test_no_sum_spans_a_pause(tmp_path: Path) -> None:
    recording = record(
        f"""
import os, time
f = os.open({str(tmp_path / "f")!r}, os.O_CREAT | os.O_WRONLY)
for burst in range(7):
    for i in range(13): os.write(f, b"x" * (burst + 1))
    time.sleep(0.14)
"""
    )
    recording.check_counts()
    sums = recording.under(tmp_path, Type.IO)
    # A machine that stalls may cut a burst; nothing may join two: the size of its writes tells each burst.
    written: Counter[int] = Counter()
    for r in sums:
        assert r.bytes % r.count == 0
        written[r.bytes // r.count] += r.count
    assert written == {burst + 1: 13 for burst in range(7)}
    for sum_, following in pairwise(sums):
        assert following.first_ns >= sum_.last_ns
    for r in sums:
        assert r.first_ns <= r.last_ns <= r.header.ktime_ns < r.last_ns + STALL_NS


def test_a_pause_cuts_without_a_sweep(tmp_path: Path) -> None:
    """The next call finds the old sum and cuts it, however late the sweep is."""
    recording = record(
        f"""
import os, time
f = os.open({str(tmp_path / "f")!r}, os.O_CREAT | os.O_WRONLY)
for burst in range(3):
    for i in range(5): os.write(f, b"x")
    time.sleep(0.11)
""",
        sweep_s=60.0,
    )
    sums = [r.bytes for r in recording.under(tmp_path, Type.IO)]
    assert sum(sums) == 15
    assert max(sums) <= 5


def test_a_long_sum_is_cut_each_second(tmp_path: Path) -> None:
    recording = record(
        f"""
import os, time
f = os.open({str(tmp_path / "f")!r}, os.O_CREAT | os.O_WRONLY)
end = time.monotonic() + 2.5
n = 0
while time.monotonic() < end:
    os.write(f, b"xyz"); n += 1; time.sleep(0.01)
print(n)
"""
    )
    recording.check_counts()
    sums = recording.under(tmp_path, Type.IO)
    assert sum(r.count for r in sums) == int(recording.output)
    assert sum(r.bytes for r in sums) == 3 * int(recording.output)
    untimely = [bool(r.header.flags & Flag.UNTIMELY) for r in sums]
    assert untimely[0]
    assert not untimely[-1]
    assert all(r.header.ktime_ns - r.first_ns < 10**9 + STALL_NS for r in sums)


def test_duplicates_of_a_descriptor_are_one_file(tmp_path: Path) -> None:
    recording = record(
        f"""
import os
f = os.open({str(tmp_path / "f")!r}, os.O_CREAT | os.O_WRONLY)
g = os.dup(f); h = 99; os.dup2(f, h)
for fd in (f, g, h): os.write(fd, b"x" * fd)
print(f, g, h)
os.dup2(os.open({str(tmp_path / "other")!r}, os.O_CREAT | os.O_WRONLY), h)
os.write(h, b"y" * 11)
os.close_range(3, 200) if hasattr(os, "close_range") else os.closerange(3, 200)
"""
    )
    recording.check_counts()
    numbers = list(map(int, recording.output.split()))
    assert _totals(recording, tmp_path) == {
        ("f", IoOp.WRITE): (sum(numbers), 3),
        ("other", IoOp.WRITE): (11, 1),
    }


@pytest.mark.parametrize(
    "end", ["os.close(f)", "os.dup2(0, f)", "os.closerange(f, f + 1)", "os.close_range", "exec", "exit"]
)
def test_the_end_of_a_descriptor_ends_its_sum(tmp_path: Path, end: str) -> None:
    code = {
        "exec": "os.execv('/bin/sleep', ['sleep', '0.3'])",
        "exit": "os._exit(0)",
        "os.close_range": "ctypes.CDLL(None).syscall(436, f, f, 0)",
    }.get(end, end)
    recording = record(
        f"""
import ctypes, os, time
pid = os.fork()
if pid == 0:
    f = os.open({str(tmp_path / "f")!r}, os.O_CREAT | os.O_WRONLY)
    os.write(f, b"x" * 17)
    {code}
    time.sleep(0.3)
    os._exit(0)
os.waitpid(pid, 0); time.sleep(0.2)
""",
        sweep_s=60.0,
    )
    sums = recording.under(tmp_path, Type.IO)
    assert [(r.bytes, r.header.ktime_ns - r.last_ns < 250_000_000) for r in sums] == [(17, True)]


def test_processes_that_share_a_file_are_apart(tmp_path: Path) -> None:
    recording = record(
        f"""
import os
f = os.open({str(tmp_path / "f")!r}, os.O_CREAT | os.O_WRONLY | os.O_APPEND)
pids = []
for child in range(3):
    pid = os.fork()
    if pid == 0:
        for i in range(1009): os.write(f, b"x" * (child + 1))
        os._exit(0)
    pids.append(pid)
for pid in pids: os.waitpid(pid, 0)
print(*pids)
"""
    )
    recording.check_counts()
    pids = list(map(int, recording.output.split()))
    written: Counter[int] = Counter()
    for r in recording.under(tmp_path, Type.IO):
        written[r.header.tgid] += r.bytes
    assert written == {pid: 1009 * (child + 1) for child, pid in enumerate(pids)}


def test_threads_that_share_a_file_lose_nothing(tmp_path: Path) -> None:
    """Two CPUs add while descriptors are closed and the sweep cuts."""
    recording = record(
        f"""
import os, threading
f = os.open({str(tmp_path / "f")!r}, os.O_CREAT | os.O_WRONLY | os.O_APPEND)
def work(size):
    for i in range(20011):
        os.write(f, b"x" * size)
        if i % 5 == 0: os.close(os.dup(f))
threads = [threading.Thread(target=work, args=(size,)) for size in (1, 2, 3)]
for t in threads: t.start()
for t in threads: t.join()
""",
        sweep_s=0.0,
    )
    recording.check_counts()
    totals = _totals(recording, tmp_path)
    assert totals == {("f", IoOp.WRITE): (20011 * 6, 20011 * 3)}
    assert (tmp_path / "f").stat().st_size == 20011 * 6


def test_kinds_of_descriptors(tmp_path: Path) -> None:
    recording = record(
        """
import os, pty, socket
r, w = os.pipe(); os.write(w, b"x" * 101); os.read(r, 200)
a, b = socket.socketpair(); os.write(a.fileno(), b"x" * 103); os.read(b.fileno(), 200)
c, d = socket.socketpair(); c.send(b"x" * 107); d.recv(200)
m, s = pty.openpty(); os.write(s, b"x" * 109)
e = os.eventfd(0); os.eventfd_write(e, 1); os.eventfd_read(e)
n = os.open("/dev/null", os.O_WRONLY); os.write(n, b"x" * 113)
t = os.memfd_create("mem"); os.write(t, b"x" * 127)
"""
    )
    recording.check_counts()
    kinds = {(r.bytes, r.op): r.fd_kind for r in recording.of(Type.IO) if r.bytes in (101, 103, 107, 109, 113, 127)}
    read, write = IoOp.READ, IoOp.WRITE
    assert kinds == {
        (101, write): KINDS["pipe"],
        (101, read): KINDS["pipe"],
        (103, write): KINDS["socket"],
        (103, read): KINDS["socket"],
        (107, write): KINDS["socket"],
        (107, read): KINDS["socket"],
        (109, write): KINDS["character"],
        (113, write): KINDS["character"],
        (127, write): KINDS["regular"],
    }
    assert not [r for r in recording.of(Type.IO) if b"anon_inode" in r.path]
    for r in recording.of(Type.IO):
        if r.fd_kind in (KINDS["pipe"], KINDS["socket"]):
            assert r.path in (b"pipe:[%d]" % r.inode, b"socket:[%d]" % r.inode)


def test_a_deleted_and_a_deep_file_keep_their_paths(tmp_path: Path) -> None:
    deep = tmp_path.joinpath(*["d" * 200] * 7)
    deep.mkdir(parents=True)
    recording = record(
        f"""
import os
os.chdir({str(deep)!r})
f = os.open("gone", os.O_CREAT | os.O_WRONLY); os.unlink("gone"); os.write(f, b"x" * 17)
g = os.open("stays", os.O_CREAT | os.O_WRONLY); os.write(g, b"x" * 19); os.close(g)
g = os.open("stays", os.O_RDONLY); os.read(g, 100); os.close(g)
"""
    )
    recording.check_counts()
    assert {(r.path, r.op, r.bytes) for r in recording.under(tmp_path, Type.IO)} == {
        (os.fsencode(deep / "gone"), IoOp.WRITE, 17),
        (os.fsencode(deep / "stays"), IoOp.WRITE, 19),
        (os.fsencode(deep / "stays"), IoOp.READ, 19),
    }


def test_all_is_told_of_a_process_that_outlives_the_recording(tmp_path: Path) -> None:
    release = tmp_path / "release"
    os.mkfifo(release)
    recording = record(
        f"""
import os
f = os.open({str(tmp_path / "f")!r}, os.O_CREAT | os.O_WRONLY)
if os.fork() == 0:
    os.close(1); os.close(2)
    os.write(f, b"x" * 23)
    open({str(release)!r}).read()
    os._exit(0)
os.wait3(os.WNOHANG)
import time; time.sleep(0.02)
"""
    )
    threading.Thread(target=lambda: release.write_text("")).start()
    assert [r.bytes for r in recording.under(tmp_path, Type.IO)] == [23]
