"""Content codings and the cutting of a body into given sizes."""

import gzip
import importlib
import zlib
from collections.abc import Iterable, Iterator, Sequence
from types import ModuleType
from typing import Protocol


def _optional(name: str) -> ModuleType | None:
    try:
        return importlib.import_module(name)
    except ImportError:
        return None


# The stand-in runs with the system's Python too, which has neither.
brotli = _optional("brotli")
zstandard = _optional("zstandard")


class Encoder(Protocol):
    """Compresses a body piece by piece, each piece readable as soon as it has arrived."""

    def encode(self, piece: bytes) -> bytes:
        """The piece, compressed and flushed."""

    def finish(self) -> bytes:
        """What ends the body."""


class _Plain:
    def encode(self, piece: bytes) -> bytes:
        return piece

    def finish(self) -> bytes:
        return b""


class _Gzip:
    def __init__(self) -> None:
        self._compressor = zlib.compressobj(wbits=31)

    def encode(self, piece: bytes) -> bytes:
        return self._compressor.compress(piece) + self._compressor.flush(zlib.Z_SYNC_FLUSH)

    def finish(self) -> bytes:
        return self._compressor.flush()


class _Brotli:
    def __init__(self) -> None:
        assert brotli is not None
        self._compressor = brotli.Compressor(quality=5)

    def encode(self, piece: bytes) -> bytes:
        return bytes(self._compressor.process(piece) + self._compressor.flush())

    def finish(self) -> bytes:
        return bytes(self._compressor.finish())


class _Zstd:
    def __init__(self) -> None:
        assert zstandard is not None
        self._compressor = zstandard.ZstdCompressor().compressobj()
        self._end_block, self._end_frame = zstandard.COMPRESSOBJ_FLUSH_BLOCK, zstandard.COMPRESSOBJ_FLUSH_FINISH

    def encode(self, piece: bytes) -> bytes:
        return bytes(self._compressor.compress(piece) + self._compressor.flush(self._end_block))

    def finish(self) -> bytes:
        return bytes(self._compressor.flush(self._end_frame))


def available() -> tuple[str, ...]:
    """The codings this Python can write."""
    optional = (("br", brotli), ("zstd", zstandard))
    return ("none", "gzip", *(name for name, module in optional if module is not None))


def encoder(compression: str) -> Encoder:
    """A new encoder for one body."""
    if compression not in available():
        raise ValueError(f"this Python cannot write {compression}; it can write {', '.join(available())}")
    kinds: dict[str, type[Encoder]] = {"none": _Plain, "gzip": _Gzip, "br": _Brotli, "zstd": _Zstd}
    return kinds[compression]()


def decoded(body: bytes, coding: str) -> bytes:
    """A request body without its content coding; as it came where the coding is unknown."""
    if coding == "gzip":
        return gzip.decompress(body)
    if coding == "deflate":
        return zlib.decompress(body)
    if coding == "br" and brotli is not None:
        return bytes(brotli.decompress(body))
    if coding == "zstd" and zstandard is not None:
        return bytes(zstandard.ZstdDecompressor().decompressobj().decompress(body))
    return body


def accepts(accept_encoding: str, compression: str) -> bool:
    """Whether a client's accept-encoding allows a coding."""
    for part in accept_encoding.lower().split(","):
        name, _, parameters = part.strip().partition(";")
        if name.strip() in (compression, "*"):
            return parameters.replace(" ", "") not in ("q=0", "q=0.0")
    return False


def in_time(pieces: Iterable[bytes], encode: Encoder, sizes: Sequence[int]) -> Iterator[list[bytes]]:
    """For each piece of a body, the chunks that are full once it is there; the last list ends the body.

    Without sizes every piece is one chunk. With sizes, used in turn, bytes wait until a chunk is full.
    """
    waiting, turn = bytearray(), 0
    for piece in pieces:
        waiting += encode.encode(piece)
        chunks = []
        while waiting and (not sizes or len(waiting) >= sizes[turn % len(sizes)]):
            size = sizes[turn % len(sizes)] if sizes else len(waiting)
            chunks.append(bytes(waiting[:size]))
            del waiting[:size]
            turn += 1
        yield chunks
    waiting += encode.finish()
    yield list(cut(bytes(waiting), sizes, turn=turn))


def cut(data: bytes, sizes: Sequence[int], *, turn: int = 0) -> Iterator[bytes]:
    """Bytes in pieces of the given sizes, used in turn; whole without sizes."""
    start = 0
    while start < len(data):
        size = sizes[turn % len(sizes)] if sizes else len(data)
        yield data[start : start + size]
        start += size
        turn += 1
