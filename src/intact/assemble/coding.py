"""Content codings undone piece by piece, so that an event in a compressed stream is read when it arrives.

Every decoder gives its output in pieces of bounded size: the caller stops when it has had enough, and a bomb never unfolds.
"""

import zlib
from collections.abc import Callable, Iterator
from typing import Protocol

import brotli
import zstandard

PIECE_BYTES = 256 * 1024
# A zstd block of 4 bytes can stand for 128 KiB: this much input unfolds to 8 MiB at most.
_ZSTD_INPUT_BYTES = 256
# RFC 9659: a window above 8 MiB is not for the web.
_ZSTD_WINDOW_BYTES = 8 * 1024 * 1024
# Nobody applies more than one; each one more multiplies what a bomb can do.
MAX_CODINGS = 2


class CodingError(Exception):
    """A body is not what its content coding says."""


class Decoder(Protocol):
    """Undoes one coding."""

    def feed(self, data: bytes) -> Iterator[bytes]:
        """What these bytes stand for, in pieces."""


class _Zlib:
    """gzip (any number of members) and deflate, which servers send with and without the zlib header."""

    def __init__(self, *, wbits: int) -> None:
        self._wbits = wbits
        self._inflate: zlib._Decompress | None = None
        self._head = b""

    def feed(self, data: bytes) -> Iterator[bytes]:
        if self._inflate is None:
            data = self._head + data
            if len(data) < 2:
                self._head = data
                return
            self._head = b""
            if self._wbits == zlib.MAX_WBITS and (data[0] & 15 != 8 or int.from_bytes(data[:2], "big") % 31):
                self._wbits = -zlib.MAX_WBITS
            self._inflate = zlib.decompressobj(self._wbits)
        while data:
            piece = self._inflate.decompress(data, PIECE_BYTES)
            data = self._inflate.unconsumed_tail
            if piece:
                yield piece
            if self._inflate.eof:
                data = self._inflate.unused_data
                if self._wbits <= zlib.MAX_WBITS or not data.strip(b"\0"):
                    return
                self._inflate = zlib.decompressobj(self._wbits)


class _Brotli:
    def __init__(self) -> None:
        self._decompressor = brotli.Decompressor()

    def feed(self, data: bytes) -> Iterator[bytes]:
        if self._decompressor.is_finished():
            return
        yield self._decompressor.process(data, output_buffer_limit=PIECE_BYTES)
        while not self._decompressor.can_accept_more_data():
            yield self._decompressor.process(b"", output_buffer_limit=PIECE_BYTES)


class _Zstd:
    def __init__(self) -> None:
        decompressor = zstandard.ZstdDecompressor(max_window_size=_ZSTD_WINDOW_BYTES)
        self._decompress = decompressor.decompressobj(read_across_frames=True)

    def feed(self, data: bytes) -> Iterator[bytes]:
        for start in range(0, len(data), _ZSTD_INPUT_BYTES):
            piece = self._decompress.decompress(data[start : start + _ZSTD_INPUT_BYTES])
            if piece:
                yield piece


class _Chain:
    def __init__(self, first: Decoder, second: Decoder) -> None:
        self._first = first
        self._second = second

    def feed(self, data: bytes) -> Iterator[bytes]:
        for piece in self._first.feed(data):
            yield from self._second.feed(piece)


class _Guarded:
    """Turns what the libraries raise into `CodingError`."""

    def __init__(self, decoder: Decoder, coding: str) -> None:
        self._decoder = decoder
        self._coding = coding

    def feed(self, data: bytes) -> Iterator[bytes]:
        try:
            yield from self._decoder.feed(data)
        except (zlib.error, brotli.error, zstandard.ZstdError) as error:
            raise CodingError(f"malformed {self._coding} body") from error


_CODINGS: dict[str, Callable[[], Decoder]] = {
    "gzip": lambda: _Zlib(wbits=zlib.MAX_WBITS | 16),
    "x-gzip": lambda: _Zlib(wbits=zlib.MAX_WBITS | 16),
    "deflate": lambda: _Zlib(wbits=zlib.MAX_WBITS),
    "br": _Brotli,
    "zstd": _Zstd,
}


def decoder(content_encoding: str) -> Decoder | None:
    """What undoes a `content-encoding` header; None where there is nothing to undo.

    Raises:
        CodingError: A coding we do not read, or too many of them.
    """
    names = [name for part in content_encoding.lower().split(",") if (name := part.strip()) not in ("", "identity")]
    if not names:
        return None
    unknown = [name for name in names if name not in _CODINGS]
    if unknown or len(names) > MAX_CODINGS:
        raise CodingError("content coding not decoded")
    undo: Decoder = _CODINGS[names[-1]]()
    if len(names) == MAX_CODINGS:
        undo = _Chain(undo, _CODINGS[names[0]]())
    return _Guarded(undo, ", ".join(names))
