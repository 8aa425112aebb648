"""The store as lent by a running `intact serve`, over a socket in the data directory that only its owner can open."""

import base64
import contextlib
import http.client
import json
import os
import socket
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from intact.model.errors import IntactError
from intact.store.database import Database
from intact.store.runs import DataDirectory
from intact.store.tables import DATABASE, Table

SOCKET_FILE = "serve.sock"
FORMAT = 1
# A question may take as long as the engine lets it, and may wait for others.
ANSWER_S = 120.0
INGEST_S = 60.0


class ServeGone(IntactError):
    """The serve that lent the store has ended."""


@contextlib.contextmanager
def socket_address(data: DataDirectory) -> Iterator[str]:
    """The socket's address, short enough for the kernel however deep the data directory is."""
    fd = os.open(data.path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield f"/proc/self/fd/{fd}/{SOCKET_FILE}" if os.path.isdir("/proc/self/fd") else str(data.path / SOCKET_FILE)
    finally:
        os.close(fd)


def serve_of(data: DataDirectory) -> "RemoteDatabase | None":
    """The store of a data directory if a serve holds it; None if none runs, or another version's does."""
    if not (data.path / SOCKET_FILE).exists():
        return None
    remote = RemoteDatabase(data)
    try:
        status, body = _ask(data, "GET", "/local/hello", None, timeout_s=5.0)
    except ServeGone:
        return None
    return remote if status == 200 and json.loads(body).get("format") == FORMAT else None


@dataclass(frozen=True, slots=True)
class _Result:
    body: bytes

    def bytes(self) -> bytes:
        return self.body


class _Connection:
    """What a connection of the engine is to those who ask: settings that stay, and queries."""

    def __init__(self, data: DataDirectory) -> None:
        self._data = data
        self._setup: list[str] = []

    def query(self, sql: str, output: str = "TSV", params: dict[str, Any] | None = None) -> _Result:
        """Raises RuntimeError as the engine does."""
        if sql.startswith(("SET ", "USE ")):  # each statement gets a connection of its own over there
            self._setup.append(sql)
            return _Result(b"")
        asked = {"setup": self._setup, "sql": sql, "output": output, "parameters": params or {}}
        status, body = _ask(self._data, "POST", "/local/sql", asked, timeout_s=ANSWER_S)
        if status == 200:
            return _Result(body)
        told = json.loads(body)
        if "engine" in told:
            raise RuntimeError(base64.b64decode(told["engine"]).decode("utf-8", "replace"))
        raise IntactError(f"serve does not answer: {told.get('error', {}).get('message', status)}")

    def close(self) -> None:
        self._setup.clear()


class RemoteDatabase(Database):
    """Asks as an open store does; only what serve itself inserts is not for others to insert."""

    def __init__(self, data: DataDirectory) -> None:
        self.data = data
        self._idle = {}
        self._lock = -1
        self._connection = _Connection(data)

    def bring_in(self, run_id: str | None, timeout_s: float = INGEST_S) -> bool:
        """Have a run (None: all) brought in as far as it is now; False if that took too long."""
        asked = {"run_id": run_id, "timeout_s": timeout_s}
        status, body = _ask(self.data, "POST", "/local/ingest", asked, timeout_s=timeout_s + 10)
        return status == 200 and json.loads(body)["done"] is True

    def connect(self) -> Any:
        connection = _Connection(self.data)
        connection.query(f"USE {DATABASE}")
        return connection

    def insert(self, table: Table, rows: pa.Table, token: str) -> None:  # noqa: ARG002
        raise IntactError("the running serve inserts by itself")


def _ask(data: DataDirectory, method: str, path: str, body: Any, *, timeout_s: float) -> tuple[int, bytes]:
    connection = http.client.HTTPConnection("localhost", timeout=timeout_s)
    try:
        with socket_address(data) as address:
            connection.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
            connection.sock.settimeout(timeout_s)
            connection.sock.connect(address)
        text = None if body is None else json.dumps(body)
        connection.request(method, path, text, {"Content-Type": "application/json"})
        response = connection.getresponse()
        return response.status, response.read()
    except (OSError, http.client.HTTPException) as error:
        raise ServeGone(f"the serve of {data.path} does not answer: {error}") from error
    finally:
        connection.close()
