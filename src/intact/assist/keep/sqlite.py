"""What is kept, in one SQLite file; calls are short, so they are made where they are asked for."""

import asyncio
import hashlib
import json
import sqlite3
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

from intact.assist.asking import Message
from intact.assist.keep import keep as bounds
from intact.assist.keep.keep import (
    DAY_NS,
    Feedback,
    FeedbackCount,
    FeedbackQuery,
    GroupBy,
    KeepUnavailable,
    MessagePage,
    Rating,
    ResponseRow,
    Session,
    State,
    Tally,
    as_text,
    clean_id,
    cut,
    is_id,
    new_id,
)
from intact.assist.keep.sqlite_file import SqliteFile
from intact.model.errors import IntactError

_SESSION = "id, owner, title, created_ns, updated_ns, expert"
_RESPONSE = (
    "r.id, r.session_id, r.owner, r.question, r.asker, r.started_ns, r.state, r.ended_ns, r.text, r.done, r.place"
)
_GROUPS = {
    GroupBy.SESSION: "session_id",
    GroupBy.HOUR: "strftime('%Y-%m-%dT%H', at_ns / 1000000000, 'unixepoch')",
    GroupBy.DAY: "strftime('%Y-%m-%d', at_ns / 1000000000, 'unixepoch')",
    GroupBy.EXPERT: "expert",
    GroupBy.MODEL: "model",
}
_SETTLED_AFTER = 200  # changed rows
_SWEPT_AT_ONCE = 50
_SWEPT_IDS_AT_ONCE = 2_000
# a sweep of used ids goes with every so many that are used
_SWEEP_IDS_EVERY = 512


class SqliteKeep:
    """A `Keep` in a file of the data directory.

    Args:
        path: the file.
        session_days: so long a session is kept that is not used.
        clock: epoch nanoseconds.
    """

    def __init__(self, path: Path, *, session_days: int = 30, clock: Callable[[], int] = time.time_ns) -> None:
        self._clock = clock
        self._session_ns = session_days * DAY_NS
        self._tally = Tally()
        self._used = 0
        self._settled = 0
        with ExitStack() as opened:
            self._file = SqliteFile(path)
            opened.callback(self._file.close)
            # of threads, so that they wait for each other and not for the loop, nor it for them
            self._aside = SqliteFile(path)
            opened.pop_all()
        self._readings = SqliteReadings(self._aside, self._tally, clock)

    @property
    def readings(self) -> "SqliteReadings":
        return self._readings

    def close(self) -> None:
        self._aside.close()
        self._file.close()

    async def settle(self) -> None:
        """Now and then: let the disk have what was written, without anybody waiting for it."""
        if self._file.changes - self._settled > _SETTLED_AFTER:
            self._settled = self._file.changes
            await asyncio.to_thread(self._aside.settle)

    async def new_session(self, owner: str, session_id: str | None = None, *, at_ns: int) -> Session | None:
        if session_id is not None and not is_id(session_id):
            return None
        at_ns -= at_ns % 1000
        made = Session(id=session_id or new_id("ses"), owner=owner, title="", created_ns=at_ns, updated_ns=at_ns)
        with self._file.change() as db:
            if session_id is not None:
                row = db.execute(f"SELECT {_SESSION} FROM sessions WHERE id = ?", (session_id,)).fetchone()
                if row is not None and row[4] > self._oldest():
                    found = _session(row)
                    return found if found.owner == owner else None
                db.execute("DELETE FROM sessions WHERE id = ?", (session_id,))
            db.execute("INSERT INTO sessions VALUES (?, ?, '', ?, ?, NULL)", (made.id, owner, at_ns, at_ns))
            dropped = db.execute(
                "DELETE FROM sessions WHERE id IN (SELECT id FROM sessions WHERE owner = ? AND id != ?"
                " ORDER BY updated_ns DESC, id DESC LIMIT -1 OFFSET ?)",
                (owner, made.id, bounds.MAX_SESSIONS - 1),
            ).rowcount
        self._tally.count("sessions_made")
        self._tally.count("sessions_dropped", dropped)
        return made

    async def session(self, owner: str, session_id: str) -> Session | None:
        return self._session(owner, session_id)

    async def sessions(self, owner: str, *, limit: int, before: tuple[int, str] | None = None) -> list[Session]:
        updated_ns, last = before or (_MOST, "")
        rows = self._file.rows(
            f"SELECT {_SESSION} FROM sessions WHERE owner = ? AND updated_ns > ? AND (updated_ns, id) < (?, ?)"
            " ORDER BY updated_ns DESC, id DESC LIMIT ?",
            (owner, self._oldest(), min(updated_ns, _MOST), last, limit),
        )
        return [_session(row) for row in rows]

    async def rename(self, owner: str, session_id: str, title: str) -> bool:
        title = cut(title, 4 * bounds.MAX_TITLE)[: bounds.MAX_TITLE]
        return self._file.run(
            "UPDATE sessions SET title = ? WHERE id = ? AND owner = ? AND updated_ns > ?",
            (title, clean_id(session_id), owner, self._oldest()),
        ) > 0  # fmt: skip

    async def delete(self, owner: str, session_id: str) -> bool:
        if self._session(owner, session_id) is None:
            return False
        return self._file.run("DELETE FROM sessions WHERE id = ? AND owner = ?", (session_id, owner)) > 0

    async def add_message(self, owner: str, session_id: str, message: Message) -> bool:
        content = cut(message.content, bounds.MAX_MESSAGE_BYTES)
        with self._file.change() as db:
            if not self._use(db, owner, session_id, message.at_ns):
                return False
            db.execute(
                "INSERT INTO messages (session_id, role, content, at_ns, response_id) VALUES (?, ?, ?, ?, ?)",
                (session_id, message.role, content, message.at_ns, message.response_id),
            )
            dropped = db.execute(
                "DELETE FROM messages WHERE session_id = ? AND seq <= (SELECT seq FROM messages WHERE session_id = ?"
                " ORDER BY seq DESC LIMIT 1 OFFSET ?)",
                (session_id, session_id, bounds.MAX_MESSAGES),
            ).rowcount
        self._tally.count("messages_added")
        self._tally.count("messages_dropped", dropped)
        self._tally.count("messages_cut", len(content) < len(message.content))
        return True

    async def messages(
        self, owner: str, session_id: str, *, limit: int = bounds.HISTORY, before: int | None = None
    ) -> MessagePage:
        if self._session(owner, session_id) is None:
            return MessagePage(messages=(), before=None)
        rows = self._file.rows(
            "SELECT seq, role, content, at_ns, response_id FROM messages WHERE session_id = ? AND seq < ?"
            " ORDER BY seq DESC LIMIT ?",
            (session_id, _MOST if before is None else min(before, _MOST), limit + 1),
        )
        some = rows[:limit][::-1]
        messages = tuple(Message(role=row[1], content=row[2], at_ns=row[3], response_id=row[4]) for row in some)
        return MessagePage(messages=messages, before=some[0][0] if len(rows) > limit and some else None)

    async def open_response(self, row: ResponseRow) -> bool:
        values = (
            row.id, row.session_id, row.owner, as_text(row.question), as_text(row.asker), row.started_ns, row.state.value,
            row.ended_ns, cut(row.text, bounds.MAX_ANSWER_BYTES), None if row.done is None else as_text(row.done), row.place,
        )  # fmt: skip
        if not is_id(row.id):
            return False
        try:
            with self._file.change() as db:
                if not self._use(db, row.owner, row.session_id, row.started_ns):
                    return False
                db.execute(
                    "INSERT INTO responses (id, session_id, owner, question, asker, started_ns, state, ended_ns, text,"
                    " done, place) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                    values,
                )
                dropped = db.execute(
                    "DELETE FROM responses WHERE session_id = ? AND number <= (SELECT number FROM responses"
                    " WHERE session_id = ? ORDER BY number DESC LIMIT 1 OFFSET ?)",
                    (row.session_id, row.session_id, bounds.MAX_RESPONSES),
                ).rowcount
        except sqlite3.IntegrityError:
            return False  # the id is taken
        self._tally.count("responses_opened")
        self._tally.count("responses_dropped", dropped)
        return True

    async def save_answer(self, response_id: str, text: str) -> bool:
        kept = cut(text, bounds.MAX_ANSWER_BYTES)
        self._tally.count("answers_cut", len(kept) < len(text))
        return self._file.run(
            "UPDATE responses SET text = ? WHERE id = ? AND state = 'running'", (kept, clean_id(response_id))
        ) > 0  # fmt: skip

    async def close_response(
        self, response_id: str, state: State, *, ended_ns: int, text: str, done: dict[str, Any] | None
    ) -> bool:
        values = (
            state.value,
            ended_ns,
            cut(text, bounds.MAX_ANSWER_BYTES),
            None if done is None else as_text(done),
            clean_id(response_id),
        )
        expert = (done or {}).get("expert")
        with self._file.change() as db:
            closed = db.execute(
                "UPDATE responses SET state = ?, ended_ns = ?, text = ?, done = ? WHERE id = ? AND state = 'running'",
                values,
            ).rowcount
            if closed:
                db.execute(
                    "UPDATE sessions SET updated_ns = max(updated_ns, ?), expert = coalesce(?, expert)"
                    " WHERE id = (SELECT session_id FROM responses WHERE id = ?)",
                    (ended_ns - ended_ns % 1000, expert, response_id),
                )
        return closed > 0

    async def response(self, owner: str, response_id: str) -> ResponseRow | None:
        row = self._file.row(
            f"SELECT {_RESPONSE} FROM responses r JOIN sessions s ON s.id = r.session_id"
            " WHERE r.id = ? AND r.owner = ? AND s.updated_ns > ?",
            (clean_id(response_id), owner, self._oldest()),
        )
        return None if row is None else _response(row)

    async def unfinished(self, place: str = "serve") -> list[ResponseRow]:
        rows = self._file.rows(
            f"SELECT {_RESPONSE} FROM responses r WHERE r.state = 'running' AND r.place = ? ORDER BY r.number LIMIT 1000",
            (place,),
        )
        return [_response(row) for row in rows]

    async def log(self, response_id: str, first_seq: int, texts: Sequence[str]) -> bool:
        response_id = clean_id(response_id)
        rows = [
            (response_id, seq, text if text.isascii() else cut(text, bounds.MAX_EVENT_BYTES))
            for seq, text in enumerate(texts, first_seq)
            if 0 <= seq < bounds.MAX_EVENTS and len(text) <= bounds.MAX_EVENT_BYTES
        ]
        self._tally.count("events_dropped", len(texts) - len(rows))
        insert = "INSERT OR IGNORE INTO events (response_id, seq, text) VALUES (?, ?, ?)"
        try:
            if len(rows) == 1:
                self._file.run(insert, rows[0])
            elif rows:
                with self._file.change() as db:
                    db.executemany(insert, rows)
        except sqlite3.IntegrityError:
            return False  # no such answer
        self._tally.count("events_logged", len(rows))
        return True

    async def logged(self, response_id: str, after_seq: int = -1) -> list[tuple[int, str]]:
        kept_from = self._clock() - bounds.EVENTS_KEPT_NS
        rows = self._file.rows(
            "SELECT e.seq, e.text FROM events e JOIN responses r ON r.id = e.response_id WHERE e.response_id = ?"
            " AND e.seq > ? AND (r.state = 'running' OR coalesce(r.ended_ns, r.started_ns) > ?) ORDER BY e.seq",
            (clean_id(response_id), max(-1, min(after_seq, bounds.MAX_EVENTS)), kept_from),
        )
        return [(row[0], row[1]) for row in rows]

    async def rate(
        self, owner: str, response_id: str, rating: Rating | None, *, comment: str | None = None, at_ns: int
    ) -> Feedback | None:
        row = await self.response(owner, response_id)
        if row is None:
            return None
        kept = None if comment is None else cut(comment, 4 * bounds.MAX_COMMENT)[: bounds.MAX_COMMENT]
        self._tally.count("comments_cut", len(kept or "") < len(comment or ""))
        done = row.done or {}
        values = (
            response_id, row.session_id, owner, int(row.asker.get("tenant_id", 1)), rating, kept or "", at_ns,
            done.get("expert") or "", done.get("model") or "", kept,
        )  # fmt: skip
        try:
            said = self._file.rows(
                "INSERT INTO feedback VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (response_id) DO UPDATE SET"
                " rating = excluded.rating, comment = coalesce(?, comment), at_ns = excluded.at_ns RETURNING comment",
                values,
            )[0][0]
        except sqlite3.IntegrityError:
            return None  # deleted meanwhile
        return Feedback(
            response_id=response_id, session_id=row.session_id, rating=rating, comment=said, at_ns=at_ns
        )  # fmt: skip

    async def feedback(self, owner: str, session_id: str) -> dict[str, Feedback]:
        if self._session(owner, session_id) is None:
            return {}
        rows = self._file.rows(
            "SELECT response_id, session_id, rating, comment, at_ns FROM feedback WHERE session_id = ?", (session_id,)
        )
        return {
            row[0]: Feedback(
                response_id=row[0],
                session_id=row[1],
                rating=None if row[2] is None else Rating(row[2]),
                comment=row[3],
                at_ns=row[4],
            )
            for row in rows
        }

    async def feedback_stats(self, query: FeedbackQuery) -> list[FeedbackCount]:
        whose, values = ("", ()) if query.owner is None else (" AND f.owner = ?", (query.owner,))
        rows = self._file.rows(
            f"SELECT {_GROUPS[query.by]} AS key, sum(rating = 'up'), sum(rating = 'down'), sum(rating IS NULL),"
            " sum(comment != '') FROM (SELECT f.* FROM feedback f"
            f" WHERE f.tenant_id = ? AND f.at_ns >= ? AND f.at_ns < ?{whose}"
            " ORDER BY f.at_ns DESC LIMIT ?) GROUP BY key ORDER BY key DESC LIMIT ?",
            (
                *(query.tenant_id, query.from_ns, query.to_ns, *values),
                *(bounds.MAX_STATISTICS, bounds.MAX_GROUPS),
            ),
        )
        return [
            FeedbackCount(key=row[0], up=row[1] or 0, down=row[2] or 0, cleared=row[3], comments=row[4])
            for row in reversed(rows)
        ]

    async def use_once(self, used_id: str, expires_ns: int) -> bool:
        now = self._clock()
        if expires_ns <= now:
            return False
        self._used += 1
        if self._used % _SWEEP_IDS_EVERY == 0:
            self._sweep_ids(self._file, now)
        digest = hashlib.blake2b(used_id.encode("utf-8", "surrogatepass"), digest_size=20).hexdigest()
        is_first = self._file.run("INSERT OR IGNORE INTO used VALUES (?, ?)", (digest, min(expires_ns, _MOST))) == 1
        self._tally.count("ids_used" if is_first else "ids_refused")
        return is_first

    async def expire(self) -> int:
        return await asyncio.to_thread(self._expire)

    def counts(self) -> dict[str, int]:
        try:
            row = self._file.row("SELECT count(*) FROM sessions")
        except KeepUnavailable:
            return {**self._tally.counted, "unavailable": 1}
        return {**self._tally.counted, "sessions": 0 if row is None else row[0], "unavailable": 0}

    def _oldest(self) -> int:
        return self._clock() - self._session_ns

    def _session(self, owner: str, session_id: str) -> Session | None:
        row = self._file.row(
            f"SELECT {_SESSION} FROM sessions WHERE id = ? AND owner = ? AND updated_ns > ?",
            (clean_id(session_id), owner, self._oldest()),
        )
        return None if row is None else _session(row)

    def _use(self, db: sqlite3.Connection, owner: str, session_id: str, at_ns: int) -> bool:
        return db.execute(
            "UPDATE sessions SET updated_ns = max(updated_ns, ?) WHERE id = ? AND owner = ? AND updated_ns > ?",
            (at_ns - at_ns % 1000, clean_id(session_id), owner, self._oldest()),
        ).rowcount > 0  # fmt: skip

    def _expire(self) -> int:
        now = self._clock()
        file = self._aside
        sessions = file.run(
            "DELETE FROM sessions WHERE id IN (SELECT id FROM sessions WHERE updated_ns <= ? LIMIT ?)",
            (now - self._session_ns, _SWEPT_AT_ONCE),
        )
        logs = self._sweep_logs(now)
        ids = self._sweep_ids(file, now)
        readings = file.run(
            "DELETE FROM readings WHERE id IN (SELECT id FROM readings WHERE at_ns <= ? LIMIT ?)",
            (now - bounds.READINGS_KEPT_NS, _SWEPT_AT_ONCE),
        )
        self._tally.count("sessions_expired", sessions)
        self._tally.count("logs_expired", logs)
        self._tally.count("readings_expired", readings)
        return sessions + logs + ids + readings

    def _sweep_logs(self, now: int) -> int:
        with self._aside.change() as db:
            old = db.execute(
                "SELECT id FROM responses WHERE is_logged AND coalesce(ended_ns, started_ns) <= ?"
                " AND state != 'running' LIMIT ?",
                (now - bounds.EVENTS_KEPT_NS, _SWEPT_AT_ONCE),
            ).fetchall()
            db.executemany("DELETE FROM events WHERE response_id = ?", old)
            db.executemany("UPDATE responses SET is_logged = 0 WHERE id = ?", old)
        return len(old)

    def _sweep_ids(self, file: SqliteFile, now: int) -> int:
        removed = file.run(
            "DELETE FROM used WHERE id IN (SELECT id FROM used WHERE expires_ns <= ? LIMIT ?)",
            (now, _SWEPT_IDS_AT_ONCE),
        )
        self._tally.count("ids_expired", removed)
        return removed


class SqliteReadings:
    """Readings, in the same file."""

    def __init__(self, file: SqliteFile, tally: Tally, clock: Callable[[], int]) -> None:
        self._file = file
        self._tally = tally
        self._clock = clock

    def put(self, asker: str, body: dict[str, Any]) -> str:
        text = as_text(body)
        if len(text) > bounds.MAX_READING_BYTES:
            self._tally.count("readings_refused")
            raise IntactError(f"a reading is at most {bounds.MAX_READING_BYTES} bytes")
        made = new_id("rdg")
        with self._file.change() as db:
            db.execute("INSERT INTO readings VALUES (?, ?, ?, ?, ?)", (made, asker, self._clock(), len(text), text))
            number, size = db.execute("SELECT count(*), sum(size) FROM readings WHERE asker = ?", (asker,)).fetchone()
            dropped = 0
            while number - dropped > bounds.MAX_READINGS or size > bounds.MAX_READINGS_BYTES:
                oldest, less = db.execute(
                    "SELECT id, size FROM readings WHERE asker = ? ORDER BY at_ns, rowid LIMIT 1", (asker,)
                ).fetchone()
                db.execute("DELETE FROM readings WHERE id = ?", (oldest,))
                size -= less
                dropped += 1
        self._tally.count("readings_put")
        self._tally.count("readings_dropped", dropped)
        return made

    def get(self, asker: str, reading_id: str) -> dict[str, Any] | None:
        row = self._file.row(
            "SELECT body FROM readings WHERE id = ? AND asker = ? AND at_ns > ?",
            (clean_id(reading_id), asker, self._clock() - bounds.READINGS_KEPT_NS),
        )
        body: dict[str, Any] | None = None if row is None else json.loads(row[0])
        return body


_MOST = (1 << 63) - 1


def _session(row: tuple[Any, ...]) -> Session:
    return Session(id=row[0], owner=row[1], title=row[2], created_ns=row[3], updated_ns=row[4], expert=row[5])


def _response(row: tuple[Any, ...]) -> ResponseRow:
    bare = ResponseRow(
        id=row[0],
        session_id=row[1],
        owner=row[2],
        question=json.loads(row[3]),
        asker=json.loads(row[4]),
        started_ns=row[5],
    )
    done = None if row[9] is None else json.loads(row[9])
    return replace(bare, state=State(row[6]), ended_ns=row[7], text=row[8], done=done, place=row[10])
