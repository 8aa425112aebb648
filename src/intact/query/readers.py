"""The open store for several askers at once: a bounded number of connections, each lent for one question."""

import contextlib
import queue
from collections.abc import Callable
from typing import Any, Concatenate, ParamSpec, TypeVar

from intact.model.errors import IntactError
from intact.store.database import Database

P = ParamSpec("P")
T = TypeVar("T")

MOST_AT_ONCE = 4
WAIT_S = 10.0
CLOSE_S = 40.0


class Overloaded(IntactError):
    """More is asked at once than can be answered."""


class Readers:
    """Lends connections to the store; to be called from threads.

    Args:
        database: the store, open for longer than this.
        most: questions answered at once; others wait.
        wait_s: how long they wait.
    """

    def __init__(self, database: Database, *, most: int = MOST_AT_ONCE, wait_s: float = WAIT_S) -> None:
        self.most = most
        self._wait_s = wait_s
        self._free: queue.SimpleQueue[Database] = queue.SimpleQueue()
        for _ in range(most):
            self._free.put(database.view())

    def ask(self, question: Callable[Concatenate[Database, P], T], *args: P.args, **named: P.kwargs) -> T:
        """The answer to one question of this room.

        Raises:
            Overloaded: no connection became free in time.
        """
        try:
            view = self._free.get(timeout=self._wait_s)
        except queue.Empty:
            raise Overloaded("too many questions at once; ask again in a moment") from None
        try:
            return question(view, *args, **named)
        finally:
            self._free.put(view)

    def close(self) -> None:
        """Return when all questions are answered and all connections are closed."""
        with contextlib.suppress(queue.Empty):  # who asks for longer than that is left to the end of the process
            for _ in range(self.most):
                self._free.get(timeout=CLOSE_S).close()


def engine_rows(database: Database, setup: list[str], sql: str, output: str, parameters: dict[str, Any]) -> bytes:
    """What the engine says to one statement of the store's owner, after `setup`, as bytes of the format `output`.

    Nothing is checked: it is for the commands of the user the store belongs to, who has its files anyway.

    Raises:
        RuntimeError: as the engine raises it.
    """
    connection = database.connect()
    try:
        for statement in setup:
            connection.query(statement, "TSV")
        return bytes(connection.query(sql, output, params=parameters).bytes())
    finally:
        connection.close()
