"""Gemini `generateContent` and `streamGenerateContent`, also wrapped as Gemini Code Assist sends it."""

import json
import re
from dataclasses import dataclass, field
from typing import Any

from intact.assemble.llm.json_values import base64_size, number, record, records, text
from intact.assemble.llm.parts import (
    blob_part,
    generic_part,
    reasoning_part,
    text_part,
    tool_call_part,
    tool_result_part,
    uri_part,
)
from intact.assemble.llm.reading import Answer, AskedTool, Asker, Message, ModelRequest, Part, ToolResult, Usage

_PATH = re.compile(r"(?:/models/(?P<model>[^/:]+))?:(?P<verb>generateContent|streamGenerateContent)$")


class GeminiGenerateContent:
    """Reads requests and responses; a streamed answer is a row of responses."""

    name = "gemini.generate_content"
    provider_name = "gcp.gemini"

    def is_shape(self, body: dict[str, Any]) -> bool | None:
        """Told by `contents`, a list of `parts`."""
        contents = records(_inner(body).get("contents"))
        return bool(contents) and all("parts" in content for content in contents)

    def is_path(self, path: str) -> bool:
        """`…:generateContent` and `…:streamGenerateContent`."""
        return _PATH.search(path) is not None

    def is_host(self, host: str) -> bool:
        """Google's."""
        return host.endswith(".googleapis.com")

    def request(self, asker: Asker, body: dict[str, Any]) -> ModelRequest:
        """Contents, tools and function responses; the model is in the path."""
        found = _PATH.search(asker.path)
        inner = _inner(body)
        contents = records(inner.get("contents"))
        last_said = max((at for at, content in enumerate(contents) if content.get("role") == "model"), default=-1)
        results: list[ToolResult] = []
        messages: list[Message] = []
        for at, content in enumerate(contents):
            messages.append(_message(content))
            for part in records(content.get("parts")):
                if response := _field(part, "functionResponse"):
                    results.append(_result(response, is_new=at > last_said))
        system = inner.get("systemInstruction", inner.get("system_instruction"))
        declared = [
            function
            for tool in records(inner.get("tools"))
            for function in records(tool.get("functionDeclarations", tool.get("function_declarations")))
        ]
        own = [
            {"type": name, "name": name, "description": None, "parameters": None}
            for tool in records(inner.get("tools"))
            for name in tool
            if name not in ("functionDeclarations", "function_declarations")
        ]
        return ModelRequest(
            operation_name="generate_content",
            model=(found and found["model"]) or text(body.get("model")),
            streamed=found is not None and found["verb"] == "streamGenerateContent",
            messages=messages,
            system_instructions=[text_part(system)] if isinstance(system, str) else _parts(record(system)),
            tool_definitions=[_tool(function) for function in declared] + own,
            results=results,
            conversation_id=text(inner.get("session_id")),
        )

    def answer(self, request: ModelRequest) -> "GeminiAnswer":
        """A reader of responses."""
        del request
        return GeminiAnswer()

    def error_type(self, body: dict[str, Any]) -> str | None:
        """`error.status`."""
        error = record(body.get("error"))
        return text(error.get("status")) or (str(code) if (code := number(error.get("code"))) else None)


@dataclass(slots=True)
class _Candidate:
    """One of the answers, as its parts come; texts that follow each other are one."""

    parts: list[Part] = field(default_factory=list)
    pieces: list[list[str]] = field(default_factory=list)
    finish_reason: str | None = None
    unfinished: dict[str, Any] | None = None


class GeminiAnswer(Answer):
    """A response, or one built from a row of them."""

    def __init__(self) -> None:
        super().__init__()
        self._candidates: dict[int, _Candidate] = {}

    def whole(self, body: dict[str, Any]) -> None:
        """One response."""
        self.event(body)
        self.is_over = True

    def event(self, body: dict[str, Any]) -> None:
        """The next response of the row, or an error that ends it."""
        body = record(body.get("response")) or body
        if error := record(body.get("error")):
            self.error_type = text(error.get("status")) or "error"
            self.is_over = True
            return
        self.response_id = text(body.get("responseId")) or self.response_id
        self.model = text(body.get("modelVersion")) or self.model
        if usage := record(body.get("usageMetadata")):
            self._count(usage)
        for candidate in records(body.get("candidates")):
            self._candidate(candidate)
        candidates = [self._candidates[index] for index in sorted(self._candidates)]
        self.finish_reasons = [candidate.finish_reason for candidate in candidates if candidate.finish_reason]
        blocked = text(record(body.get("promptFeedback")).get("blockReason"))
        if blocked and not candidates:
            self.finish_reasons = [blocked]
        if self.finish_reasons and len(self.finish_reasons) >= len(candidates):
            self.is_over = True

    def messages(self) -> list[Message]:
        """One message a candidate."""
        messages = []
        for _, candidate in sorted(self._candidates.items()):
            parts = [
                {**part, "content": "".join(pieces)} if pieces else part
                for part, pieces in zip(candidate.parts, candidate.pieces, strict=True)
            ]
            messages.append({"role": "assistant", "parts": parts, "finish_reason": candidate.finish_reason})
        return messages

    def _count(self, usage: dict[str, Any]) -> None:
        counts = {name: number(value) for name, value in usage.items()}
        asked, used = counts.get("promptTokenCount"), counts.get("toolUsePromptTokenCount") or 0
        said, thought = counts.get("candidatesTokenCount"), counts.get("thoughtsTokenCount")
        self.usage = Usage(
            input_tokens=None if asked is None else asked + used,
            output_tokens=None if said is None and thought is None else (said or 0) + (thought or 0),
            cache_read_input_tokens=counts.get("cachedContentTokenCount"),
            reasoning_output_tokens=thought,
        )

    def _candidate(self, body: dict[str, Any]) -> None:
        candidate = self._candidates.setdefault(number(body.get("index")) or 0, _Candidate())
        for part in records(record(body.get("content")).get("parts")):
            call = _field(part, "functionCall")
            if call or candidate.unfinished is not None:
                self._call(candidate, call)
                continue
            said = _part(part)
            if said["type"] not in ("text", "reasoning"):
                candidate.parts.append(said)
                candidate.pieces.append([])
            elif candidate.parts and candidate.parts[-1]["type"] == said["type"]:
                candidate.pieces[-1].append(said["content"])
            elif said["content"]:
                candidate.parts.append(said)
                candidate.pieces.append([said["content"]])
        candidate.finish_reason = text(body.get("finishReason")) or candidate.finish_reason

    def _call(self, candidate: _Candidate, call: dict[str, Any]) -> None:
        """A function call, whole, or in pieces of its arguments (`partialArgs`, `willContinue`)."""
        held = candidate.unfinished or {"name": call.get("name"), "id": call.get("id"), "args": {}}
        given = record(held["args"])
        given.update(record(call.get("args")))
        for piece in records(call.get("partialArgs")):
            name = (text(piece.get("jsonPath")) or "").removeprefix("$.")
            if isinstance(words := piece.get("stringValue"), str):
                given[name] = str(given.get(name, "")) + words
            else:
                values = (piece.get(kind) for kind in ("numberValue", "boolValue"))
                given[name] = next((value for value in values if value is not None), None)
        if call.get("willContinue") is True:
            candidate.unfinished = held
            return
        candidate.unfinished = None
        identity, name = text(held.get("id")), text(held.get("name")) or ""
        candidate.parts.append(tool_call_part(identity, name, given))
        candidate.pieces.append([])
        written = json.dumps(given, ensure_ascii=False)
        self._asked.append(AskedTool(tool_call_id=identity, name=name, arguments_text=written, arguments=given))


def _inner(body: dict[str, Any]) -> dict[str, Any]:
    """The request inside the envelope of Code Assist, or the body itself."""
    wrapped = record(body.get("request"))
    return wrapped if "contents" in wrapped else body


def _field(part: dict[str, Any], name: str) -> dict[str, Any]:
    snake = re.sub("[A-Z]", lambda letter: "_" + letter[0].lower(), name)
    return record(part.get(name, part.get(snake)))


def _message(content: dict[str, Any]) -> Message:
    parts = _parts(content)
    has_result = any(part["type"] == "tool_call_response" for part in parts)
    role = "tool" if has_result else "assistant" if content.get("role") == "model" else "user"
    return {"role": role, "parts": parts}


def _parts(content: dict[str, Any]) -> list[Part]:
    return [_part(part) for part in records(content.get("parts"))]


def _part(part: dict[str, Any]) -> Part:
    if isinstance(words := part.get("text"), str):
        return reasoning_part(words) if part.get("thought") is True else text_part(words)
    if call := _field(part, "functionCall"):
        return tool_call_part(text(call.get("id")), text(call.get("name")) or "", call.get("args"))
    if response := _field(part, "functionResponse"):
        return tool_result_part(text(response.get("id")), response.get("response"))
    if blob := _field(part, "inlineData"):
        return blob_part(text(blob.get("mimeType", blob.get("mime_type"))), base64_size(blob.get("data")))
    if file := _field(part, "fileData"):
        return uri_part(
            text(file.get("mimeType", file.get("mime_type"))), text(file.get("fileUri", file.get("file_uri"))) or ""
        )
    kinds = [name for name in part if name not in ("thought", "thoughtSignature")]
    return generic_part(kinds[0] if kinds else "empty", {name: part[name] for name in kinds})


def _result(response: dict[str, Any], *, is_new: bool) -> ToolResult:
    given = response.get("response")
    return ToolResult(
        tool_call_id=text(response.get("id")),
        name=text(response.get("name")),
        result=given,
        is_error=isinstance(given, dict) and "error" in given,
        is_new=is_new,
    )


def _tool(function: dict[str, Any]) -> dict[str, Any]:
    return {
        "type": "function",
        "name": text(function.get("name")),
        "description": text(function.get("description")),
        "parameters": function.get("parametersJsonSchema") or function.get("parameters"),
    }
