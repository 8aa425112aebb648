"""The store lent to the commands of its owner, over a socket that only the owner can open.

Whoever can open it can read the store's files as well: nothing is guarded here that is guarded there.
"""

import base64
import os
from collections.abc import Callable
from typing import Any

from fastapi import FastAPI
from fastapi.responses import Response
from pydantic import BaseModel

from intact.query.readers import Readers, engine_rows
from intact.serve.errors import ApiError, answer_errors, json_answer

FORMAT = 1

BringIn = Callable[[str | None, float], bool]


class Statement(BaseModel):
    """One statement, after others that set up its connection."""

    setup: list[str] = []
    sql: str
    output: str
    parameters: dict[str, Any] = {}


class Wanted(BaseModel):
    """A run to be brought in; None: all."""

    run_id: str | None
    timeout_s: float


def build_local_app(readers: Readers, bring_in: BringIn) -> FastAPI:
    """The application behind the socket.

    Args:
        readers: the store.
        bring_in: returns when what a run (None: every run) held can be asked for; False if that took too long.
    """
    app = FastAPI(openapi_url=None, docs_url=None, redoc_url=None, redirect_slashes=False)
    answer_errors(app)

    @app.get("/local/hello")
    async def hello() -> Response:
        return json_answer({"format": FORMAT, "pid": os.getpid()})

    @app.post("/local/sql")
    def sql(statement: Statement) -> Response:
        try:
            body = readers.ask(engine_rows, statement.setup, statement.sql, statement.output, statement.parameters)
        except RuntimeError as error:
            text = base64.b64encode(str(error).encode("utf-8", "replace")).decode("ascii")
            return json_answer({"engine": text}, 422)
        return Response(body, media_type="application/octet-stream")

    @app.post("/local/ingest")
    def ingest(wanted: Wanted) -> Response:
        if not 0 <= wanted.timeout_s <= 3600:
            raise ApiError(400, "invalid", "timeout_s is 0 to 3600")
        return json_answer({"done": bring_in(wanted.run_id, wanted.timeout_s)})

    return app
