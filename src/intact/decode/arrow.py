"""numpy columns as Arrow arrays without a copy.

`pa.array` would do, but it first imports pandas where that is installed: 40 MB and 0.1 s that a recorder has no use for.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa


def array_of(values: npt.NDArray[Any], kind: pa.DataType | None = None) -> pa.Array:
    """A numpy column as an Arrow array of `kind`, by default the column's own type."""
    kind = kind or pa.from_numpy_dtype(values.dtype)
    if pa.types.is_boolean(kind):
        bits = np.packbits(values.astype(bool), bitorder="little")
        return pa.Array.from_buffers(kind, len(values), [None, pa.py_buffer(bits)])
    column = np.ascontiguousarray(values, kind.to_pandas_dtype())
    return pa.Array.from_buffers(kind, len(column), [None, pa.py_buffer(column)])


def numpy_of(column: pa.Array) -> npt.NDArray[Any]:
    """The values of a primitive column without nulls."""
    dtype = np.dtype(column.type.to_pandas_dtype())
    return np.frombuffer(column.buffers()[1], dtype)[column.offset : column.offset + len(column)]


def binary_of(values: Sequence[bytes], kind: pa.DataType) -> pa.Array:
    """Byte strings as a binary or string array."""
    offsets = np.zeros(len(values) + 1, np.int32)
    np.cumsum([len(value) for value in values], out=offsets[1:])
    return pa.Array.from_buffers(kind, len(values), [None, pa.py_buffer(offsets), pa.py_buffer(b"".join(values))])


def lists_of(bounds: npt.NDArray[np.integer], items: pa.Array) -> pa.Array:
    """Items as lists: the i-th from `bounds[i]` to `bounds[i + 1]`."""
    return pa.ListArray.from_arrays(array_of(bounds.astype(np.int32)), items)


def empty_texts(count: int) -> pa.Array:
    """`count` empty strings."""
    offsets = pa.py_buffer(np.zeros(count + 1, np.int32))
    return pa.Array.from_buffers(pa.string(), count, [None, offsets, pa.py_buffer(b"")])
