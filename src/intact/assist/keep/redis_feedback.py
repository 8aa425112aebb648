"""Feedback, in a database of its own of the same server."""

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from intact.assist.keep.keep import (
    MAX_GROUPS,
    MAX_STATISTICS,
    Feedback,
    FeedbackCount,
    FeedbackQuery,
    GroupBy,
    Rating,
    ResponseRow,
)
from intact.assist.keep.redis_link import RedisLink

_AT_ONCE = 1_000
_COUNTED = ["session_id", "owner", "rating", "at_ns", "expert", "model", "has_comment"]


class RedisFeedback:
    """What was said of answers; whoever calls has asked whose they are."""

    def __init__(self, link: RedisLink, ttl_s: int) -> None:
        self._db = link.feedback
        self._ttl_s = ttl_s

    async def write(self, row: ResponseRow, said: Feedback, *, keeps_comment: bool) -> Feedback:
        """Write it; as it then is."""
        key, tenant = f"feedback:{row.id}", int(row.asker.get("tenant_id", 1))
        done = row.done or {}
        fields: dict[str, str | int] = {
            "session_id": row.session_id,
            "owner": row.owner,
            "tenant_id": tenant,
            "rating": said.rating.value if said.rating else "",
            "at_ns": said.at_ns,
        }
        async with self._db.pipeline(transaction=True) as pipe:
            pipe.hget(key, "comment")
            pipe.hset(key, mapping=fields)
            if not keeps_comment:
                pipe.hset(key, mapping={"comment": said.comment, "has_comment": int(bool(said.comment))})
            # an answer is rated as that of who gave it: later ratings change nothing of that
            pipe.hsetnx(key, "comment", "")
            pipe.hsetnx(key, "has_comment", 0)
            pipe.hsetnx(key, "expert", str(done.get("expert") or ""))
            pipe.hsetnx(key, "model", str(done.get("model") or ""))
            pipe.sadd(f"session_feedbacks:{row.session_id}", row.id)
            pipe.zadd(f"tenant_feedbacks:{tenant}", {row.id: said.at_ns // 1000})
            pipe.zremrangebyrank(f"tenant_feedbacks:{tenant}", 0, -MAX_STATISTICS - 1)
            for each in (key, f"session_feedbacks:{row.session_id}", f"tenant_feedbacks:{tenant}"):
                pipe.expire(each, self._ttl_s)
            before = (await pipe.execute())[0]
        return replace(said, comment=before or "") if keeps_comment else said

    async def forget(self, session_id: str, response_ids: Sequence[str] | None) -> None:
        """Forget what was said of some answers of a session; None: of all."""
        key = f"session_feedbacks:{session_id}"
        ids = list(await self._db.smembers(key)) if response_ids is None else list(response_ids)
        if not ids:
            return
        async with self._db.pipeline(transaction=False) as pipe:
            for each in ids:
                pipe.hget(f"feedback:{each}", "tenant_id")
            tenants = await pipe.execute()
        async with self._db.pipeline(transaction=True) as pipe:
            pipe.delete(*(f"feedback:{each}" for each in ids))
            pipe.srem(key, *ids)
            for each, tenant in zip(ids, tenants, strict=True):
                pipe.zrem(f"tenant_feedbacks:{tenant}", each)
            await pipe.execute()

    async def renew(self, session_id: str) -> None:
        """Let what was said in a session be kept on from now."""
        key = f"session_feedbacks:{session_id}"
        ids = await self._db.smembers(key)
        async with self._db.pipeline(transaction=False) as pipe:
            for each in (key, *(f"feedback:{one}" for one in ids)):
                pipe.expire(each, self._ttl_s)
            await pipe.execute()

    async def of_session(self, session_id: str) -> dict[str, Feedback]:
        """What was said, by the id of the answer."""
        ids = sorted(await self._db.smembers(f"session_feedbacks:{session_id}"))
        async with self._db.pipeline(transaction=False) as pipe:
            for each in ids:
                pipe.hgetall(f"feedback:{each}")
            rows = await pipe.execute()
        return {each: _feedback(each, row) for each, row in zip(ids, rows, strict=True) if "owner" in row}

    async def stats(self, query: FeedbackQuery) -> list[FeedbackCount]:
        """Ratings by group."""
        key = f"tenant_feedbacks:{query.tenant_id}"
        from_us, to_us = query.from_ns // 1000, query.to_ns // 1000
        ids = await self._db.zrevrangebyscore(key, to_us, from_us, 0, MAX_STATISTICS)
        groups: defaultdict[str, Counter[str]] = defaultdict(Counter)
        for start in range(0, len(ids), _AT_ONCE):
            some = ids[start : start + _AT_ONCE]
            async with self._db.pipeline(transaction=False) as pipe:
                for each in some:
                    pipe.hmget(f"feedback:{each}", _COUNTED)
                rows = [dict(zip(_COUNTED, values, strict=True)) for values in await pipe.execute()]
            gone = [each for each, row in zip(some, rows, strict=True) if row["owner"] is None]
            if gone:
                await self._db.zrem(key, *gone)
            for row in rows:
                if _is_asked_for(row, query):
                    groups[_group(row, query.by)].update(
                        {row["rating"] or "cleared": 1, "comments": int(row["has_comment"])}
                    )
        return [FeedbackCount(key=name, **groups[name]) for name in sorted(groups)[-MAX_GROUPS:]]


def _is_asked_for(row: dict[str, Any], query: FeedbackQuery) -> bool:
    if row["owner"] is None or query.owner not in (None, row["owner"]):
        return False
    return query.from_ns <= int(row["at_ns"]) < query.to_ns


def _group(row: dict[str, Any], by: GroupBy) -> str:
    if by in (GroupBy.HOUR, GroupBy.DAY):
        at = datetime.fromtimestamp(int(row["at_ns"]) // 10**9, UTC)
        return at.strftime("%Y-%m-%dT%H" if by is GroupBy.HOUR else "%Y-%m-%d")
    return str(row["session_id" if by is GroupBy.SESSION else by.value] or "")


def _feedback(response_id: str, row: dict[str, str]) -> Feedback:
    return Feedback(
        response_id=response_id,
        session_id=row["session_id"],
        rating=Rating(row["rating"]) if row["rating"] else None,
        comment=row["comment"],
        at_ns=int(row["at_ns"]),
    )
