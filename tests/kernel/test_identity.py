"""Who a row is about: from the first row on, and through all ways in which processes come, change and go."""

import os
import shlex
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from intact.collect.cgroup import ScopeCgroup
from intact.collect.machine import Collector
from intact.decode.wire import Type
from intact.pipeline import back, front
from intact.query.effects import COLUMNS, effects_of
from intact.store.database import Database
from intact.store.ingest import ingest_run
from intact.store.runs import DataDirectory, Run
from intact.store.segments import SegmentWriter
from tests.kernel.recording import record

pytestmark = pytest.mark.kernel

TIMES = 11  # prime, as all counts here

WORKLOAD = """
import ctypes, os, signal, socket, subprocess, sys, threading, time
libc = ctypes.CDLL(None)
def act(name):
    path = f"{sys.argv[1]}/{name}"
    open(path, "w").write(name); os.chmod(path, 0o600); open(path).read(); os.unlink(path)
    s = socket.socket(); s.bind(("127.0.0.1", 0)); s.listen(1); s.close()
    os.setresgid(-1, -1, -1); os.kill(os.getppid(), signal.SIGCONT)
def fork(work):
    pid = os.fork()
    if pid == 0:
        try: work()
        finally: os._exit(0)
    return pid
def wait(pid): os.waitpid(pid, 0)
def grandchild(): act("child"); wait(fork(lambda: act("grandchild")))
def thread():
    t = threading.Thread(target=act, args=("thread",)); t.start(); t.join()
def execs(): os.execv("/bin/sh", ["sh", "-c", f"echo x > {sys.argv[1]}/exec; exec rm {sys.argv[1]}/exec"])
def double_fork():
    r, w = os.pipe()
    def first():
        os.setsid()
        fork(lambda: (time.sleep(0.01), act("daemon"), os.write(w, b"x")))
    wait(fork(first)); os.close(w); os.read(r, 1); os.close(r)
def setsid(): os.setsid(); act("session")
def leader_exit():
    def late(): time.sleep(0.02); act("late"); libc.syscall(231, 7)
    threading.Thread(target=late).start(); libc.syscall(60, 5)
for _ in range(TIMES):
    act("root")
    for work in (grandchild, thread, execs, setsid, leader_exit): wait(fork(work))
    double_fork()
    subprocess.run(["/bin/true"])
""".replace("TIMES", str(TIMES))


@dataclass(frozen=True)
class Stored:
    database: Database
    run: Run


@pytest.fixture(scope="module")
def stored(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stored]:
    """The workload, recorded as `intact record` does, in a store."""
    data = DataDirectory(tmp_path_factory.mktemp("data"))
    place = tmp_path_factory.mktemp("work")
    with ScopeCgroup(f"intact-identity-{os.getpid()}") as scope:
        argv = [sys.executable, "-I", "-S", "-c", WORKLOAD, str(place)]
        child = subprocess.Popen(
            ["/bin/sh", "-c", f"read x; exec {shlex.join(argv)} </dev/null"], stdin=subprocess.PIPE, env={}
        )
        scope.add(child.pid)
        collector = Collector(scope.path, root_tgid=child.pid, tls=False)
        collector.attach()
        host = collector.host
        run = data.new_run(host, name="identity", command=argv, started_ns=collector.now_ns())
        assert child.stdin is not None
        child.stdin.write(b"\n")
        child.stdin.close()
        with SegmentWriter(run.segments, host) as writer:
            for piece in front(collector.slices(lambda: child.poll() is not None), host, redaction_key=b"k" * 32):
                writer.write(piece)
        run = replace(run, ended_ns=collector.now_ns(), exit_code=child.returncode)
        collector.close()
    assert run.exit_code == 0
    with Database(data) as database:
        ingest_run(database, run, back, raw_reads=True)
        yield Stored(database, run)


def test_no_row_is_without_its_process_and_every_root_is_the_command(stored: Stored) -> None:
    root, pid = stored.run.root_process_id, stored.run.host.root_tgid
    assert root
    tables = [*COLUMNS, "file_event"]
    for table in tables:
        counted = stored.database.rows(
            "SELECT count() AS rows, countIf(gprocess_id = 0) AS unknown, countIf(root_process_id != {root:UInt64} OR "
            f"root_pid != {{pid:UInt32}}) AS astray FROM {table}",
            root=root,
            pid=pid,
        )
        [row] = counted.to_pylist()
        assert row["rows"] > 0 or table == "proc_block_event", table
        assert (row["unknown"], row["astray"]) == (0, 0), table


def test_every_process_of_a_row_was_forked_in_the_recording(stored: Stored) -> None:
    """One id for all that a process does, whichever thread, program or session does it."""
    effects = effects_of(stored.database, stored.run.id)
    children = {e["detail"]["child_id"] for e in effects if e["kind"] == "fork"}
    known = children | {str(stored.run.root_process_id)}
    assert {e["process_id"] for e in effects} <= known
    pids: dict[str, set[int]] = {}
    for effect in effects:
        pids.setdefault(effect["process_id"], set()).add(effect["detail"]["pid"])
    assert all(len(of_one) == 1 for of_one in pids.values())


@pytest.mark.parametrize("name", ["child", "grandchild", "thread", "daemon", "session", "late", "root", "exec"])
def test_what_each_did_is_its_own(stored: Stored, name: str) -> None:
    sql = (
        "SELECT gprocess_id AS process, groupUniqArray(kind) AS kinds FROM file_mgmt_event WHERE file_name = {name:String} "
        "GROUP BY process"
    )
    found = stored.database.rows(sql, name=name).to_pylist()
    assert len(found) == (1 if name == "root" else TIMES)
    changed = set() if name == "exec" else {"file_chmod"}
    assert all(set(row["kinds"]) == {"file_create", "file_delete"} | changed for row in found)


def test_forks_execs_and_exits_tell_parent_program_and_command_line(stored: Stored) -> None:
    rows = stored.database.rows(
        "SELECT kind, pid, parent_pid, exec_path, cmdline, is_thread, parent_id FROM proc_ops_event ORDER BY at_ns"
    ).to_pylist()
    assert {row["kind"] for row in rows} == {"fork", "exec", "exit"}
    for row in rows:
        assert row["parent_pid"], row
        assert row["kind"] == "fork" or row["parent_id"], row
        assert Path(row["exec_path"]).is_absolute(), row
        assert row["cmdline"], row
    ends = [row for row in rows if row["kind"] == "exit" and row["cmdline"] == "/bin/true"]
    assert len(ends) == TIMES


def test_parents_are_those_that_were_there(stored: Stored) -> None:
    """An orphan's end tells its new parent; an exec tells the parent that forked it."""
    effects = effects_of(stored.database, stored.run.id)
    made_by = {e["detail"]["child_id"]: e["process_id"] for e in effects if e["kind"] == "fork"}
    execs = [e for e in effects if e["kind"] == "exec" and e["process_id"] in made_by]
    assert len(execs) == 3 * TIMES
    assert all(e["detail"]["parent_id"] == made_by[e["process_id"]] for e in execs)
    daemons = {e["process_id"] for e in effects if e["kind"] == "file_create" and e["path"].endswith("/daemon")}
    ends = [e for e in effects if e["kind"] == "exit" and e["process_id"] in daemons]
    assert len(ends) == TIMES
    assert all(e["detail"]["parent_id"] != made_by[e["process_id"]] for e in ends)


def test_a_number_used_again_is_another_process() -> None:
    """clone3 with set_tid: the very same pid for process after process."""
    recording = record(
        f"""
import ctypes, os, struct
libc = ctypes.CDLL(None, use_errno=True)
def clone_as(number):
    tid = (ctypes.c_int * 1)(number)
    args = (ctypes.c_uint64 * 11)(*[0] * 4, 17, 0, 0, 0, ctypes.addressof(tid), 1, 0)
    pid = libc.syscall(435, args, 88)
    if pid == 0:
        try: os.mkdir("/tmp/intact-again-%d" % os.getpid()); os.rmdir("/tmp/intact-again-%d" % os.getpid())
        finally: libc.syscall(231, 3)
    if pid < 0: raise OSError(ctypes.get_errno(), "clone3")
    os.waitpid(pid, 0)
first = os.fork()
if first == 0: os._exit(0)
os.waitpid(first, 0)
for _ in range({TIMES}): clone_as(first)
print(first)
"""
    )
    recording.check_counts()
    again = int(recording.output)
    forks = [f for f in recording.of(Type.FORK) if f.child_tgid == again]
    starts = [f.child_start_ns for f in forks]
    assert len(starts) == len(set(starts)) == TIMES + 1
    assert [e.header.start_ns for e in recording.of(Type.EXIT, tgid=again)] == starts
    assert [f.header.start_ns for f in recording.of(Type.FILE, op=7, tgid=again)] == starts[1:]  # mkdir


def test_an_exec_keeps_the_number_and_the_start() -> None:
    recording = record(["/bin/sh", "-c", "exec /bin/sh -c 'exec /bin/true'"])
    starts = {e.header.start_ns for e in recording.of(Type.EXEC, tgid=recording.pid)}
    assert len(recording.of(Type.EXEC, tgid=recording.pid)) == 3
    assert len(starts) == 1
    assert starts == {e.header.start_ns for e in recording.of(Type.EXIT, tgid=recording.pid)}


def test_credentials_and_signals_are_effects_like_any(stored: Stored) -> None:
    effects = effects_of(stored.database, stored.run.id)
    calls = [e for e in effects if e["kind"] == "credential_change"]
    kills = [e for e in effects if e["kind"] == "signal"]
    acts = TIMES * 7  # root, child, grandchild, thread, daemon, session, late
    two_threads = TIMES  # the C library makes the call in each thread
    assert [e["detail"]["call"] for e in calls] == ["setresgid"] * (acts + two_threads)
    assert {(e["uid"], e["new_uid"], e["result"], e["detail"]["old_gid"], e["new_gid"]) for e in calls} == {
        (0, 0, 0, 0, 0)
    }
    assert len(kills) == acts
    assert {e["detail"]["signal"] for e in kills} == {signal.SIGCONT}
    forked = {e["detail"]["child_id"] for e in effects if e["kind"] == "fork"} | {str(stored.run.root_process_id)}
    inside = [e for e in kills if e["detail"]["target_id"] in forked]
    assert len(inside) >= TIMES * 5
    assert all(stored.run.started_ns <= e["at_ns"] <= (stored.run.ended_ns or 0) for e in (*calls, *kills))
