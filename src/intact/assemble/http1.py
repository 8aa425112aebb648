"""HTTP/1.1 messages out of one direction of a connection, in whatever pieces its bytes arrive (RFC 9112).

Sans-I/O: `feed` bytes, get the events they complete; `gap` tells of bytes that were never seen. Every read is bounded. What
breaks the protocol ends in `Malformed`; what we missed ourselves ends in `Lost`, and the reader finds the next message.
"""

import re
from collections.abc import Callable
from typing import NamedTuple, TypeAlias

# Agents send under 10 KiB; a head of this size is an attack or not HTTP.
MAX_HEAD_BYTES = 256 * 1024
MAX_HEADERS = 1_000
# Size, and extensions nobody uses.
MAX_CHUNK_LINE_BYTES = 4 * 1024
# A line longer than any request target we take cannot begin a message.
MAX_SEEK_LINE_BYTES = 64 * 1024

HTTP2_PREFACE = b"PRI * HTTP/2.0\r\n"

_REQUEST_LINE = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]{1,32}) ([\x21-\xff]+) HTTP/1\.[01]\Z")
_STATUS_LINE = re.compile(rb"HTTP/1\.[01] ([1-9][0-9]{2})(?: [^\r\n]*)?\Z")
_HEADER_NAME = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+\Z")
_CHUNK_SIZE = re.compile(rb"[0-9A-Fa-f]+\Z")
_SEEK = re.compile(
    rb"(?P<request>(?:GET|HEAD|POST|PUT|DELETE|OPTIONS|PATCH|CONNECT|TRACE) [\x21-\xff]+ HTTP/1\.[01]\r?\n)"
    rb"|(?P<response>HTTP/1\.[01] [1-9][0-9]{2}(?: [^\r\n]*)?\r?\n)"
)
_MAX_INT64 = (1 << 63) - 1

Headers: TypeAlias = tuple[tuple[str, str], ...]


class ProtocolError(Exception):
    """Inside this module: why the reader stops."""


class RequestHead(NamedTuple):
    """Request line and headers; `offset` is that of the first byte in its direction."""

    offset: int
    method: str
    target: str
    headers: Headers


class ResponseHead(NamedTuple):
    """Status line and headers of a final response or of a 101."""

    offset: int
    status: int
    headers: Headers


class Body(NamedTuple):
    """Bytes of a body, free of transfer coding; `offset` is that of the first byte in its direction."""

    offset: int
    data: bytes


class Gap(NamedTuple):
    """A hole of `size` bytes in a body."""

    size: int


class End(NamedTuple):
    """The message is whole."""


class Lost(NamedTuple):
    """The place in the stream is lost, `size` bytes with it: a message under way stays unfinished, others may be missing."""

    size: int


class Malformed(NamedTuple):
    """The bytes are not HTTP/1.1 as anybody should send it; what follows is not read."""

    problem: str


class Upgraded(NamedTuple):
    """What follows is another protocol."""


Event: TypeAlias = RequestHead | ResponseHead | Body | Gap | End | Lost | Malformed | Upgraded


def header(headers: Headers, name: str) -> str:
    """The value of a header by its lower-case name, several joined by a comma; empty where it is absent."""
    values = [value for key, value in headers if key.lower() == name]
    return values[0] if len(values) == 1 else ", ".join(values)


class MessageReader:
    """Messages of one direction. Begins by seeking one; what kind the direction carries shows by the first found.

    Args:
        answered_method: For responses: the method of the request that is answered by the next response, or by one so many
            further on, as the body depends on it.
    """

    def __init__(self, *, answered_method: Callable[[int], str | None] = lambda _ahead: None) -> None:
        self.is_request: bool | None = None
        self.skipped_bytes = 0
        """Bytes that belong to no message."""
        self._answered_method = answered_method
        self._buffer = bytearray()
        self._offset = 0
        self._searched = 0
        self._left = 0
        self._step: Callable[[list[Event]], bool] = self._seek
        self._ever_found = False

    @property
    def read_to(self) -> int:
        """Offset of the first byte that is not understood yet."""
        return self._offset

    @property
    def fed_to(self) -> int:
        """Offset of the next byte that will be fed."""
        return self._offset + len(self._buffer)

    @property
    def found(self) -> bool:
        """Whether a message was ever seen."""
        return self._ever_found

    @property
    def in_message(self) -> bool:
        """Whether a message has begun and not ended."""
        return self._step not in (self._seek, self._opaque) and not (self._step == self._head and not self._buffer)

    @property
    def lasts_until_close(self) -> bool:
        """Whether the message under way ends where the stream does."""
        return self._step == self._until_close

    @property
    def begins_http2(self) -> bool:
        """Whether nothing but the start of HTTP/2 was seen."""
        return self._step == self._seek and self.skipped_bytes == 0 and self._buffer.startswith(HTTP2_PREFACE)

    def feed(self, data: bytes) -> list[Event]:
        """The events that these bytes complete."""
        self._buffer += data
        events: list[Event] = []
        self._run(events)
        return events

    def gap(self, size: int) -> list[Event]:
        """What it means that `size` bytes were not seen here."""
        if self._step in (self._fixed, self._chunk_data) and size <= self._left:
            self._left -= size
            self._offset += size
            events: list[Event] = [Gap(size)]
            self._run(events)
            return events
        self._offset += size
        if self._step == self._until_close:
            return [Gap(size)]
        if self._step == self._opaque:
            return []
        self._drop(len(self._buffer))
        self._searched = 0
        self._step = self._seek
        return [Lost(size)]

    def close(self) -> list[Event]:
        """The stream has ended; a body that lasts until then is whole."""
        events: list[Event] = []
        if self._step == self._until_close:
            events.append(End())
        elif self.in_message:
            events.append(Lost(0))
        self.stop()
        return events

    def stop(self) -> None:
        """Read no more: what comes is counted as skipped."""
        self._step = self._opaque
        self._drop(len(self._buffer))

    def _run(self, events: list[Event]) -> None:
        try:
            while self._step(events):
                pass
        except ProtocolError as error:
            events.append(Malformed(str(error)))
            self.stop()

    def _drop(self, size: int) -> None:
        self.skipped_bytes += size
        self._take(size)

    def _take(self, size: int) -> bytes:
        data = bytes(self._buffer[:size])
        del self._buffer[:size]
        self._offset += size
        return data

    def _seek(self, _events: list[Event]) -> bool:
        end = self._buffer.rfind(b"\n", self._searched) + 1
        if end == 0:
            self._searched = len(self._buffer)
            if self._searched > MAX_SEEK_LINE_BYTES:
                self._drop(self._searched)
                self._searched = 0
            return False
        # A copy: a match holds its buffer, and a held buffer cannot be cut.
        for match in _SEEK.finditer(bytes(self._buffer[:end])):
            is_request = match.lastgroup == "request"
            if self.is_request is None or self.is_request == is_request:
                self.is_request = is_request
                self._ever_found = True
                self._drop(match.start())
                self._searched = 0
                self._step = self._head
                return True
        if not self.begins_http2:
            self._drop(end)
        self._searched = len(self._buffer)
        return False

    def _head(self, events: list[Event]) -> bool:
        while (
            self._buffer[:2] == b"\r\n" or self._buffer[:1] == b"\n"
        ):  # RFC 9112 section 2.2: empty lines before a message
            self._take(2 if self._buffer[0] == 13 else 1)
        found = self._block_end()
        if found is None:
            return False
        offset = self._offset
        lines = self._take(found).split(b"\n")
        first = lines[0].removesuffix(b"\r")
        headers = _headers(lines[1:])
        if self.is_request:
            return self._request(offset, first, headers, events)
        return self._response(offset, first, headers, events)

    def _block_end(self) -> int | None:
        """Where the empty line that ends a head ends; None if it has not come."""
        start = max(self._searched - 3, 0)
        ends = [at + len(mark) for mark in (b"\n\r\n", b"\n\n") if (at := self._buffer.find(mark, start)) >= 0]
        end = min(ends, default=None)
        if end is None and len(self._buffer) <= MAX_HEAD_BYTES:
            self._searched = len(self._buffer)
            return None
        if end is None or end > MAX_HEAD_BYTES:
            raise ProtocolError(f"head longer than {MAX_HEAD_BYTES} bytes")
        self._searched = 0
        return end

    def _request(self, offset: int, first: bytes, headers: Headers, events: list[Event]) -> bool:
        match = _REQUEST_LINE.match(first)
        if match is None:
            raise ProtocolError("malformed request line")
        method = match[1].decode("ascii")
        events.append(RequestHead(offset, method, match[2].decode("latin-1"), headers))
        if not self._framed(headers):
            self._end(events)
        return True

    def _response(self, offset: int, first: bytes, headers: Headers, events: list[Event]) -> bool:
        match = _STATUS_LINE.match(first)
        if match is None:
            raise ProtocolError("malformed status line")
        status = int(match[1])
        if 100 <= status < 200 and status != 101:
            return True  # interim; the final one follows
        method = self._answered_method(sum(isinstance(event, ResponseHead) for event in events))
        events.append(ResponseHead(offset, status, headers))
        if status == 101 or (method == "CONNECT" and 200 <= status < 300):
            events.append(Upgraded())
            self.stop()
        elif method == "HEAD" or status in (204, 304):
            self._end(events)
        elif not self._framed(headers):
            self._step = self._until_close
        return True

    def _framed(self, headers: Headers) -> bool:
        """Set out to read the body that the headers announce; False where they announce none."""
        transfer = header(headers, "transfer-encoding").lower()
        if transfer:
            codings = [coding.strip() for coding in transfer.split(",")]
            if codings[-1] != "chunked":
                raise ProtocolError("transfer coding that is not chunked")
            self._step = self._chunk_size
            return True
        lengths = {value.strip() for value in header(headers, "content-length").split(",") if value.strip()}
        if not lengths:
            return False
        length = lengths.pop()
        if lengths or not (length.isascii() and length.isdigit()) or len(length) > 19 or int(length) > _MAX_INT64:
            raise ProtocolError("malformed content-length")
        self._left = int(length)
        self._step = self._fixed
        return True

    def _end(self, events: list[Event]) -> None:
        events.append(End())
        self._step = self._head

    def _body(self, events: list[Event]) -> None:
        size = min(self._left, len(self._buffer))
        if size:
            offset = self._offset
            events.append(Body(offset, self._take(size)))
            self._left -= size

    def _fixed(self, events: list[Event]) -> bool:
        self._body(events)
        if self._left:
            return False
        self._end(events)
        return True

    def _chunk_size(self, _events: list[Event]) -> bool:
        end = self._buffer.find(b"\n")
        if (end if end >= 0 else len(self._buffer)) > MAX_CHUNK_LINE_BYTES:
            raise ProtocolError(f"chunk line longer than {MAX_CHUNK_LINE_BYTES} bytes")
        if end < 0:
            return False
        size = self._take(end + 1).partition(b";")[0].strip()
        if not _CHUNK_SIZE.match(size):
            raise ProtocolError("malformed chunk size")
        self._left = int(size.lstrip(b"0")[:17] or b"0", 16)
        if self._left > _MAX_INT64:
            raise ProtocolError("chunk size of 2^63 or more")
        self._step = self._chunk_data if self._left else self._trailers
        return True

    def _chunk_data(self, events: list[Event]) -> bool:
        self._body(events)
        if self._left:
            return False
        self._step = self._chunk_end
        return True

    def _chunk_end(self, _events: list[Event]) -> bool:
        if len(self._buffer) < 2 and self._buffer[:1] != b"\n":
            return False
        if self._buffer[:2] == b"\r\n":
            self._take(2)
        elif self._buffer[:1] == b"\n":
            self._take(1)
        else:
            raise ProtocolError("chunk data longer than its size")
        self._step = self._chunk_size
        return True

    def _trailers(self, events: list[Event]) -> bool:
        if self._buffer[:1] == b"\n":
            self._take(1)
        elif self._buffer[:2] == b"\r\n":
            self._take(2)
        elif len(self._buffer) < 2:
            return False
        else:
            end = self._block_end()
            if end is None:
                return False
            _headers(self._take(end).split(b"\n"))
        self._end(events)
        return True

    def _until_close(self, events: list[Event]) -> bool:
        if self._buffer:
            offset = self._offset
            events.append(Body(offset, self._take(len(self._buffer))))
        return False

    def _opaque(self, _events: list[Event]) -> bool:
        self._drop(len(self._buffer))
        return False


def _headers(lines: list[bytes]) -> Headers:
    headers: list[tuple[str, str]] = []
    if len(lines) > MAX_HEADERS + 2:
        raise ProtocolError(f"more than {MAX_HEADERS} headers")
    for line in lines:
        line = line.removesuffix(b"\r")
        if not line:
            continue
        if line[:1] in b" \t":  # obsolete folding, RFC 9112 section 5.2
            if not headers:
                raise ProtocolError("malformed header")
            name, value = headers[-1]
            headers[-1] = (name, f"{value} {line.strip().decode('latin-1')}".strip())
            continue
        raw_name, colon, raw_value = line.partition(b":")
        if not colon or not _HEADER_NAME.match(raw_name):
            raise ProtocolError("malformed header")
        headers.append((raw_name.decode("ascii"), raw_value.strip().decode("latin-1")))
    return tuple(headers)
