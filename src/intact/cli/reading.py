"""How a reading command comes to its data: the run it means, the store open, what was recorded since brought in."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from intact.pipeline import back
from intact.store.database import Database
from intact.store.ingest import ingest_run
from intact.store.runs import DataDirectory, Run


@contextmanager
def opened(
    data: Path | None, wanted: str | None = None, *, all_runs: bool = False
) -> Iterator[tuple[Database, Run | None]]:
    """The store with the wanted run (default: the latest; with `all_runs` every one) ingested.

    Raises:
        IntactError: no such run, or the store is held by another process.
    """
    directory = DataDirectory.locate(data)
    directory.become_owner()
    chosen = None if all_runs else directory.run(wanted)
    with Database(directory) as database:
        for run in directory.runs() if chosen is None else [chosen]:
            ingest_run(database, run, back)
        yield database, chosen
