"""The rings of a slice as checked views: which rows of which ring are records of a type, and which are refused.

Records may come from a file that someone else wrote, so nothing in them is believed before it is checked against the room a
record has.
"""

from collections.abc import Iterator
from ctypes import Structure
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from intact.decode import wire

I64 = npt.NDArray[np.int64]
U64 = npt.NDArray[np.uint64]
Mask = npt.NDArray[np.bool_]
Rows = npt.NDArray[Any]  # structured: wire.DTYPES

# Times beyond this do not fit the signed nanoseconds of an epoch; a boot clock needs 146 years to get there.
MAX_KTIME_NS = 1 << 62
# Offsets into a ring are 32-bit (Arrow's), and no drain is near this.
MAX_RING_BYTES = 1 << 30

TYPES_OF_FAMILY = {
    "process": (
        wire.Type.FORK,
        wire.Type.EXEC,
        wire.Type.ARGV,
        wire.Type.EXIT,
        wire.Type.ALIVE,
        wire.Type.CREDENTIAL,
        wire.Type.SIGNAL,
    ),
    "file": (wire.Type.FILE,),
    "io": (wire.Type.IO,),
    "net": (wire.Type.NET,),
    "tls": (wire.Type.TLS, wire.Type.TLS_END),
}
_HEADERS = wire.DTYPES[wire.Header]
STRUCT_OF: dict[int, type[Structure]] = {
    wire.Type.FORK: wire.Fork,
    wire.Type.EXEC: wire.Exec,
    wire.Type.ARGV: wire.Argv,
    wire.Type.EXIT: wire.Exit,
    wire.Type.ALIVE: wire.Exec,
    wire.Type.CREDENTIAL: wire.Credential,
    wire.Type.SIGNAL: wire.Signal,
    wire.Type.FILE: wire.File,
    wire.Type.IO: wire.Io,
    wire.Type.NET: wire.Net,
    wire.Type.TLS: wire.Tls,
    wire.Type.TLS_END: wire.Tls,
}
_MAX_OP = {
    wire.Type.FILE: max(wire.FileOp),
    wire.Type.IO: max(wire.IoOp),
    wire.Type.NET: max(wire.NetOp),
    wire.Type.CREDENTIAL: max(wire.CredentialCall),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """Rows of one type in one ring; `starts[i]` is where the variable part of `rows[i]` begins in `ring`."""

    type: int
    rows: Rows
    starts: I64
    ring: npt.NDArray[np.uint8]


@dataclass(frozen=True, slots=True, kw_only=True)
class Ring:
    """One ring of a slice, its good records by type, and the count of those refused."""

    family: str
    received: int
    rejected: int
    parts: tuple[Part, ...]


def split_ring(name: str, data: bytes | bytearray | memoryview) -> Ring:
    """The records of ring `name` ("file_256") by type."""
    family, _, class_name = name.rpartition("_")
    size = wire.CLASS_BYTES.get(class_name, 0)
    nbytes = memoryview(data).nbytes
    if not size or family not in TYPES_OF_FAMILY or nbytes > MAX_RING_BYTES:
        return Ring(family="unknown", received=1, rejected=1, parts=())
    count, rest = divmod(nbytes, size)
    ring = np.frombuffer(data, np.uint8, count * size)
    parts = tuple(_parts(family, size, ring))
    good = sum(len(part.rows) for part in parts)
    received = count + (rest > 0)
    return Ring(family=family, received=received, rejected=received - good, parts=parts)


def _parts(family: str, size: int, ring: npt.NDArray[np.uint8]) -> Iterator[Part]:
    headers = ring.view(_HEADERS[size])
    types = headers["type"]
    for kind in TYPES_OF_FAMILY[family]:
        of_kind = types == kind
        if not of_kind.any():
            continue
        struct = STRUCT_OF[kind]
        rows = ring.view(wire.DTYPES[struct][size])
        good = of_kind & _is_sound(kind, rows, size - wire.DATA_OFFSET[struct])
        begin = wire.DATA_OFFSET[struct]
        if good.all():
            yield Part(type=kind, rows=rows, starts=np.arange(len(rows), dtype=np.int64) * size + begin, ring=ring)
        elif good.any():
            index = np.flatnonzero(good)
            yield Part(type=kind, rows=rows[index], starts=index * size + begin, ring=ring)


def _is_sound(kind: int, rows: Rows, room: int) -> Mask:
    sound: Mask = rows["ktime_ns"] < MAX_KTIME_NS
    sound &= rows["start_ns"] < MAX_KTIME_NS
    length = rows["length"]
    if kind not in (wire.Type.FORK, wire.Type.EXIT, wire.Type.SIGNAL):
        sound &= length <= room
    if kind in _MAX_OP:
        op = rows["op"]
        sound &= (op > 0) & (op <= _MAX_OP[wire.Type(kind)])
    match kind:
        case wire.Type.FILE:
            sound &= rows["path_length"].astype(np.uint32) + rows["old_path_length"] <= length
        case wire.Type.EXEC | wire.Type.ALIVE:
            sound &= rows["exe_length"].astype(np.uint32) + rows["cwd_length"] <= length
            sound &= rows["parent_start_ns"] < MAX_KTIME_NS
        case wire.Type.EXIT:
            sound &= (rows["parent_start_ns"] < MAX_KTIME_NS) | (rows["flags"] & wire.Flag.PARENT == 0)
        case wire.Type.CREDENTIAL:
            sound &= (rows["groups_before"].astype(np.uint32) + rows["groups_after"]) * 4 <= length
        case wire.Type.SIGNAL:
            sound &= rows["target_start_ns"] < MAX_KTIME_NS
        case wire.Type.FORK:
            sound &= rows["child_start_ns"] < MAX_KTIME_NS
        case wire.Type.TLS:
            sound &= (rows["direction"] == wire.Direction.READ) | (rows["direction"] == wire.Direction.WRITE)
            sound &= rows["offset"].astype(np.uint64) + length <= rows["total"]
            sound &= rows["stream_offset"] < MAX_KTIME_NS
        case _:
            pass
    return sound
