"""Routes of the caller's own sessions, their messages, and feedback on answers."""

import time
from typing import Annotated, Any

from fastapi import APIRouter, Path, Query, Request
from fastapi.responses import Response
from pydantic import BaseModel, ConfigDict, Field

from intact.assist.keep.keep import (
    HISTORY,
    MAX_COMMENT,
    MAX_TITLE,
    Feedback,
    FeedbackQuery,
    GroupBy,
    Keep,
    Rating,
    Session,
)
from intact.serve.assistance import asker_of, assistant_of
from intact.serve.auth import ADMIN
from intact.serve.errors import json_answer, not_found
from intact.serve.paging import Cursor, PageBody, read_cursor, write_cursor
from intact.serve.service import Service, user_of

MOST_MESSAGES = 200
_LAST_NS = (1 << 63) - 1

Identity = Annotated[str, Path(max_length=128)]


class SessionBody(BaseModel):
    """A session; its title is empty until there is one."""

    id: str
    title: str
    created_ns: int
    updated_ns: int
    expert: str | None = Field(description="Who answered last.")


class TitleBody(BaseModel):
    """A new title."""

    model_config = ConfigDict(extra="forbid")

    title: str = Field(min_length=1, max_length=MAX_TITLE)


class OpinionBody(BaseModel):
    """What the caller thinks of an answer: a rating, or null to clear it."""

    model_config = ConfigDict(extra="forbid")

    rating: Rating | None
    comment: str | None = Field(None, max_length=MAX_COMMENT, description="Absent: as it was; empty: removed.")


class FeedbackBody(BaseModel):
    """What is kept of it."""

    response_id: str
    session_id: str
    rating: Rating | None
    comment: str
    at_ns: int


class MessageBody(BaseModel):
    """A message; one of the assistant has the caller's feedback, if there is any."""

    role: str
    content: str
    at_ns: int
    response_id: str
    feedback: FeedbackBody | None


class MessagesBody(BaseModel):
    """Messages, oldest first; `before` gets those that came before them, null: there are none."""

    rows: list[MessageBody]
    before: int | None


class StatsQuery(BaseModel):
    """Which ratings are counted, and by what."""

    by: GroupBy = Field(GroupBy.DAY, description="`hour` and `day` are those of UTC.")
    from_ns: int = Field(0, ge=0, le=_LAST_NS, description="Of this time or later.")
    to_ns: int = Field(_LAST_NS, ge=0, le=_LAST_NS, description="Of before this time.")
    own: bool = Field(False, description="An admin's own only; anybody else's always are.")


class StatsRow(BaseModel):
    """The ratings of a group."""

    key: str
    up: int
    down: int
    cleared: int
    comments: int


class StatsBody(BaseModel):
    """Ratings by group, ordered by its key."""

    by: GroupBy
    rows: list[StatsRow]


def session_routes(service: Service) -> APIRouter:
    """`/api/sessions…`, `/api/responses/{id}/feedback`, `/api/feedback/stats`."""
    routes = APIRouter(prefix="/api", tags=["sessions"])
    _add_sessions(routes, service)
    _add_feedback(routes, service)
    return routes


def _add_sessions(routes: APIRouter, service: Service) -> None:
    @routes.get("/sessions", responses={200: {"model": PageBody}})
    async def list_sessions(
        request: Request, limit: Annotated[int, Query(ge=1, le=MOST_MESSAGES)] = 50, cursor: Cursor = None
    ) -> Response:
        """The caller's sessions, the last used first."""
        keep, owner = _kept(service, request)
        found = await keep.sessions(owner, limit=limit + 1, before=read_cursor(cursor))
        page = found[:limit]
        more = (page[-1].updated_ns, page[-1].id) if len(found) > limit else None
        return json_answer({"rows": [_session(each) for each in page], "next": write_cursor(more)})

    @routes.get("/sessions/{session_id}", responses={200: {"model": SessionBody}})
    async def show_session(request: Request, session_id: Identity) -> Response:
        """One of them."""
        keep, owner = _kept(service, request)
        return json_answer(_session(await _own_session(keep, owner, session_id)))

    @routes.patch("/sessions/{session_id}", responses={200: {"model": SessionBody}})
    async def rename_session(request: Request, session_id: Identity, body: TitleBody) -> Response:
        """Give it another title."""
        keep, owner = _kept(service, request)
        await keep.rename(owner, session_id, body.title)
        return json_answer(_session(await _own_session(keep, owner, session_id)))

    @routes.delete("/sessions/{session_id}", status_code=204)
    async def delete_session(request: Request, session_id: Identity) -> Response:
        """Forget it, with its messages, answers and feedback."""
        keep, owner = _kept(service, request)
        if not await keep.delete(owner, session_id):
            raise not_found("session")
        return Response(status_code=204)

    @routes.get("/sessions/{session_id}/messages", responses={200: {"model": MessagesBody}})
    async def list_messages(
        request: Request,
        session_id: Identity,
        limit: Annotated[int, Query(ge=1, le=MOST_MESSAGES)] = HISTORY,
        before: Annotated[int | None, Query(ge=0, le=_LAST_NS, description="`before` of the last answer.")] = None,
    ) -> Response:
        """Its last messages, oldest first."""
        keep, owner = _kept(service, request)
        await _own_session(keep, owner, session_id)
        page = await keep.messages(owner, session_id, limit=limit, before=before)
        said = await keep.feedback(owner, session_id)
        rows = [
            {
                "role": each.role,
                "content": each.content,
                "at_ns": each.at_ns,
                "response_id": each.response_id,
                "feedback": _feedback(said.get(each.response_id) if each.role == "assistant" else None),
            }
            for each in page.messages
        ]
        return json_answer({"rows": rows, "before": page.before})


def _add_feedback(routes: APIRouter, service: Service) -> None:
    @routes.put("/responses/{response_id}/feedback", responses={200: {"model": FeedbackBody}})
    async def rate(request: Request, response_id: Identity, body: OpinionBody) -> Response:
        """Rate an answer of one's own."""
        keep, owner = _kept(service, request)
        said = await keep.rate(owner, response_id, body.rating, comment=body.comment, at_ns=time.time_ns())
        if said is None:
            raise not_found("response")
        return json_answer(_feedback(said))

    @routes.delete("/responses/{response_id}/feedback", status_code=204)
    async def clear(request: Request, response_id: Identity) -> Response:
        """Take back rating and comment."""
        keep, owner = _kept(service, request)
        if await keep.rate(owner, response_id, None, comment="", at_ns=time.time_ns()) is None:
            raise not_found("response")
        return Response(status_code=204)

    @routes.get("/feedback/stats", responses={200: {"model": StatsBody}})
    async def stats(request: Request, wanted: Annotated[StatsQuery, Query()]) -> Response:
        """Ratings by session, hour, day, expert or model: the caller's own, of an admin those of the tenant."""
        keep, owner = _kept(service, request)
        user = user_of(request)
        sees_all = user.role == ADMIN and not wanted.own
        query = FeedbackQuery(
            tenant_id=user.tenant_id, owner=None if sees_all else owner, from_ns=wanted.from_ns, to_ns=wanted.to_ns,
            by=wanted.by,
        )  # fmt: skip
        rows = [
            {"key": each.key, "up": each.up, "down": each.down, "cleared": each.cleared, "comments": each.comments}
            for each in await keep.feedback_stats(query)
        ]
        return json_answer({"by": wanted.by.value, "rows": rows})


def _kept(service: Service, request: Request) -> tuple[Keep, str]:
    return assistant_of(service).keep, asker_of(request).name


async def _own_session(keep: Keep, owner: str, session_id: str) -> Session:
    found = await keep.session(owner, session_id)
    if found is None:
        raise not_found("session")
    return found


def _session(session: Session) -> dict[str, Any]:
    return {
        "id": session.id,
        "title": session.title,
        "created_ns": session.created_ns,
        "updated_ns": session.updated_ns,
        "expert": session.expert,
    }


def _feedback(said: Feedback | None) -> dict[str, Any] | None:
    if said is None:
        return None
    return {
        "response_id": said.response_id,
        "session_id": said.session_id,
        "rating": None if said.rating is None else said.rating.value,
        "comment": said.comment,
        "at_ns": said.at_ns,
    }
