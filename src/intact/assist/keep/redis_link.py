"""Connections to a Redis or Valkey, and what is said when there is none."""

import asyncio
import re
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar
from urllib.parse import urlsplit

import redis
from redis import asyncio as redis_async
from redis.backoff import NoBackoff
from redis.retry import Retry

from intact.assist.keep.keep import KeepUnavailable
from intact.model.errors import UsageError

TIMEOUT_S = 2.0
MOST_CONNECTIONS = 64
_ATTEMPTS = 50
_T = TypeVar("_T")

# Never tried again by the library: what was written, though its answer was lost, would be there twice.
_OPTIONS: dict[str, Any] = {
    "decode_responses": True,
    "encoding_errors": "replace",
    "socket_timeout": TIMEOUT_S,
    "socket_connect_timeout": TIMEOUT_S,
    "protocol": 2,
    "timeout": TIMEOUT_S,
    "max_connections": MOST_CONNECTIONS,
}


class RedisLink:
    """The databases of one server: `main` and `feedback`, and `threads` for those who do not await.

    Args:
        url: `redis://` or `rediss://`; a password in it is told nobody.
        feedback_db: the number of the database that feedback is kept in.

    Raises:
        UsageError: this is no such address.
    """

    def __init__(self, url: str, feedback_db: int) -> None:
        try:
            parts = urlsplit(url)
            self.name = f"{parts.hostname}:{parts.port or 6379}"
            number = parts.path.strip("/") or "0"
            if parts.scheme not in ("redis", "rediss") or not parts.hostname or not re.fullmatch("[0-9]{1,4}", number):
                raise ValueError("another scheme, no host, or no number of a database")
            self.main: Any = redis_async.Redis(connection_pool=_pool(url))
            self.feedback: Any = redis_async.Redis(connection_pool=_pool(url, db=feedback_db))
            pool = redis.BlockingConnectionPool.from_url(url, retry=Retry(NoBackoff(), 0), **_OPTIONS)
            pool.connection_class(**pool.connection_kwargs)  # connects to nothing, but knows all its options
            self.threads: Any = redis.Redis(connection_pool=pool)
        except (ValueError, TypeError, redis.RedisError):
            # the text of the error may hold parts of the address, so the password
            raise UsageError("assist.sessions: neither `sqlite` nor an address such as redis://HOST:6379/0") from None
        self.failed_at: float | None = None

    async def close(self) -> None:
        await self.main.connection_pool.disconnect()
        await self.feedback.connection_pool.disconnect()
        self.threads.connection_pool.disconnect()

    @contextmanager
    def explaining(self) -> Iterator[None]:
        """Say in one line what goes wrong inside."""
        try:
            yield
        except (redis.RedisError, OSError, TimeoutError) as error:
            self.failed_at = time.monotonic()
            words = " ".join(str(error).split())[:120] or type(error).__name__
            raise KeepUnavailable(f"the Redis at {self.name} cannot be used: {words}") from None
        self.failed_at = None

    async def change(self, watched: list[str], work: Callable[[Any], Awaitable[_T]]) -> tuple[_T, list[Any]]:
        """Read, then write, as if alone: from the beginning if another wrote what is watched.

        Args:
            watched: keys of `main`.
            work: reads with the pipeline, calls its `multi` and says what to write.
        """
        with self.explaining():
            for attempt in range(_ATTEMPTS):
                async with self.main.pipeline(transaction=True) as pipe:
                    try:
                        await pipe.watch(*watched)
                        result = await work(pipe)
                        return result, await pipe.execute()
                    except redis.WatchError:
                        await asyncio.sleep(0.001 * attempt)
        raise KeepUnavailable(f"the Redis at {self.name} cannot be used: too many write to one session at once")


def _pool(url: str, **options: Any) -> Any:
    """A number of a database that is given here is stronger than that of the address."""
    pool = redis_async.BlockingConnectionPool.from_url(url, retry=Retry(NoBackoff(), 0), **_OPTIONS)
    pool.connection_kwargs.update(options)
    return pool
