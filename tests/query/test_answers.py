"""Questions about the assistant itself, over answers with known times; nobody sees those of another tenant."""

import time

import pytest

from intact.model.facts import Answer, Span
from intact.model.identity import text_id
from intact.query.answers import hot_questions, own_work, session_patterns
from intact.query.row_limits import Reader, Role
from intact.query.scope import Scope
from intact.store.answers import AnswerFacts, AnswerLog
from intact.store.database import Database
from intact.store.runs import DataDirectory

S = 10**9
# What is older than its retention is not kept.
START = time.time_ns() - 3_600 * S
ASKED = (
    # session, question, intent, verdict, seconds
    ("s1", "Why did run 12 fail?", "task", "found", 2),
    ("s1", "why did run 7 fail", "task", "found", 4),
    ("s1", "and the one before?", "followup", "cannot_tell", 1),
    ("s2", "磁盘还剩多少？", "task", "answered", 3),
    ("s2", "hello", "greeting", "answered", 0),
)


def answer(number: int, session: str, question: str, intent: str, verdict: str, seconds: int) -> Answer:
    start = START + number * 60 * S
    return Answer(
        id=text_id("answer", number), response_id=f"r{number}", session_id=session, owner="alice", question=question,
        language="en", intent_type=intent, expert="governance", model="", verdict=verdict, struck=0, tool_calls=2,
        input_tokens=5, output_tokens=7, started_ns=start, ended_ns=start + seconds * S,
    )  # fmt: skip


def span(number: int, name: str, ms: int, ok: bool) -> Span:
    start = START
    return Span(
        id=text_id("span", number), trace_id="t", span_id=str(number), parent_id="", name=name, kind="client",
        started_ns=start, ended_ns=start + ms * 1_000_000, ok=ok,
    )  # fmt: skip


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> Database:
    data = DataDirectory(tmp_path_factory.mktemp("data"))
    data.make()
    database = Database(data)
    for attempt in (1, 2):  # told twice: a process that was killed tells again
        log = AnswerLog(database)
        for number, row in enumerate(ASKED):
            spans = (span(number, "execute_tool agents.runs", 10 * (number + 1), number != 2),)
            log.note(AnswerFacts(tenant_id=1, answer=answer(number, *row), spans=spans))
        other = answer(99, "s9", "the other tenant's question", "task", "found", 1)
        log.note(AnswerFacts(tenant_id=2, answer=other, spans=()))
        log.close()
        assert (log.inserted, log.lost) == (6, 0), attempt
    return database


SCOPE = Scope(reader=Reader(role=Role.ADMIN, tenant_id=1))


def test_questions_that_differ_in_numbers_are_one(database: Database) -> None:
    found = hot_questions(database, SCOPE)
    rows = [dict(zip(found.names, row, strict=True)) for row in found.rows]
    assert [(row["asked"], row["unanswered"]) for row in rows] == [(2, 0), (1, 0), (1, 1)]
    assert str(rows[0]["question"]).lower().startswith("why did run")
    assert "hello" not in str(rows)
    assert "other tenant" not in str(rows)


def test_sessions(database: Database) -> None:
    found = session_patterns(database, SCOPE)
    rows = {row[0]: dict(zip(found.names, row, strict=True)) for row in found.rows}
    assert set(rows) == {"s1", "s2"}
    assert (rows["s1"]["questions"], rows["s1"]["followups"], rows["s1"]["unanswered"]) == (3, 1, 1)
    assert (rows["s1"]["tool_calls"], rows["s1"]["tokens"]) == (6, 36)


def test_time_of_tools(database: Database) -> None:
    found = own_work(database, SCOPE)
    assert [dict(zip(found.names, row, strict=True)) for row in found.rows] == [
        {
            "work": "execute_tool agents.runs", "times": 5, "failed": 1, "p50_ns": 30_000_000, "p99_ns": 50_000_000,
            "max_ns": 50_000_000,
        }
    ]  # fmt: skip


def test_an_auditor_does_not_see_what_was_asked(database: Database) -> None:
    reader = Scope(reader=Reader(role=Role.AUDITOR, tenant_id=1))
    assert not hot_questions(database, reader).rows
    assert own_work(database, reader).rows
