"""Argument vectors: the TYPE_ARGV pieces of a slice, joined and split at their NULs, found again by the exec they belong to."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from intact.decode.arrow import array_of, empty_texts, lists_of
from intact.decode.columns import process_column
from intact.decode.records import I64, U64, Part, Rows
from intact.decode.text import U8, gather, texts
from intact.model.identity import mix_columns


def exec_keys(host: int, rows: Rows) -> U64:
    """What an exec and its pieces have in common: process and time."""
    return mix_columns(process_column(host, rows), np.ascontiguousarray(rows["ktime_ns"]))


@dataclass(frozen=True, slots=True, kw_only=True)
class Vectors:
    """The vectors of a slice, one a key, keys ascending; the last of `vectors` is an empty one for execs without any."""

    keys: U64
    vectors: pa.Array
    received_bytes: I64
    pieces: I64  # how many make each

    def of(self, keys: U64) -> tuple[pa.Array, I64]:
        """The vector of each key, and how many bytes of it came."""
        where = np.searchsorted(self.keys, keys)
        found = where < len(self.keys)
        found[found] = self.keys[where[found]] == keys[found]
        where[~found] = len(self.keys)
        return self.vectors.take(array_of(where)), self.received_bytes[where]

    def orphans(self, keys: Sequence[U64]) -> int:
        """How many pieces belong to none of `keys`."""
        wanted = np.concatenate(keys) if keys else np.empty(0, np.uint64)
        return int(self.pieces[~np.isin(self.keys, wanted)].sum())


NO_VECTORS = Vectors(
    keys=np.empty(0, np.uint64),
    vectors=lists_of(np.zeros(2, np.int32), empty_texts(0)),
    received_bytes=np.zeros(1, np.int64),
    pieces=np.empty(0, np.int64),
)


def join_pieces(parts: Sequence[Part], host: int) -> Vectors:
    """All pieces of a slice, whatever rings they came by."""
    if not parts:
        return NO_VECTORS
    keys = np.concatenate([exec_keys(host, part.rows) for part in parts])
    offsets = np.concatenate([part.rows["offset"] for part in parts])
    pieces = pa.concat_arrays([gather(part.ring, part.starts, part.rows["length"].astype(np.int64)) for part in parts])
    order = np.lexsort((offsets, keys))
    pieces = pieces.take(array_of(order))
    _, bounds_buffer, heap_buffer = pieces.buffers()
    bounds = np.frombuffer(bounds_buffer, np.int32)[: len(pieces) + 1].astype(np.int64)
    heap = np.frombuffer(heap_buffer, np.uint8) if heap_buffer is not None else np.empty(0, np.uint8)
    unique, first, pieces_of = np.unique(keys[order], return_index=True, return_counts=True)
    runs = bounds[np.append(first, len(pieces))]
    arguments, counts = _split(heap, runs)
    list_bounds = np.concatenate([[0], np.cumsum(counts), [counts.sum()]])
    return Vectors(
        keys=unique,
        vectors=lists_of(list_bounds, arguments),
        received_bytes=np.append(np.diff(runs), 0),
        pieces=pieces_of,
    )


def _split(heap: U8, runs: I64) -> tuple[pa.Array, I64]:
    """The arguments in order, and how many each run has. An argument ends at a NUL, or where its run was clipped."""
    last = runs[1:] - 1
    clipped = last[(np.diff(runs) > 0) & (heap[last] != 0)] if len(heap) else np.empty(0, np.int64)
    ends = np.sort(np.concatenate([np.flatnonzero(heap[: runs[-1]] == 0), clipped]))
    starts = np.append(runs[:1], ends[:-1] + 1) if len(ends) else np.empty(0, np.int64)
    lengths = ends - starts + (heap[ends] != 0)
    return texts(heap, starts, lengths), np.diff(np.searchsorted(ends, runs)).astype(np.int64)
