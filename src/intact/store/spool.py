"""Keeps the store up to date with the spool: a long-lived ingestion for each run that goes on, and one thread for the rest."""

import contextlib
import os
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Self

from intact.model.slice import Slice
from intact.store.database import Database
from intact.store.ingest import Back, Ingestion, ingest_run, is_ingested
from intact.store.runs import DataDirectory, Run

SCAN_S = 0.25
MOST_FOLLOWED = 16  # runs that go on at once; others wait for a place
RETRY_S = 15.0
# A recorder says that its run has ended just after it closed the last segment; without that word it was killed.
LAST_WORD_S = 3.0


@dataclass(frozen=True, slots=True, kw_only=True)
class SpoolStatus:
    """How far ingestion is."""

    rows: int  # brought in since the start
    groups: int
    failures: int
    following: int  # runs that go on
    waiting: int  # runs that are not in the store yet
    lag_s: float  # of the run that is furthest behind, from what happened to what can be asked for
    is_alive: bool
    problem: str | None  # the last failure, in one line


class Spool:
    """Watches the runs of a data directory from threads of its own.

    Args:
        database: the store; each thread gets a view of its own.
        back: the stages behind the spool (`pipeline.back`).
        watch: told of each slice that is new to the store, with its run; called from several threads.
    """

    def __init__(self, database: Database, back: Back, *, watch: Callable[[Run, Slice], None] | None = None) -> None:
        self._database = database
        self._data: DataDirectory = database.data
        self._back = back
        self._watch = watch
        self._stopped = threading.Event()
        self._changed = threading.Condition()  # guards all below
        self._final: set[str] = set()
        self._followed: dict[str, Ingestion | None] = {}
        self._waiting = 0
        self._retry_at: dict[str, float] = {}
        self._rows = self._groups = self._failures = 0
        self._problem: str | None = None
        self._rounds = 0
        self._thread = threading.Thread(target=self._run, name="spool", daemon=True)
        self._threads: list[threading.Thread] = []

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> None:
        """Return when nothing is written any more. What was not brought in is so at the next start."""
        self._stopped.set()
        for thread in [self._thread, *self._threads]:
            if thread.ident is not None:
                thread.join()

    def status(self) -> SpoolStatus:
        with self._changed:
            live = [ingestion for ingestion in self._followed.values() if ingestion is not None]
            now_ns = time.time_ns()
            lag = max((now_ns - ingestion.until_ns for ingestion in live if ingestion.until_ns), default=0)
            return SpoolStatus(
                rows=self._rows + sum(ingestion.rows for ingestion in live),
                groups=self._groups + sum(ingestion.groups for ingestion in live),
                failures=self._failures,
                following=len(self._followed),
                waiting=self._waiting,
                lag_s=max(lag, 0) / 1e9,
                is_alive=self._thread.is_alive(),
                problem=self._problem,
            )

    def wait_for(self, run_id: str, timeout_s: float) -> bool:
        """Return when what the run held at the call can be asked for; False if that took too long."""
        deadline = time.monotonic() + timeout_s
        asked_ns = time.time_ns()
        has_ended: bool | None = None  # of a run that has, the end is waited for
        with self._changed:
            rounds = self._rounds
            while time.monotonic() < deadline and not self._stopped.is_set():
                ingestion = self._followed.get(run_id)
                if run_id in self._final:
                    return True
                if ingestion is not None:
                    if has_ended is None:
                        has_ended = self._data.reload(ingestion.run).ended_ns is not None
                    if ingestion.checked_ns > asked_ns and not has_ended:
                        return True
                    ingestion.is_urgent = True
                if self._rounds > rounds + 1 and run_id not in self._followed and not self._waiting:
                    return True  # it is no run that could be brought in
                self._changed.wait(0.05)
        return False

    def wait_for_all(self, timeout_s: float) -> bool:
        """As `wait_for`, for every run there is."""
        deadline = time.monotonic() + timeout_s
        return all(self.wait_for(run.id, deadline - time.monotonic()) for run in self._data.runs())

    def _run(self) -> None:
        with contextlib.closing(self._database.view()) as view:
            while not self._stopped.wait(SCAN_S if self._rounds else 0):
                try:
                    self._round(view)
                except Exception as error:  # whatever it is, the next round may do better
                    self._fail("", error)
                with self._changed:
                    self._rounds += 1
                    self._changed.notify_all()

    def _round(self, view: Database) -> None:
        """Look at every run not known to be in the store as a whole; newest first, as that is asked for first."""
        pending = []
        for run in self._unfinished():
            if time.monotonic() < self._retry_at.get(run.id, 0.0):
                continue
            pending.append(run)
        with self._changed:
            self._waiting = len(pending)
        for run in pending:
            if self._stopped.is_set():
                return
            try:
                self._bring(view, run)
            except Exception as error:
                self._fail(run.id, error)
            with self._changed:
                self._waiting -= 1
                self._changed.notify_all()

    def _unfinished(self) -> list[Run]:
        try:
            names = {entry.name for entry in os.scandir(self._data.path / "runs")}
        except FileNotFoundError:
            return []
        if names <= self._final | set(self._followed):
            return []
        return [
            run for run in reversed(self._data.runs()) if run.id not in self._final and run.id not in self._followed
        ]

    def _bring(self, view: Database, run: Run) -> None:
        if is_ingested(view, run):
            self._done(run)
        elif run.ended_ns is None:  # it goes on, or was cut off: that takes a moment to tell
            self._follow(run)
        else:
            done = ingest_run(view, run, self._back)
            with self._changed:
                self._groups += done.groups
                self._rows += done.rows
            if done.final:
                self._done(run)

    def _done(self, run: Run) -> None:
        with self._changed:
            self._final.add(run.id)
            self._retry_at.pop(run.id, None)
            self._changed.notify_all()

    def _follow(self, run: Run) -> None:
        with self._changed:
            if len(self._followed) >= MOST_FOLLOWED:
                return
            self._followed[run.id] = None
        thread = threading.Thread(target=self._follow_run, args=(run,), name=f"spool {run.id}", daemon=True)
        self._threads = [other for other in self._threads if other.is_alive()] + [thread]
        thread.start()

    def _follow_run(self, run: Run) -> None:
        try:
            with contextlib.closing(self._database.view()) as view:
                watch = self._watch
                ingestion = Ingestion(view, run, watch=None if watch is None else lambda piece: watch(run, piece))
                with self._changed:
                    self._followed[run.id] = ingestion
                going = _Going(self._data, run)
                ingestion.follow(self._back, is_going=going, latest=lambda: going.run, is_stopped=self._stopped.is_set)
                with self._changed:
                    self._rows += ingestion.rows
                    self._groups += ingestion.groups
                if ingestion.is_final:
                    self._done(run)
        except Exception as error:
            self._fail(run.id, error)
        finally:
            with self._changed:
                self._followed.pop(run.id, None)
                self._changed.notify_all()

    def _fail(self, run_id: str, error: Exception) -> None:
        """One run that cannot be brought in keeps no other out; it is tried again later."""
        text = " ".join(f"{type(error).__name__}: {error}".split())[:300]
        with self._changed:
            self._failures += 1
            self._problem = f"{run_id}: {text}" if run_id else text
            self._retry_at[run_id] = time.monotonic() + RETRY_S


class _Going:
    """Whether more may come of a run; asked often, looks now and then."""

    def __init__(self, data: DataDirectory, run: Run) -> None:
        self.run = run
        self._data = data
        self._look_at = 0.0
        self._silent_since: float | None = None
        self._answer = True

    def __call__(self) -> bool:
        now = time.monotonic()
        if now >= self._look_at and self._answer:
            self._look_at = now + SCAN_S
            self._answer = self._look(now)
        return self._answer

    def _look(self, now: float) -> bool:
        if self.run.is_going:
            self._silent_since = None
            return True
        self.run = self._data.reload(self.run)
        if self.run.ended_ns is not None:
            return False
        if self._silent_since is None:
            self._silent_since = now
        return now - self._silent_since < LAST_WORD_S
