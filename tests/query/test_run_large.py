"""Runs that go on, and large ones."""

from dataclasses import replace
from pathlib import Path

import numpy as np

from intact.model.effects import Kind
from intact.model.slice import Slice
from intact.query.run import show_run
from intact.store.database import Database
from intact.store.ingest import ingest_run
from intact.store.runs import DataDirectory
from intact.store.segments import SegmentWriter
from tests.store.slices import HOST, T0, effects, files, links


def test_a_whole_run_is_complete_and_one_that_goes_on_is_not(tmp_path: Path) -> None:
    data = DataDirectory(tmp_path)
    with Database(data) as database:
        run = data.new_run(HOST, name="r", command=["x"], started_ns=T0)
        with SegmentWriter(run.segments, HOST) as writer:
            writer.write(Slice(until_ns=T0 + 1, effects=files(3)))
            writer.flush()
            ingest_run(database, run, lambda pieces, _: iter(pieces))
            ledger = show_run(database, run.id)["ledger"]
            assert (ledger["complete"], len(ledger["notes"])) == (False, 1)
        run = replace(run, ended_ns=T0 + 2, exit_code=0)
        data.save(run)
        ingest_run(database, run, lambda pieces, _: iter(pieces))
        shown = show_run(database, run.id)
        assert shown["ledger"] == {"complete": True, "stages": [], "clipped_calls": [], "notes": []}
        assert shown["run"]["ended_ns"] == T0 + 2
        assert len(shown["effects"]) == 3


def test_a_hundred_thousand_effects_are_shown(tmp_path: Path) -> None:
    data = DataDirectory(tmp_path)
    run = data.new_run(HOST, name="big", command=["x"], started_ns=T0)
    rows = 100_000
    with SegmentWriter(run.segments, HOST) as writer:
        for start in range(0, rows, 5000):
            mixed = {**files(2500, T0 + start * 1000), **effects("io", 2500, kind=int(Kind.FILE_READ), path="/srv/x")}
            made_links = links(
                2500, effect_id=mixed["file"].column("id"), cause_id=1, cause_kind=1, confidence=0.9, basis=3
            )
            writer.write(Slice(until_ns=T0 + start * 1000, effects=mixed, links=made_links))
    run = replace(run, ended_ns=T0, exit_code=0)
    with Database(data) as database:
        ingest_run(database, run, lambda pieces, _: iter(pieces))
        shown = show_run(database, run.id)
    assert len(shown["effects"]) == rows
    assert np.unique([row["kind"] for row in shown["effects"]]).tolist() == ["file_open", "file_read"]
