"""One request and its response while they are under way."""

import re
from dataclasses import dataclass

from intact.assemble.body import BodyReader
from intact.assemble.http1 import RequestHead, ResponseHead, header
from intact.model.facts import Chunk
from intact.model.identity import text_id

_HOST = re.compile(r"(?P<address>[A-Za-z0-9._-]{1,253}|\[[0-9A-Fa-f:.]{2,45}\])(?::(?P<port>[0-9]{1,5}))?\Z")


@dataclass(slots=True, kw_only=True, eq=False)
class Exchange:
    """What is known of it so far; becomes an `HttpExchange` when it has ended."""

    id: int
    process_id: int
    pid: int
    tid: int
    connection_id: int
    is_server: bool
    request: RequestHead
    request_body: BodyReader
    server_address: str | None
    server_port: int | None
    started_ns: int
    request_end_ns: int | None = None
    request_cut: bool = False
    response: ResponseHead | None = None
    response_body: BodyReader | None = None
    first_byte_ns: int | None = None
    response_end_ns: int | None = None
    last_ns: int = 0
    lost_bytes: int = 0
    problem: str | None = None
    hides_secret: bool = False
    understood_end_ns: int | None = None
    """When the response said that it was over, whatever its framing still owed."""

    @property
    def missing_bytes(self) -> int:
        """Bytes of either message that were not seen or not kept."""
        response = self.response_body.missing_bytes if self.response_body else 0
        return self.lost_bytes + self.request_body.missing_bytes + response

    @property
    def is_whole(self) -> bool:
        """Whether request and response were seen to their ends; a client may stop reading at what it knows to be the end."""
        response_over = self.response_end_ns is not None or self.understood_end_ns is not None
        return self.request_end_ns is not None and response_over and not self.missing_bytes and not self.request_cut

    @property
    def ended_ns(self) -> int:
        """When the response ended, or what is known of it did."""
        return self.understood_end_ns or self.response_end_ns or self.last_ns

    def blame(self, problem: str) -> None:
        """Say what went wrong; the first thing that did is the cause of the rest."""
        self.problem = self.problem or problem

    def cut(self, problem: str, *, missing_bytes: int = 0) -> None:
        """The response goes no further; what is owed after its own end does not matter."""
        if self.understood_end_ns is None and self.response_end_ns is None:
            self.lost_bytes += missing_bytes
            self.blame(problem)

    @property
    def all_problems(self) -> str | None:
        """What went wrong with the exchange or one of its bodies."""
        bodies = (self.request_body, self.response_body)
        return self.problem or next((body.problem for body in bodies if body and body.problem), None)


def begin(chunk: Chunk, head: RequestHead, body: BodyReader) -> Exchange:
    """The exchange that a request opens; its id is where on which connection it began."""
    address, port = _server(chunk, head)
    return Exchange(
        id=text_id("exchange", chunk.connection_id, chunk.is_write, head.offset),
        process_id=chunk.process_id,
        pid=chunk.pid,
        tid=chunk.tid,
        connection_id=chunk.connection_id,
        is_server=not chunk.is_write,
        request=head,
        request_body=body,
        server_address=address,
        server_port=port,
        started_ns=chunk.at_ns,
        last_ns=chunk.at_ns,
    )


def _server(chunk: Chunk, head: RequestHead) -> tuple[str | None, int | None]:
    """The server as the client named it; else the peer's address."""
    peer = (chunk.peer_address, chunk.peer_port) if chunk.is_write else (None, None)
    match = _HOST.match(header(head.headers, "host"))
    if match is None:
        return peer
    port = int(match["port"]) if match["port"] else peer[1]
    return match["address"].strip("[]"), port
