"""Server-sent events: as they come, with a comment where none comes for long, until the last one or until nobody listens."""

import asyncio
from collections.abc import AsyncIterator

from fastapi.responses import Response
from starlette.types import Receive, Scope, Send

from intact.assist.responses import Unknown
from intact.serve.errors import not_found

BEAT_S = 10.0  # a stream that is silent for longer looks dead to what is between
MEDIA_TYPE = "text/event-stream"
_HEADERS = [
    (b"content-type", MEDIA_TYPE.encode() + b"; charset=utf-8"),
    (b"cache-control", b"no-store"),
    (b"x-accel-buffering", b"no"),
    (b"x-content-type-options", b"nosniff"),
]


async def event_stream(events: AsyncIterator[str]) -> Response:
    """The answer that sends them. The first one is waited for: it may be a refusal.

    Raises:
        ApiError: there is no such response.
    """
    try:
        first = await anext(events, None)
    except Unknown:
        raise not_found("response") from None
    return EventStream(first, events)


class EventStream(Response):
    """Sends events; a client that does not read holds up only itself."""

    def __init__(self, first: str | None, events: AsyncIterator[str]) -> None:
        self.status_code = 200
        self.background = None
        self.raw_headers = list(_HEADERS)
        self._first = first
        self._events = events

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        await _send(send, self._first or "")
        gone = asyncio.ensure_future(_until_gone(receive))
        coming: asyncio.Future[str | None] | None = None
        try:
            while self._first is not None:
                coming = coming or asyncio.ensure_future(anext(self._events, None))
                await asyncio.wait((coming, gone), timeout=BEAT_S, return_when=asyncio.FIRST_COMPLETED)
                if gone.done():
                    return
                if not coming.done():
                    await _send(send, ": keep-alive\n\n")
                    continue
                event, coming = coming.result(), None
                if event is None:
                    break
                await _send(send, event)
            await send({"type": "http.response.body", "body": b"", "more_body": False})
        finally:
            tasks = [task for task in (gone, coming) if task is not None]
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)


async def _send(send: Send, text: str) -> None:
    await send({"type": "http.response.body", "body": text.encode("ascii"), "more_body": True})


async def _until_gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
