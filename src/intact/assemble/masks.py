"""Which bytes of each connection are secret, by the offsets of its streams, found before a copy of them is made.

Whatever is not understood as HTTP/1 is masked whole: it may hold a secret in a form that nobody can look for.
"""

from array import array
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from intact.assemble.equal_length import Range, body_ranges, head_ranges
from intact.assemble.http1 import (
    HTTP2_PREFACE,
    Body,
    End,
    Event,
    Gap,
    Lost,
    Malformed,
    MessageReader,
    RequestHead,
    ResponseHead,
    Upgraded,
    header,
)
from intact.assemble.scanner import Scanner
from intact.assemble.streams import Piece, Stream
from intact.model.facts import Chunk

# All bodies under way together; what is larger is masked without having been looked at.
MAX_HELD_BYTES = 96 << 20
# Connections under way; the oldest is taken to have ended.
MAX_CONNECTIONS = 4096
# Shorter lines between two chunks of a body are their framing.
_MAX_FRAMING_BYTES = 24
_MAX_UNANSWERED = 1024


@dataclass(slots=True)
class Tally:
    """What was found."""

    secrets: int = 0
    bodies: int = 0  # compressed, with a secret inside or unreadable, and those too large to look at
    body_bytes: int = 0
    foreign_connections: int = 0
    foreign_bytes: int = 0  # that are no part of a message


@dataclass(frozen=True, slots=True)
class Mask:
    """Ranges of one direction of a connection, in order, none over another; `ends[i]` is the byte after a range."""

    starts: npt.NDArray[np.uint64]
    ends: npt.NDArray[np.uint64]

    def cover(self, data: bytearray, offset: int, filler: int) -> None:
        """Overwrite what of `data`, which stands at `offset` of the stream, is secret. Line ends stay: they tell nothing."""
        first = int(np.searchsorted(self.ends, offset, side="right"))
        for start, end in zip(self.starts[first:].tolist(), self.ends[first:].tolist(), strict=True):
            if start >= offset + len(data):
                return
            low, high = max(start - offset, 0), min(end - offset, len(data))
            data[low:high] = bytes(byte if byte in b"\r\n" else filler for byte in data[low:high])


class Masks:
    """Give it all chunks of a recording; then it knows what to cover in each of its streams."""

    def __init__(self, scanner: Scanner | None = None) -> None:
        self.tally = Tally()
        self._scanner = scanner or Scanner()
        self._connections: dict[int, dict[bool, _Direction]] = {}
        self._found: dict[tuple[int, bool], array[int]] = {}
        self._held = _Held()

    def take(self, chunk: Chunk) -> None:
        """The next chunk of any connection."""
        directions = self._connections.get(chunk.connection_id)
        if directions is None:
            if len(self._connections) >= MAX_CONNECTIONS:
                self.end(next(iter(self._connections)))
            methods: deque[str] = deque(maxlen=_MAX_UNANSWERED)
            directions = {way: _Direction(self._scanner, self.tally, self._held, methods) for way in (True, False)}
            self._connections[chunk.connection_id] = directions
        mine, other = directions[chunk.is_write], directions[not chunk.is_write]
        mine.take(chunk)
        if mine.reader.is_request is not None and other.reader.is_request is None:
            other.reader.is_request = not mine.reader.is_request

    def end(self, connection_id: int) -> None:
        """No more will come of this connection."""
        directions = self._connections.pop(connection_id, {})
        for is_write, direction in directions.items():
            direction.finish()
            if direction.found:
                self._found.setdefault((connection_id, is_write), array("Q")).extend(direction.found)
        self.tally.foreign_connections += any(direction.has_foreign for direction in directions.values())

    def finish(self) -> dict[tuple[int, bool], Mask]:
        """The masks by connection and direction, of those that have something to cover."""
        for connection_id in list(self._connections):
            self.end(connection_id)
        return {key: _mask(found) for key, found in self._found.items()}


@dataclass(slots=True)
class _Held:
    bytes: int = 0


class _Direction:
    """One direction of a connection: what of it is decided, and the bytes that are not yet."""

    def __init__(self, scanner: Scanner, tally: Tally, held: _Held, methods: deque[str]) -> None:
        self.reader = MessageReader(answered_method=lambda _ahead: methods.popleft() if methods else None)
        self.found = array("Q")  # start, end, start, end, …
        self.has_foreign = False
        self._scanner = scanner
        self._tally = tally
        self._held = held
        self._methods = methods
        self._stream = Stream()
        self._raw = bytearray()  # given to the reader and not decided
        self._raw_at = 0
        self._skipped = 0
        self._seeking = True
        self._in_head = False
        self._is_chunked = False
        self._coding = ""
        self._body: list[Body] = []
        self._body_bytes = 0
        self._too_large = False

    def take(self, chunk: Chunk) -> None:
        self._read(self._stream.add(chunk))

    def finish(self) -> None:
        self._read(self._stream.give_up())
        self._handle(self.reader.close())
        self._close_body()
        self._decide(len(self._raw), foreign=self._seeking)

    def _read(self, pieces: list[Piece]) -> None:
        for piece in pieces:
            self._hole(piece.missing_before)
            self._raw += piece.data
            self._handle(self.reader.feed(piece.data))
            if self.reader.begins_http2:
                self._raw_at += len(HTTP2_PREFACE)  # it tells what the connection is, and nothing else
                del self._raw[: len(HTTP2_PREFACE)]
                self.reader.stop()
            self._drop_skipped(len(self._raw))
            self._hole(piece.missing_after)

    def _hole(self, size: int) -> None:
        if size:
            self._handle(self.reader.gap(size))
            self._decide(len(self._raw), foreign=self._seeking)
            self._raw_at += size

    def _drop_skipped(self, most: int) -> None:
        """What the reader has dropped while it looked for a message."""
        dropped, self._skipped = self.reader.skipped_bytes - self._skipped, self.reader.skipped_bytes
        if self._seeking:
            self._decide(min(dropped, most), foreign=True)

    def _handle(self, events: Iterable[Event]) -> None:
        for event in events:
            match event:
                case RequestHead() | ResponseHead():
                    self._drop_skipped(event.offset - self._raw_at)
                    self._decide(event.offset - self._raw_at, foreign=False)  # interim answers, ends of chunks
                    self._begin(event)
                case Body():
                    self._decide(event.offset - self._raw_at, foreign=False)
                    self._add(event)
                case Gap():
                    # What a hole is in cannot be decoded, and a secret may lie across it.
                    self._too_large = self._too_large or bool(self._coding)
                case End():
                    self._end()
                case Upgraded():
                    self._decide(self._block_length(), foreign=False)
                    self._stop()
                case Lost() | Malformed():
                    self._close_body()
                    self._stop()

    def _begin(self, head: RequestHead | ResponseHead) -> None:
        if isinstance(head, RequestHead):
            self._methods.append(head.method)
        self._seeking = False
        self._in_head = True
        self._is_chunked = bool(header(head.headers, "transfer-encoding"))
        self._coding = header(head.headers, "content-encoding")

    def _add(self, body: Body) -> None:
        """A piece of a body; its bytes are the first that are not decided."""
        del self._raw[: len(body.data)]
        self._raw_at += len(body.data)
        self._in_head = False
        if self._held.bytes + len(body.data) > MAX_HELD_BYTES:
            self._too_large = True
        self._body_bytes += len(body.data)
        if self._too_large:
            self._mask(body.offset, body.offset + len(body.data))
        else:
            self._body.append(body)
            self._held.bytes += len(body.data)

    def _end(self) -> None:
        """The message is whole: its head, if that was all, and what ends its chunks are decided."""
        self._close_body()
        for present in (self._in_head, self._is_chunked):
            if present:
                self._decide(self._block_length(), foreign=False)

    def _close_body(self) -> None:
        body, size = self._body, self._body_bytes
        self._body, self._body_bytes = [], 0
        self._held.bytes -= sum(len(piece.data) for piece in body)
        too_large, self._too_large = self._too_large, False
        if not size:
            return
        whole = [(piece.offset, piece.offset + len(piece.data)) for piece in body]
        ranges = whole if too_large else body_ranges(body, self._coding, self._scanner)
        if too_large or (self._coding and ranges):
            self._tally.bodies += 1
            self._tally.body_bytes += size
        else:
            ranges = _merged(ranges)
            self._tally.secrets += len(ranges)
        for start, end in ranges:
            self._mask(start, end)

    def _block_length(self) -> int:
        """How much of what is not decided is one block of lines that ends with an empty one."""
        ends = [at + len(mark) for mark in (b"\n\r\n", b"\n\n") if (at := self._raw.find(mark)) >= 0]
        return min(ends, default=0)

    def _stop(self) -> None:
        """From here on it is no message, until another is found."""
        self._seeking = True
        self._decide(len(self._raw), foreign=True)
        self._skipped = self.reader.skipped_bytes

    def _decide(self, size: int, *, foreign: bool) -> None:
        """Look at the first `size` bytes that are not decided."""
        if size <= 0:
            return
        data = bytes(self._raw[:size])
        del self._raw[:size]
        start, self._raw_at = self._raw_at, self._raw_at + size
        if foreign:
            self.has_foreign = True
            self._tally.foreign_bytes += size
            self._mask(start, start + size)
        elif size > _MAX_FRAMING_BYTES:
            ranges = _merged(head_ranges(data, self._scanner))
            self._tally.secrets += len(ranges)
            for low, high in ranges:
                self._mask(start + low, start + high)

    def _mask(self, start: int, end: int) -> None:
        if self.found and self.found[-1] == start:
            self.found[-1] = end
        else:
            self.found.extend((start, end))


def _merged(ranges: Iterable[Range]) -> list[Range]:
    merged: list[Range] = []
    for start, end in sorted(ranges):
        if merged and start <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(merged[-1][1], end))
        elif start < end:
            merged.append((start, end))
    return merged


def _mask(found: "array[int]") -> Mask:
    pairs = np.array(found, np.uint64).reshape(-1, 2)
    pairs = pairs[np.argsort(pairs[:, 0], kind="stable")]
    reach = np.maximum.accumulate(pairs[:, 1])
    begins = np.append(True, pairs[1:, 0] > reach[:-1])
    last = np.append(np.flatnonzero(begins)[1:] - 1, len(pairs) - 1)
    return Mask(pairs[begins, 0], reach[last])
