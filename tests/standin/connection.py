"""One client connection: HTTP/1.1 requests in, response bytes out, every byte logged as it passes."""

import asyncio
from dataclasses import dataclass
from typing import BinaryIO

READ_BYTES = 64 * 1024
# A test may send 100,000 headers on purpose; agents send under 10 KiB.
MAX_HEAD_BYTES = 16 * 1024 * 1024
MAX_BODY_BYTES = 64 * 1024 * 1024


class RequestError(Exception):
    """The client sent something that is not a request this server reads."""


class Dropped(Exception):
    """The client went away, or the script told the server to."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One request; the body is free of transfer coding, but as compressed as it came."""

    method: str
    target: str
    headers: dict[str, str]
    body: bytes
    start: int
    """Offset of its first byte in the log of received bytes; `end` is one past its last."""
    end: int

    @property
    def path(self) -> str:
        """The target without its query."""
        return self.target.partition("?")[0]


class Connection:
    """Reads requests and writes bytes; `received` and `sent` count what is in the two logs."""

    def __init__(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, log_in: BinaryIO, log_out: BinaryIO
    ) -> None:
        self._reader = reader
        self._writer = writer
        self._log_in = log_in
        self._log_out = log_out
        self._buffer = bytearray()
        self.received = 0
        self.sent = 0
        host, port = writer.get_extra_info("peername")[:2]
        self.client_address = str(host)
        self.client_port = int(port)

    @property
    def at(self) -> int:
        """Offset of the next unread byte in the log of received bytes."""
        return self.received - len(self._buffer)

    async def read_request(self) -> Request | None:
        """The next request, or None when the client has closed between requests."""
        start = self.at
        head = await self._read_head()
        if head is None:
            return None
        lines = head.decode("latin-1").split("\r\n")
        parts = lines[0].split(" ")
        if len(parts) != 3 or not parts[2].startswith("HTTP/1."):
            raise RequestError(f"request line {lines[0][:100]!r}")
        headers: dict[str, str] = {}
        for line in lines[1:]:
            name, _, value = line.partition(":")
            headers[name.strip().lower()] = value.strip()
        if headers.get("expect", "").lower() == "100-continue":
            await self.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        if "chunked" in headers.get("transfer-encoding", "").lower():
            body = await self._read_chunks()
        else:
            body = await self._read_exactly(_size(headers.get("content-length", "0"), 10))
        return Request(method=parts[0], target=parts[1], headers=headers, body=body, start=start, end=self.at)

    async def write(self, data: bytes) -> None:
        """Send bytes in one TLS write; logged first, so that the log never misses what a client saw."""
        self._log_out.write(data)
        self.sent += len(data)
        self._writer.write(data)
        await self._writer.drain()

    def drop(self) -> None:
        """Cut the connection without a farewell."""
        self._writer.transport.abort()

    async def close(self) -> None:
        """Close in good order."""
        self._writer.close()
        try:
            await self._writer.wait_closed()
        except OSError:
            # The client was first; nothing is left to close.
            return

    async def _fill(self) -> bool:
        data = await self._reader.read(READ_BYTES)
        self._log_in.write(data)
        self.received += len(data)
        self._buffer += data
        return bool(data)

    async def _read_head(self) -> bytes | None:
        searched = 0
        while (end := self._buffer.find(b"\r\n\r\n", searched)) < 0:
            searched = max(len(self._buffer) - 3, 0)
            if len(self._buffer) > MAX_HEAD_BYTES:
                raise RequestError("head too long")
            if not await self._fill():
                if self._buffer:
                    raise Dropped("closed within a request head")
                return None
        return self._take(end + 4)[:-4]

    async def _read_exactly(self, size: int) -> bytes:
        if size > MAX_BODY_BYTES:
            raise RequestError("body too long")
        while len(self._buffer) < size:
            if not await self._fill():
                raise Dropped("closed within a request body")
        return self._take(size)

    async def _read_line(self) -> bytes:
        while (end := self._buffer.find(b"\r\n")) < 0:
            if len(self._buffer) > MAX_HEAD_BYTES:
                raise RequestError("line too long")
            if not await self._fill():
                raise Dropped("closed within a request body")
        return self._take(end + 2)[:-2]

    async def _read_chunks(self) -> bytes:
        body = bytearray()
        while size := _size((await self._read_line()).partition(b";")[0].decode("latin-1"), 16):
            body += await self._read_exactly(size)
            await self._read_line()
            if len(body) > MAX_BODY_BYTES:
                raise RequestError("body too long")
        while await self._read_line():
            pass
        return bytes(body)

    def _take(self, size: int) -> bytes:
        taken = bytes(self._buffer[:size])
        del self._buffer[:size]
        return taken


def _size(text: str, base: int) -> int:
    try:
        return int(text.strip(), base)
    except ValueError as error:
        raise RequestError(f"size {text[:40]!r}") from error
