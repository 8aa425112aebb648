"""Pieces of TLS reads and writes to chunks: the pieces of one operation joined, what is missing counted."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from intact.decode import wire
from intact.decode.peers import Peers
from intact.decode.records import Part
from intact.model.facts import Chunk, ConnectionEnd
from intact.model.identity import mix

# Operations of which a piece has not come yet. A slice holds all pieces up to its end, so more than a few are waiting
# only if the kernel side could not deliver; what waits longer than this is passed on with the gap counted.
MAX_WAITING = 4096
MAX_WAIT_NS = 50_000_000


@dataclass(slots=True, kw_only=True)
class _Operation:
    """One read or write: its pieces so far."""

    process_id: int
    tgid: int
    tid: int
    start_ns: int
    connection_id: int
    is_write: bool
    ktime_ns: int
    stream_offset: int
    total: int
    fd: int
    clipped: int = 0
    last_end: int | None = None  # where the piece marked last ends
    pieces: dict[int, bytes] = field(default_factory=dict)
    held: int = 0

    def is_whole(self) -> bool:
        end = self.last_end if self.last_end is not None else self.total - self.clipped
        return self.held >= end


class Operations:
    """Joins pieces over slices; at most MAX_WAITING operations wait for one."""

    def __init__(self, host: int, offset_ns: int, peers: Peers) -> None:
        self._host = host
        self._offset_ns = offset_ns
        self._peers = peers
        # by connection and direction: operations of one direction follow each other
        self._waiting: dict[tuple[int, bool], _Operation] = {}

    def take(self, parts: Sequence[Part], until_ktime_ns: int) -> Iterator[Chunk | ConnectionEnd]:
        """The chunks that the records of a slice complete, and the ends of connections, in order of time."""
        for piece in _in_order(parts):
            yield from self._take_piece(*piece)
        late = [key for key, op in self._waiting.items() if op.ktime_ns + MAX_WAIT_NS < until_ktime_ns]
        for key in late:
            yield from self._chunks(self._waiting.pop(key))

    def flush(self) -> Iterator[Chunk]:
        """What still waits, at the end of the recording."""
        waiting, self._waiting = self._waiting, {}
        for operation in waiting.values():
            yield from self._chunks(operation)

    def _take_piece(self, part: Part, row: int) -> Iterator[Chunk | ConnectionEnd]:
        record = part.rows[row]
        start_ns = int(record["start_ns"])
        process_id = mix(self._host, int(record["tgid"]), start_ns)
        connection_id = mix(process_id, int(record["connection"]), int(record["generation"]))
        if part.type == wire.Type.TLS_END:
            yield from self._end(process_id, connection_id, int(record["ktime_ns"]))
            return
        is_write = int(record["direction"]) == wire.Direction.WRITE
        key = (connection_id, is_write)
        operation = self._waiting.get(key)
        if operation is not None and operation.stream_offset != int(record["stream_offset"]):
            yield from self._chunks(self._waiting.pop(key))
            operation = None
        if operation is None:
            operation = self._waiting[key] = _Operation(
                process_id=process_id,
                tgid=int(record["tgid"]),
                tid=int(record["tid"]),
                start_ns=start_ns,
                connection_id=connection_id,
                is_write=is_write,
                ktime_ns=int(record["ktime_ns"]),
                stream_offset=int(record["stream_offset"]),
                total=int(record["total"]),
                fd=int(record["fd"]),
            )
        _add_piece(operation, part, row)
        if operation.is_whole():
            yield from self._chunks(self._waiting.pop(key))
        elif len(self._waiting) > MAX_WAITING:
            yield from self._chunks(self._waiting.pop(next(iter(self._waiting))))

    def _end(self, process_id: int, connection_id: int, ktime_ns: int) -> Iterator[Chunk | ConnectionEnd]:
        for is_write in (False, True):
            operation = self._waiting.pop((connection_id, is_write), None)
            if operation is not None:
                yield from self._chunks(operation)
        self._peers.forget(connection_id)
        yield ConnectionEnd(connection_id=connection_id, process_id=process_id, at_ns=ktime_ns + self._offset_ns)

    def _chunks(self, operation: _Operation) -> Iterator[Chunk]:
        """One chunk, or where pieces are missing one for each run of bytes, with what is missing after it."""
        peer = self._peers.of(
            operation.connection_id, operation.tgid, operation.start_ns, operation.fd, operation.ktime_ns
        )
        runs = _runs(operation.pieces)
        for i, (offset, data) in enumerate(runs):
            following = runs[i + 1][0] if i + 1 < len(runs) else operation.total
            yield Chunk(
                process_id=operation.process_id,
                pid=operation.tgid,
                tid=operation.tid,
                connection_id=operation.connection_id,
                source="tls",
                is_write=operation.is_write,
                at_ns=operation.ktime_ns + self._offset_ns,
                stream_offset=operation.stream_offset + offset,
                data=data,
                missing_bytes=following - offset - len(data),
                peer_address=peer.address if peer else None,
                peer_port=peer.port if peer else None,
                fd=operation.fd if operation.fd >= 0 else None,
            )


def _in_order(parts: Sequence[Part]) -> list[tuple[Part, int]]:
    """The pieces of all rings in the order in which they were made."""
    if not parts:
        return []

    def joined(name: str) -> npt.NDArray[np.integer]:
        return np.concatenate([part.rows[name] for part in parts])

    ends = np.concatenate([np.full(len(part.rows), part.type == wire.Type.TLS_END) for part in parts])
    order = np.lexsort((joined("offset"), joined("stream_offset"), ends, joined("ktime_ns")))
    places = [(part, row) for part in parts for row in range(len(part.rows))]
    return [places[i] for i in order.tolist()]


def _add_piece(operation: _Operation, part: Part, row: int) -> None:
    record = part.rows[row]
    length, offset = int(record["length"]), int(record["offset"])
    start = int(part.starts[row])
    if offset not in operation.pieces:
        operation.pieces[offset] = part.ring[start : start + length].tobytes()
        operation.held += length
    operation.clipped = max(operation.clipped, int(record["clipped"]))
    if int(record["flags"]) & wire.Flag.LAST:
        operation.last_end = offset + length


def _runs(pieces: dict[int, bytes]) -> list[tuple[int, bytes]]:
    """Pieces that touch, joined. A piece that overlaps what came before it is cut: bytes are told once."""
    runs: list[tuple[int, list[bytes]]] = []
    end = -1
    for offset in sorted(pieces):
        data = pieces[offset]
        if offset < end:
            data, offset = data[end - offset :], end
        if not data:
            continue
        if offset == end:
            runs[-1][1].append(data)
        else:
            runs.append((offset, [data]))
        end = offset + len(data)
    return [(offset, b"".join(run)) for offset, run in runs]
