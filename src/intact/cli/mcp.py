"""`intact mcp`: the tools for other agents, over standard input and output or apart from serve."""

import asyncio
import contextlib
import logging
import socket
import sys
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import ExitStack, asynccontextmanager
from pathlib import Path
from typing import Any, Concatenate, ParamSpec, TypeVar

import typer
import uvicorn

from intact.assist.asking import Asker
from intact.assist.identity import Signer
from intact.assist.keep.keep import Keep
from intact.assist.keep.opening import open_keep
from intact.assist.knowledge.library import Library
from intact.assist.servers.apps import ALL, PATH, ServerApps, offered_tools
from intact.assist.servers.offer import Calls, build_server
from intact.assist.servers.registry import SERVERS
from intact.assist.settings import AssistSettings, read_assist_settings
from intact.assist.tool import Parts
from intact.cli.reading import opened
from intact.collect.host_state import LocalHost
from intact.model.errors import IntactError, UsageError
from intact.query.readers import Readers
from intact.query.row_limits import Role
from intact.store.database import Database
from intact.store.runs import DataDirectory

P = ParamSpec("P")
T = TypeVar("T")

# Who can start us can read the files of the data directory.
OWNER = Asker(name="@owner", role=Role.OWNER)
NAMES = tuple(spec.name for spec in SERVERS)
NAMED = ", ".join(NAMES)
IDLE_S = 1.0
MAX_HEADERS = 64 << 10
MOST_CONNECTIONS = 256


def run(
    server: list[str] = typer.Argument(
        None, metavar="[SERVER]…", help=f"{NAMED}; without: all.", autocompletion=lambda: list(NAMES)
    ),
    listen: str | None = typer.Option(
        None, "--listen", metavar="HOST:PORT", help="Over HTTP, for an assistant elsewhere: asks for signed identities."
    ),
    data: Path | None = typer.Option(None, "--data", metavar="DIR", help="Data directory."),
    config: Path | None = typer.Option(
        None, "--config", metavar="FILE", help="Else /etc/intact/intact.yaml; its section assist."
    ),
) -> None:
    """Let other agents (Claude Code, Cursor) ask what agents did and how this host is, over MCP. Nothing can be changed.

    Example: claude mcp add intact -- intact mcp
    """
    logging.basicConfig(stream=sys.stderr, level=logging.WARNING, format="intact: %(message)s")
    only = tuple(dict.fromkeys(server or ()))
    for name in only:
        if name not in NAMES:
            raise UsageError(f"there is no server {ascii(name)[:60]}; there are: {NAMED}")
    settings = read_assist_settings(config)
    directory = DataDirectory.locate(data)
    directory.become_owner()
    directory.make()
    with LentStore(directory.path) as readers, contextlib.suppress(KeyboardInterrupt):
        if listen is None:
            asyncio.run(_speak(directory.path, settings, readers, only))
        else:
            with _listening(listen) as listening:
                asyncio.run(_serve(directory.path, settings, readers, listening))


class LentStore(Readers):
    """The store, open only while it is asked and shortly after: other commands are to find it free."""

    def __init__(self, directory: Path, *, idle_s: float = IDLE_S) -> None:  # the base opens at once, this does not
        self._directory = directory
        self._idle_s = idle_s
        self._lock = threading.Lock()
        self._stack: ExitStack | None = None
        self._readers: Readers | None = None
        self._asking = 0
        self._timer: threading.Timer | None = None

    def ask(self, question: Callable[Concatenate[Database, P], T], *args: P.args, **named: P.kwargs) -> T:
        readers = self._take()
        try:
            return readers.ask(question, *args, **named)
        finally:
            self._give_back()

    def close(self) -> None:
        with self._lock:
            self._close()

    def __enter__(self) -> "LentStore":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _take(self) -> Readers:
        with self._lock:
            if self._timer is not None:
                self._timer.cancel()
                self._timer = None
            if self._readers is None:
                stack = ExitStack()
                database, _ = stack.enter_context(opened(self._directory, all_runs=True))
                self._readers = Readers(database)
                stack.callback(self._readers.close)
                self._stack = stack
            self._asking += 1
            return self._readers

    def _give_back(self) -> None:
        with self._lock:
            self._asking -= 1
            if self._asking == 0 and self._readers is not None:
                self._timer = threading.Timer(self._idle_s, self._rest)
                self._timer.daemon = True
                self._timer.start()

    def _rest(self) -> None:
        with self._lock:
            if self._asking == 0 and self._timer is threading.current_thread():
                self._close()

    def _close(self) -> None:
        stack, self._stack, self._readers, self._timer = self._stack, None, None, None
        if stack is not None:
            stack.close()


@asynccontextmanager
async def _parts(directory: Path, settings: AssistSettings, readers: Readers) -> AsyncIterator[tuple[Parts, Keep]]:
    async with open_keep(settings, directory) as keep:
        library = await asyncio.to_thread(Library, tuple(settings.knowledge), directory / "cache")
        yield Parts(readers=readers, readings=keep.readings, host=LocalHost(), library=library), keep


async def _speak(directory: Path, settings: AssistSettings, readers: Readers, only: tuple[str, ...]) -> None:
    """Answer over standard input and output, with the rights of whoever started us, until it ends."""
    async with _parts(directory, settings, readers) as (parts, _):
        tools = offered_tools(only)[only[0] if len(only) == 1 else ALL]
        calls = Calls()
        try:
            await build_server("intact", tools, parts, calls=calls, who=lambda: OWNER).run_stdio_async(
                show_banner=False
            )
        finally:
            calls.close()


async def _serve(directory: Path, settings: AssistSettings, readers: Readers, listening: socket.socket) -> None:
    """Answer over HTTP whoever brings an identity that is signed with the key of the data directory."""
    key = Signer.load(directory).public_key
    async with (
        _parts(directory, settings, readers) as (parts, keep),
        ServerApps(parts, public_key=key, use_once=keep.use_once) as apps,
    ):
        host, port = listening.getsockname()[:2]
        typer.echo(f"listening on http://{f'[{host}]' if ':' in host else host}:{port}/mcp")
        server = uvicorn.Server(
            uvicorn.Config(
                _paths(apps), loop="asyncio", http="h11", ws="none", lifespan="off", access_log=False, log_config=None,
                server_header=False, proxy_headers=False, limit_concurrency=MOST_CONNECTIONS, timeout_graceful_shutdown=3,
                h11_max_incomplete_event_size=MAX_HEADERS,
            )
        )  # fmt: skip
        await server.serve(sockets=[listening])


def _paths(apps: ServerApps) -> Any:
    """`/mcp` and `/mcp/{server}`; each server finds itself at `/mcp`."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        name = ALL if scope["path"] == PATH else scope["path"].removeprefix(f"{PATH}/")
        if scope["type"] != "http" or name not in apps.names or (name == ALL and scope["path"] != PATH):
            await send({"type": "http.response.start", "status": 404, "headers": [(b"content-length", b"0")]})
            await send({"type": "http.response.body", "body": b""})
            return
        await apps.asgi(name)({**scope, "path": PATH, "raw_path": PATH.encode(), "query_string": b""}, receive, send)

    return app


@contextlib.contextmanager
def _listening(address: str) -> Iterator[socket.socket]:
    host, _, port = address.rpartition(":")
    host = host.strip("[]")
    if not host or not port.isdecimal() or int(port) > 65_535:
        raise UsageError(f"--listen takes HOST:PORT, such as 127.0.0.1:8741, not {ascii(address)[:60]}")
    if host not in ("127.0.0.1", "::1", "localhost"):
        typer.echo("intact: the connection is not encrypted; put a proxy that speaks TLS in front", err=True)
    try:
        family, kind, protocol, _, place = socket.getaddrinfo(host, int(port), type=socket.SOCK_STREAM)[0]
        made = socket.socket(family, kind, protocol)
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        made.bind(place)
    except OSError as error:
        raise IntactError(f"cannot listen on {host} port {port}: {error.strerror}") from error
    with made:
        yield made
