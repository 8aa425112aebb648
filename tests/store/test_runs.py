"""Runs are found by what a person types, and belong to whom they should."""

import json
import os
import stat
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from intact.model.errors import IntactError, UsageError
from intact.model.identity import host_hash, process_id
from intact.model.slice import Slice
from intact.store.runs import DataDirectory
from intact.store.segments import SegmentWriter
from tests.store.slices import HOST, T0


def test_a_run_comes_back_as_it_was_saved(tmp_path: Path) -> None:
    data = DataDirectory(tmp_path / "data")
    run = data.new_run(HOST, name=None, command=["/usr/bin/Claude Code", "-p", "a\x1b\udc80"], started_ns=T0)
    assert run.id.startswith("20251113-021320-claude-code-")
    assert run.root_process_id == process_id(host_hash("b0075"), 100, 5)
    data.save(replace(run, ended_ns=T0 + 1, exit_code=3))
    [back] = data.runs()
    assert back == replace(run, ended_ns=T0 + 1, exit_code=3)
    assert stat.S_IMODE((tmp_path / "data").stat().st_mode) == 0o700
    assert stat.S_IMODE((run.directory / "run.json").stat().st_mode) == 0o600
    assert json.loads((run.directory / "run.json").read_text())["root_process_id"] == str(run.root_process_id)


def test_ids_are_derived_and_never_shared(tmp_path: Path) -> None:
    ids = {DataDirectory(tmp_path / n).new_run(HOST, name="x", command=[], started_ns=T0).id for n in "ab"}
    assert len(ids) == 1
    data = DataDirectory(tmp_path / "a")
    again = {data.new_run(HOST, name="x", command=[], started_ns=T0).id for _ in range(20)}
    assert len(again) == 20
    assert not ids & again


def test_the_run_a_person_means(tmp_path: Path) -> None:
    data = DataDirectory(tmp_path)
    with pytest.raises(IntactError, match="no run is recorded"):
        data.run()
    first = data.new_run(HOST, name="claude", command=[], started_ns=T0)
    second = data.new_run(HOST, name="gemini", command=[], started_ns=T0 + 60_000_000_000)
    third = data.new_run(HOST, name="gemini", command=[], started_ns=T0 + 120_000_000_000)
    assert data.run() == third
    assert data.run(first.id) == first
    assert data.run("claude") == first
    assert data.run("gemini") == third
    assert data.run(second.id[:16]) == second
    with pytest.raises(UsageError, match="3 runs"):
        data.run("2025")
    with pytest.raises(IntactError, match="intact runs"):
        data.run("zz")
    (tmp_path / "runs" / "junk").mkdir()
    (tmp_path / "runs" / "bad").mkdir()
    (tmp_path / "runs" / "bad" / "run.json").write_text("[" * 100_000)
    assert len(data.runs()) == 3


def test_a_run_is_going_while_its_writer_lives(tmp_path: Path) -> None:
    data = DataDirectory(tmp_path)
    run = data.new_run(HOST, name="x", command=[])
    assert not run.is_going
    writer = SegmentWriter(run.segments, HOST)
    piece = Slice(until_ns=T0)
    writer.write(piece)
    writer.flush()
    assert run.is_going
    writer.close()
    assert not run.is_going


def test_the_place_and_the_owner(tmp_path: Path) -> None:
    home = {"HOME": "/home/ada"}
    assert DataDirectory.locate(environ=home).path == Path("/home/ada/.local/share/intact")
    assert DataDirectory.locate(environ={**home, "INTACT_DATA": "/d"}).path == Path("/d")
    assert DataDirectory.locate(Path("/e"), environ={**home, "INTACT_DATA": "/d"}).path == Path("/e")
    if os.geteuid():
        pytest.skip("giving files to another user needs root")
    data = DataDirectory(tmp_path / "sub" / "data", owner=[12, 34])
    run = data.new_run(HOST, name="x", command=[])
    SegmentWriter(run.segments, HOST).close()
    key = data.redaction_key()
    assert data.redaction_key() == key
    assert len(key) == 32
    made = [tmp_path / "sub", *(tmp_path / "sub").rglob("*")]
    assert len(made) >= 7
    assert {(path.stat().st_uid, path.stat().st_gid) for path in made} == {(12, 34)}
    program = (
        "import os, sys; from pathlib import Path; from intact.store.runs import DataDirectory;"
        "DataDirectory(Path(sys.argv[1]), owner=[12, 34]).become_owner(); print(os.getuid(), os.getgid(), os.getgroups())"
    )
    told = subprocess.run([sys.executable, "-c", program, data.path], check=True, capture_output=True, text=True)
    assert told.stdout == "12 34 []\n"
    person = DataDirectory.locate(environ={"HOME": "/root", "SUDO_UID": "1"})
    assert person.path != Path("/root/.local/share/intact")
    with pytest.raises(IntactError, match="not a user"):
        DataDirectory.locate(environ={"SUDO_UID": "4000000000"})
