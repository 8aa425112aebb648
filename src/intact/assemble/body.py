"""One message body: transfer already undone, content coding undone here, kept within bounds."""

from collections.abc import Callable

from intact.assemble.coding import CodingError, Decoder, decoder
from intact.assemble.http1 import Headers, header

# A dialogue with a model is text; what is larger is a download.
MAX_BODY_BYTES = 64 * 1024 * 1024
# An archive or an image tells no words: its beginning is enough to know it by.
MAX_BINARY_BODY_BYTES = 1024 * 1024
# All unfinished bodies together, so that many connections cannot do what one may not.
MAX_HELD_BYTES = 96 * 1024 * 1024

_TEXT_TYPES = ("text/", "application/json", "application/x-ndjson", "application/x-www-form-urlencoded")


class Held:
    """How many bytes all unfinished bodies hold, and how many one may."""

    def __init__(
        self, *, max_bytes: int = MAX_HELD_BYTES, max_body_bytes: Callable[[], int] = lambda: MAX_BODY_BYTES
    ) -> None:
        self.size = 0
        self.max_bytes = max_bytes
        self.max_body_bytes = max_body_bytes


class BodyReader:
    """Collects a body and hands out each newly decoded piece."""

    def __init__(self, headers: Headers, *, held: Held) -> None:
        self.data = bytearray()
        self.missing_bytes = 0
        """Bytes that were not seen or not kept; of a compressed body: compressed ones."""
        self.problem: str | None = None
        self._held = held
        self._max_bytes = min(MAX_BODY_BYTES if _is_text(headers) else MAX_BINARY_BODY_BYTES, held.max_body_bytes())
        self._decoder: Decoder | None = None
        self._is_stopped = False
        try:
            self._decoder = decoder(header(headers, "content-encoding"))
        except CodingError as error:
            self.problem = str(error)

    def add(self, data: bytes) -> bytes:
        """Take bytes of the body; gives what they decode to."""
        if self._is_stopped:
            self.missing_bytes += len(data)
            return b""
        start = len(self.data)
        if self._decoder is None:
            self._keep(data)
        else:
            self._decode(data)
        return bytes(self.data[start:])

    def skip(self, size: int) -> None:
        """Bytes were not seen here."""
        self.missing_bytes += size
        if self._decoder is not None and not self._is_stopped:
            self._stop("bytes missing inside a compressed body")

    def release(self) -> bytes:
        """The body; this reader holds it no longer."""
        data = bytes(self.data)
        self._held.size -= len(data)
        self.data = bytearray()
        self._is_stopped = True
        return data

    def _decode(self, data: bytes) -> None:
        assert self._decoder is not None
        try:
            for piece in self._decoder.feed(data):
                self._keep(piece)
                if self._is_stopped:
                    break
        except CodingError as error:
            self.missing_bytes += len(data)
            self._stop(str(error))

    def _keep(self, piece: bytes) -> None:
        room = max(min(self._max_bytes - len(self.data), self._held.max_bytes - self._held.size), 0)
        kept = piece[:room]
        self.data += kept
        self._held.size += len(kept)
        if len(piece) > room:
            self.missing_bytes += len(piece) - room
            if len(self.data) < self._max_bytes:
                self._stop(f"body not kept: unfinished bodies hold {self._held.max_bytes} bytes")
            else:
                self._stop(f"body longer than {self._max_bytes} bytes")

    def _stop(self, problem: str) -> None:
        self._is_stopped = True
        self.problem = self.problem or problem


def _is_text(headers: Headers) -> bool:
    content_type = header(headers, "content-type").lower()
    # Some agents send JSON and do not say so.
    return not content_type or content_type.startswith(_TEXT_TYPES) or "json" in content_type or "xml" in content_type
