"""A run that goes on is in the store while it goes on, and whole once it has ended."""

import random
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

from intact.store.database import Database
from intact.store.runs import DataDirectory
from intact.store.segments import Limits, SegmentWriter
from intact.store.spool import Spool
from tests.store.slices import HOST, T0
from tests.store.test_ingest import ROWS, a_slice, back, check_whole, counted, record


def wait_until(found: object, *, within_s: float) -> float:
    assert callable(found)
    began = time.monotonic()
    while not found():
        assert time.monotonic() - began < within_s, "too late"
        time.sleep(0.02)
    return time.monotonic() - began


def test_a_growing_run_is_seen_within_two_seconds(tmp_path: Path) -> None:
    data = DataDirectory(tmp_path)
    with Database(data) as database, Spool(database, back) as spool:
        run = data.new_run(HOST, name="r", command=["agent"], started_ns=T0)
        writer = SegmentWriter(run.segments, HOST)
        for number in range(5):
            writer.write(a_slice(number))
            took = wait_until(
                lambda wanted=(number + 1) * ROWS: counted(database, run)["file_open_event"][0] == wanted, within_s=5
            )
            assert took < 2.5
        assert spool.status().following == 1
        writer.write(a_slice(5))
        writer.flush()
        assert spool.wait_for(run.id, 5)
        assert counted(database, run)["file_open_event"][0] == 6 * ROWS
        assert counted(database, run)["agent"] == (0, 0)  # the end has not been said
        writer.close()
        data.save(replace(run, ended_ns=T0 + 1, exit_code=0))
        assert spool.wait_for(run.id, 10)
        check_whole(database, run, 6)
        ended = database.rows("SELECT exit_code FROM run WHERE run_id = {r:String} ORDER BY revision DESC", r=run.id)
        assert ended.column(0)[0].as_py() == 0
        assert spool.status().failures == 0, spool.status().problem


def test_a_run_without_a_last_word_is_brought_in_whole(tmp_path: Path) -> None:
    data = DataDirectory(tmp_path)
    run = record(data, 10)
    data.save(replace(run, ended_ns=None))
    with Database(data) as database, Spool(database, back):
        wait_until(lambda: counted(database, run)["agent"] == (1, 1), within_s=15)
        check_whole(database, run, 10)


def test_one_run_that_cannot_be_read_keeps_no_other_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = DataDirectory(tmp_path)
    runs = [record(data, 3) for _ in range(3)]

    calls = []

    def sometimes(pieces, host):  # type: ignore[no-untyped-def]
        calls.append(1)
        if len(calls) == 2:
            raise ValueError("cannot\nread")
        return back(pieces, host)

    with Database(data) as database, Spool(database, sometimes) as spool:
        wait_until(lambda: sum(counted(database, run)["agent"] == (1, 1) for run in runs) == 2, within_s=20)
        assert spool.status().failures == 1
        assert "cannot read" in (spool.status().problem or "")


SERVE = """
import sys, time
from pathlib import Path
from intact.store.database import Database
from intact.store.runs import DataDirectory
from intact.store.spool import Spool
from tests.store.test_ingest import back
with Database(DataDirectory(Path(sys.argv[1]))) as database, Spool(database, back):
    print("open", flush=True)
    time.sleep(60)
"""


def test_killing_it_while_a_run_goes_on_loses_and_doubles_nothing(tmp_path: Path) -> None:
    seed = random.randrange(1 << 32)
    print(f"seed {seed}")
    rng = random.Random(seed)
    data = DataDirectory(tmp_path)
    run = data.new_run(HOST, name="r", command=["agent"], started_ns=T0)
    writer = SegmentWriter(run.segments, HOST, limits=Limits(rows=500))
    number = 0
    for _ in range(5):
        process = subprocess.Popen([sys.executable, "-c", SERVE, tmp_path], stdout=subprocess.PIPE, text=True)
        assert process.stdout is not None
        process.stdout.readline()
        until = time.monotonic() + rng.uniform(0.8, 2.5)
        while time.monotonic() < until:
            writer.write(a_slice(number))
            number += 1
            time.sleep(0.02)
        process.send_signal(signal.SIGKILL)
        process.communicate()
    writer.close()
    run = replace(run, ended_ns=T0 + 1, exit_code=0)
    data.save(run)
    with Database(data) as database, Spool(database, back) as spool:
        assert spool.wait_for(run.id, 30)
        check_whole(database, run, number)
