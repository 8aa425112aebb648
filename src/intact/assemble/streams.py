"""One direction of a connection as ordered bytes: chunks in order of their offsets, and the holes between them."""

from typing import NamedTuple

from intact.model.facts import Chunk

# Chunks that came before their turn: two threads that share a connection are at most a few records apart.
MAX_EARLY_BYTES = 1024 * 1024


class Piece(NamedTuple):
    """Bytes in their turn, with the bytes that were lost before and after them."""

    chunk: Chunk
    data: bytes
    missing_before: int
    missing_after: int


class Stream:
    """Puts chunks in order. What overlaps is told once; a hole is waited for until `give_up` or too much has come after it."""

    def __init__(self) -> None:
        self._next = 0
        self._early: list[Chunk] = []

    @property
    def waits_for(self) -> int | None:
        """The offset for which chunks are held back; None where none are."""
        return self._next if self._early else None

    def holds_before(self, at_ns: int) -> bool:
        """Whether a chunk of an earlier time than `at_ns` is held back."""
        return any(chunk.at_ns < at_ns for chunk in self._early)

    def add(self, chunk: Chunk) -> list[Piece]:
        """The pieces that are in their turn now."""
        if chunk.stream_offset > self._next:
            self._early.append(chunk)
            if sum(len(early.data) for early in self._early) > MAX_EARLY_BYTES:
                return self.give_up()
            return []
        pieces = [self._piece(chunk)]
        while ready := [early for early in self._early if early.stream_offset <= self._next]:
            for early in ready:
                self._early.remove(early)
                pieces.append(self._piece(early))
        return pieces

    def give_up(self) -> list[Piece]:
        """Take what was held back, with the holes before it."""
        early, self._early = sorted(self._early, key=lambda chunk: chunk.stream_offset), []
        return [self._piece(chunk) for chunk in early]

    def _piece(self, chunk: Chunk) -> Piece:
        before = max(chunk.stream_offset - self._next, 0)
        data = chunk.data[self._next + before - chunk.stream_offset :]
        end = chunk.stream_offset + len(chunk.data) + chunk.missing_bytes
        after = min(chunk.missing_bytes, max(end - self._next, 0))
        self._next = max(self._next, end)
        return Piece(chunk, data, before, after)
