"""The file `assist.db`: made, recognised, and used by several processes at once."""

import os
import sqlite3
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from intact.assist.keep.keep import KeepUnavailable

FILE = "assist.db"
BUSY_S = 2.0
# "IntK": by this a file of ours is told from another program's
APPLICATION_ID = 0x496E744B
VERSION = 1
_SMALLEST = 512  # bytes of a database

_SCHEMA = """
CREATE TABLE sessions (
    id TEXT PRIMARY KEY, owner TEXT NOT NULL, title TEXT NOT NULL, created_ns INTEGER NOT NULL,
    updated_ns INTEGER NOT NULL, expert TEXT
) WITHOUT ROWID;
CREATE INDEX sessions_of_owner ON sessions (owner, updated_ns, id);
CREATE INDEX sessions_by_use ON sessions (updated_ns);

CREATE TABLE messages (
    seq INTEGER PRIMARY KEY AUTOINCREMENT, session_id TEXT NOT NULL REFERENCES sessions (id) ON DELETE CASCADE,
    role TEXT NOT NULL, content TEXT NOT NULL, at_ns INTEGER NOT NULL, response_id TEXT NOT NULL
);
CREATE INDEX messages_of_session ON messages (session_id, seq);

CREATE TABLE responses (
    number INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE,
    session_id TEXT NOT NULL REFERENCES sessions (id) ON DELETE CASCADE, owner TEXT NOT NULL,
    question TEXT NOT NULL, asker TEXT NOT NULL, started_ns INTEGER NOT NULL, state TEXT NOT NULL,
    ended_ns INTEGER, text TEXT NOT NULL, done TEXT, place TEXT NOT NULL, is_logged INTEGER NOT NULL DEFAULT 1
);
CREATE INDEX responses_of_session ON responses (session_id, number);
CREATE INDEX responses_running ON responses (place, number) WHERE state = 'running';
CREATE INDEX responses_logged ON responses (coalesce(ended_ns, started_ns)) WHERE is_logged;

CREATE TABLE events (
    response_id TEXT NOT NULL REFERENCES responses (id) ON DELETE CASCADE, seq INTEGER NOT NULL, text TEXT NOT NULL,
    PRIMARY KEY (response_id, seq)
);

CREATE TABLE feedback (
    response_id TEXT PRIMARY KEY REFERENCES responses (id) ON DELETE CASCADE, session_id TEXT NOT NULL,
    owner TEXT NOT NULL, tenant_id INTEGER NOT NULL, rating TEXT, comment TEXT NOT NULL, at_ns INTEGER NOT NULL,
    expert TEXT NOT NULL, model TEXT NOT NULL
);
CREATE INDEX feedback_of_session ON feedback (session_id);
CREATE INDEX feedback_of_tenant ON feedback (tenant_id, at_ns);

CREATE TABLE used (id TEXT PRIMARY KEY, expires_ns INTEGER NOT NULL) WITHOUT ROWID;
CREATE INDEX used_by_end ON used (expires_ns);

CREATE TABLE readings (
    id TEXT PRIMARY KEY, asker TEXT NOT NULL, at_ns INTEGER NOT NULL, size INTEGER NOT NULL, body TEXT NOT NULL
);
CREATE INDEX readings_of_asker ON readings (asker, at_ns, size);
CREATE INDEX readings_by_time ON readings (at_ns);
"""


class SqliteFile:
    """One connection to the file, for one thread at a time.

    Raises:
        KeepUnavailable: here and in every method: the file cannot be used; it is left as it is.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = threading.RLock()
        try:
            _make(path)
            self._connection = sqlite3.connect(
                path, timeout=BUSY_S, isolation_level=None, check_same_thread=False, cached_statements=256
            )
        except (OSError, sqlite3.Error) as error:
            raise self._unavailable(error) from error
        try:
            self._recognise()
        except BaseException:
            self._connection.close()
            raise

    def close(self) -> None:
        with self._lock:
            self._connection.close()

    @property
    def changes(self) -> int:
        """How many rows were changed by it."""
        return self._connection.total_changes

    def settle(self) -> None:
        """Bring what was written lately to its place in the file, while others write on."""
        self.rows("PRAGMA wal_checkpoint(PASSIVE)")

    def run(self, statement: str, values: Sequence[Any] = ()) -> int:
        """One change in a transaction of its own; how many rows it changed."""
        with self._lock, self._explaining():
            return self._connection.execute(statement, values).rowcount

    def rows(self, statement: str, values: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        with self._lock, self._explaining():
            return self._connection.execute(statement, values).fetchall()

    def row(self, statement: str, values: Sequence[Any] = ()) -> tuple[Any, ...] | None:
        with self._lock, self._explaining():
            found: tuple[Any, ...] | None = self._connection.execute(statement, values).fetchone()
            return found

    @contextmanager
    def change(self) -> Iterator[sqlite3.Connection]:
        """Several changes that are made together or not at all."""
        with self._lock, self._explaining():
            # asks for the right to write first: what is read in between is then what is changed
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield self._connection
                self._connection.execute("COMMIT")
            finally:
                if self._connection.in_transaction:
                    self._connection.execute("ROLLBACK")

    @contextmanager
    def _explaining(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.IntegrityError:
            raise  # not the file's fault: for whoever asked
        except sqlite3.Error as error:
            raise self._unavailable(error) from error

    def _unavailable(self, error: Exception) -> KeepUnavailable:
        reason = error.strerror if isinstance(error, OSError) else " ".join(str(error).split())[:200]
        hint = ""
        if (
            type(error) is sqlite3.DatabaseError
        ):  # no database, or a damaged one; what else there is has a class of its own
            hint = "; it is left as it is: move it away to begin with an empty one"
        return KeepUnavailable(f"what the assistant keeps in {self.path} cannot be used: {reason}{hint}")

    def _recognise(self) -> None:
        with self._explaining():
            self._connection.execute("PRAGMA foreign_keys = ON")
            application, version = self._marks()
            if application == 0 and version == 0 and self._is_empty():
                self._connection.execute("PRAGMA journal_mode = WAL")
                self._fill()
                application, version = self._marks()
            if application != APPLICATION_ID:
                raise KeepUnavailable(f"{self.path} is another program's database; it is left as it is")
            if version != VERSION:
                raise KeepUnavailable(f"{self.path} is of version {version}, this intact knows {VERSION}")
            self._connection.execute("PRAGMA synchronous = NORMAL")
            # done aside by `settle`: the loop waits for no disk; pages, for where nobody settles
            self._connection.execute("PRAGMA wal_autocheckpoint = 16000")
            # what was deleted was somebody's conversation
            self._connection.execute("PRAGMA secure_delete = FAST")

    def _fill(self) -> None:
        with self.change() as connection:
            if self._is_empty():  # another process may have been quicker
                for statement in _SCHEMA.split(";\n"):
                    connection.execute(statement)
                connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
                connection.execute(f"PRAGMA user_version = {VERSION}")

    def _marks(self) -> tuple[int, int]:
        application = self._connection.execute("PRAGMA application_id").fetchone()[0]
        return application, self._connection.execute("PRAGMA user_version").fetchone()[0]

    def _is_empty(self) -> bool:
        return self._connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0] == 0


def _make(path: Path) -> None:
    """Readable by its owner only from the first moment; a file that is there is opened by SQLite alone.

    To open and close it here would give up the locks that another connection of this process holds on it.
    """
    try:
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR | os.O_NOFOLLOW, 0o600))
    except FileExistsError:
        status = path.stat()
        if 0 < status.st_size < _SMALLEST:  # which SQLite would take for an empty one, and write over
            raise sqlite3.DatabaseError("file is not a database") from None
        if status.st_mode & 0o077:
            path.chmod(0o600)
