"""Choose the step of a script that answers a request, and word the reply.

A step is due by the number of tool results the conversation already holds, so a retry, a title request or
a token count cannot push the script out of step. Several steps can be due at the same number (an error and
the answer after it, the end of one turn and the first words of the next): those are served one after another.
"""

import json
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass, field

from tests.standin.script import DEFAULT, Script, Step
from tests.standin.tools import NoSuchTool, instance_of, place
from tests.standin.wire import Asked, Ids, PlacedCall, Reply, Usage

MARKER = re.compile(r"\[\[script:([\w.-]+)\]\]")
# OpenAI and Gemini cache whole blocks of the prompt.
CACHE_BLOCK_TOKENS = 128
BYTES_PER_TOKEN = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Due:
    """What answers a request: a step of a script, or the side answer (`index` None)."""

    script_name: str
    index: int | None
    step: Step


@dataclass(slots=True)
class _Progress:
    """How far one conversation has come."""

    served: dict[int, int] = field(default_factory=dict)
    last_index: int = -1
    input_tokens: int = 0


class Conversations:
    """All conversations of one stand-in, by the script that drives them."""

    def __init__(self, scripts: Mapping[str, Script], *, seed: str) -> None:
        self._scripts = dict(scripts)
        self._progress: dict[str, _Progress] = {}
        self._ids = Ids(seed)

    def add(self, scripts: Mapping[str, Script]) -> None:
        """Add scripts, or replace those of the same name and begin them anew."""
        self._scripts.update(scripts)
        for name in scripts:
            self._progress.pop(name, None)

    def due(self, asked: Asked) -> Due:
        """The step due for this request; serving it moves the conversation on."""
        name, held, opening = _place_of(asked)
        script = self._scripts.get(name)
        if script is None or (script.tools_required and not asked.tools) or asked.answer_schema is not None:
            text = script.side_text if script else "ok"
            if asked.answer_schema is not None:
                text = json.dumps(instance_of(asked.answer_schema))
            return Due(script_name=name, index=None, step=Step(text=text))
        progress = self._progress.setdefault(name, _Progress())
        positions = script.positions()
        # The same script runs again from its first step when a new conversation begins with it.
        if opening and progress.last_index >= 0:
            over = progress.last_index == len(positions) - 1 or positions[progress.last_index] > 0
            if over:
                progress = self._progress[name] = _Progress()
        indexes = [index for index, position in enumerate(positions) if position == held]
        if not indexes:
            return Due(script_name=name, index=None, step=Step(text=f"the script has no step after {held} results"))
        turn = progress.served.get(held, 0)
        progress.served[held] = turn + 1
        progress.last_index = indexes[min(turn, len(indexes) - 1)]
        return Due(script_name=name, index=progress.last_index, step=script.steps[progress.last_index])

    def reply(self, due: Due, asked: Asked, *, prompt_bytes: int, call_id_prefix: str) -> Reply:
        """The step in the client's terms: tools placed, text padded, tokens counted."""
        step, text, calls = due.step, _padded(due.step), []
        for call in step.tool_calls:
            try:
                tool, arguments = place(call.name, call.arguments, asked.tools)
            except NoSuchTool as error:
                # Said aloud: the test that reads the agent's last words then names its own mistake.
                text = f"{text} [{error}]".strip()
                continue
            call_id = self._ids.draw(call_id_prefix, 24)
            calls.append(PlacedCall(id=call_id, name=tool.name, arguments=arguments, kind=tool.kind))
        said = text + "".join(call.arguments_json for call in calls)
        return Reply(
            text=text,
            thinking=step.thinking,
            calls=tuple(calls),
            usage=self._usage(due, asked, prompt_bytes=prompt_bytes, said=said),
            ids=self._ids,
            created_s=int(time.time()),
        )

    def draw_id(self, prefix: str) -> str:
        """An id for a response header."""
        return self._ids.draw(prefix)

    def _usage(self, due: Due, asked: Asked, *, prompt_bytes: int, said: str) -> Usage:
        input_tokens = prompt_bytes // BYTES_PER_TOKEN + 1
        reasoning = len(due.step.thinking.encode()) // BYTES_PER_TOKEN
        read = creation = 0
        if due.index is not None and asked.caches:
            progress = self._progress[due.script_name]
            read = min(progress.input_tokens, input_tokens) // CACHE_BLOCK_TOKENS * CACHE_BLOCK_TOKENS
            creation = max(input_tokens - read - 4, 0) if asked.counts_cache_writes else 0
            progress.input_tokens = input_tokens
        return Usage(
            input_tokens=input_tokens,
            cache_read_tokens=read,
            cache_creation_tokens=creation,
            output_tokens=len(said.encode()) // BYTES_PER_TOKEN + 1 + reasoning,
            reasoning_tokens=reasoning,
        )


def _place_of(asked: Asked) -> tuple[str, int, bool]:
    """The script a conversation follows, the tool results it holds since, and whether it only begins."""
    name, replied = DEFAULT, False
    # A set: Claude Code 1.0.62 sends its first call and result twice in the history.
    held: set[str] = set()
    for message in asked.messages:
        found = MARKER.findall(message.text) if message.role == "user" else []
        # A marker in a later prompt begins another script within the same conversation.
        if found and found[-1] != name:
            name, held, replied = found[-1], set(), False
        held.update(message.result_ids)
        replied = replied or message.role == "assistant"
    return name, len(held), not held and not replied


def _padded(step: Step) -> str:
    missing = step.text_bytes - len(step.text.encode())
    # Numbered, because Gemini CLI takes a sentence that comes again and again for a loop and asks anew.
    sentences = (f"Sentence {number} of a long answer. " for number in range(missing // 24 + 1))
    return step.text + "".join(sentences)[: max(missing, 0)]
