"""What can only be seen is matched in the effects, and told as just that."""

import os
import subprocess
import sys
from typing import Any

import pyarrow as pa
import pytest

from intact.govern.governor import Governor
from intact.govern.observe import Observer, path_matches
from intact.govern.plan import make_plan
from intact.model.effects import FILE, Kind
from intact.model.slice import Slice
from tests.govern.governed import governed, policy


def slice_of(*rows: dict[str, Any]) -> Slice:
    empty = {f.name: "" if f.type == pa.string() else 0 for f in FILE}
    return Slice(until_ns=0, effects={"file": pa.RecordBatch.from_pylist([{**empty, **row} for row in rows], FILE)})


def observer(*rules: dict[str, Any], identity: int = 0) -> Observer:
    return Observer(make_plan([policy(*rules)], {}).parts, lambda pid: identity)


def test_renames_and_deletions_are_observed() -> None:
    watching = observer({"id": "f", "file": {"path": "/s/**", "access": ["delete", "rename"]}})
    found = watching.observe(
        slice_of(
            {"kind": Kind.FILE_DELETE, "path": "/s/a", "pid": 7, "at_ns": 5, "process_id": 9},
            {"kind": Kind.FILE_RENAME, "path": "/t/a", "old_path": "/s/b", "result": -1},
            {"kind": Kind.FILE_DELETE, "path": "/sa"},
            {"kind": Kind.FILE_OPEN, "path": "/s/a"},
        )
    )
    assert [(hit.target, hit.outcome, hit.path, hit.result) for hit in found] == [
        ("delete", "observed", "/s/a", 0),
        ("rename", "observed", "/t/a", -1),
    ]
    assert (found[0].pid, found[0].at_ns, found[0].process_id) == (7, 5, 9)
    assert watching.counts == {0: 2}


def test_audited_opens_by_access() -> None:
    watching = observer({"id": "f", "file": {"path": "/s/*.pem", "access": "write"}, "action": "audit"})
    found = watching.observe(
        slice_of(
            {"kind": Kind.FILE_OPEN, "path": "/s/a.pem", "flags": os.O_RDONLY},
            {"kind": Kind.FILE_OPEN, "path": "/s/b.pem", "flags": os.O_RDWR},
            {"kind": Kind.FILE_CREATE, "path": "/s/c.pem"},
            {"kind": Kind.FILE_CREATE, "path": "/s/d.txt"},
        )
    )
    assert [hit.path for hit in found] == ["/s/b.pem", "/s/c.pem"]


@pytest.mark.parametrize("is_same", [True, False])
def test_a_kill_meets_the_process_that_did_it_and_no_other(is_same: bool) -> None:
    child = subprocess.Popen([sys.executable, "-I", "-S", "-c", "import time; time.sleep(20)"])
    watching = observer(
        {"id": "f", "file": {"path": "/s/a", "access": "delete"}, "action": "kill"}, identity=9 if is_same else 8
    )
    row = {"kind": Kind.FILE_DELETE, "path": "/s/a", "pid": child.pid, "process_id": 9}
    (hit,) = watching.observe(slice_of(row))
    if is_same:
        assert (hit.outcome, hit.signal) == ("stopped_after", 9)
        assert child.wait(5) == -9
    else:
        assert (hit.outcome, hit.signal) == ("missed", 0)
        assert child.poll() is None
        child.kill()
        child.wait()


def test_patterns() -> None:
    assert path_matches("/a/b/c", "/a/**")
    assert not path_matches("/ab/c", "/a/**")
    assert path_matches("/a/x.pem", "/a/*.pem")
    assert not path_matches("/a/b/x.pem", "/a/*.pem")
    assert path_matches("/x", "/x")


@pytest.mark.kernel
def test_hits_become_rows_of_the_block_family() -> None:
    with governed({"id": "net", "connect": {"address": "127.0.0.1", "port": 9}}) as tree:
        tree.run("print(json.dumps([attempt(tcp, '127.0.0.1', 9), attempt(udp, '127.0.0.1', 9)]))")
        governor: Governor = tree.governor
        batch = governor.batch(tree.hits(), clean=str.upper)
    rows = batch.to_pylist()
    assert len({row["id"] for row in rows}) == 2
    assert {
        (row["rule_id"], row["kind"], row["outcome"], row["guarantee"], row["errno"], row["mechanism"]) for row in rows
    } == {("net", Kind.BLOCKED, "prevented", "prevented", 1, "cgroup")}
    assert all(row["process_id"] and row["at_ns"] > 1e18 for row in rows)
