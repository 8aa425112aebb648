"""The stage: chunks in, exchanges, calls and tool calls out, and no secret in anything that passes."""

from collections.abc import Callable, Iterable, Iterator

from intact.assemble.body import MAX_BODY_BYTES, Held
from intact.assemble.calls import Calls
from intact.assemble.clean import asked_exchange, clean_exchange, clean_process
from intact.assemble.columns import ColumnRedactor
from intact.assemble.connection import Connection, Ended, Notice, RequestWhole, ResponseData, ResponseHole
from intact.assemble.redact import Redactor
from intact.model.facts import Chunk, ConnectionEnd, Fact, Loss, Process, StageCount
from intact.model.slice import Slice

STAGE = "assemble"
# Each costs a few kilobytes; an agent has tens.
MAX_CONNECTIONS = 4096
# How often the ledger is told what was read.
COUNT_EVERY_NS = 1_000_000_000


def assemble(
    slices: Iterable[Slice], *, redaction_key: bytes = b"", max_body_bytes: Callable[[], int] = lambda: MAX_BODY_BYTES
) -> Iterator[Slice]:
    """Chunks to `HttpExchange`, `LlmCall` and `ToolCall`; secrets are removed from them and from all that passes through.

    `Chunk` and `ConnectionEnd` end here. `redaction_key` keys the labels that stand in the place of secrets. `max_body_bytes`,
    asked when a body begins, bounds what of it is kept.
    """
    assembler = _Assembler(Redactor(redaction_key), Held(max_body_bytes=max_body_bytes))
    until_ns = 0
    for given in slices:
        until_ns = given.until_ns
        yield assembler.slice(given)
    facts = assembler.finish(until_ns)
    if facts:
        yield Slice(until_ns=until_ns, facts=tuple(facts))


class _Assembler:
    """All connections of a recording."""

    def __init__(self, redactor: Redactor, held: Held) -> None:
        self._redactor = redactor
        self._columns = ColumnRedactor(redactor)
        self._calls = Calls(redactor)
        self._held = held
        self._connections: dict[int, Connection] = {}
        # Connections that hold chunks back, and for which offsets they did at the end of the last slice.
        self._holding: set[int] = set()
        self._waiting: dict[int, tuple[int | None, ...]] = {}
        self._seen = 0
        self._lost = 0
        self._redacted = 0
        self._counted_ns: int | None = None

    def slice(self, given: Slice) -> Slice:
        """The slice without chunks, with what they complete."""
        facts: list[Fact] = []
        overdue = self._waiting
        for fact in given.facts:
            if isinstance(fact, Chunk):
                facts += self._chunk(fact)
            elif isinstance(fact, ConnectionEnd):
                facts += self._end(fact.connection_id, "connection ended", fact.at_ns)
            elif isinstance(fact, Process):
                facts.append(clean_process(fact, self._redactor))
            else:
                facts.append(fact)
        for connection_id, waited_for in overdue.items():
            # What a chunk waited for through a whole slice will not come.
            connection = self._connections.get(connection_id)
            if connection is not None and connection.waits_for == waited_for:
                facts += self._read(connection_id, connection, connection.give_up, given.until_ns)
        holding = ((number, self._connections.get(number)) for number in self._holding)
        self._waiting = {number: each.waits_for for number, each in holding if each is not None and each.holds_back}
        self._holding = set(self._waiting)
        effects = {family: self._columns.batch(family, batch) for family, batch in given.effects.items()}
        if self._counted_ns is None:
            self._counted_ns = given.until_ns
        elif given.until_ns - self._counted_ns >= COUNT_EVERY_NS:
            facts += self._count(given.until_ns)
        return Slice(until_ns=given.until_ns, facts=tuple(facts), effects=effects, links=given.links)

    def finish(self, at_ns: int) -> list[Fact]:
        """What is unfinished when the recording ends."""
        facts: list[Fact] = []
        for connection_id in list(self._connections):
            facts += self._end(connection_id, "recording ended", at_ns)
        return facts + self._count(at_ns)

    def _chunk(self, chunk: Chunk) -> list[Fact]:
        facts: list[Fact] = []
        connection = self._connections.pop(chunk.connection_id, None)
        if connection is None:
            connection = Connection(chunk, held=self._held)
            if len(self._connections) >= MAX_CONNECTIONS:
                oldest = next(iter(self._connections))
                facts += self._end(oldest, "forgotten: too many connections", chunk.at_ns)
                facts.append(
                    Loss(
                        stage="assemble.connections", cause="too_many", count=1, at_ns=chunk.at_ns, connection_id=oldest
                    )
                )
        self._connections[chunk.connection_id] = connection
        self._seen += len(chunk.data)
        facts += self._read(chunk.connection_id, connection, lambda: connection.take(chunk), chunk.at_ns)
        if connection.holds_back:
            self._holding.add(chunk.connection_id)
        return facts

    def _end(self, connection_id: int, problem: str, at_ns: int) -> list[Fact]:
        connection = self._connections.pop(connection_id, None)
        if connection is None:
            return []
        facts = self._read(connection_id, connection, lambda: connection.end(problem), at_ns)
        return facts + self._skipped(connection_id, connection, at_ns)

    def _read(
        self, connection_id: int, connection: Connection, read: Callable[[], list[Notice]], at_ns: int
    ) -> list[Fact]:
        """What reading tells. The bytes are hostile and the readers ours: a mistake costs one connection, and is told."""
        try:
            return self._facts(read())
        except Exception as error:
            for exchange in connection.abandon("failed"):
                self._calls.forget(exchange)
            loss = Loss(
                stage="assemble.connections",
                cause="failed",
                count=1,
                at_ns=at_ns,
                process_id=connection.process_id,
                connection_id=connection_id,
                note=f"a connection could not be read: {type(error).__name__}",
            )
            return [loss]

    def _facts(self, notices: list[Notice]) -> list[Fact]:
        facts: list[Fact] = []
        for notice in notices:
            if isinstance(notice, ResponseData):
                facts += self._calls.response_data(notice.exchange, notice.data, notice.at_ns)
            elif isinstance(notice, ResponseHole):
                self._calls.response_hole(notice.exchange)
            elif isinstance(notice, RequestWhole) and notice.exchange.is_server:
                # Told before it is answered: a gateway asks on meanwhile, and has to be known for what it is by then.
                facts.append(asked_exchange(notice.exchange, self._redactor))
            elif isinstance(notice, RequestWhole):
                facts += self._calls.request_whole(notice.exchange)
            elif isinstance(notice, Ended):
                facts += self._calls.ended(notice.exchange)
                facts.append(clean_exchange(notice.exchange, self._redactor))
        return facts

    def _skipped(self, connection_id: int, connection: Connection, at_ns: int) -> list[Fact]:
        cause, count = connection.skipped()
        if not count:
            return []
        self._lost += count
        note = "HTTP/2 is not decoded" if cause == "http2" else None
        return [
            Loss(
                stage=STAGE,
                cause=cause,
                count=count,
                at_ns=at_ns,
                process_id=connection.process_id,
                connection_id=connection_id,
                note=note,
            )
        ]

    def _count(self, at_ns: int) -> list[Fact]:
        """What the ledger is told: bytes read and bytes that belong to no message; secrets replaced."""
        facts: list[Fact] = []
        for connection_id, connection in self._connections.items():
            facts += self._skipped(connection_id, connection, at_ns)
        if self._seen:
            facts.append(StageCount(stage=STAGE, at_ns=at_ns, seen=self._seen, passed=self._seen - self._lost))
        redacted = self._redactor.count - self._redacted
        if redacted:
            facts.append(StageCount(stage="assemble.redaction", at_ns=at_ns, seen=redacted, passed=redacted))
        self._seen = self._lost = 0
        self._redacted = self._redactor.count
        self._counted_ns = at_ns
        return facts
