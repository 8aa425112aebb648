"""Routes of the query layer: SQL and the catalogue."""

from enum import StrEnum
from typing import Annotated, Any

import pyarrow as pa
from fastapi import APIRouter, Query, Request
from fastapi.responses import Response
from pydantic import BaseModel, ConfigDict, Field

from intact.model.errors import UsageError
from intact.query.catalogue import as_rows, catalogue, entry
from intact.query.sql import MAX_ROWS, MAX_SQL_CHARACTERS, as_csv, run_sql, run_sql_arrow
from intact.serve.errors import ApiError, json_answer
from intact.serve.service import Service, user_of


class Format(StrEnum):
    JSON = "json"
    CSV = "csv"
    ARROW = "arrow"


class Language(StrEnum):
    EN = "en"
    ZH = "zh"


class Question(BaseModel):
    """A question in SQL."""

    model_config = ConfigDict(extra="forbid")

    sql: str = Field(
        max_length=MAX_SQL_CHARACTERS, description="One SELECT, SHOW or DESCRIBE, as `intact query` takes it."
    )
    params: dict[str, str | int | float | bool] | None = Field(None, description="Values of {name:Type} in it.")
    format: Format = Format.JSON
    limit: int = Field(MAX_ROWS, ge=1, le=MAX_ROWS)
    lang: Language = Field(Language.EN, description="Of the labels that Enum(tag) gives.")


class AnswerBody(BaseModel):
    """The rows; ids are longer than a JSON number may be, and are text."""

    columns: list[str]
    types: list[str]
    rows: list[list[Any]]
    truncated: bool


def ask_routes(service: Service) -> APIRouter:
    """`/api/query`, `/api/catalog`."""
    routes = APIRouter(prefix="/api", tags=["query"])

    @routes.post("/query", responses={200: {"model": AnswerBody}})
    def query(request: Request, question: Question) -> Response:
        """Rows of one read-only query; `csv` and `arrow` (an IPC stream) instead of JSON where asked for."""
        reader = user_of(request).reader(question.lang.value)  # sees the rows that are theirs, whatever the query says
        sql, limit, params = question.sql, question.limit, question.params
        if question.format is Format.ARROW:
            table = service.readers.ask(run_sql_arrow, sql, limit=limit, reader=reader, parameters=params)
            sink = pa.BufferOutputStream()
            with pa.ipc.new_stream(sink, table.schema) as stream:
                stream.write_table(table)
            return Response(sink.getvalue().to_pybytes(), media_type="application/vnd.apache.arrow.stream")
        answer = service.readers.ask(run_sql, sql, limit=limit, reader=reader, parameters=params)
        if question.format is Format.CSV:
            return Response(as_csv(answer), media_type="text/csv; charset=utf-8")
        is_id = [name == "id" or name.endswith("_id") for name in answer.names]
        rows = [
            [str(value) if text and value is not None else value for text, value in zip(is_id, row, strict=True)]
            for row in answer.rows
        ]
        return json_answer(
            {"columns": list(answer.names), "types": list(answer.types), "rows": rows, "truncated": answer.truncated}
        )

    @routes.get("/catalog", responses={200: {"model": list[dict[str, Any]]}})
    def catalog(table: Annotated[str | None, Query(max_length=100)] = None, lang: Language = Language.EN) -> Response:
        """Tables with their tags and metrics, or one of them."""
        try:
            found = [entry(table)] if table is not None else list(catalogue().values())
        except UsageError as error:
            raise ApiError(404, "not_found", str(error), "GET /api/catalog lists the tables") from None
        return json_answer([as_rows(each, lang.value) for each in found])

    return routes
