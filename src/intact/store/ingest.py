"""A run's segments into the store, group by group: nothing lost and nothing doubled, wherever it is killed.

Before a group is inserted its bounds are on disk; each block carries a token made of them; the manifest row comes last.
Since the stages give the same rows for the same segments, a group that was half inserted is inserted again, and the engine
leaves out the blocks it has.
"""

import json
import os
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeAlias

import pyarrow as pa

from intact.model.slice import Host, Slice
from intact.store.database import Database
from intact.store.rows import Group, Memory, run_rows
from intact.store.runs import Run
from intact.store.segments import read_numbered, read_segments, segments_in
from intact.store.tables import BY_NAME

Back: TypeAlias = Callable[[Iterable[Slice], Host], Iterator[Slice]]

INTENT_FILE = "ingest.json"
# Groups smaller than this make many small parts; one segment is at most a million rows.
GROUP_ROWS = 250_000
# What comes of a run that goes on is in the store at the latest so much later, and the time of the insert.
COMMIT_S = 0.8


@dataclass(frozen=True, slots=True, kw_only=True)
class Ingested:
    """What one ingestion did: groups inserted, and whether the whole run is now in the store."""

    groups: int
    final: bool
    rows: int = field(default=0, compare=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Bounds:
    """A group: its slices, counted from the first of the run, and whether it ends with what the stages say at the end."""

    first: int
    last: int
    final: bool

    @property
    def token(self) -> str:
        return f"s{self.first}-{self.last}{'e' if self.final else ''}"  # version 1 counted segments, with no letter


class _NoMoreYet(Exception):
    """The run goes on: what the stages would say at its end must not be said."""


def ingest_run(database: Database, run: Run, back: Back, *, raw_reads: bool = False) -> Ingested:
    """Bring the store up to date with the closed segments of a run; all of them if the run has ended.

    Args:
        database: the store, open.
        run: which run.
        back: the stages behind the spool (`pipeline.back`); run from the first segment, so that they know what was before.
        raw_reads: store reads and writes also as they came, in `file_event`, whatever the run says of it.
    """
    going = run.is_going  # asked before the segments are listed: what was written till then is listed
    ingestion = Ingestion(database, run, raw_reads=raw_reads)
    if not ingestion.is_final:
        ingestion.take_all(back, _closed_slices(run) if going else _all_slices(run))
    return Ingested(groups=ingestion.groups, final=ingestion.is_final, rows=ingestion.rows)


def is_ingested(database: Database, run: Run) -> bool:
    """Whether the whole of an ended run is in the store."""
    done = _manifest(database, run)
    return done is not None and done.final


class Ingestion:
    """One run on its way into the store: runs its slices through the stages and commits what they give, group by group."""

    def __init__(
        self, database: Database, run: Run, *, raw_reads: bool = False, watch: Callable[[Slice], None] | None = None
    ) -> None:
        done = _manifest(database, run)
        self.run = run
        self.groups = 0
        self.rows = 0
        self.until_ns = 0  # of what is in the store
        self.checked_ns = 0  # what was in the spool at this time is in the store; kept by `follow`
        self.is_urgent = False  # set to have `follow` commit at once
        self.is_final = done is not None and done.final
        self._database = database
        self._watch = watch  # told of each slice that is new to the store
        self._done = done.last if done else 0
        self._forced = _read_intent(run)
        if self._forced is not None and self._forced.last <= self._done and not self._forced.final:
            self._forced = None
        self._number = 0  # of the slice the stages were given last
        self._ended = False
        self._memory = Memory()
        self._revision = 0
        self._group = Group(run, self._done + 1, raw_reads=raw_reads or run.raw_reads)
        self._is_told = done is not None  # whether the store knows that there is this run

    def take_all(self, back: Back, slices: Iterator[Slice]) -> None:
        """Take these slices; the run is over when they end, unless they end in `_NoMoreYet`."""
        try:
            for piece in back(self._counted(slices), self.run.host):
                self._take(piece)
        except _NoMoreYet:
            self.commit()
            self._tell()
            return
        self._finish()

    def commit(self) -> bool:
        """Commit what was taken so far; False if it has to wait: a group that was begun before is first brought to its end."""
        if self._bounds() is self._forced and self._number < self._forced.last:
            return False
        if self._group.rows:
            self._put(self._bounds())
        return True

    def follow(
        self, back: Back, *, is_going: Callable[[], bool], latest: Callable[[], Run], is_stopped: Callable[[], bool]
    ) -> None:
        """Take the slices of a growing run as they come, until it has ended; what came is committed now and then.

        Args:
            back: as for `ingest_run`.
            is_going: whether more may come.
            latest: the run as it is told now, asked when it has ended.
            is_stopped: whether to leave off; a later ingestion goes on from there.
        """
        self._tell()
        due = time.monotonic() + COMMIT_S
        asked_ns = time.time_ns()

        def more() -> bool:
            # The reader asks this before it reads on, hence when all it gave has gone through the stages.
            nonlocal due, asked_ns
            before_ns, asked_ns = asked_ns, time.time_ns()
            if (self.is_urgent or time.monotonic() >= due) and self.commit():
                self.is_urgent = False
                self.checked_ns = before_ns
                due = time.monotonic() + COMMIT_S
            return is_going() and not is_stopped()

        def slices() -> Iterator[Slice]:
            nonlocal due
            for piece in read_segments(self.run.segments, follow=more):
                if time.monotonic() >= due and self.commit():  # where more comes than can be read, it is never asked
                    due = time.monotonic() + COMMIT_S
                if is_stopped():
                    break
                yield piece
            if is_stopped():
                raise _NoMoreYet
            self.run = self._group.run = latest()

        self.take_all(back, slices())

    def _counted(self, slices: Iterator[Slice]) -> Iterator[Slice]:
        for piece in slices:
            self._number += 1
            yield piece
        self._ended = True

    def _take(self, piece: Slice) -> None:
        if self._number > self._done or self._ended:
            if self._is_over():
                self._put(self._bounds())
            self._group.last = max(self._group.last, self._number)
            self._group.add(piece, self._memory, self._revision)
            if self._watch is not None:
                self._watch(piece)
        else:
            self._memory.skip(piece)
            self.until_ns = max(self.until_ns, piece.until_ns)
        self._revision += len(piece.facts)

    def _is_over(self) -> bool:
        bounds = self._bounds()
        if bounds is self._forced:
            return self._number > bounds.last or (self._ended and not bounds.final)
        return self._number > self._group.last and self._group.rows >= GROUP_ROWS

    def _bounds(self) -> _Bounds:
        if self._forced is not None and self._group.first == self._forced.first:
            return self._forced
        return _Bounds(first=self._group.first, last=self._group.last, final=False)

    def _finish(self) -> None:
        if self._bounds() is self._forced and not self._forced.final:
            self._put(self._forced)
        self._group.finish(self._memory)
        self._put(_Bounds(first=self._group.first, last=max(self._number, self._group.first - 1), final=True))
        self.is_final = True

    def _tell(self) -> None:
        if not self._is_told:
            _insert_run(self._database, self.run, 0)
            self._is_told = True

    def _put(self, bounds: _Bounds) -> None:
        self._is_told = True
        _commit(self._database, self._group, bounds)
        self.groups += 1
        self.rows += self._group.rows
        self.until_ns = max(self.until_ns, self._group.until_ns)
        self._group = self._group.next(bounds.last + 1)


def _all_slices(run: Run) -> Iterator[Slice]:
    return read_segments(run.segments)


def _closed_slices(run: Run) -> Iterator[Slice]:
    """Those of closed segments; then says that there will be more."""
    last = max((segment.number for segment in segments_in(run.segments) if segment.sealed), default=0)
    for number, piece in read_numbered(run.segments):
        if number > last:
            break
        yield piece
    raise _NoMoreYet


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
            "tenant_id": pa.array([run.tenant_id], pa.uint32()),
            "is_recording": [run.is_recording],
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
        json.dump({"of": "slices", "first": bounds.first, "last": bounds.last, "final": bounds.final}, file)
        file.flush()
        os.fsync(file.fileno())
    os.replace(temporary, path)


def _read_intent(run: Run) -> _Bounds | None:
    try:
        body = json.loads(_intent_path(run).read_text())
        if body["of"] != "slices":  # version 1 counted segments, and did not say so
            return None
        return _Bounds(first=int(body["first"]), last=int(body["last"]), final=bool(body["final"]))
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        return None
