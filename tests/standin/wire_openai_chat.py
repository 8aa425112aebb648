"""OpenAI chat completions, streamed and whole."""

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

NAME = "openai_chat"
CALL_ID_PREFIX = "call_"


def path_matches(path: str) -> bool:
    """`/v1/chat/completions`, under any prefix."""
    return path.endswith("/chat/completions")


def read(target: str, body: dict[str, Any]) -> Asked:
    """The request, understood."""
    del target
    messages = []
    for message in body.get("messages") or []:
        if message.get("role") == "tool":
            messages.append(Message(role="tool", result_ids=(str(message.get("tool_call_id")),)))
        else:
            messages.append(Message(role=str(message.get("role")), text=typed_text(message.get("content"))))
    functions = [tool.get("function") or {} for tool in body.get("tools") or []]
    tools = tuple(
        OfferedTool(name=function["name"], schema=function.get("parameters") or {})
        for function in functions
        if function.get("name")
    )
    schema = ((body.get("response_format") or {}).get("json_schema") or {}).get("schema")
    return Asked(
        model=str(body.get("model")),
        stream=bool(body.get("stream")),
        messages=tuple(messages),
        tools=tools,
        answer_schema=schema,
        caches=True,
        usage_wanted=bool((body.get("stream_options") or {}).get("include_usage")),
    )


def answer(asked: Asked, reply: Reply) -> Answer:
    """A completion, or its chunks."""
    finish_reason = "tool_calls" if reply.calls else "stop"
    completion: dict[str, Any] = {
        "id": reply.ids.draw("chatcmpl-", 29),
        "object": "chat.completion.chunk" if asked.stream else "chat.completion",
        "created": reply.created_s,
        "model": asked.model,
        "service_tier": "default",
        "system_fingerprint": "fp_" + reply.ids.draw("", 10).lower(),
    }
    if asked.stream:
        return Answer(
            content_type="text/event-stream; charset=utf-8",
            pieces=_chunks(asked, reply, completion, finish_reason=finish_reason),
            response_id=completion["id"],
            finish_reason=finish_reason,
        )
    message: dict[str, Any] = {"role": "assistant", "content": reply.text or None, "refusal": None, "annotations": []}
    if reply.calls:
        message["tool_calls"] = [
            {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": call.arguments_json}}
            for call in reply.calls
        ]
    completion["choices"] = [{"index": 0, "message": message, "logprobs": None, "finish_reason": finish_reason}]
    completion["usage"] = _usage(reply)
    return Answer(
        content_type="application/json",
        pieces=[dump(completion)],
        response_id=completion["id"],
        finish_reason=finish_reason,
    )


def error(status: int, message: str) -> bytes:
    """An error body in the provider's form."""
    kind = "rate_limit_exceeded" if status == 429 else "server_error" if status >= 500 else "invalid_request_error"
    return dump({"error": {"message": message, "type": kind, "param": None, "code": kind}})


def _usage(reply: Reply) -> dict[str, Any]:
    usage = reply.usage
    return {
        "prompt_tokens": usage.input_tokens,
        "completion_tokens": usage.output_tokens,
        "total_tokens": usage.input_tokens + usage.output_tokens,
        "prompt_tokens_details": {"cached_tokens": usage.cache_read_tokens, "audio_tokens": 0},
        "completion_tokens_details": {
            "reasoning_tokens": usage.reasoning_tokens,
            "audio_tokens": 0,
            "accepted_prediction_tokens": 0,
            "rejected_prediction_tokens": 0,
        },
    }


def _chunks(asked: Asked, reply: Reply, completion: dict[str, Any], *, finish_reason: str) -> list[bytes]:
    def chunk(delta: dict[str, Any], finish: str | None = None) -> bytes:
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}
        usage = {"usage": None} if asked.usage_wanted else {}
        return event("", {**completion, "choices": [choice], **usage})

    pieces = [chunk({"role": "assistant", "content": "" if reply.text else None, "refusal": None})]
    pieces += [chunk({"content": piece}) for piece in pieces_of(reply.text, TEXT_PIECE)]
    for index, call in enumerate(reply.calls):
        opening = {"index": index, "id": call.id, "type": "function"}
        pieces.append(chunk({"tool_calls": [{**opening, "function": {"name": call.name, "arguments": ""}}]}))
        pieces += [
            chunk({"tool_calls": [{"index": index, "function": {"arguments": piece}}]})
            for piece in pieces_of(call.arguments_json, ARGUMENTS_PIECE)
        ]
    pieces.append(chunk({}, finish_reason))
    if asked.usage_wanted:
        pieces.append(event("", {**completion, "choices": [], "usage": _usage(reply)}))
    pieces.append(event("", b"[DONE]"))
    return pieces
