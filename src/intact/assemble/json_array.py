"""The elements of one JSON array, each as soon as it is whole (Gemini streams so without `alt=sse`)."""

import re

# As for a server-sent event.
MAX_ELEMENT_BYTES = 16 * 1024 * 1024

_OUTSIDE = re.compile(rb'["{}\[\]]')
_INSIDE = re.compile(rb'["\\]')


class JsonArrayReader:
    """Finds the top-level objects of an array by counting brackets; what is between them is dropped."""

    def __init__(self, *, max_bytes: int = MAX_ELEMENT_BYTES) -> None:
        self.oversized = 0
        """Elements that were too large to keep."""
        self._max_bytes = max_bytes
        self._element: list[bytes] = []
        self._held = 0
        self._depth = 0
        self._in_string = False
        self._escaped = False

    def feed(self, data: bytes) -> list[bytes]:
        """The elements that these bytes complete."""
        elements: list[bytes] = []
        start = at = 0
        if self._escaped and data:
            self._escaped = False
            at = 1
        while match := (_INSIDE if self._in_string else _OUTSIDE).search(data, at):
            mark, at = match[0], match.end()
            if mark == b'"':
                self._in_string = not self._in_string
            elif mark == b"\\":
                self._escaped = at == len(data)
                at += 1
            elif mark in b"{[":
                self._depth += 1
                if self._depth == 2:
                    start = at - 1
            else:
                self._depth -= 1
                if self._depth == 1:
                    self._hold(data[start:at])
                    self._end(elements)
                    start = at
        if self._depth > 1:
            self._hold(data[start:])
        return elements

    def _hold(self, piece: bytes) -> None:
        self._held += len(piece)
        if self._held <= self._max_bytes:
            self._element.append(piece)

    def _end(self, elements: list[bytes]) -> None:
        if self._held > self._max_bytes:
            self.oversized += 1
        else:
            elements.append(b"".join(self._element))
        self._element.clear()
        self._held = 0
