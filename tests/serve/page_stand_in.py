"""Stands in for the routes of the assistant: answers that are written down here, and what the page asked is kept."""

import asyncio
import json
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import uvicorn
from fastapi import FastAPI, Request
from fastapi.responses import Response, StreamingResponse

from intact.assist.answers import Evidence, ToolAnswer
from intact.assist.events import (
    Chart,
    Done,
    Event,
    EvidenceFound,
    Problem,
    Started,
    Step,
    Title,
    Token,
    ToolEnded,
    ToolStarted,
)
from intact.assist.plain_events import as_text, plain, sse
from intact.serve.errors import json_answer, refusal
from intact.serve.page import page_routes

T0 = 1_790_000_000_000_000_000

Script = Callable[[str, str], list[Event]]


@dataclass
class Served:
    """What was said, and how the answers are to fail."""

    token: str | None = None
    break_after: dict[str, int] = field(default_factory=dict)  # question: events before the connection breaks
    hold: set[str] = field(default_factory=set)  # questions whose answers go on until they are cancelled
    scripts: dict[str, list[Event]] = field(default_factory=dict)
    sessions: dict[str, dict[str, Any]] = field(default_factory=dict)
    messages: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    logs: dict[str, list[str]] = field(default_factory=dict)
    unsaid: dict[str, tuple[str, str]] = field(default_factory=dict)  # a session has both messages at the end only
    held: set[str] = field(default_factory=set)
    cancelled: set[str] = field(default_factory=set)
    feedback: dict[str, dict[str, Any] | None] = field(default_factory=dict)
    asked: list[dict[str, Any]] = field(default_factory=list)
    resumed: list[tuple[str, int]] = field(default_factory=list)
    experts: list[dict[str, str]] = field(default_factory=list)
    port: int = 0

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def add_session(self, title: str, *messages: tuple[str, str]) -> str:
        """A session of before."""
        session = f"ses_{len(self.sessions)}"
        self.sessions[session] = {"id": session, "title": title, "updated_ns": len(self.sessions)}
        self.messages[session] = []
        for i, (role, content) in enumerate(messages):
            response = f"{session}_res_{i // 2}"
            self.messages[session].append({"role": role, "content": content, "response_id": response, "at_ns": T0})
        return session


def table(**changes: Any) -> Evidence:
    """Evidence with every kind of cell."""
    answer: dict[str, Any] = {
        "query": "SELECT name, rss_bytes, cpu, seen, id FROM processes WHERE host = 'web-1'",
        "arguments": {"hosts": ["web-1"]},
        "columns": ("name", "rss_bytes", "cpu", "seen", "id"),
        "rows": (
            ("postgres", 5_368_709_120, 34.5, T0, 18_446_744_073_709_551_615),
            ("java -jar app.jar", 1_073_741_824, 12.25, T0 + 60 * 10**9, 7),
            ("sshd", 4_096, 0, T0 + 120 * 10**9, 8),
        ),
        "units": {"rss_bytes": "bytes", "cpu": "%", "seen": "epoch_ns"},
        "untrusted": ("name",),
        "from_ns": T0 - 3_600 * 10**9,
        "to_ns": T0,
        "total": 214,
        "truncated": True,
        "notes": ("two processes may not be read",),
    }
    identity = changes.pop("id", "e1")
    tool = changes.pop("tool", "host.processes")
    return Evidence(id=identity, tool=tool, answer=ToolAnswer(**{**answer, **changes}))


def usual() -> list[Event]:
    """An answer with something of everything."""
    samples = tuple((T0 + i * 60 * 10**9, (3 + i % 7) * 2**30, 2**30) for i in range(60))
    memory = table(
        id="e2", tool="host.metrics", query="SELECT at, used, cached FROM host_metric", columns=("at", "used", "cached"),
        rows=samples, units={"at": "epoch_ns", "used": "bytes", "cached": "bytes"}, untrusted=(), total=60,
        truncated=False, notes=(),
    )  # fmt: skip
    text = (
        "## Memory of web-1\n\nThe process `postgres` holds **5 GiB** [e1], the most of all.\n\n"
        "- It grew since 14:02 [e2].\n  - In steps of 1 GiB.\n- ~~It will end in 3 minutes~~\n\n"
        "| process | memory |\n|---|---:|\n| postgres | 5 GiB |\n| sshd | 4 KiB |\n\n```\nkill -l\n```\n"
    )
    return [
        Step(step="intent", message="Understanding the question"),
        ToolStarted(
            call_id="c1", name="host.processes", description="List processes - hosts: web-1", arguments={"hosts": ["web-1"]}
        ),
        ToolEnded(call_id="c1", name="host.processes", ok=True, ms=12.34),
        EvidenceFound(evidence=table()),
        ToolStarted(call_id="c2", name="host.logs", description="Read error logs - hosts: web-1", arguments={}),
        ToolEnded(call_id="c2", name="host.logs", ok=False, ms=3.0, problem="the journal may not be read"),
        EvidenceFound(evidence=memory),
        Chart(title="Memory of web-1", kind="line", evidence_id="e2", x="at", y=("used", "cached"), unit="bytes"),
        Chart(title="Largest processes", kind="bar", evidence_id="e1", x="name", y=("rss_bytes",), unit="bytes"),
        Problem(code="tool_failed", message="the error logs could not be read"),
        *(Token(message=text[i : i + 17]) for i in range(0, len(text), 17)),
        Title(message="Memory of web-1"),
        Done(verdict="found", expert="host_diagnosis", struck=1, tool_calls=2),
    ]  # fmt: skip


def build(served: Served) -> FastAPI:
    """The page, and the routes that it asks."""
    app = FastAPI(openapi_url=None)
    app.include_router(page_routes())

    @app.middleware("http")
    async def door(request: Request, go_on: Any) -> Response:
        given = request.headers.get("authorization")
        if request.url.path.startswith("/api") and served.token is not None and given != f"Bearer {served.token}":
            return refusal(401, "unauthorized", "a valid token is needed", "make one")
        answer: Response = await go_on(request)
        return answer

    _add_sessions(app, served)
    _add_chat(app, served)
    return app


def _add_sessions(app: FastAPI, served: Served) -> None:
    @app.get("/api/experts")
    async def experts(lang: str = "en") -> Any:
        return json_answer({"rows": served.experts})

    @app.get("/api/sessions")
    async def sessions() -> Any:
        rows = sorted(served.sessions.values(), key=lambda row: -row["updated_ns"])
        return json_answer({"rows": rows, "next": None})

    @app.get("/api/sessions/{identity}/messages")
    async def messages(identity: str) -> Any:
        if identity not in served.messages:
            return refusal(404, "not_found", "there is no such session")
        rows = [
            {**row, "feedback": served.feedback.get(row["response_id"])} if row["role"] == "assistant" else row
            for row in served.messages[identity]
        ]
        return json_answer({"rows": rows, "before": None})

    @app.patch("/api/sessions/{identity}")
    async def rename(identity: str, request: Request) -> Any:
        served.sessions[identity]["title"] = (await request.json())["title"]
        return served.sessions[identity]

    @app.delete("/api/sessions/{identity}")
    async def remove(identity: str) -> Any:
        del served.sessions[identity], served.messages[identity]
        return Response(status_code=204)

    @app.put("/api/responses/{identity}/feedback")
    async def rate(identity: str, request: Request) -> Any:
        served.feedback[identity] = await request.json()
        return served.feedback[identity]

    @app.delete("/api/responses/{identity}/feedback")
    async def clear(identity: str) -> Any:
        served.feedback[identity] = None
        return Response(status_code=204)


def _add_chat(app: FastAPI, served: Served) -> None:
    @app.post("/api/chat")
    async def chat(request: Request) -> Response:
        body = await request.json()
        served.asked.append(body)
        question = body["message"]
        session = body.get("session_id") or served.add_session("")
        response = f"res_{len(served.logs)}"
        events = [Started(session_id=session, response_id=response), *served.scripts.get(question, usual())]
        served.logs[response] = [as_text(plain(event, 1_000 + i * 37)) for i, event in enumerate(events)]
        served.unsaid[response] = (session, question)
        for event in events:
            if isinstance(event, Title):
                served.sessions[session]["title"] = event.message
        if question in served.hold:
            served.held.add(response)
        return _stream(served, response, 0, served.break_after.get(question))

    @app.get("/api/chat/{identity}")
    async def listen(identity: str, request: Request) -> Response:
        after = int(request.headers.get("last-event-id", "0"))
        served.resumed.append((identity, after))
        if identity not in served.logs:
            return refusal(404, "not_found", "there is no such response")
        return _stream(served, identity, after, None)

    @app.delete("/api/chat/{identity}")
    async def cancel(identity: str) -> Any:
        served.cancelled.add(identity)
        return json_answer({"cancelled": True}, 202)


def _stream(served: Served, response: str, after: int, most: int | None) -> Response:
    async def events() -> AsyncIterator[str]:
        log = served.logs[response]
        for number, text in enumerate(log, 1):
            if number <= after:
                continue
            if most is not None and number > most:
                return  # the connection ends in the middle of the answer
            if response in served.held and number == len(log):
                while response not in served.cancelled:
                    await asyncio.sleep(0.02)
                text = as_text(plain(Done(verdict="cancelled"), 9_000))
                log[-1] = text
            if number == len(log) and response in served.unsaid:
                session, question = served.unsaid.pop(response)
                for role, content in (("user", question), ("assistant", text_of(log))):
                    said = {"role": role, "content": content, "response_id": response, "at_ns": T0}
                    served.messages[session].append(said)
            yield sse(number, text)
            await asyncio.sleep(0.002)

    return StreamingResponse(events(), media_type="text/event-stream")


@contextmanager
def serving(served: Served) -> Iterator[Served]:
    """The stand-in on a port of loopback."""
    settings = uvicorn.Config(build(served), host="127.0.0.1", port=0, log_level="error", lifespan="off", ws="none")
    server = uvicorn.Server(settings)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        assert thread.is_alive()
        time.sleep(0.01)
    served.port = server.servers[0].sockets[0].getsockname()[1]
    try:
        yield served
    finally:
        server.should_exit = True
        thread.join(10)


def text_of(log: list[str]) -> str:
    """The answer that a log holds."""
    events = [json.loads(text) for text in log]
    return "".join(event["message"] for event in events if event["type"] == "token")
