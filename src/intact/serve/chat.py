"""Routes by which questions are asked: AG-UI and the plain events, both over server-sent events."""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from typing import Annotated, Any

from fastapi import APIRouter, Header, Path, Query, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import Response
from fastapi.routing import APIRoute
from pydantic import BaseModel, ConfigDict, Field, ValidationError, alias_generators
from starlette.types import Receive, Scope, Send

from intact.assist.agui import AgUiEncoder
from intact.assist.asking import Asker, Language
from intact.assist.intent.gate import detect_language
from intact.assist.plain_events import as_text, sse
from intact.assist.responses import Asked, Responses, Taken, TooMany, Unknown
from intact.serve.assistance import asker_of, assistant_of
from intact.serve.errors import ApiError, json_answer, not_found
from intact.serve.service import Service

BEAT_S = 10.0
MAX_MESSAGE = 16_000
_ID = r"^[A-Za-z0-9_-]{16,64}$"
_HEADERS = {"Cache-Control": "no-store", "X-Accel-Buffering": "no", "X-Content-Type-Options": "nosniff"}

Identity = Annotated[str, Path(max_length=64)]
LastEvent = Annotated[str | None, Header(max_length=40)]


class ChatBody(BaseModel):
    """A question."""

    model_config = ConfigDict(extra="forbid")

    message: str = Field(min_length=1, max_length=MAX_MESSAGE)
    session_id: str | None = Field(None, max_length=64, description="Absent: a new session.")
    direct_agent: str | None = Field(None, max_length=100, description="The id of an expert, which is asked directly.")
    lang: Language | None = Field(None, description="Of the answer; absent: that of the question.")


class _AgUi(BaseModel):
    model_config = ConfigDict(alias_generator=alias_generators.to_camel, populate_by_name=True)


class AgUiMessage(_AgUi):
    id: str = Field("", max_length=200)
    role: str = Field(max_length=40)
    content: str | list[dict[str, Any]] | None = None


class AgUiProps(_AgUi):
    direct_agent: str | None = Field(None, max_length=100)
    lang: Language | None = None


class AgUiBody(_AgUi):
    """RunAgentInput of AG-UI 1.0; the last message of the user is the question. Its tools and state are not used."""

    thread_id: str = Field(pattern=_ID, description="The session; one that nobody has is made.")
    run_id: str = Field(pattern=_ID, description="The response.")
    messages: list[AgUiMessage] = Field(max_length=1_000)
    forwarded_props: AgUiProps | None = None


def chat_routes(service: Service) -> APIRouter:
    """`/api/chat…`, `/api/agent`, `/api/experts`, `/api/tools`."""
    routes = APIRouter(prefix="/api", tags=["assistant"])
    stream: dict[int | str, dict[str, Any]] = {200: {"content": {"text/event-stream": {"schema": {"type": "string"}}}}}

    async def chat(request: Request, body: ChatBody) -> Response:
        """Ask, and hear the plain events of the answer."""
        asker, responses = asker_of(request), assistant_of(service).responses
        _check_expert(service, body.direct_agent)
        asked = Asked(
            text=body.message, language=body.lang or detect_language(body.message), session_id=body.session_id,
            direct_agent=body.direct_agent,
        )  # fmt: skip
        response_id = await _start(responses, asker, asked)
        return await _stream(_plain(responses, asker, response_id, 0))

    class AskRoute(APIRoute):
        """The same, without what a framework does around it: the first packet is to come at once."""

        def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
            async def handle(request: Request) -> Response:
                try:
                    body = ChatBody.model_validate_json(await request.body())
                except ValidationError as error:
                    raise RequestValidationError(error.errors(include_url=False)) from None
                return await chat(request, body)

            return handle

    routes.add_api_route("/chat", chat, methods=["POST"], responses=stream, route_class_override=AskRoute)

    @routes.get("/chat/{response_id}", responses=stream)
    async def listen(
        request: Request,
        response_id: Identity,
        last_event_id: LastEvent = None,
        after: Annotated[int, Query(ge=0, le=1 << 31)] = 0,
    ) -> Response:
        """Go on listening after the event heard last (`Last-Event-ID`, or `after`)."""
        number = _number(last_event_id) if last_event_id is not None else after
        return await _stream(_plain(assistant_of(service).responses, asker_of(request), response_id, number))

    @routes.delete("/chat/{response_id}", status_code=202)
    async def cancel(request: Request, response_id: Identity) -> Response:
        """End an answer that is being made; `cancelled` is false where it had ended."""
        try:
            ended = await assistant_of(service).responses.cancel(asker_of(request), response_id)
        except Unknown:
            raise not_found("response") from None
        return json_answer({"cancelled": ended}, 202)

    @routes.post("/agent", responses=stream)
    async def agent(request: Request, body: AgUiBody, last_event_id: LastEvent = None) -> Response:
        """An AG-UI run; sent again with the same runId and `Last-Event-ID` it goes on after that event."""
        asker, responses = asker_of(request), assistant_of(service).responses
        after = (0, 0)
        if last_event_id is None:
            props = body.forwarded_props or AgUiProps.model_validate({})
            _check_expert(service, props.direct_agent)
            text = _question_in(body.messages)
            asked = Asked(
                text=text, language=props.lang or detect_language(text), session_id=body.thread_id,
                direct_agent=props.direct_agent, response_id=body.run_id, may_make_session=True,
            )  # fmt: skip
            await _start(responses, asker, asked)
        else:
            number, _, part = last_event_id.partition(".")
            after = (_number(number), _number(part or "0"))
        return await _stream(_ag_ui(responses, asker, body, after))

    @routes.get("/experts")
    async def experts(request: Request, lang: Language = Language.EN) -> Response:
        """The experts that may be asked directly."""
        return json_answer({"rows": assistant_of(service).experts(asker_of(request), lang)})

    @routes.get("/tools")
    async def tools(request: Request, lang: Language = Language.EN) -> Response:
        """The tools that the assistant may call for the caller."""
        return json_answer({"rows": await assistant_of(service).tools(asker_of(request), lang)})

    return routes


def _check_expert(service: Service, wanted: str | None) -> None:
    known = assistant_of(service).expert_ids
    if wanted is not None and wanted not in known:
        raise ApiError(400, "invalid", "direct_agent: there is no such expert", f"experts: {', '.join(known)}")


async def _start(responses: Responses, asker: Asker, asked: Asked) -> str:
    try:
        return await responses.start(asker, asked)
    except Unknown:
        raise not_found("session") from None
    except Taken as error:
        raise ApiError(409, "taken", str(error), "choose another runId, or send Last-Event-ID to go on") from None
    except TooMany as error:
        raise ApiError(503, "overloaded", str(error), "ask again in a second") from None


async def _plain(responses: Responses, asker: Asker, response_id: str, after: int) -> AsyncIterator[str]:
    async for number, event in responses.listen(asker, response_id, after):
        yield sse(number, as_text(event))


async def _ag_ui(responses: Responses, asker: Asker, body: AgUiBody, after: tuple[int, int]) -> AsyncIterator[str]:
    # From the beginning, since what an event becomes depends on those before it.
    encoder = AgUiEncoder(body.thread_id, body.run_id)
    async for number, event in responses.listen(asker, body.run_id, 0):
        for part, text in enumerate(encoder.encode(event), 1):
            if (number, part) > after:
                yield sse(f"{number}.{part}", text)


async def _stream(events: AsyncIterator[str]) -> Response:
    """The events as they come, with a comment where none comes for long. The first one is waited for: it may be a refusal."""
    try:
        first = await anext(events, None)
    except Unknown:
        raise not_found("response") from None
    return EventStream(first, events)


class EventStream(Response):
    """The events as they come, with a comment where none comes for long, until the last one or until nobody listens."""

    media_type = "text/event-stream"

    def __init__(self, first: str | None, events: AsyncIterator[str]) -> None:
        super().__init__(headers=_HEADERS)
        del self.headers["content-length"]
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


def _question_in(messages: list[AgUiMessage]) -> str:
    for message in reversed(messages):
        if message.role == "user":
            content = message.content or ""
            if not isinstance(content, str):
                content = "\n".join(str(part.get("text", "")) for part in content if part.get("type") == "text")
            if 0 < len(content) <= MAX_MESSAGE:
                return content
            break
    raise ApiError(400, "invalid", f"messages: the last of the user is 1 to {MAX_MESSAGE} characters of text")


def _number(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) < 10):
        raise ApiError(400, "invalid", "Last-Event-ID: it is not one we gave", "send the id of the event heard last")
    return int(text)
