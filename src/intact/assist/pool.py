"""The tools of all servers, ours and others', for whoever asks: one client a server, shared by all."""

import asyncio
import hashlib
import json
import logging
import time
from collections.abc import Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

from starlette.types import ASGIApp

from intact.assist.answers import ToolAnswer
from intact.assist.asking import Asker
from intact.assist.connections import Connection, Identity, Refused, ToolInfo, ToolServer
from intact.assist.expert import ToolFailed
from intact.assist.identity import Signer
from intact.assist.outside import OutsideServer
from intact.assist.protocol import (
    CallToolRequest,
    CallToolRequestParams,
    CallToolResult,
    Client,
    StreamableHttpTransport,
    httpx2,
)
from intact.assist.settings import McpSettings
from intact.model.errors import UsageError

_LOG = logging.getLogger("intact.assist")
CALL_S = 30.0
LIST_S = 10.0
LISTS_KEPT_S = 60.0
RETRY_S = 10.0
MOST_LISTS = 1_000
MOST_TOOLS = 500
_MODERN = "2026-07-28"  # our own servers speak it: no handshake, every request stands alone


class ToolPool:
    """Calls tools for whoever asks; nothing of who asks is kept here but the lists of tools that were shown.

    Args:
        servers: the application in this process, or the address, by name.
        signer: signs who asks.
        outside: servers of others.
    """

    def __init__(
        self, servers: Mapping[str, ASGIApp | str], signer: Signer, outside: Mapping[str, McpSettings] | None = None
    ) -> None:
        self._servers: dict[str, ToolServer] = {name: _OwnServer(name, at, signer) for name, at in servers.items()}
        for name, settings in sorted((outside or {}).items()):
            if name in self._servers:
                raise UsageError(f"assist.mcp.{name}: a server of ours is called so; give it another name")
            self._servers[name] = OutsideServer(name, settings, signer)
        self._lists: dict[tuple[str, str], tuple[float, tuple[ToolInfo, ...]]] = {}
        self._away: dict[tuple[str, str], _Away] = {}  # by server, and by whom it refuses; empty: it is so for all

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for server in self._servers.values():
            await server.close()

    @property
    def problems(self) -> tuple[str, ...]:
        """One line for each server that does not answer now; its tools are in no list."""
        return tuple(away.line for (_, whom), away in sorted(self._away.items()) if not whom)

    async def list_tools(self, asker: Asker) -> list[ToolInfo]:
        """What the asker may call, in an order that stays; the tools of a server that does not answer are left out."""
        lists = await asyncio.gather(*(self._list(name, asker) for name in self._servers))
        return [tool for tools in lists for tool in tools]

    async def call(
        self, asker: Asker, tool: str, arguments: Mapping[str, Any], timeout_s: float = CALL_S
    ) -> ToolAnswer:
        """The answer of `server.tool`.

        Raises:
            ToolFailed: there is none; the text is one line of ours.
        """
        server, _, name = tool.partition(".")
        if server not in self._servers:
            raise ToolFailed(f"there is no tool {ascii(tool)[:80]}")
        return await self._servers[server].call(asker, name, dict(arguments), timeout_s)

    async def _list(self, server: str, asker: Asker) -> tuple[ToolInfo, ...]:
        now = time.monotonic()
        key = (server, _principal(asker))
        kept = self._lists.get(key)
        if kept is not None and kept[0] > now:
            return kept[1]
        away = self._away.get((server, ""))
        for known in (away, self._away.get(key)):
            if known is not None and known.until > now:
                return ()
        try:
            found = await self._servers[server].list_tools(asker)
        except ToolFailed as error:
            if away is None:
                _LOG.warning("%s", error)
            while len(self._away) >= MOST_LISTS:
                self._away.pop(next(iter(self._away)))
            whom = key if isinstance(error, Refused) else (server, "")
            self._away[whom] = _Away(time.monotonic() + RETRY_S, str(error))
            return ()
        self._away.pop((server, ""), None)
        self._away.pop(key, None)
        tools = tuple(sorted(found, key=lambda tool: tool.name)[:MOST_TOOLS])
        while len(self._lists) >= MOST_LISTS:
            self._lists.pop(next(iter(self._lists)))
        self._lists[key] = (time.monotonic() + LISTS_KEPT_S, tools)
        return tools


@dataclass(frozen=True, slots=True)
class _Away:
    """A server that did not answer, and until when it is not asked for its tools again."""

    until: float
    line: str


class _OwnServer:
    """A server of ours, in this process or another."""

    def __init__(self, name: str, where: ASGIApp | str, signer: Signer) -> None:
        self._name = name
        self._connection = Connection(name, lambda: _client(name, where, signer))

    async def list_tools(self, asker: Asker) -> tuple[ToolInfo, ...]:
        listed = await self._connection.ask(asker, LIST_S, lambda client: client.list_tools())
        return tuple(
            ToolInfo(server=self._name, name=tool.name, about=tool.description or "", schema=tool.input_schema)
            for tool in listed
        )

    async def call(self, asker: Asker, tool: str, arguments: dict[str, Any], timeout_s: float) -> ToolAnswer:
        # Sent as it is: the client would look into a list of tools first, which may be another asker's.
        request = CallToolRequest(params=CallToolRequestParams(name=tool, arguments=arguments))
        result = await self._connection.ask(
            asker, timeout_s, lambda client: client.session.send_request(request, CallToolResult)
        )
        if result.is_error:
            text = " ".join(getattr(part, "text", "") for part in result.content[:1])
            raise ToolFailed(" ".join(text.split())[:1_000] or "the tool failed and does not say why")
        try:
            return ToolAnswer.from_json(result.structured_content or {})
        except ValueError as error:
            raise ToolFailed(f"{self._name} gave no answer that can be read: {error}") from None

    async def close(self) -> None:
        await self._connection.close()


def _client(name: str, where: ASGIApp | str, signer: Signer) -> Client:
    def http(**settings: Any) -> Any:
        settings["follow_redirects"] = False  # an identity goes where it was sent
        if not isinstance(where, str):
            settings["transport"] = httpx2.ASGITransport(app=where)
        return httpx2.AsyncClient(**settings, trust_env=False)

    address = where if isinstance(where, str) else "http://intact.local/mcp"
    transport = StreamableHttpTransport(address, auth=Identity(signer, name), httpx_client_factory=http)
    return Client(transport, name=f"intact-{name}", cache=False, mode=_MODERN)


def _principal(asker: Asker) -> str:
    """What a list of tools may depend on; nobody else gets it."""
    seen = [asker.name, asker.tenant_id, asker.role.value, asker.run_ids, asker.hosts]
    return hashlib.blake2b(json.dumps(seen).encode(), digest_size=16).hexdigest()
