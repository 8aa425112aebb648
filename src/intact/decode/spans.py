"""Where in the buffers of a raw slice the texts and the plaintext are, for who has to change them in place.

What is in none of these places is a number, or is not used: a ring gives out memory that still holds what an earlier record
left there, so the bytes behind a record's valid part, and all of a record that decode refuses, can be anything.
"""

from collections.abc import Iterator, Mapping
from ctypes import sizeof
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from intact.decode import wire
from intact.decode.argv import exec_keys
from intact.decode.columns import lengths_of, process_column
from intact.decode.records import I64, STRUCT_OF, Part, Ring, split_ring
from intact.model.identity import host_hash, mix
from intact.model.slice import Host

Bytes = npt.NDArray[np.uint8]

# Records without a variable part fill their class with padding.
_PADDED = {
    wire.Type.FORK: wire.Fork.pad.offset,
    wire.Type.EXIT: wire.Exit.pad.offset,
    wire.Type.SIGNAL: wire.Signal.pad.offset,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """Some bytes of one ring."""

    ring: Bytes
    start: int
    length: int

    @property
    def data(self) -> bytes:
        """The bytes as they are now."""
        return self.ring[self.start : self.start + self.length].tobytes()

    def overwrite(self, data: bytes) -> None:
        """Put others in their place, as many."""
        assert len(data) == self.length
        self.ring[self.start : self.start + self.length] = np.frombuffer(data, np.uint8)


@dataclass(frozen=True, slots=True, kw_only=True)
class Plaintext:
    """A piece of one direction of a TLS connection; ids and offsets are those of the `Chunk` it will be in."""

    span: Span
    connection_id: int
    is_write: bool
    stream_offset: int


class Layout:
    """The rings of one slice, which it may change, and what is where in them."""

    def __init__(self, rings: Mapping[str, bytearray], host: Host) -> None:
        self._host = host_hash(host.boot_id)
        self._buffers = rings
        self._rings: dict[str, Ring] = {name: split_ring(name, data) for name, data in rings.items()}

    def texts(self) -> Iterator[Span]:
        """Paths, names of programs, directories and unix sockets."""
        for part in self._parts():
            lengths: tuple[str, ...]
            match part.type:
                case wire.Type.EXEC | wire.Type.ALIVE:
                    lengths = ("exe_length", "cwd_length")
                case wire.Type.FILE:
                    lengths = ("path_length", "old_path_length")
                case wire.Type.IO | wire.Type.NET:
                    lengths = ("length",)
                case _:
                    continue
            starts = part.starts
            for name in lengths:
                counts = lengths_of(part, name)
                for row in np.flatnonzero(counts).tolist():
                    yield Span(ring=part.ring, start=int(starts[row]), length=int(counts[row]))
                starts = starts + counts

    def argument_vectors(self) -> Iterator[list[Span]]:
        """The pieces of each argument vector, in order; together they are its arguments, each ended by a NUL."""
        vectors: dict[int, list[tuple[int, Span]]] = {}
        for part in self._parts(wire.Type.ARGV):
            counts = lengths_of(part, "length").tolist()
            for row, key in enumerate(exec_keys(self._host, part.rows).tolist()):
                span = Span(ring=part.ring, start=int(part.starts[row]), length=counts[row])
                vectors.setdefault(key, []).append((int(part.rows["offset"][row]), span))
        for pieces in vectors.values():
            yield [span for _, span in sorted(pieces, key=lambda piece: piece[0])]

    def plaintext(self) -> Iterator[Plaintext]:
        """The pieces of TLS reads and writes, in no order."""
        for part in self._parts(wire.Type.TLS):
            counts = lengths_of(part, "length").tolist()
            for row, process_id in enumerate(process_column(self._host, part.rows).tolist()):
                record = part.rows[row]
                yield Plaintext(
                    span=Span(ring=part.ring, start=int(part.starts[row]), length=counts[row]),
                    connection_id=mix(process_id, int(record["connection"]), int(record["generation"])),
                    is_write=int(record["direction"]) == wire.Direction.WRITE,
                    stream_offset=int(record["stream_offset"]) + int(record["offset"]),
                )

    def clear_unused(self) -> None:
        """Zero what no reader reads: behind the valid part of each record, and in records that are refused."""
        for name, ring in self._rings.items():
            size = wire.CLASS_BYTES.get(name.rpartition("_")[2], 0)
            whole = np.frombuffer(self._buffers[name], np.uint8)
            if ring.family == "unknown":
                whole[:] = 0
                continue
            whole[len(whole) // size * size :] = 0
            rows = whole[: len(whole) // size * size].reshape(-1, size)
            used = _fixed_bytes(rows)
            for part in ring.parts:
                used[_rows_of(part, size)] = _used_bytes(part)
            rows[np.arange(size) >= used[:, None]] = 0

    def _parts(self, kind: int | None = None) -> Iterator[Part]:
        for ring in self._rings.values():
            yield from (part for part in ring.parts if kind is None or part.type == kind)


def _rows_of(part: Part, size: int) -> I64:
    """Which rows of its ring a part is."""
    return (part.starts - wire.DATA_OFFSET[STRUCT_OF[part.type]]) // size


def _used_bytes(part: Part) -> I64:
    """How far into its record each row of a part is used."""
    if part.type in _PADDED:
        return np.full(len(part.rows), _PADDED[wire.Type(part.type)], np.int64)
    begin = wire.DATA_OFFSET[STRUCT_OF[part.type]]
    match part.type:
        case wire.Type.EXEC | wire.Type.ALIVE:
            return begin + lengths_of(part, "exe_length") + lengths_of(part, "cwd_length")
        case wire.Type.FILE:
            return begin + lengths_of(part, "path_length") + lengths_of(part, "old_path_length")
        case wire.Type.TLS_END:
            return np.full(len(part.rows), begin, np.int64)
        case _:
            return begin + lengths_of(part, "length")


def _fixed_bytes(rows: npt.NDArray[Any]) -> I64:
    """What of each record is fixed fields, by the type it says it is; it may not be one."""
    kinds = rows[:, wire.Header.type.offset : wire.Header.type.offset + 2].copy().view(np.uint16)[:, 0]
    fixed = np.full(len(rows), sizeof(wire.Header), np.int64)
    for kind, layout in STRUCT_OF.items():
        fixed[kinds == kind] = _PADDED.get(wire.Type(kind)) or wire.DATA_OFFSET[layout]
    return fixed
