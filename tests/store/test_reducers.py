"""Reads and writes are put together by what they say, not by how they came; a repeated create is told from a first one."""

from itertools import pairwise
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from intact.model.effects import Kind
from intact.store.reducers import GAP_NS, WINDOW_NS, CreateMemory, IoReducer, aggregate

US = 1_000
MS = 1_000_000

IO = pa.schema(
    [
        *((name, pa.uint64()) for name in ("id", "gprocess_id", "root_process_id", "inode", "bytes")),
        *((name, pa.uint32()) for name in ("tenant_id", "agent_id", "pid", "syscall_thread", "uid", "gid", "device")),
        *((name, pa.uint8()) for name in ("kind", "path_state", "fd_kind")),
        *((name, pa.string()) for name in ("process_kname", "full_path", "host")),
        ("event_count", pa.uint32()),
        *((name, pa.int64()) for name in ("at_ns", "end_ns")),
        *((name, pa.int32()) for name in ("result", "fd")),
    ]
)
BASE: dict[str, Any] = {
    "id": 1, "gprocess_id": 100, "root_process_id": 42, "inode": 5, "bytes": 1024, "tenant_id": 1, "agent_id": 1, "pid": 1234,
    "syscall_thread": 1, "uid": 0, "gid": 0, "device": 1, "kind": int(Kind.FILE_READ), "path_state": 0, "fd_kind": 1,
    "process_kname": "codex", "full_path": "/srv/same.txt", "host": "h", "event_count": 1, "at_ns": 1000 * US,
    "end_ns": 1010 * US, "result": 0, "fd": 3,
}  # fmt: skip
OPERATION = pa.schema(
    [
        *((name, pa.uint32()) for name in ("tenant_id", "agent_id")),
        *((name, pa.string()) for name in ("host", "full_path", "old_path")),
        *((name, pa.uint64()) for name in ("root_process_id", "inode")),
        *(("kind", pa.uint8()), ("result", pa.int32()), ("at_ns", pa.int64())),
    ]
)


def io(*changes: dict[str, Any]) -> pa.RecordBatch:
    return pa.RecordBatch.from_pylist([{**BASE, "id": place + 1, **change} for place, change in enumerate(changes)], IO)


def operations(*changes: dict[str, Any]) -> pa.RecordBatch:
    base = {
        "tenant_id": 1,
        "agent_id": 1,
        "root_process_id": 42,
        "host": "h",
        "full_path": "/srv/same.txt",
        "old_path": "",
    }
    base |= {"kind": int(Kind.FILE_CREATE), "result": 0, "at_ns": 2000 * US, "inode": 5}
    return pa.RecordBatch.from_pylist([{**base, **change} for change in changes], OPERATION)


def reduced(batch: pa.RecordBatch, done: pa.RecordBatch | None = None) -> list[dict[str, Any]]:
    return aggregate(
        pa.Table.from_batches([batch]), None if done is None else pa.Table.from_batches([done])
    ).to_pylist()


def test_two_reads_of_one_file_are_one_row() -> None:
    [row] = reduced(io({}, {"at_ns": 1005 * US, "end_ns": 1015 * US}))
    assert (row["event_count"], row["bytes"], row["at_ns"], row["end_ns"]) == (2, 2048, 1000 * US, 1015 * US)
    assert row["effect_ids"] == [1, 2]
    assert sum(row["effect_end_ns"]) - sum(row["effect_at_ns"]) == 20 * US  # duration


def test_other_files_in_between_do_not_split() -> None:
    a = {"full_path": "/srv/logs_1.sqlite", "kind": int(Kind.FILE_WRITE), "bytes": 4096}
    b = {"full_path": "/srv/logs_1.sqlite-wal", "bytes": 4096}
    rows = reduced(io(a, b, a, b))
    assert [(row["full_path"], row["event_count"], row["bytes"]) for row in rows] == [
        ("/srv/logs_1.sqlite", 2, 8192),
        ("/srv/logs_1.sqlite-wal", 2, 8192),
    ]


@pytest.mark.parametrize(
    "column",
    [
        "gprocess_id",
        "agent_id",
        "tenant_id",
        "root_process_id",
        "host",
        "syscall_thread",
        "pid",
        "uid",
        "kind",
        "fd_kind",
    ],
)
def test_what_differs_in_a_key_is_another_row(column: str) -> None:
    other = "other" if column == "host" else 9
    rows = reduced(io({}, {column: other, "at_ns": 1001 * US}))
    assert [row[column] for row in rows] == [BASE[column], other]
    assert [row["event_count"] for row in rows] == [1, 1]


def test_an_operation_on_the_file_ends_its_rows_and_no_others() -> None:
    later = {"at_ns": 3000 * US, "end_ns": 3001 * US}
    rows = reduced(
        io({}, {"full_path": "/srv/other.txt"}, later, {"full_path": "/srv/other.txt", **later}), operations({})
    )
    assert [(row["full_path"], row["event_count"]) for row in rows] == [
        ("/srv/same.txt", 1),
        ("/srv/other.txt", 2),
        ("/srv/same.txt", 1),
    ]


def test_an_operation_ends_reads_and_writes_of_the_file() -> None:
    write = {"kind": int(Kind.FILE_WRITE)}
    later = {"at_ns": 3000 * US, "end_ns": 3001 * US}
    made = io(write, {}, {**write, "full_path": "/srv/other.txt"}, {**write, **later}, later)
    rows = reduced(made, operations({"kind": int(Kind.FILE_DELETE)}))
    assert sorted((row["full_path"], row["kind"]) for row in rows) == [
        ("/srv/other.txt", 6),
        ("/srv/same.txt", 5),
        ("/srv/same.txt", 5),
        ("/srv/same.txt", 6),
        ("/srv/same.txt", 6),
    ]


@pytest.mark.parametrize("change", [{"agent_id": 2}, {"root_process_id": 43}, {"full_path": "/srv/x"}, {"result": -2}])
def test_an_operation_elsewhere_or_that_failed_ends_nothing(change: dict[str, Any]) -> None:
    assert len(reduced(io({}, {"at_ns": 3000 * US, "end_ns": 3001 * US}), _filtered(operations(change)))) == 1


def _filtered(batch: pa.RecordBatch) -> pa.RecordBatch:
    reducer = IoReducer()
    reducer.add(None, batch, 1)
    return reducer._operations[0] if reducer._operations else batch.slice(0, 0)


@pytest.mark.parametrize(("gap_ns", "rows"), [(GAP_NS, 1), (GAP_NS + 1, 2), (-5, 1), (199_990 * US, 2)])
def test_a_gap_of_more_than_100_ms_splits(gap_ns: int, rows: int) -> None:
    start = 1010 * US + gap_ns
    found = reduced(io({}, {"at_ns": start, "end_ns": start + 5 * US}))
    assert len(found) == rows


def test_a_late_event_merges_and_the_first_tells_where_it_began() -> None:
    [row] = reduced(io({"at_ns": 1000 * US}, {"at_ns": 990 * US, "end_ns": 1005 * US, "fd": 9}))
    assert (row["at_ns"], row["end_ns"], row["fd"], row["id"]) == (990 * US, 1010 * US, 9, 2)


def test_nothing_gives_nothing() -> None:
    reducer = IoReducer()
    assert reducer.finish() is None
    assert reducer.add(None, None, 0) is None
    reducer.add(io({}), None, 0)
    assert reducer.finish().num_rows == 1
    assert reducer.finish() is None


def test_rows_come_when_their_window_is_over() -> None:
    reducer = IoReducer(late_ns=1_000 * MS)
    assert reducer.add(io({}), None, 0) is None
    assert reducer.add(None, None, WINDOW_NS + 999 * MS) is None
    assert reducer.add(None, None, WINDOW_NS + 1_000 * MS).num_rows == 1
    # beyond any allowance: a row of its own, and not lost
    assert reducer.add(io({}), None, 0).num_rows == 1


def test_memory_is_bounded() -> None:
    reducer = IoReducer(max_pending=1_000)
    rows, bytes_in = [], 0
    for step in range(50):
        made = io(*({"full_path": f"/f{n}", "at_ns": step * MS, "end_ns": step * MS} for n in range(100)))
        bytes_in += made.num_rows * 1024
        out = reducer.add(
            made, operations(*({"full_path": f"/o{n}", "at_ns": step * MS} for n in range(100))), step * MS
        )
        rows += [] if out is None else out.to_pylist()
        assert reducer._pending <= 1_100
        assert sum(batch.num_rows for batch in reducer._operations) <= 1_100
    assert reducer.early
    rest = reducer.finish()
    rows += [] if rest is None else rest.to_pylist()
    assert sum(row["bytes"] for row in rows) == bytes_in


EVENTS = st.lists(
    st.tuples(
        st.integers(0, 9_000),  # ms
        st.integers(0, 300),  # its length, ms
        st.sampled_from(["/a", "/b"]),
        st.sampled_from([1, 2]),  # thread
        st.booleans(),  # an operation
    ),
    max_size=60,
)


@settings(max_examples=150, deadline=None)
@given(EVENTS, st.sets(st.integers(0, 60)), st.randoms(use_true_random=False))
def test_any_cut_and_any_order_within_the_allowance_gives_the_same_rows(
    events: Any, cuts: set[int], random: Any
) -> None:
    rows = [
        {"id": n + 1, "at_ns": at * MS, "end_ns": (at + long) * MS, "full_path": path, "syscall_thread": thread}
        for n, (at, long, path, thread, is_operation) in enumerate(events)
        if not is_operation
    ]
    done = [{"full_path": path, "at_ns": at * MS} for at, _, path, _, is_operation in events if is_operation]
    whole = reduced(io(*rows), operations(*done) if done else None) if rows else []
    stream = [("io", row["at_ns"] + random.randrange(1_000) * MS, row) for row in rows]
    stream += [("file", row["at_ns"] + random.randrange(1_000) * MS, row) for row in done]
    stream.sort(key=lambda item: item[1])  # each comes at most a second late
    reducer, found = IoReducer(), []
    edges = [0, *sorted(cut for cut in cuts if cut < len(stream)), len(stream)]
    for first, last in pairwise(edges):
        piece = stream[first:last]
        batch = [row for kind, _, row in piece if kind == "io"]
        files = [row for kind, _, row in piece if kind == "file"]
        out = reducer.add(
            io(*batch) if batch else None, operations(*files) if files else None, piece[-1][1] if piece else 0
        )
        found += [] if out is None else out.to_pylist()
    rest = reducer.finish()
    found += [] if rest is None else rest.to_pylist()
    assert sorted(found, key=lambda row: (row["at_ns"], row["id"])) == whole


def repeats(memory: CreateMemory, *changes: dict[str, Any]) -> list[bool]:
    return memory.repeats(operations(*changes)).tolist()


DELETE = {"kind": int(Kind.FILE_DELETE)}


def test_a_create_counts_once_in_the_life_of_a_file() -> None:
    memory = CreateMemory()
    assert repeats(memory, {}, {}, {}) == [False, True, True]
    assert repeats(memory, {}) == [True]
    assert repeats(memory, DELETE, {}) == [False, False]
    assert repeats(memory, {"inode": 6}) == [False]  # it was deleted where we did not look
    assert repeats(memory, {"inode": 6}) == [True]


def test_a_rename_ends_two_lives() -> None:
    memory = CreateMemory()
    rename = {"kind": int(Kind.FILE_RENAME), "old_path": "/srv/same.txt", "full_path": "/srv/new.txt"}
    assert repeats(memory, {}, {"full_path": "/srv/new.txt"}, rename) == [False] * 3
    assert repeats(memory, {}, {"full_path": "/srv/new.txt"}) == [False, False]


@pytest.mark.parametrize("change", [{"agent_id": 2}, {"root_process_id": 43}, {"tenant_id": 2}, {"host": "other"}])
def test_creates_of_others_are_their_own(change: dict[str, Any]) -> None:
    assert repeats(CreateMemory(), {}, change) == [False, False]


@pytest.mark.parametrize("kind", [Kind.FILE_CHMOD, Kind.FILE_CHOWN, Kind.FILE_DELETE, Kind.FILE_RENAME])
def test_other_operations_are_never_dropped(kind: Kind) -> None:
    assert repeats(CreateMemory(), {"kind": int(kind)}, {"kind": int(kind)}) == [False, False]


def test_a_create_that_failed_is_not_remembered() -> None:
    assert repeats(CreateMemory(), {"result": -13}, {}, {"result": -13}) == [False, False, False]


def test_files_remembered_are_bounded() -> None:
    memory = CreateMemory(max_files=10)
    assert not any(repeats(memory, *({"full_path": f"/f{n}"} for n in range(100))))
    assert len(memory._inodes) == 10
    assert repeats(memory, {"full_path": "/f99"}, {"full_path": "/f0"}) == [True, False]


@given(
    st.lists(st.tuples(st.sampled_from([Kind.FILE_CREATE, Kind.FILE_DELETE]), st.sampled_from("ab")), max_size=30),
    st.data(),
)
@settings(deadline=None)
def test_any_cut_gives_the_same_repeats(calls: list[tuple[Kind, str]], data: st.DataObject) -> None:
    rows = [{"kind": int(kind), "full_path": path} for kind, path in calls]
    cut = data.draw(st.integers(0, len(rows)))
    memory = CreateMemory()
    found = [flag for part in (rows[:cut], rows[cut:]) if part for flag in repeats(memory, *part)]
    assert found == (repeats(CreateMemory(), *rows) if rows else [])


def test_many_rows_are_counted_exactly() -> None:
    rows = 300_000
    at = np.arange(rows, dtype=np.int64) * 10_000
    columns = {field.name: pa.array([BASE[field.name]] * rows, field.type) for field in IO}
    columns |= {"id": pa.array(np.arange(rows, dtype=np.uint64)), "at_ns": pa.array(at), "end_ns": pa.array(at + 10)}
    columns["full_path"] = pa.array([f"/srv/{n % 5000}" for n in range(rows)])
    found = aggregate(pa.table(columns), None)
    assert sum(found.column("event_count").to_pylist()) == rows
