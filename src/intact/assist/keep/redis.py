"""What is kept, in a Redis or Valkey of one's own: plain commands, no modules, no scripts.

Keys of the main database, `updated` being whole microseconds, which a score holds exactly:

    session:{id}            hash    owner title created_ns updated_ns expert next_message
    messages:{id}           list    JSON, with the number of each
    session_responses:{id}  list    ids
    user_sessions:{owner}   zset    ids by updated          all_sessions  the same of all owners
    response:{id}           hash    the fields of ResponseRow
    events:{id}             hash    text by number
    running:{place}         zset    ids by start
    used:{digest}           string  until the id expires
    reading:{id}            string  JSON with the asker     readings:{asker}  zset of `id:size` by time

and of that of feedback:

    feedback:{response_id}  hash    session_feedbacks:{session_id}  set    tenant_feedbacks:{tenant}  zset by time
"""

import hashlib
import json
import time
from collections.abc import Callable, Sequence
from typing import Any

from intact.assist.asking import Message
from intact.assist.keep import keep as bounds
from intact.assist.keep.keep import (
    DAY_NS,
    Feedback,
    FeedbackCount,
    FeedbackQuery,
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
from intact.assist.keep.redis_feedback import RedisFeedback
from intact.assist.keep.redis_link import RedisLink
from intact.assist.keep.redis_readings import RedisReadings

_SWEPT_AT_ONCE = 50
_EVENTS_S = bounds.EVENTS_KEPT_NS // 10**9
# How long a server keeps what `expire` should have removed before: a session in use renews what hangs on it daily.
_SLACK_S = 2 * 86_400


class RedisKeep:
    """A `Keep` in a Redis.

    Args:
        link: the server.
        session_days: so long a session is kept that is not used.
        clock: epoch nanoseconds.
    """

    def __init__(self, link: RedisLink, *, session_days: int = 30, clock: Callable[[], int] = time.time_ns) -> None:
        self._link = link
        self._clock = clock
        self._session_ns = session_days * DAY_NS
        self._ttl_s = session_days * 86_400 + _SLACK_S
        self._tally = Tally()
        self._sessions = 0
        self._readings = RedisReadings(link, self._tally, clock)
        self._feedback = RedisFeedback(link, self._ttl_s)

    @property
    def readings(self) -> RedisReadings:
        return self._readings

    async def close(self) -> None:
        await self._link.close()

    async def new_session(self, owner: str, session_id: str | None = None, *, at_ns: int) -> Session | None:
        if session_id is not None and not is_id(session_id):
            return None
        at_ns -= at_ns % 1000
        made = Session(id=session_id or new_id("ses"), owner=owner, title="", created_ns=at_ns, updated_ns=at_ns)
        key = f"session:{made.id}"

        async def make(pipe: Any) -> Session | None:
            found = _session(made.id, await pipe.hgetall(key))
            if found is not None and found.updated_ns > self._oldest():
                pipe.multi()
                return found if found.owner == owner else None
            old = [] if found is None else await pipe.lrange(f"session_responses:{made.id}", 0, -1)
            pipe.multi()
            if found is not None:
                self._forget(pipe, found, old)
            fields = {"owner": owner, "title": "", "created_ns": at_ns, "updated_ns": at_ns, "expert": ""}
            pipe.hset(key, mapping={**fields, "next_message": 0, "renewed_ns": at_ns})
            self._mark_use(pipe, made.id, owner, at_ns)
            return made

        session, _ = await self._link.change([key], make)
        if session is made:
            self._tally.count("sessions_made")
            await self._drop_sessions(owner)
        return session

    async def session(self, owner: str, session_id: str) -> Session | None:
        session_id = clean_id(session_id)
        with self._link.explaining():
            found = _session(session_id, await self._link.main.hgetall(f"session:{session_id}"))
        return found if self._is_own(found, owner) else None

    async def sessions(self, owner: str, *, limit: int, before: tuple[int, str] | None = None) -> list[Session]:
        key, found = f"user_sessions:{owner}", list[Session]()
        highest = "+inf" if before is None else str(before[0] // 1000)
        lowest = f"({self._oldest() // 1000}"
        offset = 0
        with self._link.explaining():
            while len(found) < limit:
                ids = await self._link.main.zrevrangebyscore(key, highest, lowest, offset, limit)
                if not ids:
                    break
                offset += len(ids)
                async with self._link.main.pipeline(transaction=False) as pipe:
                    for each in ids:
                        pipe.hgetall(f"session:{each}")
                    rows = await pipe.execute()
                read = (_session(each, row) for each, row in zip(ids, rows, strict=True))
                some = [session for session in read if session is not None and self._is_own(session, owner)]
                found += [each for each in some if before is None or (each.updated_ns, each.id) < before]
        return found[:limit]

    async def rename(self, owner: str, session_id: str, title: str) -> bool:
        session_id = clean_id(session_id)
        title = cut(title, 4 * bounds.MAX_TITLE)[: bounds.MAX_TITLE]

        async def write(pipe: Any) -> bool:
            is_own = self._is_own(_session(session_id, await pipe.hgetall(f"session:{session_id}")), owner)
            pipe.multi()
            if is_own:
                pipe.hset(f"session:{session_id}", "title", title)
            return is_own

        return (await self._link.change([f"session:{session_id}"], write))[0]

    async def delete(self, owner: str, session_id: str) -> bool:
        found = await self.session(owner, session_id)
        if found is None:
            return False
        return await self._remove(found)

    async def add_message(self, owner: str, session_id: str, message: Message) -> bool:
        session_id = clean_id(session_id)
        content = cut(message.content, bounds.MAX_MESSAGE_BYTES)
        key = f"session:{session_id}"

        async def add(pipe: Any) -> bool:
            fields = await pipe.hgetall(key)
            found = _session(session_id, fields)
            pipe.multi()
            if found is None or not self._is_own(found, owner):
                return False
            number = int(fields["next_message"])
            body = {"seq": number, "role": message.role, "content": content, "at_ns": message.at_ns}
            pipe.rpush(f"messages:{session_id}", as_text({**body, "response_id": message.response_id}))
            pipe.ltrim(f"messages:{session_id}", -bounds.MAX_MESSAGES, -1)
            pipe.hset(key, "next_message", number + 1)
            self._mark_use(pipe, session_id, owner, max(found.updated_ns, message.at_ns - message.at_ns % 1000))
            return True

        is_added, results = await self._link.change([key], add)
        if is_added:
            self._tally.count("messages_added")
            self._tally.count("messages_dropped", max(0, results[0] - bounds.MAX_MESSAGES))
            self._tally.count("messages_cut", len(content) < len(message.content))
        return is_added

    async def messages(
        self, owner: str, session_id: str, *, limit: int = bounds.HISTORY, before: int | None = None
    ) -> MessagePage:
        empty = MessagePage(messages=(), before=None)
        if await self.session(owner, session_id) is None:
            return empty
        key = f"messages:{session_id}"
        with self._link.explaining():
            oldest = await self._link.main.lindex(key, 0)
            if oldest is None:
                return empty
            first, number = json.loads(oldest)["seq"], await self._link.main.llen(key)
            end = number if before is None else max(0, min(before - first, number))
            start = max(0, end - limit)
            texts = await self._link.main.lrange(key, start, end - 1) if end > start else []
        rows = [json.loads(text) for text in texts]
        messages = tuple(
            Message(role=row["role"], content=row["content"], at_ns=row["at_ns"], response_id=row["response_id"])
            for row in rows
        )
        return MessagePage(messages=messages, before=rows[0]["seq"] if rows and start > 0 else None)

    async def open_response(self, row: ResponseRow) -> bool:
        if not is_id(row.id) or not is_id(row.session_id):
            return False
        key, list_key = f"session:{row.session_id}", f"session_responses:{row.session_id}"

        renews = False

        async def open_it(pipe: Any) -> list[str] | None:
            nonlocal renews
            fields = await pipe.hgetall(key)
            found = _session(row.session_id, fields)
            is_taken = await pipe.exists(f"response:{row.id}")
            others = await pipe.lrange(list_key, 0, -1)
            pipe.multi()
            if found is None or not self._is_own(found, row.owner) or is_taken:
                return None
            pipe.hset(f"response:{row.id}", mapping=_fields(row))
            pipe.expire(f"response:{row.id}", self._ttl_s)
            pipe.rpush(list_key, row.id)
            pipe.ltrim(list_key, -bounds.MAX_RESPONSES, -1)
            if row.state is State.RUNNING:
                pipe.zadd(f"running:{row.place}", {row.id: row.started_ns // 1000})
            renews = row.started_ns - int(fields["renewed_ns"]) > DAY_NS
            if renews:
                pipe.hset(key, "renewed_ns", row.started_ns)
                for each in others:
                    pipe.expire(f"response:{each}", self._ttl_s)
            self._mark_use(
                pipe, row.session_id, row.owner, max(found.updated_ns, row.started_ns - row.started_ns % 1000)
            )
            return list(others[: max(0, len(others) + 1 - bounds.MAX_RESPONSES)])

        dropped, _ = await self._link.change([key, f"response:{row.id}"], open_it)
        if dropped is None:
            return False
        self._tally.count("responses_opened")
        self._tally.count("responses_dropped", len(dropped))
        with self._link.explaining():
            if renews:
                await self._feedback.renew(row.session_id)
            if dropped:
                await self._feedback.forget(row.session_id, dropped)
                await self._link.main.delete(*(f"{kind}:{each}" for each in dropped for kind in ("response", "events")))
        return True

    async def save_answer(self, response_id: str, text: str) -> bool:
        kept = cut(text, bounds.MAX_ANSWER_BYTES)
        self._tally.count("answers_cut", len(kept) < len(text))
        return await self._end(response_id, {"text": kept})

    async def close_response(
        self, response_id: str, state: State, *, ended_ns: int, text: str, done: dict[str, Any] | None
    ) -> bool:
        fields = {"state": state.value, "ended_ns": ended_ns, "text": cut(text, bounds.MAX_ANSWER_BYTES)}
        return await self._end(response_id, {**fields, "done": "" if done is None else as_text(done)})

    async def response(self, owner: str, response_id: str) -> ResponseRow | None:
        response_id = clean_id(response_id)
        with self._link.explaining():
            row = _response(response_id, await self._link.main.hgetall(f"response:{response_id}"))
        if row is None or row.owner != owner or await self.session(owner, row.session_id) is None:
            return None
        return row

    async def unfinished(self, place: str = "serve") -> list[ResponseRow]:
        key = f"running:{place}"
        with self._link.explaining():
            ids = await self._link.main.zrange(key, 0, 999)
            async with self._link.main.pipeline(transaction=False) as pipe:
                for each in ids:
                    pipe.hgetall(f"response:{each}")
                rows = [_response(each, fields) for each, fields in zip(ids, await pipe.execute(), strict=True)]
            gone = [each for each, row in zip(ids, rows, strict=True) if row is None]
            if gone:
                await self._link.main.zrem(key, *gone)
        return [row for row in rows if row is not None]

    async def log(self, response_id: str, first_seq: int, texts: Sequence[str]) -> bool:
        response_id = clean_id(response_id)
        key = f"events:{response_id}"
        kept = [
            (seq, text if text.isascii() else cut(text, bounds.MAX_EVENT_BYTES))
            for seq, text in enumerate(texts, first_seq)
            if 0 <= seq < bounds.MAX_EVENTS and len(text) <= bounds.MAX_EVENT_BYTES
        ]
        self._tally.count("events_dropped", len(texts) - len(kept))
        if not kept:
            return True
        with self._link.explaining():
            async with self._link.main.pipeline(transaction=True) as pipe:
                pipe.exists(f"response:{response_id}")
                for seq, text in kept:
                    pipe.hsetnx(key, seq, text)
                pipe.expire(key, _EVENTS_S)
                is_there = (await pipe.execute())[0]
            if not is_there:
                await self._link.main.delete(key)
                return False
        self._tally.count("events_logged", len(kept))
        return True

    async def logged(self, response_id: str, after_seq: int = -1) -> list[tuple[int, str]]:
        response_id = clean_id(response_id)
        with self._link.explaining():
            row = _response(response_id, await self._link.main.hgetall(f"response:{response_id}"))
            if row is None or (row.state is not State.RUNNING and self._is_log_old(row)):
                return []
            found = await self._link.main.hgetall(f"events:{response_id}")
        events = ((int(seq), text) for seq, text in found.items())
        return sorted(event for event in events if event[0] > after_seq)

    async def rate(
        self, owner: str, response_id: str, rating: Rating | None, *, comment: str | None = None, at_ns: int
    ) -> Feedback | None:
        row = await self.response(owner, response_id)
        if row is None:
            return None
        kept = None if comment is None else cut(comment, 4 * bounds.MAX_COMMENT)[: bounds.MAX_COMMENT]
        self._tally.count("comments_cut", len(kept or "") < len(comment or ""))
        said = Feedback(
            response_id=row.id, session_id=row.session_id, rating=rating, comment=kept or "", at_ns=at_ns
        )  # fmt: skip
        with self._link.explaining():
            said = await self._feedback.write(row, said, keeps_comment=kept is None)
            if not await self._link.main.exists(f"response:{row.id}"):  # deleted meanwhile
                await self._feedback.forget(row.session_id, [row.id])
                return None
        return said

    async def feedback(self, owner: str, session_id: str) -> dict[str, Feedback]:
        if await self.session(owner, session_id) is None:
            return {}
        with self._link.explaining():
            return await self._feedback.of_session(session_id)

    async def feedback_stats(self, query: FeedbackQuery) -> list[FeedbackCount]:
        with self._link.explaining():
            return await self._feedback.stats(query)

    async def use_once(self, used_id: str, expires_ns: int) -> bool:
        left_ms = (expires_ns - self._clock() + 999_999) // 1_000_000
        if left_ms <= 0:
            return False
        digest = hashlib.blake2b(used_id.encode("utf-8", "surrogatepass"), digest_size=20).hexdigest()
        with self._link.explaining():
            is_first = bool(await self._link.main.set(f"used:{digest}", "1", nx=True, px=left_ms))
        self._tally.count("ids_used" if is_first else "ids_refused")
        return is_first

    async def expire(self) -> int:
        with self._link.explaining():
            ids = await self._link.main.zrangebyscore(
                "all_sessions", "-inf", self._oldest() // 1000, 0, _SWEPT_AT_ONCE
            )  # fmt: skip
            removed = 0
            for each in ids:
                fields = await self._link.main.hgetall(f"session:{each}")
                found = _session(each, fields)
                if found is None:  # the server let it go already
                    await self._link.main.zrem("all_sessions", each)
                elif found.updated_ns <= self._oldest():
                    removed += await self._remove(found)
            self._sessions = await self._link.main.zcard("all_sessions")
        self._tally.count("sessions_expired", removed)
        return removed

    def counts(self) -> dict[str, int]:
        is_down = self._link.failed_at is not None
        return {**self._tally.counted, "sessions": self._sessions, "unavailable": int(is_down)}

    def _oldest(self) -> int:
        return self._clock() - self._session_ns

    def _is_own(self, session: Session | None, owner: str) -> bool:
        return session is not None and session.owner == owner and session.updated_ns > self._oldest()

    def _is_log_old(self, row: ResponseRow) -> bool:
        return (row.ended_ns or row.started_ns) <= self._clock() - bounds.EVENTS_KEPT_NS

    def _mark_use(self, pipe: Any, session_id: str, owner: str, at_ns: int) -> None:
        pipe.hset(f"session:{session_id}", "updated_ns", at_ns)
        for key in (f"user_sessions:{owner}", "all_sessions"):
            pipe.zadd(key, {session_id: at_ns // 1000})
            pipe.expire(key, self._ttl_s)
        for kind in ("session", "messages", "session_responses"):
            pipe.expire(f"{kind}:{session_id}", self._ttl_s)

    async def _end(self, response_id: str, fields: dict[str, Any]) -> bool:
        """Write to an answer that is running; with a state it ends, and its session was used."""
        response_id = clean_id(response_id)
        key = f"response:{response_id}"

        async def write(pipe: Any) -> bool:
            row = _response(response_id, await pipe.hgetall(key))
            if row is None or row.state is not State.RUNNING:
                pipe.multi()
                return False
            await pipe.watch(f"session:{row.session_id}")
            session = _session(row.session_id, await pipe.hgetall(f"session:{row.session_id}"))
            pipe.multi()
            pipe.hset(key, mapping=fields)
            if "state" not in fields:
                return True
            pipe.zrem(f"running:{row.place}", response_id)
            pipe.expire(f"events:{response_id}", _EVENTS_S)
            if session is not None:
                expert = (json.loads(fields["done"]) if fields["done"] else {}).get("expert")
                if expert:
                    pipe.hset(f"session:{row.session_id}", "expert", expert)
                ended_ns = fields["ended_ns"] - fields["ended_ns"] % 1000
                self._mark_use(pipe, row.session_id, session.owner, max(session.updated_ns, ended_ns))
            return True

        return (await self._link.change([key], write))[0]

    async def _drop_sessions(self, owner: str) -> None:
        with self._link.explaining():
            self._sessions = await self._link.main.zcard("all_sessions")
            number = await self._link.main.zcard(f"user_sessions:{owner}")
            if number <= bounds.MAX_SESSIONS:
                return
            for each in await self._link.main.zrange(f"user_sessions:{owner}", 0, number - bounds.MAX_SESSIONS - 1):
                found = _session(each, await self._link.main.hgetall(f"session:{each}"))
                if found is None:
                    await self._link.main.zrem(f"user_sessions:{owner}", each)
                else:
                    self._tally.count("sessions_dropped", await self._remove(found))

    async def _remove(self, session: Session) -> bool:
        key = f"session:{session.id}"

        async def forget(pipe: Any) -> bool:
            is_there = await pipe.exists(key)
            ids = await pipe.lrange(f"session_responses:{session.id}", 0, -1)
            pipe.multi()
            self._forget(pipe, session, ids)
            return bool(is_there)

        is_removed, _ = await self._link.change([key], forget)
        with self._link.explaining():
            await self._feedback.forget(session.id, None)
            self._sessions = await self._link.main.zcard("all_sessions")
        return is_removed

    @staticmethod
    def _forget(pipe: Any, session: Session, response_ids: list[str]) -> None:
        pipe.delete(*(f"{kind}:{session.id}" for kind in ("session", "messages", "session_responses")))
        for each in response_ids:
            pipe.delete(f"response:{each}", f"events:{each}")
        pipe.zrem(f"user_sessions:{session.owner}", session.id)
        pipe.zrem("all_sessions", session.id)


def _session(session_id: str, fields: dict[str, str]) -> Session | None:
    if "owner" not in fields:
        return None
    return Session(
        id=session_id,
        owner=fields["owner"],
        title=fields["title"],
        created_ns=int(fields["created_ns"]),
        updated_ns=int(fields["updated_ns"]),
        expert=fields["expert"] or None,
    )


def _fields(row: ResponseRow) -> dict[str, str | int]:
    return {
        "session_id": row.session_id,
        "owner": row.owner,
        "question": as_text(row.question),
        "asker": as_text(row.asker),
        "started_ns": row.started_ns,
        "state": row.state.value,
        "ended_ns": "" if row.ended_ns is None else row.ended_ns,
        "text": cut(row.text, bounds.MAX_ANSWER_BYTES),
        "done": "" if row.done is None else as_text(row.done),
        "place": row.place,
    }


def _response(response_id: str, fields: dict[str, str]) -> ResponseRow | None:
    if "owner" not in fields:
        return None
    return ResponseRow(
        id=response_id,
        session_id=fields["session_id"],
        owner=fields["owner"],
        question=json.loads(fields["question"]),
        asker=json.loads(fields["asker"]),
        started_ns=int(fields["started_ns"]),
        state=State(fields["state"]),
        ended_ns=int(fields["ended_ns"]) if fields["ended_ns"] else None,
        text=fields["text"],
        done=json.loads(fields["done"]) if fields["done"] else None,
        place=fields["place"],
    )
