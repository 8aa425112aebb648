"""Fork, exec and exit of real processes, counted exactly."""

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from intact.collect.cgroup import ScopeCgroup, cgroup2_mount
from intact.collect.loader import Loader
from intact.decode.wire import Flag, Type
from tests.kernel.recording import drain_all, parse_rings, record

pytestmark = pytest.mark.kernel

PROGRAMS = 43  # prime, as all counts here


def test_each_fork_exec_and_exit_is_told_once() -> None:
    recording = record(
        f"""
import os
for i in range({PROGRAMS}):
    pid = os.fork()
    if pid == 0:
        os.execv("/bin/true", ["true", str(i)])
    os.waitpid(pid, 0)
"""
    )
    recording.check_counts()
    mine = recording.pid
    forks = recording.of(Type.FORK, tgid=mine)
    assert len(forks) == PROGRAMS
    assert not any(f.header.flags & Flag.THREAD for f in forks)
    children = {f.child_tgid: f for f in forks}
    execs = [e for e in recording.of(Type.EXEC) if e.header.tgid in children]
    assert [e.exe for e in execs] == [os.fsencode(os.path.realpath("/bin/true"))] * PROGRAMS
    assert {e.parent_tgid for e in execs} == {mine}
    argv = [a.data for a in recording.of(Type.ARGV) if a.header.tgid in children]
    assert sorted(argv) == sorted(b"true\0%d\0" % i for i in range(PROGRAMS))
    exits = [e for e in recording.of(Type.EXIT) if e.header.tgid in children]
    assert [(e.exit_code, e.exit_signal) for e in exits] == [(0, 0)] * PROGRAMS
    for kind in (execs, exits):
        assert all(e.header.start_ns == children[e.header.tgid].child_start_ns for e in kind)
    assert execs[0].parent_start_ns == forks[0].header.start_ns


def test_identity_is_that_of_proc() -> None:
    def start_ticks(pid: int) -> None:
        seen.append(int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]))

    seen: list[int] = []
    recording = record(["/bin/sleep", "0.1"], beside=start_ticks)
    exec_ = recording.of(Type.EXEC, tgid=recording.pid)[-1]
    assert exec_.header.start_ns * os.sysconf("SC_CLK_TCK") // 10**9 == seen[0]
    assert exec_.header.uid == os.getuid()
    assert exec_.cwd == os.fsencode(os.getcwd())


def test_threads_are_told_apart_and_a_process_ends_once() -> None:
    threads = 17
    recording = record(
        f"""
import threading
threads = [threading.Thread(target=lambda: None) for _ in range({threads})]
for t in threads: t.start()
for t in threads: t.join()
"""
    )
    recording.check_counts()
    forks = recording.of(Type.FORK, tgid=recording.pid)
    assert [bool(f.header.flags & Flag.THREAD) for f in forks] == [True] * threads
    assert {f.child_tgid for f in forks} == {recording.pid}
    assert len(recording.of(Type.EXIT, tgid=recording.pid)) == 1


def test_vfork_double_fork_and_setsid_stay_in_scope() -> None:
    recording = record(
        """
import os, subprocess, time
subprocess.run(["/bin/true"])  # vfork
r, w = os.pipe()
pid = os.fork()
if pid == 0:
    os.setsid()
    if os.fork() == 0:
        time.sleep(0.05)
        os.mkdir("/tmp/intact-daemon-%d" % os.getpid()); os.rmdir("/tmp/intact-daemon-%d" % os.getpid())
        os.write(w, b"x")
        os._exit(7)
    os._exit(0)
os.waitpid(pid, 0)
os.read(r, 1)
time.sleep(0.05)
"""
    )
    recording.check_counts()
    exits = [e for e in recording.of(Type.EXIT) if e.exit_code == 7]
    assert len(exits) == 1
    daemon = exits[0].header.tgid
    made = [f for f in recording.of(Type.FORK) if f.child_tgid == daemon]
    assert len(made) == 1
    assert made[0].header.tgid != recording.pid
    assert len(recording.of(Type.FILE, op=7, tgid=daemon)) == 1  # mkdir


def test_a_child_that_leaves_the_cgroup_is_still_seen() -> None:
    elsewhere = cgroup2_mount() / f"intact-elsewhere-{os.getpid()}"
    elsewhere.mkdir()
    try:
        recording = record(
            f"""
import os, subprocess
open("{elsewhere}/cgroup.procs", "w").write("0")
for _ in range(11): subprocess.run(["/bin/true"])
open("{cgroup2_mount()}/cgroup.procs", "w").write("0")
"""
        )
    finally:
        elsewhere.rmdir()
    recording.check_counts()
    trues = [e for e in recording.of(Type.EXEC) if e.exe.endswith(b"/true")]
    assert len(trues) == 11
    assert len({e.header.cgroup_id for e in trues}) == 1
    assert trues[0].header.cgroup_id != recording.of(Type.EXEC, tgid=recording.pid)[0].header.cgroup_id


def test_exec_by_a_thread_keeps_the_process() -> None:
    recording = record(
        """
import os, threading, time
threading.Thread(target=lambda: os.execv("/bin/sh", ["sh", "-c", "exit 5"])).start()
time.sleep(10)
"""
    )
    recording.check_counts()
    exec_ = recording.of(Type.EXEC, tgid=recording.pid)[-1]
    thread = next(f for f in recording.of(Type.FORK) if f.header.flags & Flag.THREAD)
    assert exec_.exe == os.fsencode(os.path.realpath("/bin/sh"))
    assert exec_.old_tid == thread.child_tid
    assert exec_.header.tid == exec_.header.tgid
    exits = recording.of(Type.EXIT, tgid=recording.pid)
    assert [(e.exit_code, e.header.start_ns) for e in exits] == [(5, exec_.header.start_ns)]


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGSEGV])
def test_exit_by_signal(number: signal.Signals) -> None:
    no_core = "import os, resource; resource.setrlimit(resource.RLIMIT_CORE, (0, 0)); "
    recording = record(f"{no_core}os.kill(os.getpid(), {int(number)})")
    exits = recording.of(Type.EXIT, tgid=recording.pid)
    assert [(e.exit_code, e.exit_signal) for e in exits] == [(-1, number)]


@pytest.mark.parametrize("last", ["60, 3", "231, 4"])  # exit of the thread, exit_group
def test_exit_code_is_what_the_parent_sees_when_the_leader_went_first(last: str) -> None:
    recording = record(
        f"""
import ctypes, threading, time
libc = ctypes.CDLL(None)
def second():
    time.sleep(0.1)
    libc.syscall({last})
threading.Thread(target=second).start()
libc.syscall(60, 5)
"""
    )
    recording.check_counts()
    exits = recording.of(Type.EXIT, tgid=recording.pid)
    assert [(e.exit_code, e.exit_signal) for e in exits] == [(recording.returncode, 0)]
    assert recording.returncode != 0


@pytest.mark.parametrize("size", [100, 997, 4093, 16320 - 20, 16384 - 7, 99991])
def test_argv_is_whole_up_to_16_kib(size: int) -> None:
    # three arguments and their NULs: the last fills up to `size` bytes
    last = "a" * (size - len("/bin/true\0\n'\0") - 1)
    recording = record(["/bin/true", "\n'", last])
    recording.check_counts()
    exec_ = recording.of(Type.EXEC, tgid=recording.pid)[-1]
    pieces = [a for a in recording.of(Type.ARGV) if a.header.ktime_ns == exec_.header.ktime_ns]
    argv = b"".join(p.data for p in sorted(pieces, key=lambda p: p.offset))
    whole = b"/bin/true\0\n'\0" + last.encode() + b"\0"
    assert exec_.argv_total == len(whole) == size
    assert argv == whole[:16384]
    assert pieces[-1].header.clipped == max(0, size - 16384)
    assert [bool(p.header.flags & Flag.LAST) for p in pieces] == [False] * (len(pieces) - 1) + [True]


def test_processes_alive_before_attach_are_told_with_their_arguments() -> None:
    with ScopeCgroup(f"intact-alive-{os.getpid()}") as scope, Loader() as loader:
        children = [
            subprocess.Popen(["/bin/sh", "-c", f"read x; : {i}", "é"], stdin=subprocess.PIPE, cwd="/usr")
            for i in range(7)
        ]
        for child in children:
            scope.add(child.pid)
        time.sleep(0.05)
        loader.load()
        loader.set_scope(scope.path)
        loader.attach()
        loader.iterate()
        for child in children:
            child.communicate(b"\n")
        records = parse_rings(loader, drain_all(loader))
    alive = {r.header.tgid: r for r in records if r.header.type == Type.ALIVE}
    assert alive.keys() == {child.pid for child in children}
    for i, child in enumerate(children):
        told = alive[child.pid]
        assert told.exe == os.fsencode(os.path.realpath("/bin/sh"))
        assert told.cwd == b"/usr"
        assert told.parent_tgid == os.getpid()
        argv = [r.data for r in records if r.header.type == Type.ARGV and r.header.tgid == child.pid]
        assert argv == [b"/bin/sh\0-c\0" + f"read x; : {i}".encode() + b"\0\xc3\xa9\0"]


def test_what_is_out_of_scope_is_silent() -> None:
    """Noise beside the scope, of every family, and not one record or count of it."""
    stop = threading.Event()
    noise_pids: set[int] = set()

    def noise() -> None:
        while not stop.is_set():
            child = subprocess.Popen([sys.executable, "-I", "-S", "-c", "open('/tmp/intact-noise','w').write('x')"])
            noise_pids.add(child.pid)
            child.wait()

    thread = threading.Thread(target=noise)
    thread.start()
    try:
        recording = record(["/bin/sleep", "0.3"])
    finally:
        stop.set()
        thread.join()
        Path("/tmp/intact-noise").unlink(missing_ok=True)
    recording.check_counts()
    assert len(noise_pids) > 1
    assert {r.header.tgid for r in recording.records} == {recording.pid}
