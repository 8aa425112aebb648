"""Server-sent events from a byte stream, in whatever pieces it arrives (WHATWG HTML section 9.2.6)."""

from typing import NamedTuple

# `response.completed` repeats a whole answer, and may hold an image.
MAX_EVENT_BYTES = 16 * 1024 * 1024


class ServerSentEvent(NamedTuple):
    """One event; `event` is empty where the stream names none."""

    event: str
    data: bytes


class SseReader:
    """Lines end in LF, CR or CRLF; comments are dropped; an event above `max_bytes` is dropped and counted."""

    def __init__(self, *, max_bytes: int = MAX_EVENT_BYTES) -> None:
        self.oversized = 0
        """Events that were too large to keep."""
        self._max_bytes = max_bytes
        self._after_cr = False
        self._line: list[bytes] = []
        self._line_bytes = 0
        self._event = ""
        self._data: list[bytes] = []
        self._data_bytes = 0
        self._too_large = False

    def feed(self, data: bytes) -> list[ServerSentEvent]:
        """The events that these bytes complete."""
        if self._after_cr and data:
            self._after_cr = False
            data = data.removeprefix(b"\n")
        if b"\r" in data:
            self._after_cr = data.endswith(b"\r")
            data = data.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        events: list[ServerSentEvent] = []
        *lines, rest = data.split(b"\n")
        for line in lines:
            if self._line:
                self._line.append(line)
                line = b"".join(self._line)
                self._line.clear()
            self._line_bytes = 0
            self._take(line, events)
        if rest:
            self._line_bytes += len(rest)
            if self._line_bytes > self._max_bytes:
                self._drop_event()
                # Not an empty line: that would end the event.
                self._line = [b":"]
            else:
                self._line.append(rest)
        return events

    def gap(self) -> None:
        """Bytes are missing here: the event under way is dropped."""
        self._drop_event()
        self._too_large = False
        self._event = ""
        self._line = [b":"]

    def finish(self) -> list[ServerSentEvent]:
        """The stream has ended; some servers leave out the last empty line."""
        return self.feed(b"\n\n")

    def _drop_event(self) -> None:
        self._too_large = True
        self._data.clear()
        self._data_bytes = 0

    def _take(self, line: bytes, events: list[ServerSentEvent]) -> None:
        if not line:
            if self._too_large:
                self.oversized += 1
            elif self._data:
                events.append(ServerSentEvent(self._event, b"\n".join(self._data)))
            self._event, self._data_bytes, self._too_large = "", 0, False
            self._data.clear()
        elif len(line) > self._max_bytes:
            self._drop_event()
        elif line.startswith(b"data:"):
            self._keep(line[6:] if line[5:6] == b" " else line[5:])
        elif line == b"data":
            self._keep(b"")
        elif line.startswith(b"event:"):
            self._event = line[6:262].removeprefix(b" ").decode("utf-8", "replace")

    def _keep(self, value: bytes) -> None:
        # One more for the line end, so that empty lines cannot pile up either.
        self._data_bytes += len(value) + 1
        if self._data_bytes > self._max_bytes:
            self._drop_event()
        elif not self._too_large:
            self._data.append(value)
