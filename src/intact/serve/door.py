"""What every request passes first: who asks, how many at once, how long a body may be; and what is counted of it."""

import asyncio
import inspect
import time
from collections.abc import Awaitable, Callable, Iterable

from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from intact.model.errors import IntactError
from intact.serve.auth import User
from intact.serve.errors import refusal
from intact.serve.metrics import Metrics
from intact.serve.page import PAGE_PATHS

MAX_BODY = 1 << 20
BODY_S = 20
MOST_AT_ONCE = 128
MOST_STREAMS = 320  # answers that go on, beside those
OPEN = {"/healthz", "/readyz", "/openapi.json", *PAGE_PATHS}
_METHODS = {"GET", "POST", "PUT", "DELETE", "PATCH", "HEAD", "OPTIONS"}

# given the headers, with the method as `:method`; None: nobody we know
_STREAM = b"text/event-stream"

Identify = Callable[[dict[str, str]], User | Awaitable[User | None] | None]


class Door:
    """The outermost layer of the application.

    Args:
        app: what is behind it.
        identify: the headers to who asks; None: nobody we know.
        is_host_allowed: whether a `Host` header may be ours, where that is asked.
        metrics: where requests are counted.
        max_body: bytes.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        identify: Identify,
        metrics: Metrics,
        is_host_allowed: Callable[[str], bool] | None = None,
        max_body: int = MAX_BODY,
    ) -> None:
        self._app = app
        self._identify = identify
        self._metrics = metrics
        self._is_host_allowed = is_host_allowed
        self._max_body = max_body
        self._inside = 0
        self._streams = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began = time.monotonic()
        status = 500
        is_stream = False

        async def noting(message: Message) -> None:
            nonlocal status, is_stream
            if message["type"] == "http.response.start":
                status = message["status"]
                if not is_stream and (b"content-type", _STREAM) in _lower(message["headers"]):
                    is_stream = True  # it may go on for long, and does nothing for most of it
                    self._inside -= 1
                    self._streams += 1
            await send(message)

        self._inside += 1
        try:
            answer = await self._refuse(scope)
            if answer is not None:
                await answer(scope, receive, noting)
            else:
                await self._let_in(scope, receive, noting)
        finally:
            self._inside -= not is_stream
            self._streams -= is_stream
            route = getattr(scope.get("route"), "path", "(none)")
            method = scope["method"] if scope["method"] in _METHODS else "(other)"
            self._metrics.answered(route, method, status, time.monotonic() - began)

    async def _refuse(self, scope: Scope) -> Response | None:
        if self._inside > MOST_AT_ONCE or self._streams >= MOST_STREAMS:
            return refusal(503, "overloaded", "too many requests at once", "ask again in a second")
        headers = _headers(scope)
        if self._is_host_allowed is not None and not self._is_host_allowed(headers.get("host", "")):
            # a page of another site whose name was made to lead here
            return refusal(403, "wrong_host", "this address is not ours", "ask with the address serve was started with")
        if self._is_host_allowed is not None and headers.get("sec-fetch-site", "none") not in ("none", "same-origin"):
            return refusal(403, "cross_site", "pages of other sites may not ask", None)
        length = headers.get("content-length", "0")
        if not (length.isascii() and length.isdigit()) or int(length[:20]) > self._max_body:
            return self._too_long()
        if scope["path"] in OPEN:
            return None
        try:
            found = self._identify(headers)
            user = await found if inspect.isawaitable(found) else found
        except IntactError as error:
            return refusal(503, "no_tokens", str(error), "make one: intact token add NAME")
        if user is None:
            hint = "send Authorization: Bearer TOKEN; make one: intact token add NAME"
            return refusal(401, "unauthorized", "a valid token is needed", hint)
        scope["intact.user"] = user
        return None

    async def _let_in(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Take the whole body first: what is behind sees one that is complete and not too long."""
        chunks: list[bytes] = []
        taken = 0
        more = True
        try:
            async with asyncio.timeout(BODY_S):
                while more:
                    message = await receive()
                    if message["type"] == "http.disconnect":
                        return
                    chunks.append(message.get("body", b""))
                    more = message.get("more_body", False)
                    taken += len(chunks[-1])
                    if taken > self._max_body:  # it had no Content-Length, or a false one
                        await self._too_long()(scope, receive, send)
                        return
        except TimeoutError:
            await refusal(408, "too_slow", f"the body did not come within {BODY_S} seconds")(scope, receive, send)
            return
        body = iter([{"type": "http.request", "body": b"".join(chunks), "more_body": False}])

        async def whole() -> Message:
            return next(body, None) or await receive()

        await self._app(scope, whole, send)

    def _too_long(self) -> Response:
        return refusal(413, "too_long", f"a body is at most {self._max_body} bytes", "ask for less at once")


def _headers(scope: Scope) -> dict[str, str]:
    """The headers by name; one that is sent twice is never taken for one of the two."""
    found = {":method": str(scope["method"])}
    for raw, value in scope["headers"]:
        name = raw.decode("latin-1").lower()
        joint = "; " if name == "cookie" else ", "
        found[name] = found[name] + joint + value.decode("latin-1") if name in found else value.decode("latin-1")
    return found


def _lower(headers: Iterable[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
    """Names and values without parameters, as they are compared."""
    return [(name.lower(), value.partition(b";")[0].strip().lower()) for name, value in headers]
