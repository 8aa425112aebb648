"""What the effect families have in common: the shared columns, ids, results, and putting classes together in order of time."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from intact.decode.arrow import array_of, numpy_of
from intact.decode.records import I64, U64, Part, Rows
from intact.decode.text import gather, to_text
from intact.model.identity import mix_columns, process_ids

I32 = npt.NDArray[np.int32]
Column: TypeAlias = npt.NDArray[Any] | pa.Array
Columns: TypeAlias = Mapping[str, Column]

EINTR = 4
# Codes the kernel uses inside itself (ERESTARTSYS and its kind, ENOIOCTLCMD): the program sees EINTR or a restart.
_INTERNAL_CODES = (-516, -512)


def epoch(host_offset_ns: int, ktime: U64) -> npt.NDArray[np.int64]:
    """Boot clock to Unix epoch, the one place where it is done."""
    return ktime.astype(np.int64) + np.int64(host_offset_ns)


def normalised(result: I32) -> I32:
    """0 for every success, a negative errno else."""
    lowest, highest = _INTERNAL_CODES
    internal = (result >= lowest) & (result <= highest)
    return np.where(internal, np.int32(-EINTR), np.minimum(result, 0)).astype(np.int32)


def process_column(host: int, rows: Rows) -> U64:
    """`process_id` of each row. Rows of one process come in runs, so it is worked out once a run."""
    tgid, start_ns = rows["tgid"], rows["start_ns"]
    changes = np.flatnonzero((tgid[1:] != tgid[:-1]) | (start_ns[1:] != start_ns[:-1])) + 1
    first = np.concatenate([[0], changes]) if len(rows) else changes
    ids = process_ids(host, tgid[first].astype(np.uint64), start_ns[first])
    return np.repeat(ids, np.diff(np.append(first, len(rows))))


def effect_ids(process_id: U64, rows: "Rows | Ordered", thing: U64) -> U64:
    """Ids of effects: who, when, what kind, and on what (an inode, else 0)."""
    what = (rows["type"].astype(np.uint64) << np.uint64(16)) | rows["op"]
    order = rows["sequence"].astype(np.uint64) << np.uint64(32) | rows["tid"]
    return mix_columns(process_id, order, np.ascontiguousarray(rows["ktime_ns"]), what, thing)


def shared_columns(host: int, rows: Rows, kind: npt.NDArray[np.uint8], thing: U64) -> dict[str, Column]:
    """The columns of `model.effects.COMMON` but for times and result."""
    process_id = process_column(host, rows)
    return {
        "id": effect_ids(process_id, rows, thing),
        "kind": kind,
        "process_id": process_id,
        "pid": rows["tgid"],
        "tid": rows["tid"],
        "uid": rows["uid"],
        "gid": rows["gid"],
    }


def batch_of(schema: pa.Schema, columns: Columns) -> pa.RecordBatch:
    """Columns to a record batch of exactly this schema."""
    arrays = [c if isinstance(c := columns[f.name], pa.Array) else array_of(c, f.type) for f in schema]
    return pa.RecordBatch.from_arrays(arrays, schema=schema)


def in_order(batches: Sequence[pa.RecordBatch]) -> pa.RecordBatch | None:
    """The batches as one, ordered by `at_ns`; None if there are none."""
    if not batches:
        return None
    whole = batches[0] if len(batches) == 1 else pa.concat_batches(list(batches))
    at = numpy_of(whole.column("at_ns"))
    if len(at) < 2 or bool((at[1:] >= at[:-1]).all()):
        return whole
    return whole.take(array_of(np.argsort(at, kind="stable")))


def start_times(entered: U64, ended: U64) -> U64:
    """When a call began: its entry if that was seen and makes sense, else its end."""
    return np.where((entered > 0) & (entered <= ended), entered, ended)


class Ordered:
    """Records of one type from several rings, as columns in order of their start; each column is copied once."""

    def __init__(self, parts: Sequence[Part], started: Sequence[U64]) -> None:
        self._parts = parts
        self._started = np.concatenate(started) if len(started) > 1 else started[0]
        self._order: I64 | None = None
        if not bool((self._started[1:] >= self._started[:-1]).all()):
            self._order = np.argsort(self._started, kind="stable")
        self.started = self.arrange(self._started)

    def __getitem__(self, field: str) -> npt.NDArray[Any]:
        return self.column(lambda part: part.rows[field])

    def column(self, of_part: Callable[[Part], npt.NDArray[Any]]) -> npt.NDArray[Any]:
        """A column made of each ring's, in order."""
        columns = [of_part(part) for part in self._parts]
        return self.arrange(np.concatenate(columns) if len(columns) > 1 else columns[0])

    def arrange(self, column: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """A column in the order of the rings, put in order of time."""
        return np.ascontiguousarray(column) if self._order is None else column[self._order]

    def texts(self, length_field: str, after_field: str | None = None) -> pa.Array:
        """The variable parts of that length, after another one or first."""
        if len(self._parts) == 1:
            return to_text(_ranges(self._parts[0], length_field, after_field, self._order))
        raw = pa.concat_arrays([_ranges(part, length_field, after_field) for part in self._parts])
        return to_text(raw if self._order is None else raw.take(array_of(self._order)))


def _ranges(part: Part, length_field: str, after_field: str | None, order: I64 | None = None) -> pa.Array:
    starts = part.starts if after_field is None else part.starts + part.rows[after_field]
    return gather(part.ring, starts, lengths_of(part, length_field), order)


def lengths_of(part: Part, field: str) -> npt.NDArray[np.int64]:
    """A length field as offsets can be counted with."""
    return part.rows[field].astype(np.int64)


def join_texts(chosen: npt.NDArray[np.bool_], first: pa.Array, second: pa.Array) -> pa.Array:
    """`first` where chosen, else `second`."""
    return pc.if_else(array_of(chosen), first, second)
