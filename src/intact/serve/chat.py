"""Routes by which questions are asked: AG-UI and the plain events, both over server-sent events."""

from collections.abc import AsyncIterator, Callable, Coroutine
from typing import Annotated, Any

from fastapi import APIRouter, Header, Path, Query, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import Response
from fastapi.routing import APIRoute
from pydantic import BaseModel, ConfigDict, Field, ValidationError, alias_generators

from intact.assist.agui import AgUiEncoder
from intact.assist.asking import Asker, Language
from intact.assist.intent.gate import detect_language
from intact.assist.plain_events import as_text, sse
from intact.assist.responses import Asked, Responses, Taken, TooMany, Unknown
from intact.serve.assistance import asker_of, assistant_of
from intact.serve.errors import ApiError, RefusalBody, json_answer, not_found
from intact.serve.event_stream import MEDIA_TYPE, EventStream, event_stream
from intact.serve.service import Service

MAX_MESSAGE = 16_000
_ID = r"^[A-Za-z0-9_-]{16,64}$"
_STREAM: dict[int | str, dict[str, Any]] = {
    200: {
        "content": {MEDIA_TYPE: {"schema": {}}},
        "description": "Events, each with an `id` and as its `data` one JSON object.",
    }
}
_TAKEN = {"model": RefusalBody, "description": "an answer of this id is there"}

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


class CancelledBody(BaseModel):
    """Whether it was being made."""

    cancelled: bool


class ListBody(BaseModel):
    """All there are."""

    rows: list[dict[str, Any]]


def chat_routes(service: Service) -> APIRouter:
    """`/api/chat…`, `/api/agent`, `/api/experts`, `/api/tools`."""
    routes = APIRouter(prefix="/api", tags=["assistant"])
    _add_asking(routes, service)
    _add_following(routes, service)
    _add_lists(routes, service)
    return routes


def _add_asking(routes: APIRouter, service: Service) -> None:
    async def chat(request: Request, body: ChatBody) -> Response:
        """Ask, and hear the plain events of the answer."""
        asker, responses = asker_of(request), assistant_of(service).responses
        _check_expert(service, body.direct_agent)
        asked = Asked(
            text=body.message, language=body.lang or detect_language(body.message), session_id=body.session_id,
            direct_agent=body.direct_agent,
        )  # fmt: skip
        response_id = await _start(responses, asker, asked)
        return await event_stream(_plain(responses, asker, response_id, 0))

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

    routes.add_api_route(
        "/chat",
        chat,
        methods=["POST"],
        status_code=200,
        responses=_STREAM,
        response_class=EventStream,
        route_class_override=AskRoute,
    )

    @routes.post("/agent", status_code=200, responses={**_STREAM, 409: _TAKEN}, response_class=EventStream)
    async def agent(request: Request, body: AgUiBody, last_event_id: LastEvent = None) -> Response:
        """An AG-UI run; sent again with the same runId and `Last-Event-ID` it goes on after that event."""
        asker, responses = asker_of(request), assistant_of(service).responses
        after = (0, 0)
        if last_event_id is None:
            await _start(responses, asker, _asked(service, body))
        else:
            number, _, part = last_event_id.partition(".")
            after = (_number(number), _number(part or "0"))
        return await event_stream(_ag_ui(responses, asker, body, after))


def _add_following(routes: APIRouter, service: Service) -> None:
    @routes.get("/chat/{response_id}", status_code=200, responses=_STREAM, response_class=EventStream)
    async def listen(
        request: Request,
        response_id: Identity,
        last_event_id: LastEvent = None,
        after: Annotated[int, Query(ge=0, le=1 << 31)] = 0,
    ) -> Response:
        """Go on listening after the event heard last (`Last-Event-ID`, or `after`)."""
        number = _number(last_event_id) if last_event_id is not None else after
        return await event_stream(_plain(assistant_of(service).responses, asker_of(request), response_id, number))

    @routes.delete("/chat/{response_id}", status_code=202, responses={202: {"model": CancelledBody}})
    async def cancel(request: Request, response_id: Identity) -> Response:
        """End an answer that is being made; `cancelled` is false where it had ended."""
        try:
            ended = await assistant_of(service).responses.cancel(asker_of(request), response_id)
        except Unknown:
            raise not_found("response") from None
        return json_answer({"cancelled": ended}, 202)


def _add_lists(routes: APIRouter, service: Service) -> None:
    @routes.get("/experts", responses={200: {"model": ListBody}})
    async def experts(request: Request, lang: Language = Language.EN) -> Response:
        """The experts that may be asked directly."""
        return json_answer({"rows": assistant_of(service).experts(asker_of(request), lang)})

    @routes.get("/tools", responses={200: {"model": ListBody}})
    async def tools(request: Request, lang: Language = Language.EN) -> Response:
        """The tools that the assistant may call for the caller."""
        return json_answer({"rows": await assistant_of(service).tools(asker_of(request), lang)})


def _asked(service: Service, body: AgUiBody) -> Asked:
    props = body.forwarded_props or AgUiProps.model_validate({})
    _check_expert(service, props.direct_agent)
    text = _question_in(body.messages)
    return Asked(
        text=text, language=props.lang or detect_language(text), session_id=body.thread_id,
        direct_agent=props.direct_agent, response_id=body.run_id, may_make_session=True,
    )  # fmt: skip


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
