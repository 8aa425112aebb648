"""Gemini generateContent and streamGenerateContent, the stream as events or as one JSON array."""

import re
from typing import Any

from tests.standin.wire import (
    TEXT_PIECE,
    Answer,
    Asked,
    Message,
    OfferedTool,
    Reply,
    dump,
    event,
    pieces_of,
)

NAME = "gemini"
CALL_ID_PREFIX = ""
TARGET = re.compile(r"/models/(?P<model>[^/:]+):(?P<verb>generateContent|streamGenerateContent)$")
STATUS_NAMES = {400: "INVALID_ARGUMENT", 401: "UNAUTHENTICATED", 404: "NOT_FOUND", 429: "RESOURCE_EXHAUSTED"}


def path_matches(path: str) -> bool:
    """`/v1beta/models/MODEL:generateContent` and the streaming verb, under any prefix."""
    return TARGET.search(path) is not None


def read(target: str, body: dict[str, Any]) -> Asked:
    """The request, understood; model and streaming are in its target."""
    path, _, query = target.partition("?")
    found = TARGET.search(path)
    if found is None:
        raise ValueError(f"{path!r} is no generateContent path")
    messages: list[Message] = []
    for content in body.get("contents") or []:
        parts = content.get("parts") or []
        text = "\n".join(part["text"] for part in parts if isinstance(part.get("text"), str))
        # Without ids (before the third generation) a result is known by its place alone.
        result_ids = tuple(
            part["functionResponse"].get("id") or f"{len(messages)}.{index}"
            for index, part in enumerate(parts)
            if "functionResponse" in part
        )
        role = "assistant" if content.get("role") == "model" else "user"
        messages.append(Message(role=role, text=text, result_ids=result_ids))
    tools = tuple(
        OfferedTool(
            name=declared["name"], schema=declared.get("parametersJsonSchema") or declared.get("parameters") or {}
        )
        for tool in body.get("tools") or []
        for declared in tool.get("functionDeclarations") or []
    )
    config = body.get("generationConfig") or {}
    schema = config.get("responseJsonSchema") or config.get("responseSchema")
    if schema is None and config.get("responseMimeType") == "application/json":
        schema = {"type": "object"}
    return Asked(
        model=found["model"],
        stream=found["verb"] == "streamGenerateContent",
        messages=tuple(messages),
        tools=tools,
        answer_schema=schema,
        caches=True,
        as_events="alt=sse" in query.split("&"),
    )


def answer(asked: Asked, reply: Reply) -> Answer:
    """A response, or the growing parts of one."""
    response_id = reply.ids.draw("", 22)
    last: list[dict[str, Any]] = []
    for call in reply.calls:
        function_call: dict[str, Any] = {"name": call.name, "args": call.arguments}
        # Only the third generation names its calls; before it a result is joined by name and order.
        if asked.model.startswith("gemini-3"):
            function_call["id"] = call.id
        last.append({"functionCall": function_call})
    thoughts = [{"text": piece, "thought": True} for piece in pieces_of(reply.thinking, 4 * TEXT_PIECE)]
    texts = [{"text": piece} for piece in pieces_of(reply.text, 4 * TEXT_PIECE)]

    def part_of_response(parts: list[dict[str, Any]], finish: str | None) -> dict[str, Any]:
        candidate: dict[str, Any] = {"content": {"parts": parts, "role": "model"}, "index": 0}
        if finish:
            candidate["finishReason"] = finish
        return {
            "candidates": [candidate],
            "usageMetadata": _usage(reply, whole=finish is not None),
            "modelVersion": asked.model,
            "responseId": response_id,
        }

    if not asked.stream:
        whole_text: list[dict[str, Any]] = [{"text": reply.text}] if reply.text else []
        pieces = [dump(part_of_response(whole_text + last, "STOP"))]
    else:
        growing = [[part] for part in thoughts + texts]
        final = last or (growing.pop() if growing else [{"text": ""}])
        parts = [part_of_response(group, None) for group in growing] + [part_of_response(final, "STOP")]
        pieces = [event("", part) for part in parts] if asked.as_events else _as_array(parts)
    is_events = asked.stream and asked.as_events
    content_type = "text/event-stream" if is_events else "application/json; charset=UTF-8"
    return Answer(content_type=content_type, pieces=pieces, response_id=response_id, finish_reason="STOP")


def error(status: int, message: str) -> bytes:
    """An error body in the provider's form."""
    name = STATUS_NAMES.get(status, "UNAVAILABLE" if status == 503 else "INTERNAL")
    return dump({"error": {"code": status, "message": message, "status": name}})


def _as_array(parts: list[dict[str, Any]]) -> list[bytes]:
    pieces = [(b"[" if index == 0 else b",\r\n") + dump(part) for index, part in enumerate(parts)]
    return [*pieces, b"\n]\n"]


def _usage(reply: Reply, *, whole: bool) -> dict[str, Any]:
    usage = reply.usage
    counts: dict[str, Any] = {"promptTokenCount": usage.input_tokens}
    if usage.cache_read_tokens:
        counts["cachedContentTokenCount"] = usage.cache_read_tokens
    counts["totalTokenCount"] = usage.input_tokens
    if whole:
        counts["candidatesTokenCount"] = usage.output_tokens - usage.reasoning_tokens
        counts["totalTokenCount"] += usage.output_tokens
        if usage.reasoning_tokens:
            counts["thoughtsTokenCount"] = usage.reasoning_tokens
    counts["promptTokensDetails"] = [{"modality": "TEXT", "tokenCount": usage.input_tokens}]
    return counts
