"""Anthropic Messages, streamed and whole."""

from typing import Any

from tests.standin.wire import (
    ARGUMENTS_PIECE,
    TEXT_PIECE,
    Answer,
    Asked,
    Message,
    OfferedTool,
    Reply,
    dump,
    event,
    pieces_of,
    typed_text,
)

NAME = "anthropic_messages"
CALL_ID_PREFIX = "toolu_01"
ERROR_TYPES = {
    400: "invalid_request_error",
    401: "authentication_error",
    404: "not_found_error",
    429: "rate_limit_error",
    529: "overloaded_error",
}


def path_matches(path: str) -> bool:
    """`/v1/messages`, under any prefix."""
    return path.endswith("/messages")


def read(target: str, body: dict[str, Any]) -> Asked:
    """The request, understood."""
    del target
    messages = []
    for message in body.get("messages") or []:
        content = message.get("content")
        blocks = content if isinstance(content, list) else []
        result_ids = tuple(block["tool_use_id"] for block in blocks if block.get("type") == "tool_result")
        messages.append(Message(role=str(message.get("role")), text=typed_text(content), result_ids=result_ids))
    tools = tuple(
        OfferedTool(name=tool["name"], schema=tool["input_schema"])
        for tool in body.get("tools") or []
        if isinstance(tool.get("input_schema"), dict)
    )
    output_format = (body.get("output_config") or {}).get("format") or body.get("output_format") or {}
    return Asked(
        model=str(body.get("model")),
        stream=bool(body.get("stream")),
        messages=tuple(messages),
        tools=tools,
        answer_schema=output_format.get("schema"),
        caches="cache_control" in str(body),
        counts_cache_writes=True,
    )


def answer(asked: Asked, reply: Reply) -> Answer:
    """A message, or the events that build one."""
    blocks: list[dict[str, Any]] = []
    if reply.thinking:
        blocks.append({"type": "thinking", "thinking": reply.thinking, "signature": reply.ids.draw("Eq", 86)})
    if reply.text:
        blocks.append({"type": "text", "text": reply.text})
    for call in reply.calls:
        blocks.append({"type": "tool_use", "id": call.id, "name": call.name, "input": call.arguments})
    stop_reason = "tool_use" if reply.calls else "end_turn"
    message = {
        "id": reply.ids.draw("msg_01"),
        "type": "message",
        "role": "assistant",
        "model": asked.model,
        "content": blocks,
        "stop_reason": stop_reason,
        "stop_sequence": None,
        "usage": _usage(reply),
    }
    if not asked.stream:
        return _answered("application/json", [dump(message)], message)
    opening = {**message, "content": [], "stop_reason": None, "usage": {**_usage(reply), "output_tokens": 1}}
    pieces = [event("message_start", {"type": "message_start", "message": opening})]
    for index, block in enumerate(blocks):
        pieces += _block_events(index, block)
        if index == 0:
            pieces.insert(2, event("ping", {"type": "ping"}))
    stop = {"stop_reason": stop_reason, "stop_sequence": None}
    usage = {key: value for key, value in _usage(reply).items() if key.endswith("tokens")}
    pieces.append(event("message_delta", {"type": "message_delta", "delta": stop, "usage": usage}))
    pieces.append(event("message_stop", {"type": "message_stop"}))
    return _answered("text/event-stream; charset=utf-8", pieces, message)


def error(status: int, message: str) -> bytes:
    """An error body in the provider's form."""
    return dump({"type": "error", "error": {"type": ERROR_TYPES.get(status, "api_error"), "message": message}})


def _answered(content_type: str, pieces: list[bytes], message: dict[str, Any]) -> Answer:
    return Answer(
        content_type=content_type, pieces=pieces, response_id=message["id"], finish_reason=message["stop_reason"]
    )


def _usage(reply: Reply) -> dict[str, Any]:
    usage = reply.usage
    return {
        "input_tokens": usage.input_tokens - usage.cache_read_tokens - usage.cache_creation_tokens,
        "cache_creation_input_tokens": usage.cache_creation_tokens,
        "cache_read_input_tokens": usage.cache_read_tokens,
        "cache_creation": {
            "ephemeral_5m_input_tokens": usage.cache_creation_tokens,
            "ephemeral_1h_input_tokens": 0,
        },
        "output_tokens": usage.output_tokens,
        "service_tier": "standard",
    }


def _block_events(index: int, block: dict[str, Any]) -> list[bytes]:
    empty: dict[str, Any]
    if block["type"] == "text":
        empty = {"type": "text", "text": ""}
        deltas = [{"type": "text_delta", "text": piece} for piece in pieces_of(block["text"], TEXT_PIECE)]
    elif block["type"] == "thinking":
        empty = {"type": "thinking", "thinking": "", "signature": ""}
        deltas = [{"type": "thinking_delta", "thinking": part} for part in pieces_of(block["thinking"], TEXT_PIECE)]
        deltas.append({"type": "signature_delta", "signature": block["signature"]})
    else:
        empty = {**block, "input": {}}
        arguments = dump(block["input"]).decode()
        deltas = [{"type": "input_json_delta", "partial_json": ""}]
        deltas += [
            {"type": "input_json_delta", "partial_json": piece} for piece in pieces_of(arguments, ARGUMENTS_PIECE)
        ]
    start = {"type": "content_block_start", "index": index, "content_block": empty}
    events = [event("content_block_start", start)]
    for delta in deltas:
        events.append(event("content_block_delta", {"type": "content_block_delta", "index": index, "delta": delta}))
    events.append(event("content_block_stop", {"type": "content_block_stop", "index": index}))
    return events
