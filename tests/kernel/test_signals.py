"""Signals from a process in scope to another, and what is none; real signals, counted exactly."""

import errno
import os
import signal
import subprocess
import sys

import pytest

from intact.decode.wire import Type
from tests.kernel.recording import Record, Recording, record

pytestmark = pytest.mark.kernel

TIMES = 17  # prime, as all counts here

HEAD = """
import ctypes, os, signal, sys, time
libc = ctypes.CDLL(None, use_errno=True)
def sleeper():
    r, w = os.pipe()
    pid = os.fork()
    if pid == 0:
        for n in (signal.SIGUSR1, signal.SIGUSR2, 40): signal.signal(n, lambda *_: None)
        os.write(w, b"x")
        while True: time.sleep(10)
    os.read(r, 1); os.close(r); os.close(w)
    print(pid, flush=True)
    return pid
def reap(pid):
    os.waitpid(pid, 0)
"""


def _sent(recording: Recording) -> list[tuple[int, int, int]]:
    return [(r.target_tgid, r.signal, r.result) for r in recording.of(Type.SIGNAL)]


def _target(recording: Recording, told: Record) -> int:
    """Start of the process that was forked as the target."""
    return next(f.child_start_ns for f in recording.of(Type.FORK) if f.child_tgid == told.target_tgid)


def test_each_kill_is_told_with_its_target() -> None:
    recording = record(
        f"""{HEAD}
for _ in range({TIMES}):
    pid = sleeper()
    os.kill(pid, signal.SIGUSR1); os.kill(pid, 0); os.kill(pid, signal.SIGKILL); reap(pid)
"""
    )
    recording.check_counts()
    targets = [int(pid) for pid in recording.output.split()]
    wanted = [(pid, int(number), 0) for pid in targets for number in (signal.SIGUSR1, signal.SIGKILL)]
    assert _sent(recording) == wanted
    told = recording.of(Type.SIGNAL)
    assert {r.header.tgid for r in told} == {recording.pid}
    assert all(r.target_start_ns == _target(recording, r) for r in told)
    ends = {r.header.tgid: r.exit_signal for r in recording.of(Type.EXIT)}
    assert {ends[pid] for pid in targets} == {signal.SIGKILL}


@pytest.mark.parametrize(
    "code",
    [
        "libc.syscall(62, pid, 10)",
        "libc.syscall(200, pid, 10)",
        "libc.syscall(234, pid, pid, 10)",
        "libc.syscall(129, pid, 10, info)",
        "libc.syscall(297, pid, pid, 10, info)",
        "signal.pidfd_send_signal(os.pidfd_open(pid), 10)",
    ],
    ids=["kill", "tkill", "tgkill", "rt_sigqueueinfo", "rt_tgsigqueueinfo", "pidfd_send_signal"],
)
def test_every_way_to_send(code: str) -> None:
    recording = record(
        f"""{HEAD}
info = (ctypes.c_int * 32)(10, 0, -1, 0, os.getpid())
pid = sleeper()
for _ in range({TIMES}):
    {code}
    time.sleep(0.002)
os.kill(pid, 9); reap(pid)
"""
    )
    recording.check_counts()
    target = int(recording.output)
    assert _sent(recording) == [(target, 10, 0)] * TIMES + [(target, 9, 0)]


def test_a_group_is_told_by_its_members() -> None:
    recording = record(
        f"""{HEAD}
os.setpgid(0, 0)
pids = [sleeper() for _ in range(5)]
signal.signal(signal.SIGUSR1, lambda *_: None)
for _ in range(3): os.kill(0, signal.SIGUSR1); time.sleep(0.01)
for pid in pids: os.kill(pid, signal.SIGKILL); reap(pid)
"""
    )
    recording.check_counts()
    targets = sorted(int(pid) for pid in recording.output.split())
    group = [target for target, number, _ in _sent(recording) if number == signal.SIGUSR1]
    assert sorted(group) == sorted(targets * 3)  # the sender itself is in the group and not told


def test_what_is_refused_is_told_with_its_error() -> None:
    other = subprocess.Popen([sys.executable, "-I", "-c", "import time; time.sleep(60)"])
    try:
        recording = record(
            f"""{HEAD}
gone = os.fork()
if gone == 0: os._exit(0)
os.waitpid(gone, 0)
os.setresuid(1009, 1009, 1009)
for _ in range({TIMES}):
    for pid, number in (({other.pid}, 15), (gone, 15), ({other.pid}, 0), ({other.pid}, 99)):
        try: os.kill(pid, number)
        except OSError: pass
    libc.syscall(234, {other.pid}, {other.pid}, 12)
    libc.syscall(200, {other.pid}, 12)
print(gone)
"""
        )
        assert other.poll() is None
    finally:
        other.kill()
        other.wait()
    recording.check_counts()
    refused = [
        (other.pid, 15, -errno.EPERM),
        (int(recording.output), 15, -errno.ESRCH),
        (other.pid, 12, -errno.EPERM),
        (0, 12, -errno.EPERM),  # a thread, of whatever process
    ]
    assert _sent(recording) == refused * TIMES
    assert {(r.target_start_ns, r.header.uid) for r in recording.of(Type.SIGNAL)} == {(0, 1009)}


def test_a_real_time_signal_for_which_there_is_no_room_is_told_once() -> None:
    recording = record(
        f"""{HEAD}
import resource
pid = os.fork()
if pid == 0:
    signal.pthread_sigmask(signal.SIG_BLOCK, [40]); time.sleep(60)
print(pid, flush=True); time.sleep(0.1)
info = (ctypes.c_int * 32)(40, 0, -1, 0, os.getpid())
resource.prlimit(pid, resource.RLIMIT_SIGPENDING, (7, 7))
for _ in range(11): libc.syscall(129, pid, 40, info)
os.kill(pid, 9); reap(pid)
"""
    )
    recording.check_counts()
    results = [result for _, number, result in _sent(recording) if number == 40]
    assert len(results) == 11
    assert results == sorted(results, reverse=True)
    assert set(results) <= {0, -errno.EAGAIN}
    assert -errno.EAGAIN in results


def test_signals_of_the_kernel_and_to_oneself_are_none() -> None:
    recording = record(
        """
import ctypes, os, signal, threading, time
libc = ctypes.CDLL(None)
for n in (signal.SIGUSR1, signal.SIGALRM, signal.SIGPIPE): signal.signal(n, lambda *_: None)
for _ in range(13):
    os.kill(os.getpid(), signal.SIGUSR1)
    signal.raise_signal(signal.SIGUSR1)
    signal.pthread_kill(threading.main_thread().ident, signal.SIGUSR1)
    signal.setitimer(signal.ITIMER_REAL, 0.001); time.sleep(0.003)
    r, w = os.pipe(); os.close(r)
    try: os.write(w, b"x")
    except OSError: pass
    os.close(w)
    pid = os.fork()  # its end is a SIGCHLD to us
    if pid == 0: os._exit(0)
    os.waitpid(pid, 0)
try: os.kill(os.getpid(), 0)
except OSError: pass
"""
    )
    recording.check_counts()
    assert recording.of(Type.SIGNAL) == []


def test_a_sender_out_of_scope_is_not_told() -> None:
    def beside(pid: int) -> None:
        for _ in range(TIMES):
            os.kill(pid, signal.SIGCONT)

    recording = record(["/bin/sleep", "0.2"], beside=beside)
    recording.check_counts()
    assert recording.of(Type.SIGNAL) == []


def test_a_sigchld_that_is_sent_is_told() -> None:
    recording = record(f"{HEAD}\npid = sleeper()\nos.kill(pid, signal.SIGCHLD); os.kill(pid, 9); reap(pid)")
    assert [number for _, number, _ in _sent(recording)] == [signal.SIGCHLD, signal.SIGKILL]
