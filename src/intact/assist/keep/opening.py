"""Where the settings say that things are kept, opened and swept now and then.

The client of Redis is loaded only where it is asked for: it takes a tenth of a second, which `intact ask` need not wait.
"""

import asyncio
import contextlib
import importlib
import logging
import time
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from pathlib import Path

from intact.assist.keep.keep import Keep
from intact.assist.keep.sqlite import SqliteKeep
from intact.assist.keep.sqlite_file import FILE
from intact.assist.settings import AssistSettings
from intact.model.errors import IntactError

_LOG = logging.getLogger("intact.assist")
_FIRST_SWEEP_S = 60.0
_SWEEP_S = 600.0
_SETTLE_S = 1.0


@asynccontextmanager
async def open_keep(
    settings: AssistSettings, directory: Path, *, clock: Callable[[], int] = time.time_ns
) -> AsyncIterator[Keep]:
    """What is kept, for as long as it is used.

    A Redis that is down now is no reason not to start: each call says so, until it is back.

    Raises:
        KeepUnavailable: the file cannot be used.
        UsageError: `sessions` of the settings is no address.
    """
    if settings.sessions == "sqlite":
        file = SqliteKeep(directory / FILE, session_days=settings.session_days, clock=clock)
        try:
            async with _beside(_sweep(file)), _beside(_settle(file)):
                yield file
        finally:
            file.close()
        return
    link = importlib.import_module("intact.assist.keep.redis_link").RedisLink(settings.sessions, settings.feedback_db)
    server = importlib.import_module("intact.assist.keep.redis").RedisKeep(
        link, session_days=settings.session_days, clock=clock
    )
    try:
        async with _beside(_sweep(server)):
            yield server
    finally:
        await server.close()


@asynccontextmanager
async def _beside(work: Coroutine[None, None, None]) -> AsyncIterator[None]:
    task = asyncio.create_task(work)
    try:
        yield
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


async def _sweep(keep: Keep) -> None:
    wait_s = _FIRST_SWEEP_S
    while True:
        await asyncio.sleep(wait_s)
        wait_s = _SWEEP_S
        try:
            while await keep.expire():
                await asyncio.sleep(0.05)
        except IntactError as error:
            _LOG.warning("what is old was not removed: %s", error)


async def _settle(keep: SqliteKeep) -> None:
    while True:
        await asyncio.sleep(_SETTLE_S)
        try:
            await keep.settle()
        except IntactError as error:
            _LOG.warning("what was written is not in its place yet: %s", error)
