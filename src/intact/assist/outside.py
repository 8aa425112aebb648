"""MCP servers of others: only what is allowed is offered, and whatever they say is text that nobody vouches for."""

import ipaddress
import json
import math
import os
import re
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from intact.assist.answers import MAX_ROWS, Cell, ToolAnswer
from intact.assist.asking import Asker
from intact.assist.connections import Connection, Identity, ToolInfo
from intact.assist.expert import ToolFailed
from intact.assist.identity import Signer
from intact.assist.protocol import Client, StdioTransport, StreamableHttpTransport, httpx2
from intact.assist.settings import McpSettings
from intact.model.errors import UsageError

LIST_S = 5.0
START_S = 30.0
MAX_RESPONSE = 4 << 20
MAX_CELL = 2_000
MAX_COLUMNS = 50
MAX_CHARACTERS = 64_000
MAX_ABOUT = 500
MAX_SCHEMA = 8_000
_SERVER = re.compile(r"[a-z][a-z0-9_-]{0,39}")
_COLUMN = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]{0,39}")


class OutsideServer:
    """A server of somebody else.

    Args:
        name: what its tools are called by, before the point.
        settings: where it is, and which of its tools are offered.
        signer: signs who asks, where that is sent along.

    Raises:
        UsageError: the settings cannot be.
    """

    def __init__(self, name: str, settings: McpSettings, signer: Signer) -> None:
        _check(name, settings)
        self._name = name
        self._allowed = frozenset(settings.tools)
        self._connection = Connection(name, lambda: _client(name, settings, signer))

    async def list_tools(self, asker: Asker) -> tuple[ToolInfo, ...]:
        if not self._allowed:
            return ()
        listed = await self._connection.ask(asker, LIST_S, lambda client: client.list_tools())
        return tuple(self._told(tool) for tool in listed if tool.name in self._allowed and not _says_it_writes(tool))

    async def call(self, asker: Asker, tool: str, arguments: dict[str, Any], timeout_s: float) -> ToolAnswer:
        if tool not in self._allowed:
            raise ToolFailed(f"there is no tool {ascii(f'{self._name}.{tool}')[:80]}")
        result = await self._connection.ask(asker, timeout_s, lambda client: client.call_tool_mcp(tool, arguments))
        if result.is_error:
            raise ToolFailed(f"{self._name}.{tool} says that it failed")  # how it says so is text of others
        asked = json.dumps(arguments, ensure_ascii=True, sort_keys=True)[:1_000]
        return answer_of(result, query=f"{self._name}.{tool} {asked}", arguments=arguments)

    async def close(self) -> None:
        await self._connection.close()

    def _told(self, tool: Any) -> ToolInfo:
        about = _line(str(tool.description or ""), MAX_ABOUT)
        schema = tool.input_schema if isinstance(tool.input_schema, dict) else {}
        if len(json.dumps(schema, default=str)) > MAX_SCHEMA:
            schema = {"type": "object"}
        return ToolInfo(server=self._name, name=tool.name, about=about, schema=schema, is_ours=False)


def answer_of(result: Any, *, query: str, arguments: dict[str, Any]) -> ToolAnswer:
    """What a server of others answered, as a table of which no text is to be believed."""
    records = _records(result.structured_content)
    if records is None:
        return _text_answer(result, query, arguments)
    names: list[str] = []
    for record in records[:MAX_ROWS]:
        names += [name for name in record if name not in names]
    left, rows = MAX_CHARACTERS, []
    for record in records[:MAX_ROWS]:
        row = tuple(_cell(record.get(name)) for name in names[:MAX_COLUMNS])
        left -= sum(len(cell) for cell in row if isinstance(cell, str))
        if left < 0:
            break
        rows.append(row)
    columns = _columns(names[:MAX_COLUMNS])
    return ToolAnswer(
        query=query,
        arguments=arguments,
        columns=columns,
        rows=tuple(rows),
        untrusted=columns,
        truncated=len(rows) < len(records) or len(names) > MAX_COLUMNS,
        total=len(records),
    )


def _text_answer(result: Any, query: str, arguments: dict[str, Any]) -> ToolAnswer:
    text = "\n".join(part.text for part in result.content if isinstance(getattr(part, "text", None), str))
    if not text and result.structured_content is not None:
        text = json.dumps(result.structured_content, ensure_ascii=False, default=str)
    lines = [line for line in text[:MAX_CHARACTERS].splitlines() if line.strip()]
    rows = tuple((_cell(line),) for line in lines[:MAX_ROWS])
    is_cut = len(text) > MAX_CHARACTERS or len(lines) > MAX_ROWS or any(len(line) > MAX_CELL for line in lines)
    return ToolAnswer(
        query=query, arguments=arguments, columns=("text",), rows=rows, untrusted=("text",), truncated=is_cut
    )


def _records(content: Any) -> list[dict[str, Any]] | None:
    """A list of objects, alone or as the one list of an object; an object of plain values is one row."""
    if isinstance(content, dict):
        if len(content) == 1 and isinstance(next(iter(content.values())), str):
            return None  # a text in a wrapping
        lists = [value for value in content.values() if isinstance(value, list)]
        if len(lists) != 1:
            flat = bool(content) and not any(isinstance(value, dict | list) for value in content.values())
            return [content] if flat else None
        content = lists[0]
    if not isinstance(content, list) or not content or not all(isinstance(each, dict) and each for each in content):
        return None
    return content


def _columns(names: list[str]) -> tuple[str, ...]:
    """The names of columns, which are read as words of ours, only where they are names and nothing else."""
    found: list[str] = []
    for at, name in enumerate(names, 1):
        found.append(name if _COLUMN.fullmatch(name) and name not in found else f"column_{at}")
    return tuple(found)


def _cell(value: Any) -> Cell:
    if value is None or isinstance(value, bool) or (isinstance(value, int) and abs(value) < 1 << 64):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
    return text[:MAX_CELL].encode("utf-8", "replace").decode()


def _line(text: str, most: int) -> str:
    return " ".join("".join(c if c.isprintable() else " " for c in text[: most * 4]).split())[:most]


def _says_it_writes(tool: Any) -> bool:
    """Whether it says of itself that it changes something; nothing here may."""
    return tool.annotations is not None and tool.annotations.read_only_hint is False


def _check(name: str, settings: McpSettings) -> None:
    where = f"assist.mcp.{ascii(name)[1:-1][:60]}"
    if not _SERVER.fullmatch(name):
        raise UsageError(f"{where}: the name of a server is a small letter, then letters, digits, _ or -")
    if (settings.url is None) == (not settings.command):
        raise UsageError(f"{where}: give url or command, one of the two")
    if settings.url is None:
        if settings.send_identity:
            raise UsageError(
                f"{where}.send_identity: a command is started for all who ask; only a url can be told who does"
            )
        return
    address = urlsplit(settings.url)
    if address.scheme not in ("http", "https") or not address.hostname:
        raise UsageError(f"{where}.url: an address begins with http:// or https://")
    if settings.send_identity and address.scheme == "http" and not _is_loopback(address.hostname):
        raise UsageError(f"{where}.send_identity: an identity is sent over https, or to this machine")


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _client(name: str, settings: McpSettings, signer: Signer) -> Client:
    if settings.url is None:
        transport: Any = StdioTransport(
            settings.command[0],
            settings.command[1:],
            env=dict(settings.environment),  # and PATH, HOME and the like; none of our own
            keep_alive=False,
            log_file=Path(os.devnull),
        )
    else:
        identity = Identity(signer, name) if settings.send_identity else None
        transport = StreamableHttpTransport(
            settings.url, headers=dict(settings.headers), auth=identity, httpx_client_factory=_http
        )
    return Client(transport, name=f"intact-{name}", cache=False, init_timeout=START_S)


def _http(**settings: Any) -> Any:
    settings["follow_redirects"] = False  # what is sent goes where it was meant to go
    return httpx2.AsyncClient(**settings, transport=_Bounded(), trust_env=False)


class _Bounded(httpx2.AsyncHTTPTransport):
    """Takes no response that is longer than anybody would read."""

    async def handle_async_request(self, request: Any) -> Any:
        response = await super().handle_async_request(request)
        response.stream = _BoundedStream(response.stream)
        return response


class _BoundedStream(httpx2.AsyncByteStream):
    def __init__(self, stream: Any) -> None:
        self._stream = stream

    async def __aiter__(self) -> Any:
        taken = 0
        async for piece in self._stream:
            taken += len(piece)
            if taken > MAX_RESPONSE:
                raise httpx2.ReadError("the response is too long")
            yield piece

    async def aclose(self) -> None:
        await self._stream.aclose()
