"""What the effect families have in common: the shared columns, ids, results, and putting classes together in order of time."""

from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from intact.decode.arrow import array_of, numpy_of
from intact.decode.records import U64, Part, Rows
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
    """`process_id` of each row."""
    return process_ids(host, rows["tgid"].astype(np.uint64), np.ascontiguousarray(rows["start_ns"]))


def effect_ids(process_id: U64, rows: Rows, thing: U64) -> U64:
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


def lengths_of(part: Part, field: str) -> npt.NDArray[np.int64]:
    """A length field as offsets can be counted with."""
    return part.rows[field].astype(np.int64)


def join_texts(chosen: npt.NDArray[np.bool_], first: pa.Array, second: pa.Array) -> pa.Array:
    """`first` where chosen, else `second`."""
    return pc.if_else(array_of(chosen), first, second)
