"""Readings in a Redis, for tools, which run in threads and await nothing."""

import json
from collections.abc import Callable
from typing import Any

from intact.assist.keep.keep import (
    MAX_READING_BYTES,
    MAX_READINGS,
    MAX_READINGS_BYTES,
    READINGS_KEPT_NS,
    Tally,
    as_text,
    clean_id,
    new_id,
)
from intact.assist.keep.redis_link import RedisLink
from intact.model.errors import IntactError


class RedisReadings:
    """Readings, each under `reading:{id}` with whose it is."""

    def __init__(self, link: RedisLink, tally: Tally, clock: Callable[[], int]) -> None:
        self._link = link
        self._tally = tally
        self._clock = clock

    def put(self, asker: str, body: dict[str, Any]) -> str:
        text = as_text(body)
        if len(text) > MAX_READING_BYTES:
            self._tally.count("readings_refused")
            raise IntactError(f"a reading is at most {MAX_READING_BYTES} bytes")
        made, now = new_id("rdg"), self._clock()
        key, kept_s = f"readings:{asker}", READINGS_KEPT_NS // 10**9
        with self._link.explaining():
            pipe = self._link.threads.pipeline(transaction=True)
            pipe.hset(f"reading:{made}", mapping={"asker": asker, "at_ns": now, "body": text})
            pipe.expire(f"reading:{made}", kept_s)
            pipe.zadd(key, {f"{made}:{len(text)}": now // 1000})
            pipe.zremrangebyscore(key, "-inf", (now - READINGS_KEPT_NS) // 1000)
            pipe.expire(key, kept_s)
            pipe.zrange(key, 0, -1)
            dropped = _too_many(pipe.execute()[-1])
            if dropped:
                pipe.zrem(key, *dropped)
                pipe.delete(*(f"reading:{each.partition(':')[0]}" for each in dropped))
                pipe.execute()
        self._tally.count("readings_put")
        self._tally.count("readings_dropped", len(dropped))
        return made

    def get(self, asker: str, reading_id: str) -> dict[str, Any] | None:
        key = f"reading:{clean_id(reading_id)}"
        with self._link.explaining():
            owner, at_ns, text = self._link.threads.hmget(key, ["asker", "at_ns", "body"])
        if owner != asker or text is None or int(at_ns) <= self._clock() - READINGS_KEPT_NS:
            return None
        body: dict[str, Any] = json.loads(text)
        return body


def _too_many(members: list[str]) -> list[str]:
    """The oldest, until number and size are within bounds."""
    sizes = [int(member.rpartition(":")[2]) for member in members]
    number, size = len(members), sum(sizes)
    dropped = 0
    while number - dropped > MAX_READINGS or size > MAX_READINGS_BYTES:
        size -= sizes[dropped]
        dropped += 1
    return members[:dropped]
