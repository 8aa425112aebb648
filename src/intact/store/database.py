"""The embedded store: one process at a time, under a lock file that names its holder, with bounded memory.

chDB allows one process per path and one path per process, and a fork after it is opened hangs: start other programs by exec.
"""

import contextlib
import fcntl
import json
import os
import sys
import time
from collections.abc import Callable, Hashable, Iterator
from datetime import datetime
from typing import Any, Self

import chdb
import pyarrow as pa

from intact.model.errors import IntactError
from intact.store.runs import DataDirectory
from intact.store.schema import LEDGER, prepare, prepare_ledger, version, widen_ledger
from intact.store.sources import DEFAULT_SOURCES, NORMAL, insert_sources
from intact.store.tables import DATABASE, Table

# An engine takes nine tenths of the machine unless told; 5 GB of mark cache is its default.
MEMORY_BYTES = 2 << 30
MARK_CACHE_BYTES = 64 << 20
LOCK_WAIT_S = 10.0
MOST_IDLE = 3

# One insert is one block, hence one deduplication token, whatever its size.
_ONE_BLOCK = (
    "max_insert_block_size = 1000000000, min_insert_block_size_rows = 1000000000, "
    "min_insert_block_size_bytes = 1000000000000, max_insert_threads = 1, input_format_parallel_parsing = 0"
)


class StoreBusy(IntactError):
    """Another process holds the store."""


class StoreError(IntactError):
    """The engine refused; the message is its own, shortened."""


class Database:
    """The store of one data directory, open.

    Raises:
        StoreBusy: another process holds it and did not let go in time.
        IntactError: it cannot be opened, or a later version wrote it.
    """

    def __init__(self, data: DataDirectory, *, wait_s: float = LOCK_WAIT_S) -> None:
        self.data = data
        self._idle: dict[Hashable, Any] = {}
        data.make("store")
        self._lock = _take_lock(data, wait_s)
        try:
            self._connection = self._connect()
            self._prepare()
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the store. May be called twice."""
        while self._idle:
            self._idle.popitem()[1].close()
        connection, self._connection = getattr(self, "_connection", None), None
        if connection is not None:
            connection.close()
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1

    def rows(self, sql: str, **parameters: Any) -> pa.Table:
        """The answer to one query of ours. `{name:Type}` in the SQL takes the parameter of that name."""
        return query_arrow(self._connection, sql, parameters)

    def execute(self, sql: str) -> None:
        """Run one statement of ours that gives no rows."""
        with _engine_errors():
            self._connection.query(sql, "TSV")

    def insert(self, table: Table, rows: pa.Table, token: str) -> None:
        """Insert as one block; a block whose token was inserted before is left out."""
        assert token.isascii()
        assert "'" not in token
        columns = ", ".join(f"`{name}`" for name in rows.column_names)
        settings = f"insert_deduplicate = 1, insert_deduplication_token = '{token}', {_ONE_BLOCK}"
        sink = pa.BufferOutputStream()
        with pa.ipc.new_stream(sink, rows.schema) as writer:
            writer.write_table(rows.combine_chunks())
        with _engine_errors():
            stream = self._connection.send_insert(
                f"INSERT INTO {DATABASE}.{table.name} ({columns}) SETTINGS {settings}", "ArrowStream"
            )
            stream.append(memoryview(sink.getvalue()))
            stream.finish()

    def connect(self) -> Any:
        """Another connection to the same store, for settings of its own."""
        with _engine_errors():
            connection = chdb.connect(self._address())
            connection.query(f"USE {DATABASE}", "TSV")
        return connection

    @contextlib.contextmanager
    def lend(self, key: Hashable, make: Callable[[], Any]) -> Iterator[Any]:
        """A connection that `make` made, to one user at a time; it is kept for the next one of the same key.

        One on which something failed is closed, for nobody knows what state it is in.
        """
        connection = self._idle.pop(key, None)
        if connection is None:
            connection = make()
        try:
            yield connection
        except BaseException:
            connection.close()
            raise
        if self._idle.setdefault(key, connection) is not connection:
            connection.close()
        elif len(self._idle) > MOST_IDLE:
            # a user in another thread may have taken one meanwhile
            with contextlib.suppress(StopIteration, RuntimeError):
                oldest = self._idle.pop(next(iter(self._idle)), None)
                if oldest is not None:
                    oldest.close()

    def view(self) -> "View":
        """The same store over a connection of its own, for another thread; to be closed before this one is."""
        return View(self)

    def _address(self) -> str:
        options = {
            "max_server_memory_usage": MEMORY_BYTES,
            "mark_cache_size": MARK_CACHE_BYTES,
            "background_pool_size": 2,
        }
        path = str(self.data.store)
        if "?" in path:
            raise IntactError(
                f"the data directory {path} has a question mark in its name, which the engine cannot take"
            )
        return path + "?" + "&".join(f"{name}={value}" for name, value in options.items())

    def _connect(self) -> Any:
        try:
            return chdb.connect(self._address())
        except Exception as error:
            raise IntactError(f"cannot open the store in {self.data.store}: {_one_line(error)}") from error

    def _prepare(self) -> None:
        """Make what is missing; refuse what a later version made."""
        self.execute(f"CREATE DATABASE IF NOT EXISTS {DATABASE}")
        prepare_ledger(self.execute)
        found = self.rows(f"SELECT max(version) AS version FROM {DATABASE}.{LEDGER}").column(0)[0].as_py()
        if found > version():
            raise IntactError(
                f"the store in {self.data.store} was written by a later version of intact; use that version"
            )
        if found < version():
            if found:
                widen_ledger(self.execute)
            prepare(self.execute, found)
            self._register_sources()
        self.execute(f"USE {DATABASE}")

    def _register_sources(self) -> None:
        known = set(self.rows(f"SELECT DISTINCT id FROM {DATABASE}.data_source").column(0).to_pylist())
        missing = [(source, source.hours, NORMAL) for source in DEFAULT_SOURCES if source.id not in known]
        if missing:
            self.execute(insert_sources(missing, "0"))


class View(Database):
    """An open store seen by one more thread."""

    def __init__(self, database: Database) -> None:  # the lock is the other's
        self.data = database.data
        self._idle = {}
        self._lock = -1
        self._of = database
        self._connection = database.connect()

    def connect(self) -> Any:
        return self._of.connect()  # of a store that is lent, the way to whoever lends it


def query_arrow(connection: Any, sql: str, parameters: dict[str, Any]) -> pa.Table:
    """Run one query and give its rows as columns."""
    bound = {name: escape(value) if isinstance(value, str) else value for name, value in parameters.items()}
    with _engine_errors():
        answer = connection.query(sql, "ArrowStream", params=bound).bytes()
    return pa.ipc.open_stream(answer).read_all()


def escape(text: str) -> str:
    """A text as the engine wants it in a parameter: it reads parameters as tab-separated values."""
    table = {"\\": "\\\\", "\t": "\\t", "\n": "\\n", "\r": "\\r", "\0": "\\0"}
    return "".join(table.get(character, character) for character in text.encode("utf-8", "replace").decode())


@contextlib.contextmanager
def _engine_errors() -> Iterator[None]:
    try:
        yield
    except RuntimeError as error:
        raise StoreError(_one_line(error)) from error


def _one_line(error: BaseException) -> str:
    text = " ".join(str(error).split())
    text = "".join(character if character.isprintable() else "?" for character in text)
    if "NOT_ENOUGH_SPACE" in text:
        return "the disk of the data directory is full; make room, or read a copy of it elsewhere (--data)"
    return text.replace("DB::Exception: ", "").replace("Query execution failed: ", "")[:400]


def _take_lock(data: DataDirectory, wait_s: float) -> int:
    fd = os.open(data.store_lock, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
    deadline = time.monotonic() + wait_s
    while True:
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            break
        except BlockingIOError:
            if time.monotonic() >= deadline:
                holder = os.pread(fd, 4096, 0)
                os.close(fd)
                raise StoreBusy(
                    f"the store in {data.path} is in use by {_holder(holder)}; try again when it has ended"
                ) from None
            time.sleep(0.05)
    data.own(data.store_lock)
    me = {
        "pid": os.getpid(),
        "command": " ".join(sys.argv[:2])[:200],
        "since": datetime.now().isoformat(timespec="seconds"),
    }
    os.ftruncate(fd, 0)
    os.pwrite(fd, json.dumps(me).encode("ascii"), 0)
    return fd


def _holder(text: bytes) -> str:
    try:
        holder = json.loads(text)
        command = "".join(c if c.isprintable() else "?" for c in str(holder["command"]))
        return f"process {int(holder['pid'])} ({command}) since {str(holder['since'])[:19]}"
    except (ValueError, KeyError, TypeError):
        return "another process"
