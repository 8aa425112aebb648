"""One client a tool server, shared by all who ask; who asks travels with each request, in a token of its own."""

import asyncio
import contextlib
import hashlib
import json
import logging
import time
from collections.abc import Awaitable, Callable, Generator, Mapping
from contextvars import ContextVar
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self, TypeVar

from starlette.types import ASGIApp

from intact.assist.answers import ToolAnswer
from intact.assist.asking import Asker
from intact.assist.expert import ToolFailed
from intact.assist.identity import Signer
from intact.assist.protocol import Client, MCPError, StreamableHttpTransport, httpx2
from intact.model.errors import IntactError

_LOG = logging.getLogger("intact.assist")
CALL_S = 30.0
LIST_S = 10.0
LISTS_KEPT_S = 60.0
MOST_LISTS = 1_000
MOST_TOOLS = 500
_MODERN = "2026-07-28"  # our own servers speak it: no handshake, every request stands alone

T = TypeVar("T")

_asker: ContextVar[Asker | None] = ContextVar("intact_asker", default=None)


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolInfo:
    """A tool that may be called, as it is told to whoever chooses one."""

    server: str
    name: str
    about: str
    schema: dict[str, Any]

    @property
    def full_name(self) -> str:
        return f"{self.server}.{self.name}"


class _Identity(httpx2.Auth):
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
class _Connection:
    """The client of one server; made when it is needed, made again after it broke."""

    name: str
    make: Callable[[], Client]
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    client: Client | None = None

    async def use(self) -> Client:
        async with self.lock:
            if self.client is None or not self.client.is_connected():
                await self._leave()
                client = self.make()
                await client.__aenter__()
                self.client = client
            return self.client

    async def leave(self, broken: Client) -> None:
        """Make another the next time, unless somebody did."""
        async with self.lock:
            if self.client is broken:
                await self._leave()

    async def close(self) -> None:
        async with self.lock:
            await self._leave()

    async def _leave(self) -> None:
        client, self.client = self.client, None
        if client is not None:
            try:
                await client.close()
            except Exception as error:  # it is given up in any case
                _LOG.debug("closing the client of %s: %s", self.name, type(error).__name__)


class ToolPool:
    """Calls tools of the servers for whoever asks.

    Args:
        servers: the application in this process, or the address, by name.
        signer: signs who asks.
    """

    def __init__(self, servers: Mapping[str, ASGIApp | str], signer: Signer) -> None:
        self._connections = {
            name: _Connection(name, lambda name=name, where=where: _client(name, where, signer))  # type: ignore[misc]
            for name, where in servers.items()
        }
        self._lists: dict[tuple[str, str], tuple[float, tuple[ToolInfo, ...]]] = {}

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for connection in self._connections.values():
            await connection.close()

    @property
    def servers(self) -> tuple[str, ...]:
        return tuple(self._connections)

    async def list_tools(self, asker: Asker) -> list[ToolInfo]:
        """What the asker may call, in an order that stays; the tools of a server that does not answer are left out."""
        lists = await asyncio.gather(*(self._list(name, asker) for name in self._connections))
        return [tool for tools in lists for tool in tools]

    async def call(
        self, asker: Asker, tool: str, arguments: Mapping[str, Any], timeout_s: float = CALL_S
    ) -> ToolAnswer:
        """The answer of `server.tool`.

        Raises:
            ToolFailed: there is none; the text is one line of ours.
        """
        server, _, name = tool.partition(".")
        if server not in self._connections:
            raise ToolFailed(f"there is no tool {ascii(tool)[:80]}")
        given = dict(arguments)
        result = await self._ask(asker, server, timeout_s, lambda client: client.call_tool_mcp(name, given))
        if result.is_error:
            raise ToolFailed(_line(result))
        try:
            return ToolAnswer.from_json(result.structured_content or {})
        except ValueError as error:
            raise ToolFailed(f"{server} gave no answer that can be read: {error}") from None

    async def _list(self, server: str, asker: Asker) -> tuple[ToolInfo, ...]:
        key = (server, _principal(asker))
        kept = self._lists.get(key)
        if kept is not None and kept[0] > time.monotonic():
            return kept[1]
        try:
            listed = await self._ask(asker, server, LIST_S, lambda client: client.list_tools())
        except ToolFailed as error:
            _LOG.warning("%s", error)
            return ()
        tools = tuple(
            ToolInfo(server=server, name=tool.name, about=tool.description or "", schema=tool.input_schema)
            for tool in sorted(listed, key=lambda tool: tool.name)[:MOST_TOOLS]
        )
        while len(self._lists) >= MOST_LISTS:
            self._lists.pop(next(iter(self._lists)))
        self._lists[key] = (time.monotonic() + LISTS_KEPT_S, tools)
        return tools

    async def _ask(self, asker: Asker, server: str, timeout_s: float, work: Callable[[Client], Awaitable[T]]) -> T:
        """What a client gives that asks in the name of the asker; what goes wrong on the way is one line."""
        connection = self._connections[server]
        try:
            async with asyncio.timeout(timeout_s):
                for attempt in (1, 2):
                    client = await connection.use()
                    before = _asker.set(asker)  # only now: a connection belongs to nobody
                    try:
                        return await work(client)
                    except Exception as error:
                        if not _is_broken(error, client) or attempt == 2:
                            raise
                        await connection.leave(client)
                    finally:
                        _asker.reset(before)
        except TimeoutError:
            raise ToolFailed(f"{server} did not answer within {timeout_s:g} s") from None
        except Exception as error:
            _LOG.debug("calling %s", server, exc_info=error)
            raise ToolFailed(_why(server, error)) from None
        raise AssertionError("unreachable")


def _client(name: str, where: ASGIApp | str, signer: Signer) -> Client:
    address = where if isinstance(where, str) else "http://intact.local/mcp"

    def http(**settings: Any) -> Any:
        settings["follow_redirects"] = False  # an identity goes where it was sent
        if not isinstance(where, str):
            settings["transport"] = httpx2.ASGITransport(app=where)
        return httpx2.AsyncClient(**settings, trust_env=False)

    transport = StreamableHttpTransport(address, auth=_Identity(signer, name), httpx_client_factory=http)
    return Client(transport, name=f"intact-{name}", cache=False, mode=_MODERN)


def _principal(asker: Asker) -> str:
    """What a list of tools may depend on; nobody else gets it."""
    seen = [asker.name, asker.tenant_id, asker.role.value, asker.run_ids, asker.hosts]
    return hashlib.blake2b(json.dumps(seen).encode(), digest_size=16).hexdigest()


def _line(result: Any) -> str:
    text = " ".join(getattr(part, "text", "") for part in result.content[:1])
    return " ".join(text.split())[:1_000] or "the tool failed and does not say why"


def _is_broken(error: Exception, client: Client) -> bool:
    """Whether the connection is no more, so that another may do."""
    return isinstance(error, httpx2.TransportError) or not client.is_connected()


def _why(server: str, error: Exception) -> str:
    if isinstance(error, MCPError):
        return f"{server} refused the request"
    return f"{server} does not answer ({type(error).__name__})"
