"""OpenAI Responses (`POST /v1/responses`)."""

import json
from dataclasses import dataclass, field
from typing import Any

from intact.assemble.llm.json_values import arguments, number, record, records, text
from intact.assemble.llm.openai_chat import openai_error
from intact.assemble.llm.parts import (
    file_part,
    generic_part,
    plain,
    reasoning_part,
    text_part,
    tool_call_part,
    tool_result_part,
    uri_part,
)
from intact.assemble.llm.reading import Answer, AskedTool, Asker, Message, ModelRequest, Part, ToolResult, Usage

_ONLY_HERE = {
    "instructions",
    "previous_response_id",
    "conversation",
    "max_output_tokens",
    "include",
    "store",
    "reasoning",
    "text",
    "truncation",
    "tools",
    "stream",
    "prompt",
}
# What the provider runs itself.
_SERVER_SIDE = {
    "web_search_call",
    "file_search_call",
    "code_interpreter_call",
    "image_generation_call",
    "mcp_call",
    "tool_search_call",
}
_BIG = {"type", "result", "encrypted_content"}
_TEXT_EVENTS = {
    "response.output_text.delta": "text",
    "response.refusal.delta": "text",
    "response.reasoning_summary_text.delta": "reasoning",
    "response.reasoning_text.delta": "reasoning",
    "response.function_call_arguments.delta": "arguments",
    "response.custom_tool_call_input.delta": "arguments",
}
_CLOSING = {"response.completed", "response.incomplete", "response.failed", "response.cancelled"}


class OpenAiResponses:
    """Reads requests, response objects and their events."""

    name = "openai.responses"
    provider_name = "openai"

    def is_shape(self, body: dict[str, Any]) -> bool | None:
        """Told by `input` that is a list of items; a bare text may as well be an embedding's."""
        if "messages" in body or ("model" not in body and "prompt" not in body):
            return False
        given = body.get("input")
        if isinstance(given, list) and given and len(records(given)) == len(given):
            return True
        if isinstance(given, str | list) or "previous_response_id" in body:
            return True if _ONLY_HERE & body.keys() else None
        return False

    def is_path(self, path: str) -> bool:
        """`…/responses`."""
        return path.endswith("/responses")

    def is_host(self, host: str) -> bool:
        """Hosts of OpenAI serve other APIs of this shape: the path must tell."""
        del host
        return False

    def request(self, asker: Asker, body: dict[str, Any]) -> ModelRequest:
        """Items grouped into messages; the conversation by whatever names it."""
        given = body.get("input")
        items = records(given) if isinstance(given, list) else [{"role": "user", "content": given}] if given else []
        last_said = max((at for at, item in enumerate(items) if _is_models(item)), default=-1)
        messages: list[Message] = []
        results: list[ToolResult] = []
        for at, item in enumerate(items):
            role, parts = _spoken(item)
            if (text(item.get("type")) or "").endswith("_output"):
                results.append(_result(item, is_new=at > last_said))
            if role == "assistant" and messages and messages[-1]["role"] == role:
                messages[-1]["parts"] += parts
            else:
                messages.append({"role": role, "parts": parts})
        conversation = body.get("conversation")
        instructions = body.get("instructions")
        return ModelRequest(
            model=text(body.get("model")),
            streamed=body.get("stream") is True,
            messages=messages,
            system_instructions=[text_part(instructions)] if isinstance(instructions, str) and instructions else [],
            tool_definitions=[_tool(tool) for tool in records(body.get("tools"))],
            results=results,
            conversation_id=text(record(conversation).get("id"))
            or text(conversation)
            or asker.headers.get("conversation_id")
            or asker.headers.get("session_id"),
            previous_response_id=text(body.get("previous_response_id")),
        )

    def answer(self, request: ModelRequest) -> "ResponsesAnswer":
        """A reader of response objects and events."""
        del request
        return ResponsesAnswer()

    def error_type(self, body: dict[str, Any]) -> str | None:
        """`error.code`, else `error.type`."""
        return openai_error(body)


@dataclass(slots=True)
class _Item:
    """An output item as its pieces come."""

    opening: dict[str, Any] = field(default_factory=dict)
    pieces: dict[tuple[str, int], list[str]] = field(default_factory=dict)
    whole: dict[str, Any] | None = None


class ResponsesAnswer(Answer):
    """A response object, or one built from its events."""

    def __init__(self) -> None:
        super().__init__()
        self._items: dict[int, _Item] = {}

    def whole(self, body: dict[str, Any]) -> None:
        """A response object."""
        self._response(body)
        self.is_over = True

    def event(self, body: dict[str, Any]) -> None:
        """The events of the stream, by their `type`."""
        kind = text(body.get("type")) or ""
        if (stream := _TEXT_EVENTS.get(kind)) is not None:
            part = number(body.get("content_index")) or number(body.get("summary_index")) or 0
            if isinstance(piece := body.get("delta"), str):
                self._item(body).pieces.setdefault((stream, part), []).append(piece)
        elif kind == "response.output_item.added":
            self._item(body).opening = record(body.get("item"))
        elif kind == "response.output_item.done":
            self._item_whole(self._item(body), record(body.get("item")))
        elif kind in _CLOSING:
            self._response(record(body.get("response")))
            self.is_over = True
        elif kind == "error" or (not kind and body.get("error")):
            self.error_type = openai_error(body) or "error"
            self.is_over = True
        elif kind in ("response.created", "response.in_progress"):
            self._response(record(body.get("response")))

    def messages(self) -> list[Message]:
        """One message of the assistant, whatever items it came in."""
        parts = [part for index in sorted(self._items) for part in _said(self._items[index])]
        if not parts and not self.finish_reasons:
            return []
        return [{"role": "assistant", "parts": parts, "finish_reason": next(iter(self.finish_reasons), None)}]

    def _item(self, body: dict[str, Any]) -> _Item:
        return self._items.setdefault(number(body.get("output_index")) or 0, _Item())

    def _item_whole(self, item: _Item, body: dict[str, Any]) -> None:
        if item.whole is not None:
            return
        item.whole = body
        item.pieces.clear()
        if asked := _asked(body):
            self._asked.append(asked)
            if asked.server_side and (result := _own_result(body)):
                self._results.append(result)

    def _response(self, body: dict[str, Any]) -> None:
        self.response_id = text(body.get("id")) or self.response_id
        self.model = text(body.get("model")) or self.model
        for index, item in enumerate(records(body.get("output"))):
            self._item_whole(self._items.setdefault(index, _Item()), item)
        status = text(body.get("status"))
        if status not in (None, "queued", "in_progress"):
            self.finish_reasons = [text(record(body.get("incomplete_details")).get("reason")) or str(status)]
        if error := record(body.get("error")):
            self.error_type = text(error.get("code")) or text(error.get("type")) or "error"
        if usage := record(body.get("usage")):
            before = record(usage.get("input_tokens_details"))
            after = record(usage.get("output_tokens_details"))
            self.usage = Usage(
                input_tokens=number(usage.get("input_tokens")),
                output_tokens=number(usage.get("output_tokens")),
                cache_read_input_tokens=number(before.get("cached_tokens")),
                cache_creation_input_tokens=number(before.get("cache_write_tokens")),
                reasoning_output_tokens=number(after.get("reasoning_tokens")),
            )


def _said(item: _Item) -> list[Part]:
    """The parts of an item: of the whole one, else of what has come of it."""
    if item.whole is not None:
        return _spoken(item.whole)[1]
    parts: list[Part] = []
    for (kind, _), pieces in sorted(item.pieces.items()):
        joined = "".join(pieces)
        if kind == "arguments":
            opening = item.opening
            parts.append(tool_call_part(text(opening.get("call_id")), text(opening.get("name")) or "", joined))
        else:
            parts.append(text_part(joined) if kind == "text" else reasoning_part(joined))
    return parts


def _is_models(item: dict[str, Any]) -> bool:
    kind = text(item.get("type")) or "message"
    return kind == "reasoning" or kind.endswith("_call") or item.get("role") == "assistant"


def _spoken(item: dict[str, Any]) -> tuple[str, list[Part]]:
    """Who says an item, and its parts."""
    kind = text(item.get("type")) or "message"
    if kind == "message":
        return text(item.get("role")) or "user", _parts(item.get("content"))
    if kind == "reasoning":
        said = records(item.get("summary")) + records(item.get("content"))
        return "assistant", [reasoning_part(text(part.get("text")) or "") for part in said]
    if kind.endswith("_output"):
        return "tool", [tool_result_part(_call_id(item), _output(item))]
    asked = _asked(item)
    if asked is None:
        role = "assistant" if _is_models(item) else "user"
        return role, [generic_part(kind, {name: value for name, value in item.items() if name not in _BIG})]
    if asked.server_side:
        called = {"type": asked.name, "arguments": asked.arguments}
        part = {"type": "server_tool_call", "id": asked.tool_call_id, "name": asked.name, "server_tool_call": called}
        return "assistant", [part]
    return "assistant", [tool_call_part(asked.tool_call_id, asked.name, asked.arguments or asked.arguments_text)]


def _asked(item: dict[str, Any]) -> AskedTool | None:
    """The tool call that an item is."""
    kind = text(item.get("type")) or ""
    if not kind.endswith("_call"):
        return None
    if isinstance(written := item.get("arguments"), str):
        given = arguments(written)
    elif isinstance(written := item.get("input"), str):
        given = {}
    else:
        names = ("action", "operation", "queries", "code", "actions", "arguments")
        found = {name: item[name] for name in names if item.get(name) is not None}
        given = record(found.get("action") or found.get("operation")) or found
        written = json.dumps(given, ensure_ascii=False)
    return AskedTool(
        tool_call_id=_call_id(item),
        name=text(item.get("name")) or kind.removesuffix("_call"),
        arguments_text=written,
        arguments=given,
        server=text(item.get("server_label")),
        server_side=kind in _SERVER_SIDE,
    )


def _call_id(item: dict[str, Any]) -> str | None:
    return text(item.get("call_id")) or text(item.get("id"))


def _output(item: dict[str, Any]) -> Any:
    output = item.get("output")
    if isinstance(output, list) and all(part.get("type") in _INPUT_TEXT for part in records(output)):
        return plain(_parts(output))
    return _parts(output) if records(output) and "type" in records(output)[0] else output


def _result(item: dict[str, Any], *, is_new: bool) -> ToolResult:
    status = text(item.get("status"))
    return ToolResult(
        tool_call_id=_call_id(item),
        name=None,
        result=_output(item),
        is_error=True if status in ("failed", "incomplete") else None,
        is_new=is_new,
    )


def _own_result(item: dict[str, Any]) -> ToolResult | None:
    """What a tool of the provider gave, where the item says it."""
    error = item.get("error")
    names = ("output", "outputs", "results")
    result = next((item[name] for name in names if item.get(name) is not None), error)
    if result is None:
        return None
    return ToolResult(tool_call_id=_call_id(item), name=None, result=result, is_error=error is not None)


_INPUT_TEXT = ("input_text", "output_text", "text")


def _parts(content: Any) -> list[Part]:
    if isinstance(content, str):
        return [text_part(content)]
    return [_part(part) for part in records(content)]


def _part(part: dict[str, Any]) -> Part:
    kind = text(part.get("type")) or ""
    if kind in _INPUT_TEXT or kind == "refusal":
        return text_part(text(part.get("text")) or text(part.get("refusal")) or "")
    if kind in ("input_image", "input_file", "computer_screenshot"):
        modality = "document" if kind == "input_file" else "image"
        if file_id := text(part.get("file_id")):
            return file_part(file_id, modality)
        uri = text(part.get("image_url")) or text(part.get("file_url")) or text(part.get("file_data")) or ""
        return uri_part(None, uri, modality)
    return generic_part(kind, {name: value for name, value in part.items() if name not in _BIG})


def _tool(tool: dict[str, Any]) -> dict[str, Any]:
    kind = text(tool.get("type")) or "function"
    return {
        "type": kind,
        "name": text(tool.get("name")) or kind,
        "description": text(tool.get("description")),
        "parameters": tool.get("parameters"),
    }
