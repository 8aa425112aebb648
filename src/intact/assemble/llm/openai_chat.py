"""OpenAI chat completions (`POST /v1/chat/completions`), which most other servers speak too."""

from dataclasses import dataclass, field
from typing import Any

from intact.assemble.llm.json_values import arguments, base64_size, number, record, records, text
from intact.assemble.llm.parts import (
    blob_part,
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

_ROLES = {"system", "developer", "user", "assistant", "tool", "function"}


class OpenAiChat:
    """Reads requests, completions and their chunks."""

    name = "openai.chat"
    provider_name = "openai"

    def is_shape(self, body: dict[str, Any]) -> bool | None:
        """Told by roles and by the form of tools and tool calls."""
        if "messages" not in body or "model" not in body:
            return False
        messages, tools = records(body["messages"]), records(body.get("tools"))
        if any(text(message.get("role")) not in _ROLES for message in messages) or "anthropic_version" in body:
            return False
        kinds = {text(block.get("type")) for message in messages for block in records(message.get("content"))}
        if kinds & {"tool_use", "tool_result"} or "system" in body or any("input_schema" in tool for tool in tools):
            return False
        marks = ("stream_options", "max_completion_tokens", "parallel_tool_calls", "frequency_penalty", "n")
        if any(mark in body for mark in marks) or any("function" in tool for tool in tools):
            return True
        special = any(message.get("role") in ("developer", "tool", "function") for message in messages)
        return True if special or any("tool_calls" in message for message in messages) else None

    def is_path(self, path: str) -> bool:
        """`…/chat/completions`."""
        return path.endswith("/chat/completions")

    def is_host(self, host: str) -> bool:
        """OpenAI's own."""
        return host.endswith("api.openai.com")

    def request(self, asker: Asker, body: dict[str, Any]) -> ModelRequest:
        """Messages, tools and tool results."""
        del asker
        given = records(body.get("messages"))
        last_said = max((at for at, message in enumerate(given) if message.get("role") == "assistant"), default=-1)
        results = [
            ToolResult(
                tool_call_id=text(message.get("tool_call_id")),
                name=text(message.get("name")),
                result=plain(_parts(message.get("content"))),
                is_new=at > last_said,
            )
            for at, message in enumerate(given)
            if message.get("role") in ("tool", "function")
        ]
        return ModelRequest(
            model=text(body.get("model")),
            streamed=body.get("stream") is True,
            messages=[_message(message) for message in given],
            tool_definitions=[_tool(tool) for tool in records(body.get("tools"))],
            results=results,
        )

    def answer(self, request: ModelRequest) -> "ChatAnswer":
        """A reader of completions and chunks."""
        del request
        return ChatAnswer()

    def error_type(self, body: dict[str, Any]) -> str | None:
        """`error.code`, else `error.type`."""
        return openai_error(body)


def openai_error(body: dict[str, Any]) -> str | None:
    """What OpenAI calls an error; its code says more than its type."""
    error = record(body.get("error"))
    return text(error.get("code")) or text(error.get("type")) or text(body.get("code"))


@dataclass(slots=True)
class _Tool:
    """A tool call as its pieces come."""

    tool_call_id: str | None = None
    name: str = ""
    pieces: list[str] = field(default_factory=list)
    is_custom: bool = False
    is_told: bool = False

    @property
    def written(self) -> str:
        return "".join(self.pieces)

    def part(self) -> Part:
        """As part of the output."""
        return tool_call_part(
            self.tool_call_id, self.name, self.written if self.is_custom else arguments(self.written) or self.written
        )


@dataclass(slots=True)
class _Choice:
    """One of the answers, as its pieces come."""

    content: list[str] = field(default_factory=list)
    reasoning: list[str] = field(default_factory=list)
    refusal: list[str] = field(default_factory=list)
    tools: dict[int, _Tool] = field(default_factory=dict)
    finish_reason: str | None = None


class ChatAnswer(Answer):
    """A completion, or one built from its chunks."""

    def __init__(self) -> None:
        super().__init__()
        self._choices: dict[int, _Choice] = {}

    def whole(self, body: dict[str, Any]) -> None:
        """A completion object."""
        self._common(body)
        for choice in records(body.get("choices")):
            self._piece(choice, record(choice.get("message")))
        self.done()

    def event(self, body: dict[str, Any]) -> None:
        """A chunk, or an error that ends the stream."""
        if body.get("error"):
            self.error_type = openai_error(body) or "error"
            self.done()
            return
        self._common(body)
        for choice in records(body.get("choices")):
            self._piece(choice, record(choice.get("delta")))
        choices = self._choices.values()
        self.may_be_over = bool(choices) and all(choice.finish_reason for choice in choices)

    def done(self) -> None:
        """Nothing follows: every tool call is whole."""
        super().done()
        for choice in self._choices.values():
            self._tell(choice)

    def messages(self) -> list[Message]:
        """One message a choice."""
        messages = []
        for index in sorted(self._choices):
            choice = self._choices[index]
            parts = [reasoning_part("".join(choice.reasoning))] if choice.reasoning else []
            parts += [text_part("".join(said)) for said in (choice.content, choice.refusal) if said]
            parts += [choice.tools[at].part() for at in sorted(choice.tools)]
            messages.append({"role": "assistant", "parts": parts, "finish_reason": choice.finish_reason})
        return messages

    def _common(self, body: dict[str, Any]) -> None:
        self.response_id = text(body.get("id")) or self.response_id
        self.model = text(body.get("model")) or self.model
        if usage := record(body.get("usage")):
            before = record(usage.get("prompt_tokens_details"))
            after = record(usage.get("completion_tokens_details"))
            cached = number(before.get("cached_tokens"))
            self.usage = Usage(
                input_tokens=number(usage.get("prompt_tokens")),
                output_tokens=number(usage.get("completion_tokens")),
                cache_read_input_tokens=number(usage.get("prompt_cache_hit_tokens")) if cached is None else cached,
                cache_creation_input_tokens=number(before.get("cache_write_tokens")),
                reasoning_output_tokens=number(after.get("reasoning_tokens")),
            )

    def _piece(self, choice: dict[str, Any], said: dict[str, Any]) -> None:
        state = self._choices.setdefault(number(choice.get("index")) or 0, _Choice())
        reasoning = said.get("reasoning_content") or said.get("reasoning")
        for pieces, piece in (
            (state.content, said.get("content")),
            (state.reasoning, reasoning),
            (state.refusal, said.get("refusal")),
        ):
            if isinstance(piece, str) and piece:
                pieces.append(piece)
        for at, call in enumerate(records(said.get("tool_calls"))):
            self._tool_piece(state, at, call)
        if legacy := record(said.get("function_call")):
            self._tool_piece(state, 0, {"index": 0, "function": legacy})
        if reason := text(choice.get("finish_reason")):
            state.finish_reason = reason
            self._tell(state)
            self.finish_reasons = [
                each.finish_reason for _, each in sorted(self._choices.items()) if each.finish_reason
            ]

    def _tool_piece(self, choice: _Choice, at: int, call: dict[str, Any]) -> None:
        given = number(call.get("index"))
        index = at if given is None else given
        if index not in choice.tools:
            self._tell(choice)  # the model writes one after the other
        tool = choice.tools.setdefault(index, _Tool())
        tool.is_custom = tool.is_custom or "custom" in call
        function = record(call.get("custom") or call.get("function"))
        tool.tool_call_id = text(call.get("id")) or tool.tool_call_id
        tool.name = text(function.get("name")) or tool.name
        piece = function.get("input" if tool.is_custom else "arguments")
        if isinstance(piece, str):
            tool.pieces.append(piece)

    def _tell(self, choice: _Choice) -> None:
        for index in sorted(choice.tools):
            tool = choice.tools[index]
            if not tool.is_told and tool.name:
                tool.is_told = True
                self._asked.append(
                    AskedTool(
                        tool_call_id=tool.tool_call_id,
                        name=tool.name,
                        arguments_text=tool.written,
                        arguments={} if tool.is_custom else arguments(tool.written),
                    )
                )


def _message(message: dict[str, Any]) -> Message:
    role = text(message.get("role")) or "user"
    if role in ("tool", "function"):
        response = plain(_parts(message.get("content")))
        return {"role": "tool", "parts": [tool_result_part(text(message.get("tool_call_id")), response)]}
    parts = []
    if thought := text(message.get("reasoning_content")):
        parts.append(reasoning_part(thought))
    parts += _parts(message.get("content"))
    if refusal := text(message.get("refusal")):
        parts.append(text_part(refusal))
    for call in records(message.get("tool_calls")):
        custom = record(call.get("custom"))
        function = custom or record(call.get("function"))
        written = text(function.get("input" if custom else "arguments")) or ""
        asked = written if custom else arguments(written) or written
        parts.append(tool_call_part(text(call.get("id")), text(function.get("name")) or "", asked))
    return {"role": role, "parts": parts}


def _parts(content: Any) -> list[Part]:
    if isinstance(content, str):
        return [text_part(content)]
    return [_part(part) for part in records(content)]


def _part(part: dict[str, Any]) -> Part:
    kind = text(part.get("type")) or ""
    if kind in ("text", "refusal"):
        return text_part(text(part.get(kind)) or "")
    if kind == "image_url":
        image = part.get("image_url")
        return uri_part(None, text(record(image).get("url")) or text(image) or "", "image")
    if kind == "input_audio":
        audio = record(part.get("input_audio"))
        return blob_part(f"audio/{text(audio.get('format')) or 'wav'}", base64_size(audio.get("data")))
    if kind == "file":
        file = record(part.get("file"))
        if file_id := text(file.get("file_id")):
            return file_part(file_id, "document")
        return uri_part(None, text(file.get("file_data")) or "", "document")
    return generic_part(kind, {name: value for name, value in part.items() if name != "type"})


def _tool(tool: dict[str, Any]) -> dict[str, Any]:
    function = record(tool.get("function")) or record(tool.get("custom"))
    return {
        "type": text(tool.get("type")) or "function",
        "name": text(function.get("name")),
        "description": text(function.get("description")),
        "parameters": function.get("parameters"),
    }
