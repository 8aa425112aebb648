"""One question explored by a model: an agent made for it, its tools through the case, the texts put into its answer."""

from collections.abc import Sequence
from typing import Any

from langchain.agents import create_agent
from langchain_core.messages import AIMessage, HumanMessage

from intact.assist.case import WorkingCase
from intact.assist.expert import Expert, Report
from intact.assist.explore.guard import ChatModel, Guard
from intact.assist.explore.reading import document, instructions
from intact.assist.explore.toolbox import Toolbox
from intact.assist.handles import Handles
from intact.assist.phrases import phrase
from intact.assist.sanitise import plain_markdown

MAX_ANSWER = 20_000  # characters
MAX_STEPS = 400  # of the graph; the bounds of the settings are met long before


async def explore(
    case: WorkingCase, models: list[ChatModel], *, experts: Sequence[Expert], report: Report | None, is_route: bool
) -> tuple[str, str]:
    """What a model says, with citations and not yet checked, and which model said it.

    Raises:
        ModelsFailed: none answered.
    """
    handles = Handles()
    toolbox = Toolbox(case, experts[0].tools if experts else (), has_search=not is_route)
    guard = Guard(case, toolbox, handles, models=models)
    agent: Any = create_agent(models[0].chat, tools=[], system_prompt=instructions(case, experts), middleware=[guard])
    asked = {"messages": [HumanMessage(document(case, report, handles))]}
    said = ""
    rounds = 0
    async for part in agent.astream(asked, {"recursion_limit": MAX_STEPS}, stream_mode=["updates"], version="v2"):
        for message in _messages(part["data"]):
            rounds += 1
            said = message.text
            if message.tool_calls:
                case.step("model", phrase("model_round", case.question.language, round=rounds))
    return plain_markdown(handles.restore(said[:MAX_ANSWER])), guard.model_used


def _messages(update: dict[str, Any]) -> list[AIMessage]:
    found = []
    for delta in update.values():
        messages = delta.get("messages", []) if isinstance(delta, dict) else []
        found += [message for message in messages if isinstance(message, AIMessage)]
    return found
