"""The application: its routes, behind the door."""

from typing import Any

from fastapi import Depends, FastAPI
from fastapi.security import HTTPBearer
from starlette.types import ASGIApp

from intact import __version__
from intact.serve.ask import ask_routes
from intact.serve.chat import chat_routes
from intact.serve.door import Door
from intact.serve.errors import RefusalBody, answer_errors
from intact.serve.mcp import mcp_routes
from intact.serve.metrics import Metrics
from intact.serve.operate import live_routes, operate_routes
from intact.serve.page import page_routes
from intact.serve.runs import run_routes
from intact.serve.service import Service
from intact.serve.sessions import session_routes

_REFUSALS: dict[int | str, dict[str, Any]] = {
    status: {"model": RefusalBody, "description": words}
    for status, words in {
        400: "it cannot be understood, or may not be asked",
        401: "without a valid token",
        403: "this token may not",
        404: "not there, or another's",
        413: "too long, or too much for one answer",
        422: "it could not be done",
        501: "not offered here",
        503: "too much at once",
    }.items()
}


def build_app(service: Service, metrics: Metrics | None = None) -> ASGIApp:
    """The API over a service, as ASGI."""
    metrics = metrics or Metrics(service.readings)
    app = FastAPI(
        title="Intact",
        version=__version__,
        summary="What AI agents did and why.",
        description="Errors are `{error: {code, message, hint}}`. Ids are opaque text; times are epoch nanoseconds.",
        docs_url=None,  # its page loads scripts from elsewhere
        redoc_url=None,
        redirect_slashes=False,
        responses=_REFUSALS,
        # The door asks for the token; this tells readers of the description.
        dependencies=[Depends(HTTPBearer(auto_error=False, description="intact token add NAME"))],
    )
    answer_errors(app)
    for routes in (
        chat_routes(service),  # looked through first
        operate_routes(service, metrics),
        run_routes(service),
        ask_routes(service),
        live_routes(service),
        session_routes(service),
        mcp_routes(service),
        page_routes(),
    ):
        app.include_router(routes)
    return Door(app, identify=service.identify, metrics=metrics, is_host_allowed=service.is_host_allowed)
