"""The ground truth of capture tests: what the stand-in received and sent, byte for byte.

`conn-N.in` and `conn-N.out` hold the plaintext of connection N in order; `exchanges.jsonl` has one object for
each HTTP exchange, with offsets into those two files.
"""

import hashlib
import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

EXCHANGES = "exchanges.jsonl"


@dataclass(slots=True, kw_only=True)
class Exchange:
    """One request and its response; filled in while it is served, written once at its end.

    A *body* is what is left when the transfer coding is gone; *content* is the body without content coding.
    """

    connection: int
    client_address: str
    client_port: int
    method: str
    target: str
    wire_api: str = ""
    """Empty: not a model request."""
    call_index: int | None = None
    """Numbers the model requests of one stand-in, in the order they came."""
    script: str = ""
    step: int | None = None
    """The step served; None for a side answer."""
    request_start: int = 0
    request_end: int = 0
    request_body_bytes: int = 0
    request_body_sha256: str = ""
    request_content_sha256: str = ""
    response_start: int = 0
    response_end: int = 0
    response_status: int = 0
    response_coding: str = "none"
    response_body_bytes: int = 0
    response_body_sha256: str = ""
    response_content_bytes: int = 0
    response_content_sha256: str = ""
    response_complete: bool = False
    """False where the client left early or the script dropped the connection."""
    request_started_ns: int = 0
    request_ended_ns: int = 0
    response_started_ns: int = 0
    response_ended_ns: int = 0
    answer: dict[str, Any] = field(default_factory=dict)
    """What a reader of the wire API must find: model, text, tool calls, usage, response id, finish reason."""


class ExchangeLog:
    """Writes the files of one stand-in."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        self._exchanges = (folder / EXCHANGES).open("a", encoding="utf-8")

    def open_connection(self, number: int) -> tuple[BinaryIO, BinaryIO]:
        """The two byte logs of a connection, unbuffered: a test may read them while the stand-in runs."""
        base = self._folder / f"conn-{number}"
        return base.with_suffix(".in").open("wb", buffering=0), base.with_suffix(".out").open("wb", buffering=0)

    def write(self, exchange: Exchange) -> None:
        """Append one finished exchange."""
        self._exchanges.write(json.dumps(asdict(exchange)) + "\n")
        self._exchanges.flush()


def read_exchanges(folder: Path) -> list[Exchange]:
    """All finished exchanges of a log, in the order they ended."""
    path = folder / EXCHANGES
    lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    return [Exchange(**json.loads(line)) for line in lines]


def request_bytes(folder: Path, exchange: Exchange) -> bytes:
    """The whole request, as the client sent it."""
    received = (folder / f"conn-{exchange.connection}.in").read_bytes()
    return received[exchange.request_start : exchange.request_end]


def response_bytes(folder: Path, exchange: Exchange) -> bytes:
    """The whole response, as it was sent."""
    sent = (folder / f"conn-{exchange.connection}.out").read_bytes()
    return sent[exchange.response_start : exchange.response_end]


def sha256(data: bytes) -> str:
    """The digest in hexadecimal."""
    return hashlib.sha256(data).hexdigest()
