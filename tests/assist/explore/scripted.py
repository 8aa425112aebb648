"""A chat model that follows a script, and remembers all that it could read."""

import json
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any

from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult
from pydantic import PrivateAttr

from intact.assist.explore.guard import ChatModel

Says = Callable[[list[BaseMessage], list[Any]], AIMessage]


class Scripted(BaseChatModel):
    """Answers by a function of what it reads: the messages and the tools."""

    says: Any
    tools: Sequence[Any] = ()
    _read: list[tuple[list[BaseMessage], list[Any]]] = PrivateAttr(default_factory=list)

    @property
    def _llm_type(self) -> str:
        return "scripted"

    @property
    def read(self) -> list[tuple[list[BaseMessage], list[Any]]]:
        return self._read

    def bind_tools(self, tools: Sequence[Any], **_: Any) -> "Scripted":
        bound = Scripted(says=self.says, tools=tools)
        bound._read = self._read
        return bound

    def _generate(self, *_: Any, **__: Any) -> ChatResult:
        raise NotImplementedError

    async def _agenerate(self, messages: list[BaseMessage], *_: Any, **__: Any) -> ChatResult:
        self._read.append((list(messages), list(self.tools)))
        return ChatResult(generations=[ChatGeneration(message=self.says(messages, list(self.tools)))])

    async def _astream(self, messages: list[BaseMessage], *_: Any, **__: Any) -> AsyncIterator[ChatGenerationChunk]:
        self._read.append((list(messages), list(self.tools)))
        said = self.says(messages, list(self.tools))
        chunk = AIMessageChunk(content=said.content, tool_calls=said.tool_calls, usage_metadata=said.usage_metadata)
        yield ChatGenerationChunk(message=chunk)


def says(text: str = "", *calls: tuple[str, dict[str, Any]], tokens: tuple[int, int] = (100, 10)) -> AIMessage:
    """One message of a model."""
    usage = {"input_tokens": tokens[0], "output_tokens": tokens[1], "total_tokens": sum(tokens)}
    made = [{"name": name, "args": args, "id": f"call-{index}"} for index, (name, args) in enumerate(calls)]
    return AIMessage(content=text, tool_calls=made, usage_metadata=usage)


def in_turn(*messages: AIMessage | Exception) -> Says:
    """One message after the other, the last one again and again."""
    left = list(messages)

    def next_one(_: list[BaseMessage], __: list[Any]) -> AIMessage:
        message = left.pop(0) if len(left) > 1 else left[0]
        if isinstance(message, Exception):
            raise message
        return message.model_copy(deep=True)

    return next_one


def chat(says: Says, *, name: str = "scripted", timeout_s: float = 5.0) -> ChatModel:
    return ChatModel(name=name, provider="openai", chat=Scripted(says=says), timeout_s=timeout_s)


def read_by(model: ChatModel) -> str:
    """Everything that a model could read, as one text."""
    assert isinstance(model.chat, Scripted)
    texts: list[str] = []
    for messages, tools in model.chat.read:
        for message in messages:
            texts.append(message.text)
            texts += [json.dumps(call["args"], ensure_ascii=False) for call in getattr(message, "tool_calls", ())]
        for tool in tools:
            texts.append(json.dumps([tool.name, tool.description, tool.args_schema], ensure_ascii=False, default=str))
    return "\n".join(texts)
