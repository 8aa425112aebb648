"""Anthropic Messages (`POST /v1/messages`), also as Vertex AI and gateways offer it."""

import json
import re
from typing import Any

from intact.assemble.llm.json_values import arguments, number, record, records, text
from intact.assemble.llm.parts import (
    generic_part,
    plain,
    reasoning_part,
    source_part,
    text_part,
    tool_call_part,
    tool_result_part,
)
from intact.assemble.llm.reading import Answer, AskedTool, Asker, Message, ModelRequest, Part, ToolResult, Usage

_SESSION = re.compile(r"(?:_session_|\"session_id\":\s*\")([A-Za-z0-9-]{8,64})")
_PATH = re.compile(r"/messages$|/models/[^/]+:(?:rawPredict|streamRawPredict)$")
_VERTEX_MODEL = re.compile(r"/models/([^/:]+):")
_SERVER_RESULT = re.compile(r"[a-z_]*_tool_result\Z")


class AnthropicMessages:
    """Reads requests, message objects and their events."""

    name = "anthropic.messages"
    provider_name = "anthropic"

    def is_shape(self, body: dict[str, Any]) -> bool | None:
        """Told by the version in the body, by blocks or by the schema of tools."""
        if "anthropic_version" in body:
            return True
        if "messages" not in body or "model" not in body:
            return False
        messages, tools = records(body["messages"]), records(body.get("tools"))
        if any(message.get("role") not in ("user", "assistant", "system") for message in messages):
            return False
        if any("function" in tool for tool in tools) or any("tool_calls" in message for message in messages):
            return False
        if "system" in body or "stop_sequences" in body or any("input_schema" in tool for tool in tools):
            return True
        kinds = {text(block.get("type")) for message in messages for block in records(message.get("content"))}
        return True if kinds & {"tool_use", "tool_result", "thinking", "document"} else None

    def is_path(self, path: str) -> bool:
        """`…/messages`, and how Vertex AI names it."""
        return _PATH.search(path) is not None

    def is_host(self, host: str) -> bool:
        """Anthropic's own."""
        return host.endswith(".anthropic.com")

    def request(self, asker: Asker, body: dict[str, Any]) -> ModelRequest:
        """System, messages, tools, and the session a client puts into `metadata.user_id`."""
        vertex = _VERTEX_MODEL.search(asker.path)
        given = records(body.get("messages"))
        last_said = max((at for at, message in enumerate(given) if message.get("role") == "assistant"), default=-1)
        messages: list[Message] = []
        results: list[ToolResult] = []
        for at, message in enumerate(given):
            parts = _parts(message.get("content"))
            for block in records(message.get("content")):
                if block.get("type") == "tool_result":
                    results.append(_result(block, is_new=at > last_said))
            has_result = any(part["type"] == "tool_call_response" for part in parts)
            messages.append({"role": "tool" if has_result else text(message.get("role")) or "user", "parts": parts})
        session = _SESSION.search(text(record(body.get("metadata")).get("user_id")) or "")
        return ModelRequest(
            model=text(body.get("model")) or (vertex[1] if vertex else None),
            streamed=body.get("stream") is True or asker.path.endswith(":streamRawPredict"),
            messages=messages,
            system_instructions=_parts(body.get("system")),
            tool_definitions=[_tool(tool) for tool in records(body.get("tools"))],
            results=results,
            conversation_id=session[1] if session else None,
        )

    def answer(self, request: ModelRequest) -> "AnthropicAnswer":
        """A reader of message objects and events."""
        del request
        return AnthropicAnswer()

    def error_type(self, body: dict[str, Any]) -> str | None:
        """`error.type`."""
        return text(record(body.get("error")).get("type"))


class AnthropicAnswer(Answer):
    """A message object, or one built from its events."""

    def __init__(self) -> None:
        super().__init__()
        self._blocks: dict[int, dict[str, Any]] = {}
        self._pieces: dict[int, list[str]] = {}
        self._counts: dict[str, int] = {}

    def whole(self, body: dict[str, Any]) -> None:
        """A message object."""
        self._message(body)
        for index, block in enumerate(records(body.get("content"))):
            self._blocks[index] = dict(block)
            self._block_whole(index)
        self.is_over = True

    def event(self, body: dict[str, Any]) -> None:
        """The events of the Messages stream, by their `type`."""
        kind, index = body.get("type"), number(body.get("index")) or 0
        if kind == "content_block_delta":
            self._delta(index, record(body.get("delta")))
        elif kind == "content_block_start":
            self._blocks[index] = dict(record(body.get("content_block")))
            self._pieces[index] = []
        elif kind == "content_block_stop":
            self._block_whole(index)
        elif kind == "message_start":
            self._message(record(body.get("message")))
        elif kind == "message_delta":
            self._message({**record(body.get("delta")), "usage": body.get("usage")})
        elif kind == "message_stop":
            self.is_over = True
        elif kind == "error":
            self.error_type = text(record(body.get("error")).get("type")) or "error"
            self.is_over = True

    def messages(self) -> list[Message]:
        """One message of the assistant."""
        parts = [part for index in sorted(self._blocks) for part in self._output(index)]
        if not parts and not self.finish_reasons:
            return []
        return [{"role": "assistant", "parts": parts, "finish_reason": next(iter(self.finish_reasons), None)}]

    def _message(self, message: dict[str, Any]) -> None:
        self.response_id = text(message.get("id")) or self.response_id
        self.model = text(message.get("model")) or self.model
        if reason := text(message.get("stop_reason")):
            self.finish_reasons = [reason]
        usage = record(message.get("usage"))
        details = record(usage.get("output_tokens_details"))
        for name, value in (*usage.items(), *details.items()):
            if (count := number(value)) is not None:
                self._counts[name] = count  # counts are cumulative: the last one stands
        counts = self._counts
        read, creation = counts.get("cache_read_input_tokens"), counts.get("cache_creation_input_tokens")
        fresh = counts.get("input_tokens")
        self.usage = Usage(
            # Anthropic's own count leaves the cached ones out.
            input_tokens=None if fresh is None else fresh + (read or 0) + (creation or 0),
            output_tokens=counts.get("output_tokens"),
            cache_read_input_tokens=read,
            cache_creation_input_tokens=creation,
            reasoning_output_tokens=counts.get("thinking_tokens", counts.get("reasoning_tokens")),
        )

    def _delta(self, index: int, delta: dict[str, Any]) -> None:
        block = self._blocks.setdefault(index, {"type": "text"})
        for name in ("text", "thinking", "partial_json"):
            if isinstance(piece := delta.get(name), str):
                self._pieces.setdefault(index, []).append(piece)
                return
        if delta.get("type") == "citations_delta":
            block.setdefault("citations", [])

    def _joined(self, index: int) -> str:
        return "".join(self._pieces.get(index, ()))

    def _block_whole(self, index: int) -> None:
        block = self._blocks.get(index, {})
        kind = text(block.get("type")) or ""
        if kind in ("tool_use", "server_tool_use", "mcp_tool_use"):
            written = self._joined(index)
            given = block.get("input")
            if written:
                block["input"] = arguments(written)
            self._asked.append(
                AskedTool(
                    tool_call_id=text(block.get("id")),
                    name=text(block.get("name")) or "",
                    arguments_text=written or json.dumps(given if given is not None else {}, ensure_ascii=False),
                    arguments=record(block.get("input")),
                    server=text(block.get("server_name")),
                    server_side=kind != "tool_use",
                )
            )
        elif _SERVER_RESULT.match(kind):
            self._results.append(_result(block, is_new=True))

    def _output(self, index: int) -> list[Part]:
        block, joined = self._blocks[index], self._joined(index)
        if block.get("type") == "text":
            return [text_part((text(block.get("text")) or "") + joined)]
        if block.get("type") == "thinking":
            return [reasoning_part((text(block.get("thinking")) or "") + joined)]
        return _parts([block])


def _parts(content: Any) -> list[Part]:
    if isinstance(content, str):
        return [text_part(content)]
    return [_part(block) for block in records(content)]


def _part(block: dict[str, Any]) -> Part:
    kind = text(block.get("type")) or ""
    if kind == "text":
        return text_part(text(block.get("text")) or "")
    if kind == "thinking":
        return reasoning_part(text(block.get("thinking")) or "")
    if kind == "tool_use":
        return tool_call_part(text(block.get("id")), text(block.get("name")) or "", block.get("input"))
    if kind == "tool_result":
        return tool_result_part(text(block.get("tool_use_id")), plain(_parts(block.get("content"))))
    if kind in ("image", "document"):
        return source_part(kind, block.get("source"))
    if kind in ("server_tool_use", "mcp_tool_use"):
        name = text(block.get("name")) or ""
        called = {"type": name, "arguments": block.get("input")}
        return {"type": "server_tool_call", "id": text(block.get("id")), "name": name, "server_tool_call": called}
    if _SERVER_RESULT.match(kind):
        response = {"type": kind, "response": _content(block)}
        identity = text(block.get("tool_use_id"))
        return {"type": "server_tool_call_response", "id": identity, "server_tool_call_response": response}
    return generic_part(kind, {name: value for name, value in block.items() if name not in ("type", "data")})


def _content(block: dict[str, Any]) -> Any:
    """What a provider's own tool gave; the parts it encrypts are of no use to a reader."""
    content = block.get("content")
    if not isinstance(content, list):
        return content
    return [{key: value for key, value in item.items() if key != "encrypted_content"} for item in records(content)]


def _result(block: dict[str, Any], *, is_new: bool) -> ToolResult:
    is_own = block.get("type") == "tool_result"
    return ToolResult(
        tool_call_id=text(block.get("tool_use_id")),
        name=None,
        result=plain(_parts(block.get("content"))) if is_own else _content(block),
        is_error=block.get("is_error") is True,
        is_new=is_new,
    )


def _tool(tool: dict[str, Any]) -> dict[str, Any]:
    kind = text(tool.get("type")) or "function"
    return {
        "type": "function" if kind == "custom" else kind,
        "name": text(tool.get("name")),
        "description": text(tool.get("description")),
        "parameters": tool.get("input_schema"),
    }
