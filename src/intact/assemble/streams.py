"""One direction of a connection as ordered bytes: chunks in order of their offsets, and the holes between them."""

from typing import NamedTuple

from intact.model.facts import Chunk

# Chunks that came before their turn: two threads that share a connection are at most a few records apart.
MAX_EARLY_BYTES = 1024 * 1024


class Piece(NamedTuple):
    """Bytes in their turn; `gap` bytes were lost before them."""

    chunk: Chunk
    data: bytes
    gap: int


class Stream:
    """Puts chunks in order. What overlaps is told once; a hole is waited for until `give_up` or too much has come after it."""

    def __init__(self) -> None:
        self._next: int | None = None
        self._gap = 0
        self._early: list[Chunk] = []

    @property
    def is_waiting(self) -> bool:
        """Whether chunks are held back for one that has not come."""
        return bool(self._early)

    def add(self, chunk: Chunk) -> list[Piece]:
        """The pieces that are in their turn now."""
        if self._next is None:
            self._next = chunk.stream_offset
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
        pieces = []
        for chunk in sorted(self._early, key=lambda early: early.stream_offset):
            assert self._next is not None
            if chunk.stream_offset > self._next:
                self._gap += chunk.stream_offset - self._next
                self._next = chunk.stream_offset
            pieces.append(self._piece(chunk))
        self._early.clear()
        return pieces

    @property
    def trailing_gap(self) -> int:
        """Bytes known to be lost after the last piece."""
        return self._gap

    def _piece(self, chunk: Chunk) -> Piece:
        assert self._next is not None
        data = chunk.data[self._next - chunk.stream_offset :]
        end = chunk.stream_offset + len(chunk.data) + chunk.missing_bytes
        piece = Piece(chunk, data, self._gap)
        self._gap = 0
        if end > self._next:
            self._gap = min(chunk.missing_bytes, end - self._next)
            self._next = end
        return piece
