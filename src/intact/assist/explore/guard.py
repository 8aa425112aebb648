"""What stands between a model and all else: its tools run through the case, its calls are counted, bounds end it."""

import asyncio
import logging
import re
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

from langchain.agents.middleware import AgentMiddleware
from langchain.agents.middleware.types import ModelRequest, ModelResponse, ToolCallRequest
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, SystemMessage, ToolMessage

from intact.assist.case import OfferedTool, WorkingCase, call_key
from intact.assist.events import ModelCalled
from intact.assist.expert import ToolFailed
from intact.assist.explore.reading import as_json
from intact.assist.explore.toolbox import FIND, Toolbox
from intact.assist.handles import Handles, as_data
from intact.assist.phrases import phrase

_LOG = logging.getLogger("intact.assist")

MAX_SAME = 2  # the same call: the second time it is told, the third time the model has to answer
MAX_WORDS = 8  # of a query, that an error names
NO_ANSWER = "the tool gave no answer to these arguments"
_WORD = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,60}")
LAST_WORDS = "Answer now with the evidence you have. No tool can be called any more."
WARNED = "you made this call before; its evidence is the same"


@dataclass(frozen=True, slots=True, kw_only=True)
class ChatModel:
    """A model that may be asked."""

    name: str
    provider: str
    chat: BaseChatModel
    timeout_s: float = 60.0


class ModelsFailed(ToolFailed):
    """No model answered; one line of ours."""


@dataclass(slots=True)
class _Counts:
    """What the guard remembers of one answer."""

    same: dict[str, int] = field(default_factory=dict)
    must_answer: bool = False
    used: str = ""
    failed: set[int] = field(default_factory=set)  # places: two may have one name


class Guard(AgentMiddleware[Any, Any, Any]):
    """The middleware of one answer."""

    def __init__(self, case: WorkingCase, toolbox: Toolbox, handles: Handles, *, models: list[ChatModel]) -> None:
        super().__init__()
        self._case = case
        self._toolbox = toolbox
        self._handles = handles
        self._models = models
        self._counts = _Counts()

    @property
    def model_used(self) -> str:
        """The name of the model that answered last."""
        return self._counts.used

    async def awrap_model_call(
        self, request: ModelRequest[Any], handler: Callable[[ModelRequest[Any]], Awaitable[ModelResponse[Any]]]
    ) -> ModelResponse[Any]:
        """Ask the first model that answers, with the tools that are listed now."""
        is_last = self._is_last()
        if is_last:
            message = SystemMessage(f"{request.system_prompt}\n{LAST_WORDS}")
            request = request.override(tools=[], system_message=message, tool_choice=None)
        else:
            request = request.override(tools=list(self._toolbox.listed))
        failed = ""
        for place, model in enumerate(self._models):
            if place in self._counts.failed:
                continue
            self._case.spent.model_calls += 1
            began = time.perf_counter()
            try:
                async with asyncio.timeout(model.timeout_s):
                    response = await handler(request.override(model=model.chat))
            except Exception as error:  # whatever a model's library raises: the next one is asked
                _LOG.warning("the model %s failed: %s", model.name, type(error).__name__)
                failed = type(error).__name__
                self._counts.failed.add(place)
                self._tell(model, began, error_type=failed)
                continue
            self._tell(model, began, response=response)
            self._counts.used = model.name
            return _without_calls(response) if is_last else response
        raise ModelsFailed(failed or "no model")

    async def awrap_tool_call(self, request: ToolCallRequest, handler: Any) -> ToolMessage:  # noqa: ARG002
        """Run a tool through the case; whatever comes of it is data."""
        name = str(request.tool_call["name"])
        body, ok = await self._answer(name, dict(request.tool_call["args"]))
        return ToolMessage(
            content=as_json(body), tool_call_id=request.tool_call["id"], name=name, status="success" if ok else "error"
        )

    async def _answer(self, name: str, arguments: dict[str, Any]) -> tuple[dict[str, Any], bool]:
        if self._counts.must_answer:
            return {"error": LAST_WORDS}, False
        key = call_key(name, arguments)
        same = self._counts.same[key] = self._counts.same.get(key, 0) + 1
        if same > MAX_SAME:
            self._counts.must_answer = True
            return {"error": LAST_WORDS}, False
        if name == FIND:
            words = str(arguments.get("words", ""))[:200]
            self._case.step("tools", phrase("search_tools", self._case.question.language, words=_shown(words)))
            return self._toolbox.find(words), True
        offered = self._toolbox.offered(name)
        if offered is None:
            return {"error": "there is no such tool; find tools first"}, False
        resolved, had_handles = self._handles.resolve(arguments)
        if isinstance(arguments.get("sql"), str):
            resolved["sql"] = self._handles.resolve_sql(arguments["sql"])
        try:
            evidence = await self._case.call(offered.full_name, **{str(key): value for key, value in resolved.items()})
        except ToolFailed as error:
            return {"error": _told(str(error), offered, arguments, had_handles=had_handles)}, False
        except TypeError:
            return {"error": "these are not arguments of the tool"}, False
        named = (
            str(arguments.get("sql") or arguments.get("query") or "") if offered.full_name.startswith("query.") else ""
        )
        body = as_data(evidence, self._handles, is_ours=offered.is_ours, named=named)
        return {**body, "warning": WARNED} if same == MAX_SAME else body, True

    def _is_last(self) -> bool:
        """Whether this is the last call to a model that is left: then it has to answer."""
        spent, bounds = self._case.spent, self._case.work.bounds
        if spent.model_calls >= bounds.model_calls - 1 and spent.model_calls:
            self._case.bite("model_calls", bounds.model_calls)
            return True
        if spent.tokens >= bounds.tokens * 0.8:
            self._case.bite("tokens", bounds.tokens)
            return True
        if "tool_calls" in spent.bitten:
            return True
        return self._counts.must_answer

    def _tell(
        self,
        model: ChatModel,
        began: float,
        *,
        response: ModelResponse[Any] | None = None,
        error_type: str | None = None,
    ) -> None:
        used: dict[str, int] = {}
        for message in response.result if response is not None else ():
            if isinstance(message, AIMessage) and message.usage_metadata:
                used = {"in": message.usage_metadata["input_tokens"], "out": message.usage_metadata["output_tokens"]}
        spent = self._case.spent
        spent.input_tokens += used.get("in", 0)
        spent.output_tokens += used.get("out", 0)
        self._case.work.tell(
            ModelCalled(
                call_id=f"m{spent.model_calls}",
                model=model.name,
                provider=model.provider,
                ok=error_type is None,
                ms=(time.perf_counter() - began) * 1e3,
                input_tokens=used.get("in", 0),
                output_tokens=used.get("out", 0),
                error_type=error_type,
            )
        )


def _told(error: str, offered: OfferedTool, arguments: dict[str, Any], *, had_handles: bool) -> str:
    """What a model is told of an error: the words of ours. What a tool of others says is not told, nor what one of ours says
    about a text of others, nor what the engine says of a query, which may quote cells: of that, only words of the query.
    """
    if not offered.is_ours or had_handles:
        return NO_ANSWER
    if not offered.full_name.startswith("query."):
        return error
    words = set(_WORD.findall(str(arguments.get("sql", ""))))
    named = [word for word in dict.fromkeys(_WORD.findall(error)) if word in words][:MAX_WORDS]
    return f"the query failed; of its words the error names: {', '.join(named) or 'none'}"


def _without_calls(response: ModelResponse[Any]) -> ModelResponse[Any]:
    """An answer from which nothing is called any more, whatever the model says."""
    result = [
        AIMessage(content=message.content, usage_metadata=message.usage_metadata)
        if isinstance(message, AIMessage)
        else message
        for message in response.result
    ]
    return ModelResponse(result=result, structured_response=response.structured_response)


def _shown(words: str) -> str:
    return "".join(character if character.isprintable() else " " for character in words)
