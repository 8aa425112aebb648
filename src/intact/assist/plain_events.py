"""The plain events: how what happens is written in the log of a response, and how `/api/chat` sends it."""

import json
from dataclasses import asdict
from typing import Any, assert_never

from intact.assist.answers import Evidence, ToolAnswer
from intact.assist.events import (
    Chart,
    Decided,
    Done,
    Event,
    EvidenceFound,
    ModelCalled,
    Problem,
    Started,
    Step,
    Title,
    Token,
    ToolEnded,
    ToolStarted,
)

Plain = dict[str, Any]


def plain(event: Event, at_ms: int) -> Plain:
    """An event as a JSON object; `timestamp` is in milliseconds since the epoch."""
    match event:
        case Started():
            body: Plain = {"session_id": event.session_id, "message": event.response_id}
            kind = "session_response_id"
        case Step():
            kind, body = "thinking_step", {"step": event.step, "message": event.message}
        case ToolStarted():
            kind = "tool_call"
            body = {
                "id": event.call_id,
                "name": event.name,
                "description": event.description,
                "arguments": event.arguments,
            }
        case ToolEnded():
            kind = "tool_result"
            body = {"id": event.call_id, "name": event.name, "ok": event.ok, "ms": event.ms, "problem": event.problem}
        case EvidenceFound():
            kind, found = "evidence", event.evidence
            body = {"id": found.id, "tool": found.tool, **found.answer.as_json()}
        case ModelCalled():
            kind, body = "model_call", asdict(event)
            body["id"] = body.pop("call_id")
        case Chart():
            kind, body = "chart", asdict(event)
            body["evidence"] = body.pop("evidence_id")
        case Token() | Title():
            kind, body = "token" if isinstance(event, Token) else "title", {"message": event.message}
        case Problem():
            kind, body = "error", {"code": event.code, "message": event.message}
        case Decided():
            kind, body = "verdict", asdict(event.done)
        case Done():
            kind, body = "done", asdict(event)
            # what programs written for the first assistant know suspicious input by
            body["seed_intent_type"] = "invalid" if event.intent_type == "suspicious" else event.intent_type
        case _:
            assert_never(event)
    return {"type": kind, **body, "timestamp": at_ms}


def evidence_of(event: Plain) -> Evidence:
    """The evidence that a plain event told of.

    Raises:
        ValueError: it is no such event, or its rows are not those its hash is of.
    """
    try:
        return Evidence(id=event["id"], tool=event["tool"], answer=ToolAnswer.from_json(event))
    except KeyError as error:
        raise ValueError("this tells of no evidence") from error


def as_text(event: Plain) -> str:
    """One line of JSON in ASCII: no reader can take it for another line or for markup."""
    return json.dumps(event, ensure_ascii=True, separators=(",", ":"), allow_nan=False)


def sse(number: int | str, text: str) -> str:
    """One server-sent event."""
    return f"id: {number}\ndata: {text}\n\n"
