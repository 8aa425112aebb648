"""Routes of runs, their parts, agents and ledgers."""

from typing import Annotated, Any

from fastapi import APIRouter, Path, Query, Request
from fastapi.responses import Response
from pydantic import BaseModel, Field

from intact.query.facts import ALWAYS
from intact.query.parts import (
    LISTS,
    Range,
    agents_in,
    effect_count,
    newest_runs,
    part_of,
    run_ledger,
    run_row,
)
from intact.query.run import show_run
from intact.serve.auth import MEMBER, User
from intact.serve.errors import ApiError, json_answer
from intact.serve.paging import MOST_ROWS, Cursor, Limit, PageBody, read_cursor, write_cursor
from intact.serve.service import Service, must_hear_what_was_said, own_run, user_of

# More effects than this are handed out in pages only.
MOST_EFFECTS = 200_000

# Parts that hold what was said.
SAID = {"calls", "turns"}
MOST_AGENTS = 10_000

PARTS = ("run", *LISTS, "ledger")
PartName = Annotated[str, Path(json_schema_extra={"enum": list(PARTS)}, description="A key of `show --json`.")]


class PartQuery(BaseModel):
    """Which rows of a part are wanted."""

    limit: int = Field(100, ge=1, le=MOST_ROWS)
    cursor: str | None = Field(None, max_length=200, description="`next` of the page before.")
    from_ns: int = Field(ALWAYS[0], ge=ALWAYS[0], le=ALWAYS[1], description="Rows of this time or later.")
    to_ns: int = Field(ALWAYS[1], ge=ALWAYS[0], le=ALWAYS[1], description="Rows of before this time.")


def run_routes(service: Service) -> APIRouter:
    """`/api/runs…`, `/api/agents`, `/api/ledger`."""
    routes = APIRouter(prefix="/api", tags=["runs"])
    ask = service.readers.ask

    def _ledger(run_id: str) -> dict[str, Any]:
        return ask(run_ledger, run_id) or {}

    @routes.get("/runs", responses={200: {"model": PageBody}})
    def list_runs(request: Request, limit: Limit = 100, cursor: Cursor = None) -> Response:
        """Runs, newest first, each as `run` of `show --json`."""
        return _page(_runs(service, user_of(request)), cursor, limit)

    @routes.get("/runs/{run_id}", responses={200: {"model": dict[str, Any]}})
    def show(request: Request, run_id: str) -> Response:
        """The object of `show --json`."""
        own_run(service, user_of(request), run_id)
        must_hear_what_was_said(user_of(request))
        if ask(effect_count, run_id) > MOST_EFFECTS:
            hint = f"take it in parts: GET /api/runs/{{id}}/{{part}}, part one of {', '.join(PARTS)}"
            raise ApiError(413, "too_large", f"the run has more than {MOST_EFFECTS} effects", hint)
        return json_answer(ask(show_run, run_id))

    @routes.get("/runs/{run_id}/{part}", responses={200: {"model": PageBody}})
    def show_part(request: Request, run_id: str, part: PartName, page: Annotated[PartQuery, Query()]) -> Response:
        """One part of it: a list in pages, or the one object `run` or `ledger` as the only row."""
        own_run(service, user_of(request), run_id)
        _check_part(user_of(request), part)
        if part in ("run", "ledger"):
            return json_answer({"rows": [ask(run_row if part == "run" else run_ledger, run_id)], "next": None})
        if part not in LISTS:
            raise ApiError(404, "not_found", "there is no such part", f"parts: {', '.join(PARTS)}")
        after = read_cursor(page.cursor)
        wanted = Range(from_ns=page.from_ns, to_ns=page.to_ns, after=after, limit=page.limit)
        found = ask(part_of, run_id, part, wanted)
        return json_answer({"rows": found.rows, "next": write_cursor(found.more)})

    @routes.get("/agents", responses={200: {"model": PageBody}})
    def list_agents(request: Request, run: str | None = None, limit: Limit = 100, cursor: Cursor = None) -> Response:
        """Agents of all runs or of one, the last seen first."""
        user = user_of(request)
        wanted = "" if run is None else own_run(service, user, run)
        offset = _offset(cursor)
        rows = _agents(service, user, wanted, slice(offset, offset + limit + 1))
        return json_answer({"rows": rows[:limit], "next": write_cursor((offset + limit, "") if rows[limit:] else None)})

    @routes.get("/ledger", responses={200: {"model": PageBody}})
    def list_ledgers(request: Request, run: str | None = None, limit: Limit = 20, cursor: Cursor = None) -> Response:
        """What was seen and what was lost: the ledger of each run, newest first, with `run_id`."""
        user = user_of(request)
        if run is not None:
            return json_answer({"rows": [{"run_id": run, **_ledger(own_run(service, user, run))}], "next": None})
        rows = _runs(service, user)
        offset = _offset(cursor)
        some = rows[offset : offset + limit]
        ledgers = [{"run_id": row["id"], **_ledger(row["id"])} for row in some]
        more = (offset + limit, "") if len(rows) > offset + limit else None
        return json_answer({"rows": ledgers, "next": write_cursor(more)})

    return routes


def _check_part(user: User, part: str) -> None:
    if part in SAID:
        must_hear_what_was_said(user)


def _runs(service: Service, user: User) -> list[dict[str, Any]]:
    return [row for row in service.readers.ask(newest_runs, user.tenant_id) if user.may_see_run(row["id"])]


def _agents(service: Service, user: User, run_id: str, wanted: slice) -> list[dict[str, Any]]:
    ask, tenant = service.readers.ask, user.tenant_id
    if user.role != MEMBER:
        return ask(agents_in, tenant, run_id, wanted.stop - wanted.start, wanted.start)
    return [row for row in ask(agents_in, tenant, run_id, MOST_AGENTS, 0) if user.may_see_run(row["run_id"])][wanted]


def _page(rows: list[dict[str, Any]], cursor: str | None, limit: int) -> Response:
    """Newest first, so that what is new moves nothing on the pages after it: the cursor names the last row given."""
    after = read_cursor(cursor)
    if after is not None:
        rows = [row for row in rows if (row["started_ns"], row["id"]) < after]
    page = rows[:limit]
    more = (page[-1]["started_ns"], page[-1]["id"]) if len(rows) > limit else None
    return json_answer({"rows": page, "next": write_cursor(more)})


def _offset(cursor: str | None) -> int:
    place = read_cursor(cursor)
    return 0 if place is None else min(place[0], 1 << 31)
