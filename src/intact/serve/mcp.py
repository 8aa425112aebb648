"""The tools for other agents: MCP over HTTP, each request with an identity that is signed here for whoever the door let in."""

import time
from typing import Annotated, Any
from urllib.parse import urlsplit

from fastapi import APIRouter, Path, Request
from fastapi.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from intact.serve.assistance import asker_of, assistant_of
from intact.serve.errors import ApiError, not_found
from intact.serve.service import Service

ALL = "all"
# what of a request the servers are to see; who asks is told by us alone
_PASSED = {
    b"accept", b"content-type", b"content-length", b"mcp-protocol-version", b"mcp-method", b"mcp-name", b"mcp-session-id",
    b"traceparent", b"tracestate",
}  # fmt: skip


def mcp_routes(service: Service) -> APIRouter:
    """`/mcp` and `/mcp/{server}`."""
    routes = APIRouter(tags=["mcp"])
    answers: dict[int | str, dict[str, Any]] = {200: {"model": dict[str, Any]}, 202: {"description": "A notification."}}

    @routes.post("/mcp", responses=answers)
    async def mcp(request: Request) -> Response:
        """All tools in one MCP server (streamable HTTP, stateless), each named `server_tool`."""
        return _through(service, request, ALL)

    @routes.post("/mcp/{server}", responses=answers)
    async def mcp_of(request: Request, server: Annotated[str, Path(max_length=40)]) -> Response:
        """The tools of one server: `agents`, `query`, `host` or `knowledge`."""
        if server == ALL:
            raise not_found("server")
        return _through(service, request, server)

    return routes


def _through(service: Service, request: Request, server: str) -> Response:
    _check_origin(request)
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != "application/json":
        raise ApiError(400, "invalid", "the body has to be application/json", None)
    assistant = assistant_of(service)
    if server not in assistant.servers.names:
        raise not_found("server")
    # one use, for this server: it is worth nothing to whoever reads it behind us
    token = assistant.signer.mint(asker_of(request), server, time.time_ns())
    return _Through(assistant.servers.asgi(server), token)


def _check_origin(request: Request) -> None:
    """Refuse what a page of another site asks: it could use an address of this machine that the page should not know."""
    origin = request.headers.get("origin")
    fetched = request.headers.get("sec-fetch-site", "none")
    try:
        is_ours = origin is None or urlsplit(origin).netloc.lower() == request.headers.get("host", "").lower()
    except ValueError:
        is_ours = False
    if not is_ours or fetched not in ("none", "same-origin"):
        raise ApiError(403, "cross_site", "pages of other sites may not ask", None)


class _Through(Response):
    """What a server behind us answers, as it answers it."""

    def __init__(self, app: ASGIApp, token: str) -> None:
        super().__init__()
        self._app = app
        self._token = token.encode("ascii")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = [(name, value) for name, value in scope["headers"] if name in _PASSED]
        headers += [(b"host", b"intact.local"), (b"authorization", b"Bearer " + self._token), (b"x-ai", self._token)]
        kept = {name: scope[name] for name in ("type", "asgi", "http_version", "method", "scheme", "client", "server")}
        inner = {**kept, "path": "/mcp", "raw_path": b"/mcp", "root_path": "", "query_string": b"", "headers": headers}
        await self._app(inner, receive, send)
