"""Routes for whoever runs serve: liveness, readiness, metrics, policies; and the live feed."""

import asyncio
import json
import time
from collections.abc import AsyncIterator
from typing import Annotated, Any

from fastapi import APIRouter, Header, Query, Request
from fastapi.responses import Response, StreamingResponse
from pydantic import BaseModel, ConfigDict, Field

from intact.serve.auth import AUDITOR, MEMBER, User
from intact.serve.errors import ApiError, json_answer
from intact.serve.event_stream import BEAT_S
from intact.serve.live import Item
from intact.serve.metrics import CONTENT_TYPE, Metrics
from intact.serve.paging import MOST_ROWS
from intact.serve.service import Service, must_be_admin, must_see_the_machine, own_run, user_of

POLL_S = 0.1
MOST_WAIT_S = 60
MOST_WAITING = 64
SAID = ("arguments", "result", "error")


class PolicyText(BaseModel):
    """A policy to be asked for; one of the same name is replaced."""

    model_config = ConfigDict(extra="forbid")

    text: str = Field(max_length=1 << 20, description="YAML, as `intact policy check` takes it.")


class LiveQuery(BaseModel):
    """What of the live feed is wanted."""

    after: str | None = Field(None, max_length=64, description="`cursor` of the last answer; absent: from now on.")
    run: str | None = Field(None, max_length=200, description="Of this run only.")
    wait_s: float = Field(0, ge=0, le=MOST_WAIT_S, description="Wait so long for something new.")
    limit: int = Field(500, ge=1, le=MOST_ROWS)


class LiveBody(BaseModel):
    """What happened after the cursor."""

    items: list[dict[str, Any]]
    cursor: str
    gap: bool


def operate_routes(service: Service, metrics: Metrics) -> APIRouter:
    """`/healthz`, `/readyz`, `/metrics`, `/api/policies`."""
    routes = APIRouter(tags=["operation"])

    @routes.get("/healthz", responses={200: {"model": dict[str, str]}})
    async def healthz() -> Response:
        """Whether serve is alive."""
        return json_answer({"status": "ok"})

    @routes.get("/readyz", responses={200: {"model": dict[str, str]}})
    async def readyz() -> Response:
        """Whether questions are answered and the spool is read."""
        if not service.is_ready():
            raise ApiError(503, "not_ready", "the spool is not being read", "the log of serve says more")
        return json_answer({"status": "ready"})

    @routes.get("/metrics", responses={200: {"content": {"text/plain": {}}}})
    def prometheus(request: Request) -> Response:
        """What Prometheus reads."""
        must_see_the_machine(user_of(request))
        return Response(metrics.text(), media_type=CONTENT_TYPE)

    @routes.get("/api/policies", responses={200: {"model": dict[str, Any]}})
    def read_policies(request: Request) -> Response:
        """Policies asked for, and per scope and rule what is in effect."""
        must_see_the_machine(user_of(request))
        if service.policies is None:
            raise ApiError(501, "not_implemented", "this serve has no policies", "use: intact policy status")
        return json_answer(service.policies.read())

    @routes.put("/api/policies", responses={200: {"model": dict[str, Any]}})
    def write_policy(request: Request, policy: PolicyText) -> Response:
        """Ask for a policy; each scope that runs takes it within a second. Needs a token of an admin."""
        user = user_of(request)
        must_be_admin(user)
        must_see_the_machine(user)
        if service.policies is None:
            raise ApiError(501, "not_implemented", "this serve has no policies", "use: intact policy apply FILE")
        return json_answer(service.policies.write(policy.text, by=f"{user.name} (token)"))

    return routes


def live_routes(service: Service) -> APIRouter:
    """`/api/live`."""
    routes = APIRouter(prefix="/api", tags=["live"])
    waiting = 0

    @routes.get("/live", responses={200: {"model": LiveBody}})
    async def live(
        request: Request,
        wanted: Annotated[LiveQuery, Query()],
        accept: Annotated[str, Header(max_length=500)] = "",
        last_event_id: Annotated[str | None, Header(max_length=64)] = None,
    ) -> Response:
        """Facts after a cursor, or from now on without one; waits for one, or streams if asked for text/event-stream.

        `gap` says that something after the cursor is kept no more: read the run's parts. Items are facts as in
        `show --json` with `type` and `run_id`, without what is long, and `effects` with counts by kind.
        """
        nonlocal waiting
        user = user_of(request)
        if wanted.run is not None:
            await asyncio.to_thread(own_run, service, user, wanted.run)
        cursor = wanted.after if wanted.after is not None else last_event_id
        reader = LiveReader(service, user, wanted, cursor)
        if waiting >= MOST_WAITING:
            raise ApiError(503, "overloaded", "too many wait for what is live", "ask again in a second")
        if "text/event-stream" in accept:
            stream = StreamingResponse(_events(reader), media_type="text/event-stream")
            stream.headers["Cache-Control"] = "no-store"
            return stream
        waiting += 1
        try:
            items = await reader.wait(wanted.wait_s)
        finally:
            waiting -= 1
        return json_answer(
            {"items": [json.loads(reader.text(item)) for item in items], "cursor": reader.cursor, "gap": reader.gap}
        )

    async def _events(reader: "LiveReader") -> AsyncIterator[str]:
        nonlocal waiting
        waiting += 1
        try:
            yield f"id: {reader.cursor}\nevent: cursor\ndata: {{}}\n\n"
            while True:
                items = await reader.wait(BEAT_S)
                if reader.gap:
                    yield "event: gap\ndata: {}\n\n"
                for item in items:
                    yield f"id: {service.live.cursor(item.number)}\ndata: {reader.text(item)}\n\n"
                if not items:
                    yield ": beat\n\n"
        finally:
            waiting -= 1

    return routes


class LiveReader:
    """One who reads the live feed on from a cursor."""

    def __init__(self, service: Service, user: User, wanted: LiveQuery, cursor: str | None) -> None:
        self._live = service.live
        self._tenant_id = user.tenant_id
        self._run_ids = (wanted.run,) if wanted.run is not None else user.run_ids if user.role == MEMBER else None
        self._wanted = wanted
        self._hears = user.role != AUDITOR
        place = self._live.position(cursor)
        self._is_stale = cursor is not None and place is None  # a cursor of an earlier process
        self._place = self._live.last if cursor is None else min(place or 0, self._live.last)
        self.gap = False  # whether something before what was given last is kept no more

    @property
    def cursor(self) -> str:
        return self._live.cursor(self._place)

    def text(self, item: Item) -> str:
        """An item; for an auditor without what was said to tools and by them."""
        if self._hears:
            return item.text
        row = json.loads(item.text)
        said = SAID if row["type"] in ("tool_call", "mcp_call") else ()
        return json.dumps({name: None if name in said else value for name, value in row.items()})

    async def wait(self, seconds: float) -> list[Item]:
        """What is new; empty if nothing came in time."""
        deadline = time.monotonic() + seconds
        self.gap, self._is_stale = self._is_stale, False
        while True:
            items, self._place, missed = self._live.after(
                self._place, tenant_id=self._tenant_id, run_ids=self._run_ids, limit=self._wanted.limit
            )
            self.gap = self.gap or missed
            if items or self.gap or time.monotonic() >= deadline:
                return items
            await asyncio.sleep(POLL_S)
