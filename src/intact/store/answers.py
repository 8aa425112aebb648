"""The assistant's answers and spans into the store, from a thread of its own; each is inserted once."""

import logging
import queue
import threading
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from intact.model.errors import IntactError
from intact.model.facts import Answer, Fact, Span
from intact.store.database import Database
from intact.store.rows import fact_rows
from intact.store.tables import BY_NAME, FACT_TABLES

_LOG = logging.getLogger("intact.store")

RUN_ID = "assistant"  # what has no recording belongs to this one, which is none
MOST_WAITING = 2_000


@dataclass(frozen=True, slots=True, kw_only=True)
class AnswerFacts:
    """One answer and the work it took."""

    tenant_id: int
    answer: Answer
    spans: tuple[Span, ...]


class AnswerLog:
    """Takes answers from any thread. Those that could not be inserted are counted."""

    def __init__(self, database: Database) -> None:
        self._view = database.view()
        self._waiting: queue.Queue[AnswerFacts | None] = queue.Queue(MOST_WAITING)
        self.inserted = self.lost = 0
        self._thread = threading.Thread(target=self._run, name="answers", daemon=True)
        self._thread.start()

    def note(self, facts: AnswerFacts) -> None:
        """Never waits."""
        try:
            self._waiting.put_nowait(facts)
        except queue.Full:
            self.lost += 1

    def close(self) -> None:
        """Insert what waits."""
        self._waiting.put(None)
        self._thread.join()
        self._view.close()

    def _run(self) -> None:
        while (facts := self._waiting.get()) is not None:
            try:
                self._insert(Answer, [facts.answer], facts)
                self._insert(Span, facts.spans, facts)
                self.inserted += 1
            except IntactError as error:
                self.lost += 1
                _LOG.warning("an answer could not be stored: %s", error)

    def _insert(self, kind: type[Fact], some: Any, facts: AnswerFacts) -> None:
        rows = fact_rows(kind, [(0, fact) for fact in some])
        count = rows.num_rows
        for name, values in (
            ("run_id", pa.array([RUN_ID] * count, pa.string())),
            ("tenant_id", pa.array([facts.tenant_id] * count, pa.uint32())),
            ("is_recording", pa.array([False] * count, pa.bool_())),
        ):
            rows = rows.append_column(name, values)
        self._view.insert(BY_NAME[FACT_TABLES[kind]], rows, f"answer-{facts.answer.id}")
