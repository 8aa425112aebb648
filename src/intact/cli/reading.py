"""How a reading command comes to its data: the run it means, the store open, what was recorded since brought in."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from intact.pipeline import back
from intact.store.database import LOCK_WAIT_S, Database, StoreBusy
from intact.store.ingest import ingest_run
from intact.store.remote import RemoteDatabase, serve_of
from intact.store.runs import DataDirectory, Run

ASK_AGAIN_S = 0.5


@contextmanager
def opened(
    data: Path | None, wanted: str | None = None, *, all_runs: bool = False
) -> Iterator[tuple[Database, Run | None]]:
    """The store with the wanted run (default: the latest; with `all_runs` every one) ingested.

    Raises:
        IntactError: no such run, or the store is held by another process that is no serve.
    """
    directory = DataDirectory.locate(data)
    directory.become_owner()
    chosen = None if all_runs else directory.run(wanted)
    with opened_store(directory) as database:
        if isinstance(database, RemoteDatabase):
            database.bring_in(None if chosen is None else chosen.id)
        else:
            for run in directory.runs() if chosen is None else [chosen]:
                ingest_run(database, run, back)
        yield database, chosen


@contextmanager
def opened_store(directory: DataDirectory, *, wait_s: float = LOCK_WAIT_S) -> Iterator[Database]:
    """The store as it is: lent by a running serve if there is one, else our own for as long as this is open."""
    deadline = time.monotonic() + wait_s
    while True:
        remote = serve_of(directory)
        if remote is not None:
            yield remote
            return
        try:
            database = Database(directory, wait_s=min(ASK_AGAIN_S, wait_s))
        except StoreBusy:  # perhaps by a serve that is just starting
            if time.monotonic() >= deadline:
                raise
            continue
        with database:
            yield database
        return
