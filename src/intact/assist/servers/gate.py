"""What every request to a tool server passes first: a signed identity, once; and a body that is not too long."""

import asyncio
import json
import logging

from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from intact.assist.identity import Forbidden, Reason, Verifier
from intact.assist.servers.offer import ASKER

_LOG = logging.getLogger("intact.assist")
MAX_BODY = 1 << 20
BODY_S = 20.0


class Gate:
    """Lets a request in whose token is good, and tells what is behind who asks."""

    def __init__(self, app: ASGIApp, verifier: Verifier) -> None:
        self._app = app
        self._verifier = verifier

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            raise RuntimeError("a tool server answers HTTP requests only")
        try:
            asker = await self._verifier.verify(_token(scope))
        except Forbidden as error:
            await _unknown(error.reason)(scope, receive, send)
            return
        except Exception:  # who cannot be checked is not let in
            _LOG.exception("identities cannot be checked")
            await _refusal(503, "cannot_check", "identities cannot be checked now")(scope, receive, send)
            return
        try:
            async with asyncio.timeout(BODY_S):
                body = await _body(receive)
        except TimeoutError:
            await _refusal(408, "too_slow", "the body did not come in time")(scope, receive, send)
            return
        if body is None:
            await _refusal(413, "too_long", f"a body is at most {MAX_BODY} bytes")(scope, receive, send)
            return
        whole: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

        async def given() -> Message:
            return whole.pop() if whole else await receive()

        await self._app({**scope, ASKER: asker}, given, send)


def _token(scope: Scope) -> str:
    """The token, which stands in `Authorization` and may stand in `x-ai` as well."""
    bearer = [value for name, value in scope["headers"] if name == b"authorization"]
    again = [value for name, value in scope["headers"] if name == b"x-ai"]
    kind, _, token = bearer[0].partition(b" ") if len(bearer) == 1 else (b"", b"", b"")
    if kind.lower() != b"bearer" or again not in ([], [token]):
        raise Forbidden(Reason.MALFORMED if bearer or again else Reason.MISSING)
    return token.decode("latin-1")


async def _body(receive: Receive) -> bytes | None:
    """All of it; None if it is too long."""
    chunks: list[bytes] = []
    taken = 0
    while True:
        message = await receive()
        chunks.append(message.get("body", b""))
        taken += len(chunks[-1])
        if taken > MAX_BODY:
            return None
        if message["type"] == "http.disconnect" or not message.get("more_body", False):
            return b"".join(chunks)


def _unknown(reason: Reason) -> Response:
    error = "" if reason is Reason.MISSING else f' error="invalid_token", error_description="{reason.value}"'
    return _refusal(401, reason.value, "a valid identity is needed", {"WWW-Authenticate": f"Bearer{error}"})


def _refusal(status: int, code: str, message: str, headers: dict[str, str] | None = None) -> Response:
    body = json.dumps({"error": {"code": code, "message": message, "hint": None}})
    return Response(
        body, status, media_type="application/json", headers={"Cache-Control": "no-store", **(headers or {})}
    )
