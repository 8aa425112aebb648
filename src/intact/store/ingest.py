"""A run's segments into the store, group by group: nothing lost and nothing doubled, wherever it is killed.

Before a group is inserted its bounds are on disk; each block carries a token made of them; the manifest row comes last.
Since the stages give the same rows for the same segments, a group that was half inserted is inserted again, and the engine
leaves out the blocks it has.
"""

import json
import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import pyarrow as pa

from intact.model.slice import Host, Slice
from intact.store.database import Database
from intact.store.rows import Group, Naming, run_rows
from intact.store.runs import Run
from intact.store.segments import read_numbered, segments_in
from intact.store.tables import BY_NAME

Back: TypeAlias = Callable[[Iterable[Slice], Host], Iterator[Slice]]

INTENT_FILE = "ingest.json"
# Groups smaller than this make many small parts; one segment is at most a million rows.
GROUP_ROWS = 250_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Ingested:
    """What one ingestion did: groups inserted, and whether the whole run is now in the store."""

    groups: int
    final: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class _Bounds:
    """A group: its segments, and whether it ends with what the stages say at the end of a run."""

    first: int
    last: int
    final: bool

    @property
    def token(self) -> str:
        return f"{self.first}-{self.last}{'e' if self.final else ''}"


class _NoMoreYet(Exception):
    """The run goes on: what the stages would say at its end must not be said."""


def ingest_run(database: Database, run: Run, back: Back) -> Ingested:
    """Bring the store up to date with the closed segments of a run; all of them if the run has ended.

    Args:
        database: the store, open.
        run: which run.
        back: the stages behind the spool (`pipeline.back`); run from the first segment, so that they know what was before.
    """
    going = run.is_going  # asked before the segments are listed: what was written till then is listed
    done = _manifest(database, run)
    if done is not None and done.final:
        return Ingested(groups=0, final=True)
    source = _Source(run, going)
    forced = _read_intent(run)
    if forced is not None and done is not None and forced.last <= done.last and not forced.final:
        forced = None
    inserted = 0
    for group, bounds in _groups(run, back(source.slices(), run.host), source, done.last if done else 0, forced):
        _commit(database, group, bounds)
        inserted += 1
    if inserted == 0 and done is None:
        _insert_run(database, run, 0)
    return Ingested(groups=inserted, final=not going)


def is_ingested(database: Database, run: Run) -> bool:
    """Whether the whole of an ended run is in the store."""
    done = _manifest(database, run)
    return done is not None and done.final


class _Source:
    """The slices of a run's segments, and which segment is being read."""

    def __init__(self, run: Run, going: bool) -> None:
        self.number = 0
        self.ended = False
        self._run = run
        self._going = going
        closed = [segment.number for segment in segments_in(run.segments) if segment.sealed or not going]
        self.last = max(closed, default=0)

    def slices(self) -> Iterator[Slice]:
        for number, piece in read_numbered(self._run.segments):
            if number > self.last:
                break
            self.number = number
            yield piece
        if self._going:
            raise _NoMoreYet
        self.ended = True


def _groups(
    run: Run, slices: Iterator[Slice], source: _Source, done: int, forced: _Bounds | None
) -> Iterator[tuple[Group, _Bounds]]:
    """Cut what the stages give into groups; those up to segment `done` are in the store."""
    naming = Naming()
    revision = 0
    group = Group(run, done + 1)

    def bounds() -> _Bounds:
        if forced is not None and group.first == forced.first:
            return forced
        return _Bounds(first=group.first, last=group.last, final=False)

    def is_over() -> bool:
        if forced is not None and bounds() is forced:
            return source.number > forced.last or (source.ended and not forced.final)
        return source.number > group.last and group.rows >= GROUP_ROWS

    try:
        for piece in slices:
            if source.number > done or source.ended:
                if is_over():
                    yield group, bounds()
                    group = Group(run, bounds().last + 1)
                group.last = max(group.last, source.number)
                group.add(piece, naming, revision)
            else:
                naming.learn(piece)
            revision += len(piece.facts)
    except _NoMoreYet:
        group.last = max(source.number, group.first)
        if group.rows or bounds() is forced:
            yield group, bounds()
        return
    if forced is not None and bounds() is forced and not forced.final:
        yield group, forced
        group = Group(run, forced.last + 1)
    yield group, _Bounds(first=group.first, last=max(source.last, group.first - 1), final=True)


def _commit(database: Database, group: Group, bounds: _Bounds) -> None:
    run = group.run
    _write_intent(run, bounds)
    for name, rows in group.tables():
        database.insert(BY_NAME[name], rows, f"{run.id}:{bounds.token}:{name}")
    _insert_run(database, run, bounds.last * 2 + bounds.final)
    manifest = pa.table(
        {
            "run_id": [run.id],
            "first": pa.array([bounds.first], pa.uint32()),
            "last": pa.array([bounds.last], pa.uint32()),
            "final": [bounds.final],
            "until_ns": pa.array([group.until_ns], pa.int64()),
            "rows": pa.array([group.rows], pa.uint64()),
        }
    )
    database.insert(BY_NAME["manifest"], manifest, f"{run.id}:{bounds.token}:manifest")
    _intent_path(run).unlink(missing_ok=True)


def _insert_run(database: Database, run: Run, revision: int) -> None:
    # exit code and end come with the last group, which has the highest revision
    ended = "e" if run.ended_ns is not None else ""
    database.insert(BY_NAME["run"], run_rows(run, revision), f"{run.id}:{revision}{ended}:run")


def _manifest(database: Database, run: Run) -> _Bounds | None:
    rows = database.rows(
        "SELECT first, last, final FROM manifest WHERE run_id = {run:String} ORDER BY last DESC, final DESC LIMIT 1",
        run=run.id,
    ).to_pylist()
    if not rows:
        return None
    return _Bounds(first=rows[0]["first"], last=rows[0]["last"], final=bool(rows[0]["final"]))


def _intent_path(run: Run) -> Path:
    return run.directory / INTENT_FILE


def _write_intent(run: Run, bounds: _Bounds) -> None:
    path = _intent_path(run)
    temporary = path.with_suffix(".new")
    with open(temporary, "w") as file:
        json.dump({"first": bounds.first, "last": bounds.last, "final": bounds.final}, file)
        file.flush()
        os.fsync(file.fileno())
    os.replace(temporary, path)


def _read_intent(run: Run) -> _Bounds | None:
    try:
        body = json.loads(_intent_path(run).read_text())
        return _Bounds(first=int(body["first"]), last=int(body["last"]), final=bool(body["final"]))
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        return None
