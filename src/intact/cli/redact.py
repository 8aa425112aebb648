"""`intact redact`: a copy of a capture in which every record has its length and no secret is left."""

import os
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import typer

from intact.assemble.equal_length import FILLER, redact_arguments, redact_bytes
from intact.assemble.masks import Mask, Masks, Tally
from intact.assemble.scanner import Scanner
from intact.cli.terminal import plural, progress, size
from intact.collect.capture_file import CaptureReader, CaptureWriter, write_capture
from intact.decode.spans import Layout
from intact.decode.stage import decode
from intact.model.errors import IntactError, UsageError
from intact.model.facts import Chunk, ConnectionEnd
from intact.model.slice import RawSlice

# Paths repeat: each is looked at once, as long as so many are remembered.
MAX_REMEMBERED = 100_000


def run(
    file: Path = typer.Argument(..., metavar="FILE", help="A capture, made by: intact record --capture FILE"),
    output: Path = typer.Option(..., "-o", "--output", metavar="FILE", help="The copy; it must not exist yet."),
) -> None:
    """Make a copy of a capture with secrets replaced, every record as long as it was.

    What cannot be looked into is replaced whole: compressed bodies that hold a secret, and plaintext that is not HTTP/1.
    Example: intact redact run.capture -o run-to-share.capture
    """
    if os.path.lexists(output):
        raise UsageError(f"{output} exists already; a capture is never overwritten")
    cleaner = _Cleaner()
    with CaptureReader(file) as reader:
        masks = find(reader, cleaner)
    with CaptureReader(file) as reader:
        about = replace(reader.about, command=cleaner.command(reader.about.command), redacted=True)
        with write_capture(output, reader.host, about=about) as writer:
            try:
                copy(reader, writer, cleaner, masks)
            except BaseException:
                output.unlink(missing_ok=True)
                raise
        if reader.cut:
            print(f"intact: {file} is cut ({reader.cut}): copied up to there", file=sys.stderr)
    for line in told(cleaner.tally, cleaner.texts):
        print(f"intact: {line}", file=sys.stderr)
    print(f"intact: {output} has no secret left that intact knows of; look before you share it", file=sys.stderr)


def find(reader: CaptureReader, cleaner: "_Cleaner") -> dict[tuple[int, bool], Mask]:
    """What to cover in the plaintext of a capture, by connection and direction."""
    masks = Masks(cleaner.scanner)
    for part in decode(_shown(reader, "looking"), reader.host):
        for fact in part.facts:
            if isinstance(fact, Chunk):
                masks.take(fact)
            elif isinstance(fact, ConnectionEnd):
                masks.end(fact.connection_id)
    found = masks.finish()
    cleaner.tally = masks.tally
    return found


def copy(
    reader: CaptureReader, writer: CaptureWriter, cleaner: "_Cleaner", masks: dict[tuple[int, bool], Mask]
) -> None:
    """Write every slice again, without what is secret.

    Raises:
        IntactError: there is no room for the copy.
    """
    try:
        for raw in _shown(reader, "copying"):
            rings = {name: bytearray(data) for name, data in raw.rings.items()}
            layout = Layout(rings, reader.host)
            layout.clear_unused()
            for span in layout.texts():
                span.overwrite(cleaner.text(span.data))
            for vector in layout.argument_vectors():
                clean = cleaner.vector(b"".join(span.data for span in vector))
                for span in vector:
                    span.overwrite(clean[: span.length])
                    clean = clean[span.length :]
            for piece in layout.plaintext():
                mask = masks.get((piece.connection_id, piece.is_write))
                if mask is not None:
                    data = bytearray(piece.span.data)
                    mask.cover(data, piece.stream_offset, FILLER[0])
                    piece.span.overwrite(bytes(data))
            writer.write(cleaner.slice(raw, rings))
        writer.close(reader.ending)
    except OSError as error:
        raise IntactError(f"cannot write the copy: {error.strerror}") from None


class _Cleaner:
    """Replaces secrets in texts, each by as many bytes."""

    def __init__(self) -> None:
        self.scanner = Scanner()
        self.tally = Tally()
        self.texts = 0
        """How many texts beside plaintext held a secret."""
        self._known: dict[bytes, bytes] = {}

    def text(self, data: bytes) -> bytes:
        """A path or the like."""
        clean = self._known.get(data)
        if clean is None:
            if len(self._known) >= MAX_REMEMBERED:
                self._known.clear()
            clean = self._known[data] = redact_bytes(data, scanner=self.scanner)
        self.texts += clean != data
        return clean

    def vector(self, data: bytes) -> bytes:
        """An argument vector, each argument ended by a NUL."""
        clean = redact_arguments(data, scanner=self.scanner)
        self.texts += clean != data
        return clean

    def command(self, command: tuple[str, ...]) -> tuple[str, ...]:
        """The command of a run."""
        if not command:
            return command
        data = b"\0".join(word.encode("utf-8", "surrogateescape") for word in command)
        return tuple(word.decode("utf-8", "surrogateescape") for word in self.vector(data).split(b"\0"))

    def slice(self, raw: RawSlice, rings: dict[str, bytearray]) -> RawSlice:
        """The slice with these rings, and its notes."""
        return replace(
            raw,
            rings=rings,
            notes=tuple(self._line(note) for note in raw.notes),
            unheard=tuple(replace(unheard, exe=self._line(unheard.exe)) for unheard in raw.unheard),
        )

    def _line(self, text: str) -> str:
        return self.text(text.encode("utf-8", "surrogateescape")).decode("utf-8", "surrogateescape")


def told(tally: Tally, texts: int) -> list[str]:
    """What was replaced, in words."""
    lines = [f"replaced {plural(tally.secrets, 'secret')} in plaintext and {plural(texts, 'text')} of records"]
    if tally.bodies:
        lines.append(
            f"replaced {plural(tally.bodies, 'body')} ({size(tally.body_bytes)}) whole: compressed and with a secret,"
            " or too large to look at"
        )
    if tally.foreign_bytes:
        connections = plural(tally.foreign_connections, "connection")
        lines.append(f"replaced {size(tally.foreign_bytes)} of {connections} that are not HTTP/1, whole")
    return lines


def _shown(reader: CaptureReader, doing: str) -> Iterator[RawSlice]:
    with progress(doing, reader.size_bytes) as tell:
        for raw in reader.slices():
            yield raw
            tell(reader.read_bytes)
