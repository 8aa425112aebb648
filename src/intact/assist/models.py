"""The models of the settings. The one module through which what asks models is loaded: without a model it is never imported.

Nothing is told to anybody but the model that is configured: the tracing of the libraries is switched off for this process.
"""

import asyncio
import os
from collections.abc import Sequence

os.environ |= {"LANGSMITH_TRACING": "false", "LANGCHAIN_TRACING_V2": "false", "LANGCHAIN_CALLBACKS_BACKGROUND": "false"}

from langchain_anthropic import ChatAnthropic
from langchain_core.language_models import BaseChatModel
from langchain_openai import ChatOpenAI

from intact.assist.case import WorkingCase
from intact.assist.executor import Draft
from intact.assist.expert import Expert, Report
from intact.assist.explore.guard import ChatModel
from intact.assist.explore.run import explore
from intact.assist.settings import AssistSettings, ModelSettings, Provider

RETRIES = 1
MAX_SMALL = 2_000  # characters of a short answer
SMALL_S = 8.0  # for one, with everything that is tried again


class Models:
    """The models that may be asked; holds nothing of a request.

    Args:
        settings: `model`, and `fallback` and `small` if there are any.
        chats: the same, made elsewhere; by tests.
    """

    def __init__(self, settings: AssistSettings, *, chats: Sequence[ChatModel] | None = None) -> None:
        if chats is not None:
            self._chats = list(chats)
        else:
            self._chats = [chat_model(each) for each in (settings.model, settings.fallback) if each is not None]
        small = settings.small
        self._small = chat_model(small) if small is not None else (self._chats[0] if self._chats else None)

    @property
    def usable(self) -> bool:
        """Whether there is a model."""
        return bool(self._chats)

    async def explore(
        self, case: WorkingCase, *, experts: Sequence[Expert], report: Report | None, is_route: bool
    ) -> Draft | None:
        """What a model says, not yet checked; None: it says nothing."""
        text, model = await explore(case, self._chats, experts=experts, report=report, is_route=is_route)
        return Draft(text=text, model=model) if text.strip() else None

    async def small(self, prompt: str) -> str:
        """A short answer of the small model, for titles and the last level of the intent gate."""
        if self._small is None:
            raise LookupError("no model")
        async with asyncio.timeout(SMALL_S):
            answer = await self._small.chat.ainvoke(prompt)
        return answer.text[:MAX_SMALL]


def chat_model(settings: ModelSettings) -> ChatModel:
    """The client of one model."""
    kind = ChatAnthropic if settings.provider is Provider.ANTHROPIC else ChatOpenAI
    chat: BaseChatModel = kind(
        model=settings.name,
        base_url=settings.base_url,
        api_key=settings.key(),
        timeout=settings.timeout_s,
        max_retries=RETRIES,
        max_tokens=settings.max_output_tokens,
    )
    return ChatModel(name=settings.name, provider=settings.provider.value, chat=chat, timeout_s=settings.timeout_s)
