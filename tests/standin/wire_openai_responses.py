"""OpenAI Responses, streamed and whole."""

from collections.abc import Callable
from typing import Any

from tests.standin.wire import (
    ARGUMENTS_PIECE,
    TEXT_PIECE,
    Answer,
    Asked,
    Message,
    OfferedTool,
    PlacedCall,
    Reply,
    dump,
    event,
    pieces_of,
    typed_text,
)

NAME = "openai_responses"
CALL_ID_PREFIX = "call_"
Emit = Callable[..., None]


def path_matches(path: str) -> bool:
    """`/v1/responses`, under any prefix."""
    return path.endswith("/responses")


def read(target: str, body: dict[str, Any]) -> Asked:
    """The request, understood."""
    del target
    given = body.get("input")
    items = given if isinstance(given, list) else [{"role": "user", "content": given}]
    messages = []
    for item in items:
        kind = str(item.get("type") or "message")
        if kind.endswith("_call_output"):
            messages.append(Message(role="tool", result_ids=(str(item.get("call_id")),)))
        elif kind.endswith("_call") or kind == "reasoning":
            messages.append(Message(role="assistant"))
        else:
            messages.append(Message(role=str(item.get("role")), text=typed_text(item.get("content"))))
    tools = tuple(
        OfferedTool(
            name=tool.get("name") or tool["type"],
            schema=tool.get("parameters") or {},
            kind="local_shell" if tool["type"] == "local_shell" else "function",
        )
        for tool in body.get("tools") or []
        if tool.get("type") in ("function", "local_shell")
    )
    form = (body.get("text") or {}).get("format") or {}
    return Asked(
        model=str(body.get("model")),
        stream=bool(body.get("stream")),
        messages=tuple(messages),
        tools=tools,
        answer_schema=form.get("schema"),
        caches=True,
    )


def answer(asked: Asked, reply: Reply) -> Answer:
    """A response object, or the events that build one."""
    items: list[dict[str, Any]] = []
    if reply.thinking:
        summary = [{"type": "summary_text", "text": reply.thinking}]
        items.append({"id": reply.ids.draw("rs_", 48), "type": "reasoning", "summary": summary})
    if reply.text:
        part = {"type": "output_text", "annotations": [], "logprobs": [], "text": reply.text}
        message = {"id": reply.ids.draw("msg_", 48), "type": "message", "status": "completed", "content": [part]}
        items.append({**message, "role": "assistant"})
    items += [_call_item(call, reply) for call in reply.calls]
    response = _response(asked, reply)
    whole = {**response, "status": "completed", "output": items, "usage": _usage(reply)}
    if not asked.stream:
        pieces = [dump(whole)]
    else:
        pieces = []

        def emit(kind: str, **fields: Any) -> None:
            pieces.append(event(kind, {"type": kind, "sequence_number": len(pieces), **fields}))

        emit("response.created", response=response)
        emit("response.in_progress", response=response)
        for index, item in enumerate(items):
            _item_events(index, item, emit)
        emit("response.completed", response=whole)
    content_type = "text/event-stream; charset=utf-8" if asked.stream else "application/json"
    return Answer(content_type=content_type, pieces=pieces, response_id=response["id"], finish_reason="completed")


def error(status: int, message: str) -> bytes:
    """An error body in the provider's form."""
    kind = "rate_limit_exceeded" if status == 429 else "server_error" if status >= 500 else "invalid_request_error"
    return dump({"error": {"message": message, "type": kind, "param": None, "code": kind}})


def _call_item(call: PlacedCall, reply: Reply) -> dict[str, Any]:
    if call.kind == "local_shell":
        command = call.arguments.get("command", "")
        argv = command if isinstance(command, list) else ["bash", "-lc", command]
        action = {"type": "exec", "command": argv, "env": {}}
        identity = {"id": reply.ids.draw("lsh_", 48), "call_id": call.id}
        return {**identity, "type": "local_shell_call", "status": "completed", "action": action}
    return {
        "id": reply.ids.draw("fc_", 48),
        "type": "function_call",
        "status": "completed",
        "arguments": call.arguments_json,
        "call_id": call.id,
        "name": call.name,
    }


def _response(asked: Asked, reply: Reply) -> dict[str, Any]:
    return {
        "id": reply.ids.draw("resp_", 48),
        "object": "response",
        "created_at": reply.created_s,
        "status": "in_progress",
        "background": False,
        "error": None,
        "incomplete_details": None,
        "instructions": None,
        "max_output_tokens": None,
        "model": asked.model,
        "output": [],
        "parallel_tool_calls": True,
        "previous_response_id": None,
        "reasoning": {"effort": None, "summary": None},
        "store": False,
        "temperature": 1.0,
        "text": {"format": {"type": "text"}},
        "tool_choice": "auto",
        "tools": [],
        "top_p": 1.0,
        "truncation": "disabled",
        "usage": None,
        "metadata": {},
    }


def _usage(reply: Reply) -> dict[str, Any]:
    usage = reply.usage
    return {
        "input_tokens": usage.input_tokens,
        "input_tokens_details": {"cached_tokens": usage.cache_read_tokens},
        "output_tokens": usage.output_tokens,
        "output_tokens_details": {"reasoning_tokens": usage.reasoning_tokens},
        "total_tokens": usage.input_tokens + usage.output_tokens,
    }


def _item_events(index: int, item: dict[str, Any], emit: Emit) -> None:
    place = {"item_id": item["id"], "output_index": index}
    opening = {**item, "status": "in_progress"}
    if item["type"] == "message":
        opening["content"] = []
    elif item["type"] == "reasoning":
        opening = {**item, "summary": []}
    elif item["type"] == "function_call":
        opening["arguments"] = ""
    emit("response.output_item.added", output_index=index, item=opening)
    if item["type"] == "message":
        _message_events(place, item["content"][0], emit)
    elif item["type"] == "reasoning":
        _reasoning_events(place, item["summary"][0], emit)
    elif item["type"] == "function_call":
        for piece in pieces_of(item["arguments"], ARGUMENTS_PIECE):
            emit("response.function_call_arguments.delta", **place, delta=piece)
        emit("response.function_call_arguments.done", **place, arguments=item["arguments"], name=item["name"])
    emit("response.output_item.done", output_index=index, item=item)


def _message_events(place: dict[str, Any], part: dict[str, Any], emit: Emit) -> None:
    where = {**place, "content_index": 0}
    emit("response.content_part.added", **where, part={**part, "text": ""})
    for piece in pieces_of(part["text"], TEXT_PIECE):
        emit("response.output_text.delta", **where, delta=piece, logprobs=[])
    emit("response.output_text.done", **where, text=part["text"], logprobs=[])
    emit("response.content_part.done", **where, part=part)


def _reasoning_events(place: dict[str, Any], part: dict[str, Any], emit: Emit) -> None:
    where = {**place, "summary_index": 0}
    emit("response.reasoning_summary_part.added", **where, part={**part, "text": ""})
    for piece in pieces_of(part["text"], TEXT_PIECE):
        emit("response.reasoning_summary_text.delta", **where, delta=piece)
    emit("response.reasoning_summary_text.done", **where, text=part["text"])
    emit("response.reasoning_summary_part.done", **where, part=part)
