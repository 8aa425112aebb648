"""Variable parts of records to Arrow strings, without a Python object a row; what is not UTF-8 is escaped as \\xNN."""

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from intact.decode.arrow import array_of, binary_of, empty_texts
from intact.decode.records import I64

U8 = npt.NDArray[np.uint8]


def gather(ring: U8, starts: I64, lengths: npt.NDArray[np.integer], order: I64 | None = None) -> pa.Array:
    """The byte ranges as an Arrow binary array, in `order`; the ranges themselves ascend and do not overlap.

    The ring is read as one long array in which every second element is a wanted range and the others the gaps between: Arrow's
    own `take` then copies only what is wanted.
    """
    count = len(starts)
    if not count or not lengths.any():
        return empty_texts(count).cast(pa.binary())
    offsets = np.empty(2 * count, np.int32)
    offsets[0::2] = starts
    offsets[1::2] = starts + lengths
    both = pa.Array.from_buffers(pa.binary(), 2 * count - 1, [None, pa.py_buffer(offsets), pa.py_buffer(ring)])
    return both.take(array_of(np.arange(0, 2 * count - 1, 2) if order is None else order * 2))


def texts(ring: U8, starts: I64, lengths: npt.NDArray[np.integer]) -> pa.Array:
    """The byte ranges as Arrow strings."""
    return to_text(gather(ring, starts, lengths))


def to_text(raw: pa.Array) -> pa.Array:
    """Valid UTF-8 as it is; in the rows that are not, the bytes that are wrong become \\xNN."""
    if _is_ascii(raw):
        return pa.Array.from_buffers(pa.string(), len(raw), raw.buffers(), offset=raw.offset)
    try:
        return raw.cast(pa.string())
    except pa.ArrowInvalid:
        return _escape(raw)


def _is_ascii(raw: pa.Array) -> bool:
    heap = raw.buffers()[2]
    return heap is None or not heap.size or int(np.frombuffer(heap, np.uint8).max()) < 0x80


def _escape(raw: pa.Array) -> pa.Array:
    suspect = _rows_beyond_ascii(raw)
    escaped = [
        bytes(value.as_py()).decode("utf-8", "backslashreplace").encode() for value in raw.take(array_of(suspect))
    ]
    mask = np.zeros(len(raw), bool)
    mask[suspect] = True
    return pc.replace_with_mask(raw, array_of(mask), binary_of(escaped, pa.binary())).cast(pa.string())


def _rows_beyond_ascii(raw: pa.Array) -> I64:
    _, offset_buffer, heap = raw.buffers()
    offsets = np.frombuffer(offset_buffer, np.int32)[raw.offset : raw.offset + len(raw) + 1]
    high = np.flatnonzero(np.frombuffer(heap, np.uint8)[: offsets[-1]] & 0x80)
    rows = np.unique(np.searchsorted(offsets, high[high >= offsets[0]], side="right") - 1)
    return rows.astype(np.int64)


def fixed_texts(column: npt.NDArray[np.void]) -> pa.Array:
    """A column of fixed byte fields, each up to its first NUL, as strings."""
    width = column.dtype.itemsize
    field = np.ascontiguousarray(column).view(np.uint8).reshape(len(column), width)
    ends = field == 0
    lengths = np.where(ends.any(axis=1), ends.argmax(axis=1), width)
    return texts(field.reshape(-1), np.arange(len(column), dtype=np.int64) * width, lengths)
