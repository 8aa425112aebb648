"""A recording as a file: the raw slices of a run, as the kernel wrote them, and what is needed to replay them.

After a line that names the format come frames, each checksummed and compressed on its own: a header, slices, a footer. A file
that was cut is readable up to its last whole frame. It may come from anybody: no length in it is believed before it is checked.
"""

import errno
import json
import os
import struct
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from enum import IntEnum
from pathlib import Path
from typing import Any, Self, TypeAlias

import zstandard

from intact.model.errors import CaptureError, IntactError
from intact.model.slice import Host, RawSlice, Unheard

MAGIC = b"intact capture "
# Raised whenever the frames or the records in them (INTACT_WIRE_VERSION of bpf/wire.h) change.
VERSION = 1
WIRE_VERSION = 1
# A slice is one drain of some twenty rings, each of which gives a few MiB at most.
MAX_FRAME_BYTES = 256 << 20
# What we compress ourselves needs no more; a window is memory that a hostile file would ask for.
MAX_WINDOW_BYTES = 8 << 20
LEVEL = 3
# Two of them added (a time and the offset of its clock) are still an epoch.
MAX_INTEGER = 1 << 61

_FRAME = struct.Struct("<4sB3xIII")  # mark, type, checksum, packed length, length
_MARK = b"IcF\x01"
_HEAD = struct.Struct("<I")  # length of the JSON text of a slice; its buffers follow

Counters: TypeAlias = Mapping[str, tuple[int, ...]]


class FrameType(IntEnum):
    HEADER = 1
    SLICE = 2
    FOOTER = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class About:
    """What a run was, beside its records. The command is as seen: it may hold secrets."""

    name: str | None = None
    command: tuple[str, ...] = ()
    started_ns: int | None = None
    redacted: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Ending:
    """How a run ended."""

    ended_ns: int | None = None
    exit_code: int | None = None


class CaptureWriter:
    """Writes a capture; every frame is in the file when `write` returns. After a failure it writes no more."""

    def __init__(self, path: Path, host: Host, about: About) -> None:
        self._packer = zstandard.ZstdCompressor(level=LEVEL)
        self._counters: Counters = {}
        self._bytes = 0
        self._failed = False
        flags = os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC | os.O_NOFOLLOW
        try:
            self._fd = os.open(path, flags, 0o600)
        except FileExistsError:
            raise IntactError(f"{path} exists already; a capture is never overwritten") from None
        except OSError as error:
            raise IntactError(f"cannot write the capture {path}: {error.strerror}") from None
        self._put(b"%s%d\n" % (MAGIC, VERSION))
        body = {"wire_version": WIRE_VERSION, "host": asdict(host), "about": asdict(about)}
        self._frame(FrameType.HEADER, [_json(body)])

    def write(self, raw: RawSlice) -> None:
        """Add a slice.

        Raises:
            OSError: it could not be written; the file ends with what was before it.
        """
        if self._failed:
            return
        head: dict[str, Any] = {"until": raw.until_ktime_ns}
        if raw.rings:
            head["rings"] = [(name, memoryview(data).nbytes) for name, data in raw.rings.items()]
        if raw.counters != self._counters:  # they are cumulative: what a slice does not say is as it was
            head["counters"] = self._counters = dict(raw.counters)
        if raw.notes:
            head["notes"] = raw.notes
        if raw.unheard:
            head["unheard"] = [asdict(unheard) for unheard in raw.unheard]
        text = _json(head)
        self._frame(FrameType.SLICE, [_HEAD.pack(len(text)), text, *(memoryview(d) for d in raw.rings.values())])

    def close(self, ending: Ending | None = None) -> None:
        """Close the file; with how the run ended, if that is known. May be called twice."""
        if self._fd < 0:
            return
        try:
            if ending is not None and not self._failed:
                self._frame(FrameType.FOOTER, [_json(asdict(ending))])
        finally:
            os.close(self._fd)
            self._fd = -1

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _frame(self, kind: FrameType, parts: Sequence[bytes | memoryview]) -> None:
        length = sum(memoryview(part).nbytes for part in parts)
        if length > MAX_FRAME_BYTES:
            raise OSError(errno.EFBIG, f"a slice of {length} bytes")
        packed = self._packer.compress(b"".join(parts))
        checksum = _checksum(kind, length, packed)
        self._put(_FRAME.pack(_MARK, kind, checksum, len(packed), length) + packed)

    def _put(self, data: bytes) -> None:
        view = memoryview(data)
        try:
            while view:
                view = view[os.write(self._fd, view) :]
        except OSError:
            self._failed = True
            os.ftruncate(self._fd, self._bytes)
            raise
        self._bytes += len(data)


def write_capture(path: Path, host: Host, *, about: About | None = None) -> CaptureWriter:
    """A new capture file, mode 0600.

    Raises:
        IntactError: it exists already, or cannot be made.
    """
    return CaptureWriter(path, host, about or About())


class CaptureReader:
    """Reads a capture; `ending` and `cut` are known when `slices` is exhausted.

    Raises:
        CaptureError: the file is missing, is no capture, or is one of another version.
    """

    def __init__(self, path: Path) -> None:
        self.ending: Ending | None = None
        self.cut: str | None = None
        """Why the file could not be read to its end; None if it could."""
        self._path = path
        self._unpacker = zstandard.ZstdDecompressor(max_window_size=MAX_WINDOW_BYTES)
        try:
            self._file = open(path, "rb")  # noqa: SIM115 - closed by close()
            self.size_bytes = os.fstat(self._file.fileno()).st_size
        except OSError as error:
            raise CaptureError(f"cannot read {path}: {error.strerror}") from None
        try:
            self._check_magic()
            self.host, self.about = self._header()
        except OSError as error:
            self.close()
            raise CaptureError(f"cannot read {path}: {error.strerror}") from None
        except CaptureError:
            self.close()
            raise

    @property
    def read_bytes(self) -> int:
        """How far into the file we are."""
        return self._file.tell()

    def slices(self) -> Iterator[RawSlice]:
        """The slices, up to the end of the file or to what is no whole frame; `cut` then says so."""
        counters: Counters = {}
        try:
            while (frame := self._next()) is not None:
                kind, payload = frame
                if kind is FrameType.FOOTER:
                    self.ending = _ending(_object(payload))
                    return
                raw = _slice(payload, counters)
                counters = raw.counters
                yield raw
        except _Cut as cut:
            self.cut = str(cut)
        except OSError as error:
            self.cut = error.strerror or str(error)

    def close(self) -> None:
        """Close the file. May be called twice."""
        self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _check_magic(self) -> None:
        line = self._file.readline(len(MAGIC) + 8)
        if not line.startswith(MAGIC) or not line.endswith(b"\n"):
            raise CaptureError(f"{self._path} is not a capture of intact")
        version = line[len(MAGIC) : -1]
        if version != b"%d" % VERSION:
            known = version.decode("ascii", "replace") if version.isdigit() else "?"
            raise CaptureError(f"{self._path} is a capture of version {known}; this intact reads version {VERSION}")

    def _header(self) -> tuple[Host, About]:
        try:
            frame = self._next()
            if frame is None or frame[0] is not FrameType.HEADER:
                raise CaptureError(f"{self._path} is a capture without a header: there is nothing to read in it")
            body = _object(frame[1])
            if body["wire_version"] != WIRE_VERSION:
                raise CaptureError(f"{self._path} holds records of another version of intact; replay it with that")
            return _host(body["host"]), _about(body["about"])
        except (_Cut, KeyError, TypeError, ValueError):
            raise CaptureError(f"{self._path} is a capture whose header is damaged") from None

    def _next(self) -> tuple[FrameType, bytes] | None:
        """The next frame; None at the end of the file."""
        head = self._file.read(_FRAME.size)
        if not head:
            return None
        if len(head) < _FRAME.size:
            raise _Cut("it ends within a frame")
        mark, kind, checksum, packed_length, length = _FRAME.unpack(head)
        if mark != _MARK or kind not in FrameType.__members__.values() or length > MAX_FRAME_BYTES:
            raise _Cut("what follows is not a frame")
        if packed_length > self.size_bytes - self._file.tell():
            raise _Cut("it ends within a frame")
        packed = self._file.read(packed_length)
        if len(packed) < packed_length:
            raise _Cut("it ends within a frame")
        if _checksum(kind, length, packed) != checksum:
            raise _Cut("a checksum is wrong")
        return FrameType(kind), self._unpack(packed, length)

    def _unpack(self, packed: bytes, length: int) -> bytes:
        try:
            # The frame's own word for its size would be allocated at once.
            if zstandard.frame_content_size(packed) != length:
                raise _Cut("a frame is not what it says")
            return self._unpacker.decompress(packed)
        except (zstandard.ZstdError, MemoryError):
            raise _Cut("a frame cannot be unpacked") from None


def read_capture(path: Path) -> tuple[Host, Iterator[RawSlice]]:
    """The host a capture was made on, and its slices.

    Raises:
        CaptureError: the file is missing, is no capture, or is one of another version.
    """
    reader = CaptureReader(path)
    return reader.host, _read_and_close(reader)


def _read_and_close(reader: CaptureReader) -> Iterator[RawSlice]:
    with reader:
        yield from reader.slices()


class _Cut(Exception):
    """The file cannot be read on, and why."""


def _json(value: Any) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode("ascii")


def _checksum(kind: int, length: int, packed: bytes) -> int:
    return zlib.crc32(packed, zlib.crc32(struct.pack("<BI", kind, length)))


def _object(payload: bytes | memoryview) -> dict[str, Any]:
    try:
        value = json.loads(bytes(payload))
    except (ValueError, RecursionError):
        value = None
    if not isinstance(value, dict):
        raise _Cut("a frame holds no JSON object")
    return value


def _slice(payload: bytes, counters: Counters) -> RawSlice:
    try:
        (text_length,) = _HEAD.unpack_from(payload)
        at = _HEAD.size + text_length
        head = _object(payload[_HEAD.size : at])
        view = memoryview(payload)
        rings: dict[str, memoryview] = {}
        for name, size in head.get("rings", []):
            if not isinstance(size, int) or not 0 <= size <= len(view) - at:
                raise _Cut("a slice is not what it says")
            rings[str(name)], at = view[at : at + size], at + size
        if "counters" in head:
            counters = {str(family): tuple(map(_int, values)) for family, values in head["counters"].items()}
        return RawSlice(
            until_ktime_ns=_int(head["until"]),
            rings=rings,
            counters=counters,
            notes=tuple(map(str, head.get("notes", ()))),
            unheard=tuple(_unheard(body) for body in head.get("unheard", ())),
        )
    except (struct.error, KeyError, TypeError, ValueError, AttributeError):
        raise _Cut("a slice is not what it says") from None


def _int(value: Any) -> int:
    """An integer that fits the columns it may get into."""
    if isinstance(value, bool) or not isinstance(value, int) or abs(value) > MAX_INTEGER:
        raise ValueError("expected an integer")
    return value


def _unheard(body: dict[str, Any]) -> Unheard:
    numbers = {name: _int(body[name]) for name in ("tgid", "start_ns", "ktime_ns", "connections", "port")}
    return Unheard(exe=str(body["exe"]), address=str(body["address"]), reason=str(body["reason"]), **numbers)


def _host(body: dict[str, Any]) -> Host:
    return Host(
        name=str(body["name"]),
        boot_id=str(body["boot_id"]),
        kernel=str(body["kernel"]),
        boot_offset_ns=_int(body["boot_offset_ns"]),
        root_tgid=_int(body["root_tgid"]),
        root_start_ns=_int(body["root_start_ns"]),
    )


def _about(body: dict[str, Any]) -> About:
    return About(
        name=None if body["name"] is None else str(body["name"]),
        command=tuple(map(str, body["command"])),
        started_ns=None if body["started_ns"] is None else _int(body["started_ns"]),
        redacted=bool(body["redacted"]),
    )


def _ending(body: dict[str, Any]) -> Ending:
    try:
        return Ending(
            ended_ns=None if body["ended_ns"] is None else _int(body["ended_ns"]),
            exit_code=None if body["exit_code"] is None else _int(body["exit_code"]),
        )
    except (KeyError, ValueError):
        raise _Cut("its last frame is not what it says") from None
