"""How a request is refused: `{error: {code, message, hint}}` and a status, whatever went wrong."""

import json
import logging
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import Response
from pydantic import BaseModel
from starlette.exceptions import HTTPException

from intact.assist.keep.keep import KeepUnavailable
from intact.model.codec import finite
from intact.model.errors import IntactError, UsageError
from intact.query.readers import Overloaded

_LOG = logging.getLogger("intact.serve")
MAX_MESSAGE = 500
_WHERE = {
    "session": "GET /api/sessions lists yours",
    "response": "GET /api/sessions/{id}/messages names them",
    "server": "POST /mcp has the tools of all",
}


class Refusal(BaseModel):
    """Why a request was refused."""

    code: str
    message: str
    hint: str | None


class RefusalBody(BaseModel):
    """The body of every answer that is an error."""

    error: Refusal


class ApiError(Exception):
    """A request that is refused."""

    def __init__(self, status: int, code: str, message: str, hint: str | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message
        self.hint = hint


def not_found(what: str) -> ApiError:
    """For what is not there and for what is another's, in the same words."""
    return ApiError(404, "not_found", f"there is no such {what}", _WHERE.get(what, "GET /api/runs lists what there is"))


def json_answer(body: Any, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    """Any of our objects as JSON in ASCII, which no reader can take for markup or for another encoding."""
    try:
        text = json.dumps(body, ensure_ascii=True, allow_nan=False)
    except ValueError:
        text = json.dumps(finite(body), ensure_ascii=True)
    safe = {"X-Content-Type-Options": "nosniff", "Cache-Control": "no-store", **(headers or {})}
    return Response(text, status, media_type="application/json", headers=safe)


def refusal(status: int, code: str, message: str, hint: str | None = None) -> Response:
    """The answer to a request that is refused."""
    text = "".join(c if c.isprintable() else " " for c in message)[:MAX_MESSAGE]
    headers = {"WWW-Authenticate": "Bearer"} if status == 401 else {"Retry-After": "1"} if status == 503 else None
    return json_answer({"error": {"code": code, "message": text, "hint": hint}}, status, headers)


def answer_errors(app: FastAPI) -> None:
    """Have all errors of an application answered in the one form."""
    app.add_exception_handler(ApiError, _api_error)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(HTTPException, _http_error)
    app.add_exception_handler(IntactError, _explained)
    app.add_exception_handler(Exception, _unexpected)


def _api_error(_: Request, error: Exception) -> Response:
    assert isinstance(error, ApiError)
    return refusal(error.status, error.code, error.message, error.hint)


def _invalid(_: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    first = error.errors()[0] if error.errors() else {"loc": (), "msg": "it cannot be read"}
    place = ".".join(str(part) for part in first["loc"])[:100]
    return refusal(400, "invalid", f"{place}: {first['msg']}", "/openapi.json says what is taken")


def _http_error(_: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    words = HTTPStatus(error.status_code).phrase
    code = "invalid" if error.status_code == 400 else words.lower().replace(" ", "_")
    return refusal(error.status_code, code, words, "/openapi.json lists what there is")


def _explained(_: Request, error: Exception) -> Response:
    if isinstance(error, Overloaded):
        return refusal(503, "overloaded", str(error), "ask again in a second")
    if isinstance(error, KeepUnavailable):
        _LOG.warning("%s", error)
        return refusal(503, "unavailable", "what is kept between requests is out of reach", "ask again in a moment")
    code = "refused" if isinstance(error, UsageError) else "failed"
    return refusal(400 if isinstance(error, UsageError) else 422, code, str(error))


def _unexpected(request: Request, error: Exception) -> Response:
    _LOG.error("a fault of ours at %s", request.scope.get("path", "?")[:200], exc_info=error)
    return refusal(500, "internal", "a fault of intact's own; the log of serve says more")
