"""Every call that sets credentials, with what was before and after; real calls of real processes, counted exactly."""

import errno
import os
import shutil
import struct
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from intact.decode import wire
from intact.decode.wire import CredentialCall, Type
from tests.kernel.recording import Record, Recording, record

pytestmark = pytest.mark.kernel

TIMES = 13  # prime, as all counts here
USER, OWNER = 1009, 1013
NET_BIND_SERVICE = 1 << 10
CHOWN = 1 << 0

# each line in a child of its own; what it raises is its exit code
HEAD = """
import ctypes, os, struct
libc = ctypes.CDLL(None, use_errno=True)
def call(number, *arguments):
    if libc.syscall(number, *arguments) < 0:
        raise OSError(ctypes.get_errno(), "")
def capset(effective, permitted, inheritable):
    head = struct.pack("<Ii", 0x20080522, 0)
    words = [part >> shift & 0xFFFFFFFF for shift in (0, 32) for part in (effective, permitted, inheritable)]
    call(126, ctypes.c_char_p(head), ctypes.c_char_p(struct.pack("<6I", *words)))
def child(*steps):
    pid = os.fork()
    if pid == 0:
        code = 0
        for step in steps:
            try: step()
            except OSError as error: code = error.errno
        os._exit(code)
    print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
"""


@pytest.fixture
def open_directory() -> Iterator[Path]:
    """A directory that any user may enter, where files may carry privileges."""
    path = Path(tempfile.mkdtemp(prefix="intact-credentials-"))
    path.chmod(0o755)
    yield path
    shutil.rmtree(path)


def _ids(side: object) -> tuple[int, ...]:
    return tuple(getattr(side, name) for name in ("uid", "euid", "suid", "fsuid", "gid", "egid", "sgid", "fsgid"))


def _groups(told: Record) -> tuple[list[int], list[int]]:
    numbers = [number for (number,) in struct.iter_unpack("<I", told.data)]
    before = told.groups_before
    return numbers[:before], numbers[before : before + told.groups_after]


def _told(recording: Recording, call: CredentialCall) -> list[Record]:
    return recording.of(Type.CREDENTIAL, op=call)


ROOT = (0,) * 8
CALLS = {
    CredentialCall.SETUID: ("call(105, 1009)", (1009,) * 4 + (0,) * 4),
    CredentialCall.SETGID: ("call(106, 1009)", (0,) * 4 + (1009,) * 4),
    CredentialCall.SETREUID: ("call(113, 1013, 1019)", (1013, 1019, 1019, 1019, 0, 0, 0, 0)),
    CredentialCall.SETREGID: ("call(114, 1013, 1019)", (0, 0, 0, 0, 1013, 1019, 1019, 1019)),
    CredentialCall.SETRESUID: ("call(117, 1021, 1031, 1033)", (1021, 1031, 1033, 1031, 0, 0, 0, 0)),
    CredentialCall.SETRESGID: ("call(119, 1021, 1031, 1033)", (0, 0, 0, 0, 1021, 1031, 1033, 1031)),
    CredentialCall.SETFSUID: ("call(122, 1039)", (0, 0, 0, 1039, 0, 0, 0, 0)),
    CredentialCall.SETFSGID: ("call(123, 1039)", (0, 0, 0, 0, 0, 0, 0, 1039)),
}


@pytest.mark.parametrize("call", CALLS)
def test_what_a_call_changes_is_told_once(call: CredentialCall) -> None:
    code, after = CALLS[call]
    recording = record(f"{HEAD}\nfor _ in range({TIMES}): child(lambda: {code})")
    recording.check_counts()
    assert recording.output.split() == ["0"] * TIMES
    told = recording.of(Type.CREDENTIAL)
    assert [(r.op, r.result, _ids(r.before), _ids(r.after)) for r in told] == [(call, 0, ROOT, after)] * TIMES
    assert {(r.header.uid, r.header.gid) for r in told} == {(0, 0)}
    assert all(r.header.ktime_ns >= r.enter_ns > 0 for r in told)
    forks = {f.child_tgid: f.child_start_ns for f in recording.of(Type.FORK)}
    assert [forks[r.header.tgid] for r in told] == [r.header.start_ns for r in told]


def test_the_capabilities_go_with_the_user() -> None:
    recording = record(f"{HEAD}\nchild(lambda: call(105, {USER}))")
    (told,) = recording.of(Type.CREDENTIAL)
    assert told.before.effective == told.before.permitted != 0
    assert (told.after.effective, told.after.permitted) == (0, 0)


def test_capset_tells_all_sets() -> None:
    recording = record(
        f"{HEAD}\nfor _ in range({TIMES}): child(lambda: capset({CHOWN}, {CHOWN | NET_BIND_SERVICE}, {CHOWN}))"
    )
    recording.check_counts()
    assert recording.output.split() == ["0"] * TIMES
    told = _told(recording, CredentialCall.CAPSET)
    after = {(r.after.effective, r.after.permitted, r.after.inheritable) for r in told}
    assert len(told) == TIMES
    assert after == {(CHOWN, CHOWN | NET_BIND_SERVICE, CHOWN)}
    assert all(r.before.effective & NET_BIND_SERVICE for r in told)
    assert {_ids(r.before) == _ids(r.after) == ROOT for r in told} == {True}


@pytest.mark.parametrize("count", [0, 3, 13, 32, 41])
def test_setgroups_tells_the_groups(count: int) -> None:
    groups = list(range(2003, 2003 + count))
    recording = record(f"{HEAD}\nchild(lambda: os.setgroups([3, 5]), lambda: os.setgroups({groups}))")
    recording.check_counts()
    assert recording.output.split() == ["0"]
    _, told = _told(recording, CredentialCall.SETGROUPS)
    assert _groups(told) == ([3, 5], groups[:32])
    assert told.header.clipped == 4 * max(0, count - 32)
    assert told.result == 0


def test_what_is_refused_is_told_with_its_error_and_no_change() -> None:
    attempts = {
        CredentialCall.SETUID: "call(105, 0)",
        CredentialCall.SETGID: "call(106, 0)",
        CredentialCall.SETREUID: "call(113, 0, 0)",
        CredentialCall.SETREGID: "call(114, 0, 0)",
        CredentialCall.SETRESUID: "call(117, 0, 0, 0)",
        CredentialCall.SETRESGID: "call(119, 0, 0, 0)",
        CredentialCall.SETFSUID: "call(122, 0)",
        CredentialCall.SETFSGID: "call(123, 0)",
        CredentialCall.SETGROUPS: "os.setgroups([0])",
        CredentialCall.CAPSET: "capset(1, 1, 1)",
    }
    steps = ", ".join(f"lambda: {code}" for code in attempts.values())
    drop = f"lambda: os.setgroups([7]), lambda: os.setresgid({OWNER}, {OWNER}, {OWNER}), lambda: os.setresuid(*[{USER}] * 3)"
    recording = record(f"{HEAD}\nfor _ in range({TIMES}): child({drop}, {steps})")
    recording.check_counts()
    assert recording.output.split() == [str(errno.EPERM)] * TIMES
    refused = [r for r in recording.of(Type.CREDENTIAL) if r.header.uid == USER]
    assert [(r.op, r.result) for r in refused] == [(call, -errno.EPERM) for call in attempts] * TIMES
    assert {_ids(side) for r in refused for side in (r.before, r.after)} == {(USER,) * 4 + (OWNER,) * 4}
    assert {str(_groups(r)) for r in refused} == {"([7], [7])"}
    assert len(recording.of(Type.CREDENTIAL)) == TIMES * (3 + len(attempts))


def test_asking_for_the_file_user_changes_nothing_and_is_no_failure() -> None:
    recording = record(f"{HEAD}\nchild(lambda: call(105, {USER}), lambda: call(122, -1), lambda: call(122, {USER}))")
    assert [r.result for r in _told(recording, CredentialCall.SETFSUID)] == [0, 0]


def test_exec_of_a_setuid_and_a_setgid_file(open_directory: Path) -> None:
    program = open_directory / "program"
    shutil.copy("/bin/true", program)
    os.chown(program, OWNER, OWNER)
    recordings = {}
    for mode in (0o4755, 0o2755, 0o6755, 0o755):
        program.chmod(mode)
        drop = f"lambda: os.setresgid(*[{USER}] * 3), lambda: os.setresuid(*[{USER}] * 3)"
        run = f"lambda: os.execv({str(program)!r}, ['program'])"
        recordings[mode] = record(f"{HEAD}\nfor _ in range({TIMES}): child({drop}, {run})")
        recordings[mode].check_counts()
        assert recordings[mode].output.split() == ["0"] * TIMES
    user, owner = (USER,) * 4, (USER, OWNER, OWNER, OWNER)
    after = {0o4755: owner + user, 0o2755: user + owner, 0o6755: owner + owner}
    for mode, recording in recordings.items():
        told = _told(recording, CredentialCall.EXEC)
        assert len(told) == (TIMES if mode in after else 0), oct(mode)
        assert {(_ids(r.before), _ids(r.after), r.result) for r in told} <= {(user + user, after.get(mode, ()), 0)}
        execs = {e.header.tgid for e in recording.of(Type.EXEC) if e.exe == os.fsencode(program)}
        assert not told or {r.header.tgid for r in told} == execs


def test_exec_of_a_file_with_capabilities(open_directory: Path) -> None:
    program = open_directory / "program"
    shutil.copy("/bin/true", program)
    capability = struct.pack("<5I", 0x02000001, NET_BIND_SERVICE, 0, 0, 0)  # revision 2, effective
    os.setxattr(program, "security.capability", capability)
    run = f"lambda: os.execv({str(program)!r}, ['program'])"
    recording = record(f"{HEAD}\nfor _ in range({TIMES}): child(lambda: os.setresuid(*[{USER}] * 3), {run})")
    recording.check_counts()
    told = _told(recording, CredentialCall.EXEC)
    sets = [(r.before.effective, r.after.effective, r.after.permitted) for r in told]
    assert sets == [(0, NET_BIND_SERVICE, NET_BIND_SERVICE)] * TIMES


def test_an_exec_that_fails_or_changes_nothing_is_not_told() -> None:
    recording = record(
        f"""{HEAD}
for _ in range({TIMES}):
    child(lambda: os.execv("/nonexistent", ["x"]), lambda: os.execv("/bin/true", ["true"]))
"""
    )
    recording.check_counts()
    assert recording.of(Type.CREDENTIAL) == []


def test_a_call_of_a_thread_is_that_of_its_thread() -> None:
    recording = record(
        f"""{HEAD}
import threading
def one():
    print(threading.get_native_id(), flush=True)
    call(105, {USER})
thread = threading.Thread(target=one); thread.start(); thread.join()
"""
    )
    (told,) = recording.of(Type.CREDENTIAL)
    assert (told.header.tgid, told.header.tid) == (recording.pid, int(recording.output))


def test_the_rings_hold_the_largest_record() -> None:
    assert wire.DATA_OFFSET[wire.Credential] + 2 * 32 * 4 <= wire.CLASS_BYTES["1k"]
