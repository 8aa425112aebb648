"""A client of an MCP server that all who ask share; who asks travels with each request, in a token of its own."""

import asyncio
import contextlib
import logging
import time
from collections.abc import Awaitable, Callable, Generator
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeVar

from intact.assist.answers import ToolAnswer
from intact.assist.asking import Asker
from intact.assist.expert import ToolFailed
from intact.assist.identity import Signer
from intact.assist.protocol import CONNECTION_CLOSED, Client, MCPError, httpx2
from intact.model.errors import IntactError

_LOG = logging.getLogger("intact.assist")
T = TypeVar("T")

_asker: ContextVar[Asker | None] = ContextVar("intact_asker", default=None)


class Refused(ToolFailed):
    """The server is there and refuses: this asker, or this request; of others that says nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolInfo:
    """A tool that may be called, as it is told to whoever chooses one.

    Args:
        is_ours: not so: what it is about and what it takes is text of others.
    """

    server: str
    name: str
    about: str
    schema: dict[str, Any]
    is_ours: bool = True

    @property
    def full_name(self) -> str:
        return f"{self.server}.{self.name}"


class ToolServer(Protocol):
    """A server whose tools can be called."""

    async def list_tools(self, asker: Asker) -> tuple[ToolInfo, ...]:
        """What the asker may call. Raises ToolFailed."""

    async def call(self, asker: Asker, tool: str, arguments: dict[str, Any], timeout_s: float) -> ToolAnswer:
        """The answer of a tool. Raises ToolFailed."""

    async def close(self) -> None:
        """Let go of it."""


class Identity(httpx2.Auth):
    """Signs a new identity for every HTTP request, also for one that is sent again."""

    def __init__(self, signer: Signer, audience: str) -> None:
        self._signer = signer
        self._audience = audience

    def auth_flow(self, request: Any) -> Generator[Any, Any, None]:
        asker = _asker.get()
        if asker is not None:
            # Nothing may be raised here, it would end the connection of everybody: without a token we are refused.
            with contextlib.suppress(IntactError):
                token = self._signer.mint(asker, self._audience, time.time_ns())
                request.headers["Authorization"] = f"Bearer {token}"
                request.headers["x-ai"] = token
        yield request


@dataclass(slots=True)
class Connection:
    """The client of one server; made when it is needed, made again after it broke."""

    name: str
    make: Callable[[], Client]
    _lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    _client: Client | None = None
    _opening: "asyncio.Task[Client] | None" = None

    async def ask(self, asker: Asker, timeout_s: float, work: Callable[[Client], Awaitable[T]]) -> T:
        """What the client gives while it asks in the name of the asker.

        Raises:
            ToolFailed: it gives nothing; the text is one line of ours.
        """
        try:
            async with asyncio.timeout(timeout_s):
                try:
                    return await self._try(asker, work)
                except Exception as error:
                    if not _is_broken(error):
                        raise
                return await self._try(asker, work)  # whatever was asked changed nothing: it can be asked again
        except TimeoutError:
            raise ToolFailed(f"{self.name} did not answer within {timeout_s:g} s") from None
        except Exception as error:
            _LOG.debug("asking %s", self.name, exc_info=error)
            if isinstance(error, MCPError) and not _is_broken(error):
                raise Refused(f"{self.name} refused the request") from None
            raise ToolFailed(f"{self.name} does not answer ({type(error).__name__})") from None

    async def close(self) -> None:
        async with self._lock:
            if self._opening is not None:
                self._opening.cancel()
                await asyncio.wait([self._opening])
            await self._leave()

    async def _try(self, asker: Asker, work: Callable[[Client], Awaitable[T]]) -> T:
        client = await self._use()
        before = _asker.set(asker)  # only now: a connection belongs to nobody
        try:
            return await work(client)
        except Exception as error:
            if _is_broken(error) or not client.is_connected():
                async with self._lock:
                    if self._client is client:
                        await self._leave()
            raise
        finally:
            _asker.reset(before)

    async def _use(self) -> Client:
        async with self._lock:
            if self._client is not None and self._client.is_connected():
                return self._client
            await self._leave()
            if self._opening is None or self._opening.done():
                self._opening = asyncio.create_task(self._open())
                # a failure is told to who waits; nobody may be waiting any more
                self._opening.add_done_callback(lambda done: done.cancelled() or done.exception())
            opening = self._opening
        # One who waits no longer ends nothing: a slow start goes on for whoever asks next.
        return await asyncio.shield(opening)

    async def _open(self) -> Client:
        client = self.make()
        await client.__aenter__()
        self._client = client
        return client

    async def _leave(self) -> None:
        client, self._client = self._client, None
        if client is not None:
            try:
                await client.close()
            except Exception as error:  # it is given up in any case
                _LOG.debug("closing the client of %s: %s", self.name, type(error).__name__)


def _is_broken(error: Exception) -> bool:
    """Whether the connection is no more, so that another may do."""
    if isinstance(error, MCPError):
        return bool(error.error.code == CONNECTION_CLOSED)
    return isinstance(error, httpx2.TransportError | OSError | EOFError | RuntimeError)
