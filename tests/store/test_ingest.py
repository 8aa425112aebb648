"""What is in the segments is in the store once, however often and wherever its ingestion was killed."""

import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from intact.model.effects import Kind
from intact.model.facts import Agent, LlmCall, Loss, Process, StageCount
from intact.model.slice import Host, Slice
from intact.store import ingest
from intact.store.database import Database
from intact.store.ingest import Ingested, ingest_run, is_ingested
from intact.store.runs import DataDirectory, Run
from intact.store.segments import Limits, SegmentWriter, segments_in
from tests.store.slices import HOST, T0, effects, files, links

ROWS = 50


def a_slice(number: int) -> Slice:
    """Facts, opens, a write, a fork and links, all told apart by `number`."""
    at_ns = T0 + number * 1_000_000_000
    call = LlmCall(
        id=number // 2 + 1, exchange_id=1, process_id=7, pid=100, tid=100, provider_name="anthropic",
        wire_api="anthropic.messages", operation_name="chat", request_model="m", started_ns=at_ns,
        input_tokens=number, input_messages=[{"role": "user", "parts": [{"type": "text", "content": f"é {number}"}]}],
    )  # fmt: skip
    count = StageCount(stage="decode", at_ns=at_ns, seen=ROWS, passed=ROWS - 1)
    loss = Loss(stage="decode", cause="rejected", count=1, at_ns=at_ns, note="a\x1b")
    process = Process(id=7, pid=100, start_ns=T0, comm="agent", argv=("a", "\udc80"))
    writes = effects("io", 1, id=[number + 1], kind=int(Kind.FILE_WRITE), process_id=7, at_ns=at_ns, path="/srv/out")
    forks = effects(
        "process", 1, id=[number + 1], kind=int(Kind.FORK), process_id=7, pid=100, child_id=8, child_pid=101,
        at_ns=at_ns, comm="agent",
    )  # fmt: skip
    return Slice(
        until_ns=at_ns,
        facts=(process, call, count, loss),
        effects={**files(ROWS, at_ns), **writes, **forks},
        links=links(2, id=[number * 2 + 1, number * 2 + 2], cause_id=1, cause_kind=1, effect_id=number + 1, revision=1),
    )


def back(slices: Iterable[Slice], host: Host) -> Iterator[Slice]:
    """A stage with memory that says something at the end."""
    last = 0
    for piece in slices:
        last = piece.until_ns
        yield piece
    agent = Agent(
        id=7, process_id=7, root_process_id=1, biz_type=1, name=host.name, recogniser="r", score=1.0, reason="x",
        role="agent", first_seen_ns=T0, last_seen_ns=last,
    )  # fmt: skip
    yield Slice(until_ns=last, facts=(agent,))


def record(data: DataDirectory, slices: int, *, rows: int = 500) -> Run:
    run = data.new_run(HOST, name="r", command=["agent", "-p"], started_ns=T0)
    with SegmentWriter(run.segments, HOST, limits=Limits(rows=rows)) as writer:
        for number in range(slices):
            writer.write(a_slice(number))
    run = replace(run, ended_ns=T0 + 1, exit_code=0)
    data.save(run)
    return run


def counted(database: Database, run: Run) -> dict[str, tuple[int, int]]:
    """Rows, and rows that differ, by table."""
    tables = {"file_open_event": "id", "file_agg_event": "id", "proc_ops_event": "id", "link": "id", "llm_call": "id"}
    tables |= {"stage_count": "at_ns", "loss": "at_ns", "process": "id", "agent": "id", "llm_content": "id"}
    answer = {}
    for table, key in tables.items():
        row = database.rows(
            f"SELECT count() AS n, uniqExact({key}) AS u FROM {table} WHERE run_id = {{r:String}}", r=run.id
        )
        answer[table] = (row.column("n")[0].as_py(), row.column("u")[0].as_py())
    return answer


def check_whole(database: Database, run: Run, slices: int) -> None:
    found = counted(database, run)
    assert found["file_open_event"] == (slices * ROWS, slices * ROWS)
    assert found["file_agg_event"] == found["proc_ops_event"] == (slices, slices)
    assert found["link"] == (2 * slices, 2 * slices)
    assert found["stage_count"] == found["loss"] == (slices, slices)
    assert found["agent"] == (1, 1)
    assert found["llm_call"][1] == found["llm_content"][1] == (slices + 1) // 2
    assert found["process"][1] == 1
    last = database.rows("SELECT argMax(input_tokens, revision) AS t FROM llm_call GROUP BY id ORDER BY id").column(0)
    assert last.to_pylist() == [min(2 * n + 1, slices - 1) for n in range(len(last))]
    assert is_ingested(database, run)


def test_a_run_is_ingested_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ingest, "GROUP_ROWS", 700)
    data = DataDirectory(tmp_path)
    run = record(data, 40)
    with Database(data) as database:
        assert ingest_run(database, run, back) == Ingested(groups=4, final=True)
        check_whole(database, run, 40)
        assert ingest_run(database, run, back) == Ingested(groups=0, final=True)
        check_whole(database, run, 40)
        row = database.rows("SELECT * FROM proc_ops_event ORDER BY at_ns LIMIT 1").to_pylist()[0]
        assert (row["event_type"], row["process_kname"], row["pid"], row["parent_pid"]) == (
            "proclifecyclefork",
            "agent",
            101,
            100,
        )
        assert (row["root_pid"], row["root_process_id"], row["gprocess_id"]) == (100, run.root_process_id, 7)
        written = database.rows("SELECT *, path FROM file_agg_event ORDER BY at_ns LIMIT 1").to_pylist()[0]
        assert (written["file_dir"], written["file_name"], written["path"]) == ("/srv/", "out", "/srv/out")
        assert (written["event_type"], written["process_kname"]) == ("write", "agent")
        argv = database.rows("SELECT argv FROM process LIMIT 1").to_pylist()[0]["argv"]
        assert argv == ["a", "?"]
        assert database.rows("SELECT exit_code FROM run ORDER BY revision DESC LIMIT 1").to_pylist() == [
            {"exit_code": 0}
        ]
    assert not (run.directory / "ingest.json").exists()


def test_a_run_that_goes_on_is_ingested_up_to_its_last_closed_segment(tmp_path: Path) -> None:
    data = DataDirectory(tmp_path)
    run = data.new_run(HOST, name="r", command=["agent"], started_ns=T0)
    writer = SegmentWriter(run.segments, HOST, limits=Limits(rows=500))
    with Database(data) as database:
        for number in range(30):
            writer.write(a_slice(number))
            writer.flush()
            if number % 4 == 0:
                assert not ingest_run(database, run, back).final
        found = counted(database, run)
        assert found["agent"] == (0, 0)  # the end has not been said
        closed = sum(segment.sealed for segment in segments_in(run.segments))
        assert 0 < found["file_agg_event"][0] <= closed * 9
        writer.close()
        run = replace(run, ended_ns=T0 + 1, exit_code=0)
        data.save(run)
        assert ingest_run(database, run, back).final
        check_whole(database, run, 30)


def test_a_run_whose_recorder_was_killed_is_ingested_to_its_last_whole_frame(tmp_path: Path) -> None:
    data = DataDirectory(tmp_path)
    run = record(data, 12)
    last = segments_in(run.segments)[-1].path
    last.rename(last.with_suffix(".open"))
    last.with_suffix(".open").write_bytes(last.with_suffix(".open").read_bytes()[:-300])
    with Database(data) as database:
        assert ingest_run(database, run, back).final
        rows = counted(database, run)["file_agg_event"][0]
        assert 9 <= rows < 12


def test_an_empty_run_is_ingested(tmp_path: Path) -> None:
    data = DataDirectory(tmp_path)
    run = data.new_run(HOST, name="r", command=["agent"], started_ns=T0)
    with Database(data) as database:
        assert ingest_run(database, run, back).final
        assert database.rows("SELECT run_id FROM run").to_pylist() == [{"run_id": run.id}]


INGEST = """
import sys
from pathlib import Path
from intact.store import ingest
from intact.store.database import Database
from intact.store.runs import DataDirectory
from tests.store.test_ingest import back
ingest.GROUP_ROWS = 300
data = DataDirectory(Path(sys.argv[1]))
run = data.run()
with Database(data) as database:
    print("open", flush=True)
    ingest.ingest_run(database, run, back)
"""


def test_killing_the_ingestion_anywhere_loses_and_doubles_nothing(tmp_path: Path) -> None:
    seed = random.randrange(1 << 32)
    print(f"seed {seed}")
    rng = random.Random(seed)
    data = DataDirectory(tmp_path)
    run = record(data, 60, rows=300)
    killed = 0
    for _ in range(16):
        process = subprocess.Popen([sys.executable, "-c", INGEST, tmp_path], stdout=subprocess.PIPE, text=True)
        assert process.stdout is not None
        process.stdout.readline()
        time.sleep(rng.uniform(0.05, 0.5))
        process.send_signal(signal.SIGKILL)
        process.communicate()
        if process.returncode == 0:
            break
        killed += 1
    with Database(data) as database:
        assert ingest_run(database, run, back).final
        check_whole(database, run, 60)
    print(f"killed {killed} times")
    assert killed >= 3
