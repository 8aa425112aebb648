"""Durable segments of one run: a growing `NNNNNN.open` that becomes `NNNNNN.seg` by footer, fsync and rename.

Whoever reads sees whole frames only, sealed or not. The writer holds a lock on its open file for as long as it lives, so a
file that can be locked was left behind. Reading and writing need no database.
"""

import contextlib
import errno
import fcntl
import os
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Self

from intact.model.errors import CaptureError, IntactError
from intact.model.facts import Chunk, ConnectionEnd, Loss
from intact.model.slice import Host, Slice
from intact.store.frames import (
    FOOTER_BYTES,
    Damaged,
    Footer,
    Frame,
    FrameType,
    Header,
    footer_frame,
    frame_length,
    header_frame,
    read_footer,
    read_frame,
    read_header,
    read_slice,
    slice_frame,
)

OPEN, SEALED = ".open", ".seg"
RESERVE = "reserve"
POLL_S = 0.03


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """When a segment is full. One segment is at most one insert block a table, so rows are the hard limit."""

    rows: int = 1_000_000
    file_bytes: int = 64 << 20
    age_s: float = 10.0
    sync_s: float = 1.0  # what is older than this survives a power cut
    queued_rows: int = 300_000  # some 50 MB; whoever writes a slice waits beyond this
    retry_s: float = 1.0  # after a failed write
    reserve_bytes: int = 128 << 10  # kept free for the last words of a run on a full disk


class SegmentWriter:
    """Writes the slices of one run, in a thread of its own.

    A failure to write (a full disk) is raised once; from then on `write` counts what it could not keep in `lost_rows` and
    `lost_facts`, tries again now and then, and says in the segments how much is missing.
    """

    def __init__(self, directory: Path, host: Host, *, limits: Limits | None = None) -> None:
        self.lost_rows = 0
        self.lost_facts = 0
        self.rows = 0
        self._directory = directory
        self._host = host
        self._limits = limits or Limits()
        self._owner: tuple[int, int] | None = None
        self._queue: deque[Slice] = deque()
        self._queued_rows = 0
        self._busy = False
        self._sync_wanted = False
        self._closing = False
        self._error: IntactError | None = None
        self._raised = False
        self._changed = threading.Condition()  # guards the queue and the flags above
        self._untold = 0  # lost since the last loss that was written
        self._retry_at = 0.0
        self._held: Slice | None = None  # an empty slice, not worth a frame of its own
        self._written_ns = 0
        self._file: _OpenSegment | None = None
        with self._explained():
            self._directory.mkdir(parents=True, exist_ok=True, mode=0o700)
            if os.geteuid() == 0:  # what root writes for another user belongs to whom the directory belongs
                status = directory.stat()
                self._owner = (status.st_uid, status.st_gid)
            self._number = max((segment.number for segment in segments_in(directory)), default=0)
            self._reserve()
        self._thread = threading.Thread(target=self._run, name="segments", daemon=True)
        self._thread.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def write(self, piece: Slice) -> None:
        """Take a slice; it is in the file some milliseconds later.

        Raises:
            IntactError: once, when writing has begun to fail.
        """
        rows = _rows(piece)
        with self._changed:
            self._changed.wait_for(lambda: self._queued_rows < self._limits.queued_rows or self._error is not None)
            self._queue.append(piece)
            self._queued_rows += rows
            self._changed.notify_all()
        self._tell()

    def flush(self) -> None:
        """Return when all that was written is on the disk."""
        with self._changed:
            self._sync_wanted = True
            self._changed.notify_all()
            self._changed.wait_for(lambda: not self._queue and not self._busy and not self._sync_wanted)
        self._tell()

    def close(self) -> None:
        """Write the rest and seal the segment. Raises as `write` does; may be called twice."""
        with self._changed:
            self._closing = True
            self._changed.notify_all()
        self._thread.join()
        self._tell()

    def _tell(self) -> None:
        if self._error is not None and not self._raised:
            self._raised = True
            raise self._error

    def _run(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(
                    lambda: bool(self._queue) or self._sync_wanted or self._closing, timeout=self._limits.sync_s
                )
                pieces = list(self._queue)
                self._queue.clear()
                self._busy = True
                sync, closing = self._sync_wanted, self._closing
            for piece in pieces:
                self._take(piece)
                with self._changed:
                    self._queued_rows -= _rows(piece)
                    self._changed.notify_all()
            if closing and not self._queue:
                self._finish()
            else:
                self._upkeep(sync)
            with self._changed:
                self._busy = False
                self._sync_wanted = self._sync_wanted and not sync
                self._changed.notify_all()
                if closing and not self._queue:
                    return

    def _take(self, piece: Slice) -> None:
        if piece.facts and any(isinstance(fact, Chunk | ConnectionEnd) for fact in piece.facts):
            # plaintext ends in `assemble`; should it ever get past, it must not reach a disk
            kept = tuple(fact for fact in piece.facts if not isinstance(fact, Chunk | ConnectionEnd))
            piece = replace(piece, facts=kept)
        if not piece.facts and not _rows(piece) and piece.until_ns - self._written_ns < 100_000_000:
            self._held = piece
            return
        self._held = None
        self._put(piece)

    def _put(self, piece: Slice) -> None:
        if self._error is not None and time.monotonic() < self._retry_at:
            self._lose(piece)
            return
        try:
            frame = slice_frame(self._with_losses(piece))
            if self._file is not None and self._file.is_full(_rows(piece), len(frame), self._limits):
                self._seal()
            if self._file is None:
                self._open()
            assert self._file is not None
            self._file.append(frame, piece)
        except OSError as error:
            self._fail(error)
            self._lose(piece)
        else:
            self._untold = 0
            self._written_ns = piece.until_ns
            self.rows += _rows(piece)

    def _with_losses(self, piece: Slice) -> Slice:
        if not self._untold:
            return piece
        loss = Loss(
            stage="store", cause="write_failed", count=self._untold, at_ns=piece.until_ns, note=str(self._error)
        )
        return replace(piece, facts=(*piece.facts, loss))

    def _lose(self, piece: Slice) -> None:
        rows = _rows(piece)
        self.lost_rows += rows
        self.lost_facts += len(piece.facts)
        self._untold += rows + len(piece.facts)

    def _fail(self, error: OSError) -> None:
        self._retry_at = time.monotonic() + self._limits.retry_s
        if self._error is None:
            self._error = _explain(error, self._directory)

    def _upkeep(self, sync: bool) -> None:
        """Between slices: put on disk what is due, and seal what is old."""
        file = self._file
        if file is None:
            return
        try:
            if sync or file.unsynced_s() >= self._limits.sync_s:
                file.sync()
            if file.age_s() >= self._limits.age_s:
                self._seal()
        except OSError as error:
            self._fail(error)

    def _finish(self) -> None:
        with contextlib.suppress(OSError):  # without a reserve the last words may still find room
            (self._directory / RESERVE).unlink(missing_ok=True)
        last = self._held
        if last is None and self._untold:
            last = Slice(until_ns=self._written_ns)
        self._retry_at = 0.0
        if last is not None:
            self._put(last)
        if self._file is not None:
            try:
                self._seal()
            except OSError as error:  # it stays open and readable
                self._fail(error)
                self._file.abandon()

    def _open(self) -> None:
        self._number += 1
        path = self._directory / f"{self._number:06d}{OPEN}"
        try:
            self._file = _OpenSegment(path, header_frame(self._host), self._owner)
        except OSError:
            self._number -= 1
            path.unlink(missing_ok=True)
            raise

    def _seal(self) -> None:
        file = self._file
        assert file is not None
        file.seal()
        self._file = None
        _sync_directory(self._directory)

    def _reserve(self) -> None:
        path = self._directory / RESERVE
        fd = os.open(path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
        try:
            os.posix_fallocate(fd, 0, self._limits.reserve_bytes)
            if self._owner:
                os.fchown(fd, *self._owner)
        finally:
            os.close(fd)

    @contextlib.contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise _explain(error, self._directory) from error


class _OpenSegment:
    """The file that grows. Every method leaves it ending in a whole frame, or raises OSError having tried to."""

    def __init__(self, path: Path, header: bytes, owner: tuple[int, int] | None) -> None:
        self._path = path
        self._slices = 0
        self._rows = 0
        self._facts = 0
        self._until_ns = 0
        self._bytes = 0
        self._born = time.monotonic()
        self._dirty_since: float | None = None
        self._fd = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(self._fd, fcntl.LOCK_EX)
            if owner:
                os.fchown(self._fd, *owner)
            self._write(header)
        except OSError:
            os.close(self._fd)
            raise

    def append(self, frame: bytes, piece: Slice) -> None:
        self._write(frame)
        self._slices += 1
        self._rows += _rows(piece)
        self._facts += len(piece.facts)
        self._until_ns = max(self._until_ns, piece.until_ns)
        if self._dirty_since is None:
            self._dirty_since = time.monotonic()

    def is_full(self, rows: int, frame_bytes: int, limits: Limits) -> bool:
        over = self._rows + rows > limits.rows or self._bytes + frame_bytes > limits.file_bytes
        return self._slices > 0 and (over or self.age_s() >= limits.age_s)

    def age_s(self) -> float:
        """Since the first data; a segment of boundaries alone does not age."""
        return time.monotonic() - self._born if self._rows or self._facts else 0.0

    def unsynced_s(self) -> float:
        return 0.0 if self._dirty_since is None else time.monotonic() - self._dirty_since

    def sync(self) -> None:
        os.fdatasync(self._fd)
        self._dirty_since = None

    def seal(self) -> None:
        footer = Footer(slices=self._slices, rows=self._rows, facts=self._facts, until_ns=self._until_ns)
        before = self._bytes
        self._write(footer_frame(footer))
        try:
            os.fsync(self._fd)
            self._path.rename(self._path.with_suffix(SEALED))
        except OSError:
            self._bytes = before
            os.ftruncate(self._fd, before)
            raise
        os.close(self._fd)

    def abandon(self) -> None:
        os.close(self._fd)

    def _write(self, data: bytes) -> None:
        view = memoryview(data)
        try:
            while view:
                view = view[os.pwrite(self._fd, view, self._bytes + len(data) - len(view)) :]
        except OSError:
            os.ftruncate(self._fd, self._bytes)
            raise
        self._bytes += len(data)


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class Segment:
    """One file of a run."""

    number: int
    path: Path
    sealed: bool


def segments_in(directory: Path) -> list[Segment]:
    """The segments of a run, in order."""
    found: dict[int, Segment] = {}
    with contextlib.suppress(FileNotFoundError):
        for entry in os.scandir(directory):
            stem, suffix = os.path.splitext(entry.name)
            if stem.isdigit() and suffix in (OPEN, SEALED):
                sealed = suffix == SEALED
                if int(stem) not in found or sealed:
                    found[int(stem)] = Segment(number=int(stem), path=Path(entry.path), sealed=sealed)
    return [found[number] for number in sorted(found)]


def read_segments(directory: Path, *, follow: Callable[[], bool] | None = None) -> Iterator[Slice]:
    """The slices of a run, up to the last whole frame.

    Args:
        directory: where the segments are.
        follow: wait for more for as long as this says True; then what was written till then is read, and no more.

    What cannot be read is passed over and told as a `Loss`.
    """
    for _, piece in read_numbered(directory, follow=follow):
        yield piece


def read_numbered(directory: Path, *, follow: Callable[[], bool] | None = None) -> Iterator[tuple[int, Slice]]:
    """As `read_segments`, each slice with the number of its segment."""
    done = 0
    while True:
        alive = follow is not None and follow()
        segment = next((segment for segment in segments_in(directory) if segment.number > done), None)
        if segment is not None:
            for piece in _read_while_growing(segment, directory, follow if alive else None):
                yield segment.number, piece
            done = segment.number
        elif alive:
            time.sleep(POLL_S)
        else:
            return


def read_host(directory: Path) -> Host:
    """The host a run was recorded on, from its first readable segment.

    Raises:
        CaptureError: there is none.
    """
    for segment in segments_in(directory):
        with contextlib.suppress(Damaged, FileNotFoundError), SegmentReader(segment.path) as reader:
            next(reader.slices(), None)
            if reader.header is not None:
                return reader.header.host
    raise CaptureError(f"{directory} holds no readable segment")


def footer_of(path: Path) -> Footer | None:
    """What a sealed segment says of itself; None if it does not end in a footer."""
    with open(path, "rb") as file:
        if file.seek(0, os.SEEK_END) < FOOTER_BYTES:
            return None
        file.seek(-FOOTER_BYTES, os.SEEK_END)
        try:
            frame = read_frame(memoryview(file.read()))
            return read_footer(frame) if frame is not None and frame.type is FrameType.FOOTER else None
        except Damaged:
            return None


def has_writer(segment: Segment) -> bool:
    """Whether the process that fills this segment is alive."""
    if segment.sealed:
        return False
    try:
        fd = os.open(segment.path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(fd)
    return False


class SegmentReader:
    """Reads one segment, as far as it goes; survives its renaming."""

    def __init__(self, path: Path) -> None:
        self.header: Header | None = None
        self.footer: Footer | None = None
        self._path = path
        self._offset = 0
        self._last_ns = 0
        self._fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._fd)

    def slices(self) -> Iterator[Slice]:
        """The slices not yet read that are whole by now. Raises Damaged at bytes no writer left."""
        while self.footer is None and (frame := self._next()) is not None:
            self._offset += frame.length
            if frame.type is FrameType.FOOTER:
                self.footer = read_footer(frame)
            elif frame.type is FrameType.HEADER:
                self.header = read_header(frame)
            elif self.header is None:
                raise Damaged("no header before the first slice")
            else:
                piece = read_slice(frame, self.header)
                self._last_ns = piece.until_ns
                yield piece

    def loss(self, cause: str) -> Slice:
        """The rest of this segment, as something lost."""
        loss = Loss(
            stage="store",
            cause=cause,
            count=1,
            at_ns=self._last_ns,
            note=f"segment {self._path.name} cannot be read on",
        )
        return Slice(until_ns=self._last_ns, facts=(loss,))

    def _next(self) -> Frame | None:
        length = frame_length(os.pread(self._fd, 32, self._offset))
        # a damaged length must not be allocated
        if length is None or self._offset + length > os.fstat(self._fd).st_size:
            return None
        return read_frame(memoryview(os.pread(self._fd, length, self._offset)))


def _read_while_growing(segment: Segment, directory: Path, follow: Callable[[], bool] | None) -> Iterator[Slice]:
    try:
        reader = SegmentReader(segment.path)
    except FileNotFoundError:  # sealed between listing and opening
        reader = SegmentReader(segment.path.with_suffix(SEALED))
    with reader:
        try:
            while True:
                # asked before reading: what was written before the answer is read
                last = segments_in(directory)[-1:]
                more = follow is not None and follow() and not (last and last[0].number > segment.number)
                yield from reader.slices()
                if reader.footer is not None:
                    return
                if not more:
                    break
                time.sleep(POLL_S)
        except CaptureError:
            yield reader.loss("segment_damaged")
        else:
            if segment.sealed:
                yield reader.loss("segment_cut")


def _rows(piece: Slice) -> int:
    links = 0 if piece.links is None else piece.links.num_rows
    return links + sum(batch.num_rows for batch in piece.effects.values())


def _sync_directory(directory: Path) -> None:
    fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def _explain(error: OSError, directory: Path) -> IntactError:
    if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        return IntactError(
            f"no room left to record in {directory}: what was recorded so far can be read, the rest is counted"
        )
    return IntactError(f"cannot record in {directory}: {error.strerror or error}")
