"""The tool servers of this process as ASGI applications, each behind a gate that asks for a signed identity."""

import contextlib
from collections.abc import Mapping
from types import TracebackType
from typing import Self

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from starlette.types import ASGIApp

from intact.assist.identity import UseOnce, Verifier
from intact.assist.servers.gate import Gate
from intact.assist.servers.offer import Calls, build_server
from intact.assist.servers.registry import SERVERS, tools_of
from intact.assist.tool import Parts, Tool

ALL = "all"  # every tool in one server, each named server_tool
PATH = "/mcp"

Offered = Mapping[str, Mapping[str, Tool]]  # by server, and by the name it is offered under


def offered_tools(only: tuple[str, ...] = ()) -> dict[str, dict[str, Tool]]:
    """The tools of the servers named, or of all, and of `all` together."""
    wanted = [spec for spec in SERVERS if not only or spec.name in only]
    found = {spec.name: {tool.name: tool for tool in tools_of(spec)} for spec in wanted}
    together = {f"{server}_{name}": tool for server, tools in found.items() for name, tool in tools.items()}
    return {**found, ALL: together}


class ServerApps:
    """All servers, started and ended together.

    Args:
        parts: what the tools work on.
        public_key: of the one who signs identities.
        use_once: notes an id of an identity; False if it was used.
        offered: the tools; those of this package if not given.
    """

    def __init__(
        self,
        parts: Parts,
        *,
        public_key: Ed25519PublicKey,
        use_once: UseOnce,
        offered: Offered | None = None,
        calls: Calls | None = None,
    ) -> None:
        self._calls = calls or Calls()
        self._apps = {
            name: build_server(name, tools, parts, calls=self._calls).http_app(
                path=PATH, stateless_http=True, json_response=True
            )
            for name, tools in (offered_tools() if offered is None else offered).items()
        }
        self._gates: dict[str, ASGIApp] = {
            name: Gate(app, Verifier(public_key, name, use_once)) for name, app in self._apps.items()
        }
        self._stack = contextlib.AsyncExitStack()

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(self._gates)

    def asgi(self, name: str) -> ASGIApp:
        """One server, at `/mcp`; a request is answered only with an identity that is signed for it."""
        return self._gates[name]

    async def __aenter__(self) -> Self:
        for app in self._apps.values():
            await self._stack.enter_async_context(app.router.lifespan_context(app))
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._calls.close()
        await self._stack.aclose()
