"""Server-sent events as a client reads them, also from a server that goes away."""

import contextlib
import http.client
import json
import socket
from collections.abc import Callable
from typing import Any

from tests.serve.running import Server

Heard = list[tuple[str, dict[str, Any]]]


def events_of(body: bytes) -> Heard:
    """The ids and the objects of a stream; what is not whole is left out."""
    found = []
    for block in body[: body.rfind(b"\n\n") + 2].decode().split("\n\n"):
        fields = dict(line.partition(": ")[::2] for line in block.splitlines() if not line.startswith(":"))
        if "data" in fields:
            found.append((fields["id"], json.loads(fields["data"])))
    return found


def text_of(events: Heard) -> str:
    return "".join(event["message"] for _, event in events if event["type"] == "token")


def kinds_of(events: Heard) -> list[str]:
    return [event["type"] for _, event in events]


def listen_until(
    server: Server, message: str, is_enough: Callable[[bytes], bool], *, token: str | None = None
) -> tuple[Heard, http.client.HTTPConnection]:
    """Ask, and read until there is enough; the connection is left open."""
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)
    heard, response = _ask(connection, message, token)
    while not is_enough(heard):
        piece = response.read1(65536)
        if not piece:
            break
        heard += piece
    return events_of(heard), connection


def listen_while_it_lives(server: Server, message: str) -> Heard:
    """Ask, and read until the end or until the server is gone."""
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)
    heard = b""
    with contextlib.suppress(http.client.HTTPException, ConnectionError, socket.timeout):
        heard, response = _ask(connection, message, None)
        while piece := response.read1(65536):
            heard += piece
    connection.close()
    return events_of(heard)


def _ask(
    connection: http.client.HTTPConnection, message: str, token: str | None
) -> tuple[bytes, http.client.HTTPResponse]:
    headers = {"Content-Type": "application/json"}
    if token is not None:
        headers["Authorization"] = f"Bearer {token}"
    connection.request("POST", "/api/chat", json.dumps({"message": message}), headers)
    response = connection.getresponse()
    assert response.status == 200, response.read()
    return b"", response


def is_gap_free(events: Heard) -> bool:
    return [int(number) for number, _ in events] == list(range(1, len(events) + 1))
