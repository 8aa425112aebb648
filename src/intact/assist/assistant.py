"""The assistant whole: its parts, put together and taken apart again."""

import asyncio
import dataclasses
import importlib
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager, closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

from intact.assist.asking import Asker, Language, Question
from intact.assist.begun import Begun
from intact.assist.executor import Executor
from intact.assist.expert import Expert
from intact.assist.experts.registry import load_experts
from intact.assist.identity import Signer
from intact.assist.intent.gate import Gate, Verdict
from intact.assist.intent.replies import unresolved
from intact.assist.keep.keep import Keep, KeepUnavailable, ResponseRow
from intact.assist.keep.opening import open_keep
from intact.assist.knowledge.library import Library
from intact.assist.plain_events import Plain
from intact.assist.pool import ToolPool
from intact.assist.responses import Care, Responses
from intact.assist.servers.apps import ServerApps
from intact.assist.servers.registry import tool_named
from intact.assist.settings import AssistSettings
from intact.assist.spans import OtlpSender, spans_of
from intact.assist.titles import make_title
from intact.assist.tool import Parts
from intact.assist.without_keep import HeldReadings, UsedIds
from intact.query.readers import Readers

_LOG = logging.getLogger("intact.assist")

OnEnd = Callable[[ResponseRow, list[Plain]], None]
# between attempts to learn what an earlier process left
GO_ON_S, MOST_GO_ON_S = 2.0, 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Wiring:
    """What the assistant works on, given by the program that starts it.

    Args:
        directory: the data directory; keys and what is kept between requests are there.
        host: this machine (`collect.host_state.LocalHost`).
        place: which program this is, `serve` or `ask`: it goes on only with its own answers.
        on_end: told of each response that ended.
        care: what is seen to before a question is kept, or gone on with.
    """

    directory: Path
    readers: Readers
    host: Any
    place: str = "serve"
    on_end: tuple[OnEnd, ...] = field(default=())
    care: Care = field(default_factory=Care)


class Assistant:
    """All that surfaces (the API, the command, the page) ask."""

    def __init__(
        self,
        *,
        keep: Keep,
        responses: Responses,
        pool: ToolPool,
        servers: ServerApps,
        signer: Signer,
        experts: tuple[Expert, ...],
    ) -> None:
        self.keep = keep
        self.responses = responses
        self.pool = pool
        self.servers = servers
        self.signer = signer
        self.loop = asyncio.get_running_loop()
        self._experts = experts

    @classmethod
    @asynccontextmanager
    async def opened(cls, settings: AssistSettings, wiring: Wiring) -> AsyncIterator[Self]:
        """The assistant for as long as it is used. Answers that an earlier process left are gone on with.

        Raises:
            IntactError: what is kept or a key cannot be used, or a setting is wrong.
        """
        async with AsyncExitStack() as stack:
            keep = await stack.enter_async_context(open_keep(settings, wiring.directory))
            library = await asyncio.to_thread(Library, tuple(settings.knowledge), wiring.directory / "cache")
            signer = Signer.load(wiring.directory)
            parts = Parts(
                readers=wiring.readers, readings=HeldReadings(keep.readings), host=wiring.host, library=library
            )
            servers = await stack.enter_async_context(
                ServerApps(parts, public_key=signer.public_key, use_once=UsedIds(keep.use_once).use)
            )
            pool = await stack.enter_async_context(
                ToolPool({name: servers.asgi(name) for name in servers.names if name != "all"}, signer, settings.mcp)
            )
            models = _models(settings)
            experts = load_experts()
            small = None if models is None else models.small
            gate = Gate(small, model_name=None if settings.model is None else settings.model.name)
            await asyncio.to_thread(gate.judge, "hello")  # its tables are loaded by the first text
            executor = Executor(_Judge(gate), experts, pool, models, settings)
            sender = OtlpSender(settings.otlp_endpoint) if settings.otlp_endpoint else None
            if sender is not None:
                stack.callback(sender.close)
            is_lasting = wiring.place == "serve"
            begun = stack.enter_context(closing(Begun(wiring.directory))) if is_lasting else None
            responses = Responses(
                keep, executor, make_title=_titles(small), on_end=_all_told(wiring.on_end, sender), place=wiring.place,
                begun=begun, care=wiring.care,
            )  # fmt: skip
            stack.push_async_callback(responses.close)
            if is_lasting and not await _went_on(responses):
                trying = asyncio.create_task(_go_on(responses))
                stack.callback(trying.cancel)
            yield cls(keep=keep, responses=responses, pool=pool, servers=servers, signer=signer, experts=experts)

    @property
    def expert_ids(self) -> tuple[str, ...]:
        return tuple(expert.id for expert in self._experts)

    def experts(self, asker: Asker, language: Language) -> list[dict[str, Any]]:
        """The experts that may be asked directly, as JSON has them."""
        del asker  # everybody may ask every expert; what is seen depends on the tools
        return [
            {"id": each.id, "name": each.names[language], "about": each.about[language], "tools": list(each.tools)}
            for each in self._experts
        ]

    async def tools(self, asker: Asker, language: Language) -> list[dict[str, Any]]:
        """The tools that may be called for the asker, as JSON has them."""
        found = []
        for info in await self.pool.list_tools(asker):
            tool = tool_named(info.full_name)
            about = info.about if tool is None else tool.about[language]
            found.append({"name": info.full_name, "about": about, "schema": info.schema})
        return found


async def _went_on(responses: Responses) -> bool:
    """Go on with what an earlier process left; False: what that is cannot be known now."""
    try:
        left = await responses.go_on()
    except KeepUnavailable as error:
        _LOG.warning("answers that an earlier process left have to wait: %s", error)
        return False
    if left:
        _LOG.warning("going on with %d answers that an earlier process left", left)
    return True


async def _go_on(responses: Responses) -> None:
    wait_s = GO_ON_S
    await asyncio.sleep(wait_s)
    while not await _went_on(responses):
        wait_s = min(wait_s * 2, MOST_GO_ON_S)
        await asyncio.sleep(wait_s)


class _Judge:
    """The intent gate, as the executor asks it."""

    def __init__(self, gate: Gate) -> None:
        self._gate = gate

    async def judge(self, question: Question) -> Verdict:
        verdict = await self._gate.judge_with_model(question.text, question.language, question.history)
        if verdict.intent_type == "followup" and verdict.reasons[-1:] == ("4 nothing before it",):
            return dataclasses.replace(verdict, direct_response=unresolved(question.language))
        return verdict


def _models(settings: AssistSettings) -> Any:
    """The models of the settings; without any, nothing of what asks models is loaded: it takes a second."""
    if settings.model is None:
        return None
    return importlib.import_module("intact.assist.models").Models(settings)


def _titles(small: Callable[[str], Awaitable[str]] | None) -> Callable[[str, Language], Awaitable[str]]:
    async def title(text: str, language: Language) -> str:
        return await make_title(text, language, small)

    return title


def _all_told(listeners: tuple[OnEnd, ...], sender: OtlpSender | None) -> OnEnd:
    def told(row: ResponseRow, events: list[Plain]) -> None:
        for listener in listeners:
            listener(row, events)
        if sender is not None:
            sender.send(spans_of(row, events))

    return told
