"""A connection's two directions joined into exchanges: which direction asks, which answer belongs to which request."""

from collections import deque
from itertools import islice
from typing import NamedTuple, TypeAlias

from intact.assemble.body import BodyReader, Held
from intact.assemble.exchange import Exchange, begin
from intact.assemble.http1 import (
    Body,
    End,
    Event,
    Gap,
    Lost,
    Malformed,
    MessageReader,
    RequestHead,
    ResponseHead,
    Upgraded,
    header,
)
from intact.assemble.streams import Piece, Stream
from intact.model.facts import Chunk

# Browsers stopped at 8; more is an attack.
MAX_UNANSWERED = 256
# So much without a single message is another protocol.
MAX_SEEK_BYTES = 1024 * 1024


class RequestWhole(NamedTuple):
    """The request has been sent, or cannot be followed further (`request_cut`)."""

    exchange: Exchange


class ResponseData(NamedTuple):
    """Decoded bytes of a response body that have just come."""

    exchange: Exchange
    data: bytes
    at_ns: int


class ResponseHole(NamedTuple):
    """Bytes of a response body are missing here."""

    exchange: Exchange


class Ended(NamedTuple):
    """Nothing more will be known of this exchange."""

    exchange: Exchange


Notice: TypeAlias = RequestWhole | ResponseData | ResponseHole | Ended


class Connection:
    """Takes chunks, tells what they complete."""

    def __init__(self, first: Chunk, *, held: Held) -> None:
        self.process_id = first.process_id
        self.cause: str | None = None
        """Why bytes that belong to no message do not, where it is known."""
        self._held = held
        self._chunk = first
        self._streams = {True: Stream(), False: Stream()}
        self._readers = {is_write: MessageReader(answered_method=self._answered_method) for is_write in (True, False)}
        # Chunks of which some bytes are not understood yet, by the offset of their first byte.
        self._origins: dict[bool, deque[tuple[int, Chunk]]] = {True: deque(), False: deque()}
        self._unanswered: deque[Exchange] = deque()
        self._asking: Exchange | None = None
        self._answering: Exchange | None = None
        self._response_lost = 0  # bytes lost between answers, or that may have held some
        self._told_skipped = 0

    @property
    def waits_for(self) -> tuple[int | None, ...]:
        """For which offset each direction holds chunks back; that of none is None."""
        return tuple(stream.waits_for for stream in self._streams.values())

    @property
    def holds_back(self) -> bool:
        """Whether chunks wait for one that has not come."""
        return any(offset is not None for offset in self.waits_for)

    def take(self, chunk: Chunk) -> list[Notice]:
        """What this chunk completes."""
        other = self._streams[not chunk.is_write]
        # An answer must not overtake its request: the hole before that is waited for no longer.
        ahead = self._read(other.give_up()) if other.holds_before(chunk.at_ns) else []
        return ahead + self._read(self._streams[chunk.is_write].add(chunk))

    def give_up(self) -> list[Notice]:
        """Wait no longer for chunks that have not come."""
        return [notice for stream in self._streams.values() for notice in self._read(stream.give_up())]

    def end(self, problem: str) -> list[Notice]:
        """The connection is gone; whatever is unfinished stays so, for this reason."""
        notices = self.give_up()
        for reader in sorted(self._readers.values(), key=lambda reader: not reader.is_request):
            under_way = self._asking if reader.is_request else self._answering
            if under_way and reader.in_message and not reader.lasts_until_close:
                under_way.cut(problem)
            self._take_events(reader, reader.close(), notices)
        self._close_all(problem, notices)
        return notices

    def abandon(self, cause: str) -> list[Exchange]:
        """Read no more of it; gives the exchanges that were under way, which hold nothing any longer."""
        self._stop(cause)
        under_way = list(self._unanswered)
        for exchange in under_way:
            exchange.request_body.release()
            if exchange.response_body is not None:
                exchange.response_body.release()
        self._unanswered.clear()
        self._asking = self._answering = None
        return under_way

    def skipped(self) -> tuple[str, int]:
        """Bytes that belong to no message since the last time this was asked, and why."""
        total = sum(reader.skipped_bytes for reader in self._readers.values())
        count, self._told_skipped = total - self._told_skipped, total
        found = any(reader.found for reader in self._readers.values())
        return self.cause or ("midway" if found else "not_http"), count

    def _answered_method(self, ahead: int) -> str | None:
        exchange = self._next_unanswered(ahead)
        return exchange.request.method if exchange else None

    def _next_unanswered(self, ahead: int = 0) -> Exchange | None:
        open_ones = (exchange for exchange in self._unanswered if exchange.response is None)
        return next(islice(open_ones, ahead, None), None)

    def _read(self, pieces: list[Piece]) -> list[Notice]:
        notices: list[Notice] = []
        for piece in pieces:
            self._chunk = piece.chunk
            reader, other = self._readers[piece.chunk.is_write], self._readers[not piece.chunk.is_write]
            if piece.missing_before:
                self._take_events(reader, reader.gap(piece.missing_before), notices)
            origins = self._origins[piece.chunk.is_write]
            origins.append((reader.fed_to, piece.chunk))
            events = reader.feed(piece.data)
            if reader.is_request is not None and other.is_request is None:
                other.is_request = not reader.is_request
            self._take_events(reader, events, notices)
            if piece.missing_after:
                self._take_events(reader, reader.gap(piece.missing_after), notices)
            while len(origins) > 1 and origins[1][0] <= reader.read_to:
                origins.popleft()
            if not reader.found:
                self._judge(reader)
        return notices

    def _origin(self, offset: int) -> Chunk:
        """The chunk that brought the byte at this offset of the direction being read."""
        origins = self._origins[self._chunk.is_write]
        return next(chunk for start, chunk in reversed(origins) if start <= offset)

    def _judge(self, reader: MessageReader) -> None:
        """Stop reading what is not HTTP/1."""
        if reader.begins_http2:
            self._stop("http2")
        elif reader.skipped_bytes > MAX_SEEK_BYTES and not any(each.found for each in self._readers.values()):
            self._stop("not_http")

    def _stop(self, cause: str) -> None:
        self.cause = self.cause or cause
        for reader in self._readers.values():
            reader.stop()

    def _take_events(self, reader: MessageReader, events: list[Event], notices: list[Notice]) -> None:
        take = self._request_event if reader.is_request else self._response_event
        for event in events:
            if isinstance(event, Malformed):
                self._stop("malformed")
                self._close_all(event.problem, notices)
            else:
                take(event, notices)

    def _request_event(self, event: Event, notices: list[Notice]) -> None:
        if isinstance(event, RequestHead):
            self._begin(event, notices)
        elif self._asking is None:
            return
        elif isinstance(event, Body):
            self._asking.request_body.add(event.data)
        elif isinstance(event, Gap):
            self._asking.request_body.skip(event.size)
        elif isinstance(event, Lost):
            self._asking.lost_bytes += event.size
            self._asking.blame("request cut: bytes missing")
            self._asked(notices, is_cut=True)
        elif isinstance(event, End):
            self._asked(notices, is_cut=False)

    def _begin(self, head: RequestHead, notices: list[Notice]) -> None:
        if self._response_lost:
            # A client asks again when it has its answer: those of the open requests went by unseen.
            self._close_all("response not seen: bytes missing", notices)
        if len(self._unanswered) >= MAX_UNANSWERED:
            self._stop("malformed")
            self._close_all(f"more than {MAX_UNANSWERED} requests without an answer", notices)
            return
        self._asking = begin(self._origin(head.offset), head, BodyReader(head.headers, held=self._held))
        self._unanswered.append(self._asking)

    def _asked(self, notices: list[Notice], *, is_cut: bool) -> None:
        exchange, self._asking = self._asking, None
        assert exchange is not None
        exchange.request_cut = is_cut
        if not is_cut:
            exchange.request_end_ns = exchange.last_ns = self._chunk.at_ns
        notices.append(RequestWhole(exchange))
        if exchange.response_end_ns is not None:
            self._finish(exchange, notices)

    def _response_event(self, event: Event, notices: list[Notice]) -> None:
        if isinstance(event, ResponseHead):
            self._answer(event, notices)
            return
        if isinstance(event, Lost):
            self._response_lost += max(event.size, 1)
        exchange = self._answering
        if exchange is None or exchange.response_body is None:
            return
        if isinstance(event, Body):
            exchange.last_ns = self._chunk.at_ns
            if data := exchange.response_body.add(event.data):
                notices.append(ResponseData(exchange, data, self._chunk.at_ns))
        elif isinstance(event, Gap):
            exchange.response_body.skip(event.size)
            notices.append(ResponseHole(exchange))
        elif isinstance(event, Upgraded):
            self._upgrade(exchange, notices)
        elif isinstance(event, Lost):
            exchange.cut("response cut: bytes missing", missing_bytes=event.size)
            self._finish(exchange, notices)
        elif isinstance(event, End):
            exchange.response_end_ns = exchange.last_ns = self._chunk.at_ns
            self._answering = None
            if exchange is not self._asking:
                self._finish(exchange, notices)

    def _answer(self, head: ResponseHead, notices: list[Notice]) -> None:
        if self._response_lost:
            self._pass_over(self._origin(head.offset).at_ns, notices)
        began_ns = self._origin(head.offset).at_ns
        exchange = self._next_unanswered()
        if exchange is not None and began_ns < exchange.started_ns:
            exchange = None
        self._answering = exchange
        if exchange is None:
            return  # its request was before our time, or its head was lost
        exchange.response = head
        exchange.first_byte_ns = began_ns
        exchange.last_ns = self._chunk.at_ns
        exchange.response_body = BodyReader(head.headers, held=self._held)
        if self._response_lost:
            # Its own answer may be among what was lost, and the request that this one answers too.
            exchange.cut("response may be another's: bytes missing before it", missing_bytes=self._response_lost)
            self._response_lost = 0

    def _pass_over(self, at_ns: int, notices: list[Notice]) -> None:
        """After lost bytes an answer is to the last request before it: those of earlier ones are among the lost."""
        waiting = [each for each in self._unanswered if each.response is None and each.started_ns <= at_ns]
        for exchange in waiting[:-1]:
            exchange.cut("response not seen: bytes missing")
            self._finish(exchange, notices)

    def _upgrade(self, exchange: Exchange, notices: list[Notice]) -> None:
        assert exchange.response is not None
        protocol = _protocol(
            header(exchange.response.headers, "upgrade") or header(exchange.request.headers, "upgrade")
        )
        exchange.blame(f"upgraded to {protocol}: not decoded")
        exchange.response_end_ns = self._chunk.at_ns
        self._stop("upgraded")
        self._finish(exchange, notices)

    def _finish(self, exchange: Exchange, notices: list[Notice]) -> None:
        self._unanswered.remove(exchange)
        if exchange is self._asking:
            self._asking = None
            exchange.request_cut = True
            notices.append(RequestWhole(exchange))
        if exchange is self._answering:
            self._answering = None
        notices.append(Ended(exchange))

    def _close_all(self, problem: str, notices: list[Notice]) -> None:
        self._response_lost = 0
        for exchange in list(self._unanswered):
            exchange.cut(problem)
            self._finish(exchange, notices)


def _protocol(upgrade: str) -> str:
    name = upgrade.partition(",")[0].strip().lower()
    return name if name.isascii() and name.replace("-", "").replace("/", "").replace(".", "").isalnum() else "a tunnel"
