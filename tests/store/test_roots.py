"""Rows of the sensor tell the root of the agent that their process belongs to."""

import time
from dataclasses import replace
from pathlib import Path

from intact.model.effects import Kind
from intact.model.facts import Agent
from intact.model.slice import Slice
from intact.store.database import Database
from intact.store.ingest import ingest_run
from intact.store.runs import DataDirectory
from intact.store.segments import SegmentWriter
from tests.store.slices import HOST, effects

T0 = time.time_ns()  # what the sensor kept long ago is let go of


def agent(process: int, root: int) -> Agent:
    return Agent(
        id=process, process_id=process, root_process_id=root, biz_type=1, name="a", recogniser="endpoint", score=1.0,
        reason="r", role="client", first_seen_ns=T0, last_seen_ns=T0,
    )  # fmt: skip


def test_each_agent_has_its_own_root_and_others_none(tmp_path: Path) -> None:
    data = DataDirectory(tmp_path)
    host = replace(HOST, root_tgid=0, root_start_ns=0)
    run = data.new_run(host, name="sensor", command=["sensor"], started_ns=T0)
    forks = effects(
        "process", 3, kind=int(Kind.FORK), process_id=[1, 7, 8], pid=[10, 70, 80], child_id=[7, 8, 9],
        child_pid=[70, 80, 90], at_ns=[T0, T0 + 1, T0 + 2], end_ns=[T0, T0 + 1, T0 + 2],
    )  # fmt: skip
    kills = effects("signal", 4, kind=int(Kind.SIGNAL), process_id=[1, 7, 8, 9], pid=[10, 70, 80, 90], at_ns=T0 + 3)
    with SegmentWriter(run.segments, host) as writer:
        writer.write(Slice(until_ns=T0 + 3, effects=forks))
        writer.write(Slice(until_ns=T0 + 4, facts=(agent(7, 7), agent(9, 7)), effects=kills))
    with Database(data) as database:
        ingest_run(database, replace(run, ended_ns=T0, exit_code=0), lambda pieces, _: iter(pieces))
        sql = "SELECT gprocess_id, root_process_id, root_pid FROM proc_signal_event ORDER BY gprocess_id"
        found = [tuple(row.values()) for row in database.rows(sql).to_pylist()]
    assert found == [(1, 0, 0), (7, 7, 70), (8, 7, 70), (9, 7, 70)]
