"""Reads and writes put together, repeated creates told from first ones: the same rows however the events were cut into batches.

Everything is decided by the time in the data. A row waits until its window and the allowance for late ones are over, so what is
put together does not depend on when it came. Nothing is lost on the way: an aggregate holds the sums it is made of.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from intact.model.effects import Kind
from intact.model.identity import U64, mix_columns, text_id

I64 = npt.NDArray[np.int64]

GAP_NS = 100_000_000
WINDOW_NS = 3_000_000_000
# a sum of the kernel is told at most a second after its first read or write
LATE_NS = 1_500_000_000
# More rows than this do not wait: the oldest windows are closed early, which costs a split and no byte.
MAX_PENDING = 500_000
MAX_FILES = 200_000

# who and where; those a batch does not have are the same for all of it
SCOPE = ("tenant_id", "host", "agent_id", "root_process_id")
KEY = (
    *("gprocess_id", "kind", "process_kname", "pid", "full_path", "path_state", "fd_kind", "inode", "device"),
    *("syscall_thread", "uid", "gid", "result"),
)
_BOUNDARIES = (
    Kind.FILE_CREATE,
    Kind.FILE_DELETE,
    Kind.FILE_RENAME,
    Kind.FILE_LINK,
    Kind.FILE_CHMOD,
    Kind.FILE_CHOWN,
    Kind.FILE_TRUNCATE,
)
_MEMBERS = {
    "effect_ids": "id",
    "effect_at_ns": "at_ns",
    "effect_end_ns": "end_ns",
    "effect_bytes": "bytes",
    "effect_counts": "event_count",
    "effect_fds": "fd",
}


class IoReducer:
    """Aggregates reads and writes of one process, thread and file: a gap of 100 ms, an operation on the file or 3 s end a row.

    Batches are those of the `io` and `file` families with the tables' names (`store.rows`).
    """

    def __init__(self, *, late_ns: int = LATE_NS, max_pending: int = MAX_PENDING) -> None:
        self.early = 0  # windows closed before their time, for want of room
        self._late_ns = late_ns
        self._max_pending = max_pending
        self._seen_ns = 0
        self._rows: list[pa.RecordBatch] = []
        self._pending = 0
        self._oldest: int | None = None  # window
        self._operations: list[pa.RecordBatch] = []

    def add(self, io: pa.RecordBatch | None, files: pa.RecordBatch | None, until_ns: int) -> pa.Table | None:
        """Take what one slice brought; the aggregates it completes, in order of time."""
        self._seen_ns = max(self._seen_ns, until_ns)
        if files is not None and files.num_rows:
            self._operations += _operations(files)
        if io is not None and io.num_rows:
            at = _numbers(io, "at_ns")
            self._seen_ns = max(self._seen_ns, int(at.max()))
            first = int(at.min()) // WINDOW_NS
            self._oldest = first if self._oldest is None else min(self._oldest, first)
            self._rows.append(io)
            self._pending += io.num_rows
        closed = (self._seen_ns - self._late_ns) // WINDOW_NS  # windows before this one are over
        if self._pending > self._max_pending:
            self.early += 1
            closed = self._half()
        if self._oldest is None or self._oldest >= closed:
            self._forget_operations(closed)
            return None
        return self._close(closed)

    def finish(self) -> pa.Table | None:
        """What was still waiting."""
        return None if self._oldest is None else self._close(None)

    def _half(self) -> int:
        at = np.concatenate([_numbers(batch, "at_ns") for batch in self._rows])
        return int(np.median(at)) // WINDOW_NS + 1

    def _close(self, closed: int | None) -> pa.Table | None:
        """Aggregate the rows of all windows before `closed`; of all windows, if it is None."""
        rows = pa.Table.from_batches(self._rows).combine_chunks()
        windows = _numbers(rows, "at_ns") // WINDOW_NS
        over = np.ones(len(windows), bool) if closed is None else windows < closed
        kept = rows.filter(pa.array(~over))
        self._rows = kept.to_batches()
        self._pending = kept.num_rows
        self._oldest = int(windows[~over].min()) if kept.num_rows else None
        done = rows.filter(pa.array(over))
        operations = pa.Table.from_batches(self._operations) if self._operations else None
        answer = aggregate(done, operations) if done.num_rows else None
        self._forget_operations(closed)
        return answer

    def _forget_operations(self, closed: int | None) -> None:
        """Operations before all windows that are open cut nothing any more."""
        open_ns = None if closed is None else closed * WINDOW_NS
        self._operations = [
            batch
            for batch in self._operations
            if open_ns is not None and pc.max(batch.column("at_ns")).as_py() >= open_ns
        ]
        spare = sum(batch.num_rows for batch in self._operations) - self._max_pending
        while spare > 0 and self._operations:
            spare -= self._operations.pop(0).num_rows


def aggregate(rows: pa.Table, operations: pa.Table | None) -> pa.Table:
    """The aggregates of a whole set of rows, cut at gaps, windows and operations on the file."""
    at, end, ids = _numbers(rows, "at_ns"), _numbers(rows, "end_ns"), _unsigned(rows, "id")
    key = _key(rows, (*SCOPE, *KEY), at // WINDOW_NS)
    if operations is not None and operations.num_rows:
        key = mix_columns(key, _epochs(rows, operations, at).view(np.uint64))
    order = np.lexsort((ids, at, key))
    key, at, end = key[order], at[order], end[order]
    is_new_key = np.concatenate([[True], key[1:] != key[:-1]])
    latest = _running_max(end, np.cumsum(is_new_key) - 1)
    is_first = is_new_key.copy()
    is_first[1:] |= at[1:] - latest[:-1] > GAP_NS
    starts = np.flatnonzero(is_first)
    ordered = rows.take(pa.array(order))
    columns: dict[str, pa.Array | pa.ChunkedArray] = {}
    leaders = pa.array(starts)
    for name in rows.column_names:
        columns[name] = ordered.column(name).take(leaders)
    columns["end_ns"] = pa.array(np.maximum.reduceat(end, starts))
    columns["bytes"] = pa.array(np.add.reduceat(_unsigned(ordered, "bytes"), starts))
    counts = np.add.reduceat(_unsigned(ordered, "event_count"), starts)
    columns["event_count"] = pa.array(np.minimum(counts, np.uint64(0xFFFFFFFF)).astype(np.uint32))
    offsets = pa.array(np.append(starts, len(at)).astype(np.int32))
    for name, of in _MEMBERS.items():
        columns[name] = pa.ListArray.from_arrays(offsets, _whole(ordered.column(of)))
    answer = pa.table(columns)
    return answer.take(pa.array(np.lexsort((_unsigned(answer, "id"), _numbers(answer, "at_ns")))))


class CreateMemory:
    """Which creates tell of a file that was told already: the first of its life counts, till it is deleted or renamed."""

    def __init__(self, *, max_files: int = MAX_FILES) -> None:
        self._max_files = max_files
        self._inodes: dict[int, int] = {}  # file -> inode it was created with; least recently touched first

    def repeats(self, batch: pa.RecordBatch) -> npt.NDArray[np.bool_]:
        """Of each row of a `file` batch, whether it is a repeated create."""
        answer = np.zeros(batch.num_rows, bool)
        kinds = _numbers(batch, "kind")
        done = _numbers(batch, "result") == 0
        creates = done & (kinds == int(Kind.FILE_CREATE))
        ends = done & np.isin(kinds, [int(Kind.FILE_DELETE), int(Kind.FILE_RENAME)])
        rows = np.flatnonzero(creates | ends)
        if not rows.size:
            return answer
        taken = batch.take(pa.array(rows))
        inodes = _unsigned(taken, "inode").tolist()
        targets = _files(taken, "full_path")
        sources = _files(taken, "old_path")
        for row, kind, inode, target, source in zip(
            rows.tolist(), kinds[rows].tolist(), inodes, targets.tolist(), sources.tolist(), strict=True
        ):
            known = self._inodes.pop(target, None)
            if kind == Kind.FILE_CREATE:
                answer[row] = known is not None and (known == inode or not known or not inode)
                self._inodes[target] = inode
            elif kind == Kind.FILE_RENAME:
                self._inodes.pop(source, None)
        while len(self._inodes) > self._max_files:
            del self._inodes[next(iter(self._inodes))]
        return answer


def _operations(files: pa.RecordBatch) -> list[pa.RecordBatch]:
    """What was done to which file and when; a rename is done to two."""
    chosen = np.isin(_numbers(files, "kind"), [int(kind) for kind in _BOUNDARIES]) & (_numbers(files, "result") == 0)
    if not chosen.any():
        return []
    done = files.filter(pa.array(chosen))
    scope = [name for name in SCOPE if name in done.schema.names]
    both = []
    for path in ("full_path", "old_path"):
        part = done.select([*scope, path, "at_ns"]).rename_columns([*scope, "full_path", "at_ns"])
        part = part.filter(pc.not_equal(part.column("full_path"), ""))
        if part.num_rows:
            both.append(part)
    return both


def _epochs(rows: pa.Table, operations: pa.Table, at: I64) -> I64:
    """Of each row, how many operations were done to its file before it or as it began."""
    names = [name for name in (*SCOPE, "full_path") if name in rows.column_names]
    done_at = _numbers(operations, "at_ns")
    both = pa.concat_tables([operations.select(names), rows.select(names)])
    file = _key(both, tuple(names), np.zeros(both.num_rows, np.int64))
    is_row = np.arange(both.num_rows) >= operations.num_rows
    order = np.lexsort((is_row, np.concatenate([done_at, at]), file))
    counts = np.cumsum(~is_row[order])  # over all files; it only has to differ
    answer = np.zeros(both.num_rows, np.int64)
    answer[order] = counts
    return answer[operations.num_rows :]


def _key(rows: pa.Table, names: Sequence[str], window: I64) -> U64:
    """One number for equal keys; texts by their place in this set of rows."""
    parts: list[U64] = [window.view(np.uint64)]
    for name in names:
        if name not in rows.column_names:
            continue
        column = _whole(rows.column(name))
        if pa.types.is_string(column.type) or pa.types.is_large_string(column.type):
            codes = column.dictionary_encode().indices.to_numpy(zero_copy_only=False)
            parts.append(codes.astype(np.uint64))
        else:
            parts.append(column.to_numpy(zero_copy_only=False).astype(np.int64, copy=False).view(np.uint64))
    return mix_columns(*parts)


def _running_max(values: I64, group: I64) -> I64:
    """The largest value so far within each group; groups are runs numbered from 0."""
    ordered, ranks = np.unique(values, return_inverse=True)
    size = np.int64(len(ordered))
    best = np.maximum.accumulate(ranks.astype(np.int64) + group * size)
    answer: I64 = ordered[best - group * size]
    return answer


def _files(batch: pa.RecordBatch, column: str) -> U64:
    """A number for the file a path names, the same in every batch."""
    encoded = batch.column(column).dictionary_encode()
    names = np.fromiter((text_id(name) for name in encoded.dictionary.to_pylist()), np.uint64, len(encoded.dictionary))
    parts: list[U64] = [names[encoded.indices.to_numpy(zero_copy_only=False)]]
    for name in SCOPE:
        if name in batch.schema.names:
            scope = batch.column(name)
            if pa.types.is_string(scope.type):
                parts.append(np.array([text_id(text) for text in scope.to_pylist()], np.uint64))
            else:
                parts.append(_unsigned(batch, name))
    return mix_columns(*parts)


def _whole(column: pa.Array | pa.ChunkedArray) -> pa.Array:
    if isinstance(column, pa.ChunkedArray):
        return column.combine_chunks() if column.num_chunks != 1 else column.chunk(0)
    return column


def _numbers(rows: Any, name: str) -> I64:
    answer: I64 = _whole(rows.column(name)).to_numpy(zero_copy_only=False).astype(np.int64, copy=False)
    return answer


def _unsigned(rows: Any, name: str) -> U64:
    answer: U64 = _whole(rows.column(name)).to_numpy(zero_copy_only=False).astype(np.uint64, copy=False)
    return answer
