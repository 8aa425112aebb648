"""Turns: from the user's own words to the call that asks for no more tools."""

from dataclasses import dataclass, field
from typing import Any

from intact.correlate.brackets import conversation_of, first_words
from intact.model.facts import AgentTurn, LlmCall, ToolCall
from intact.model.identity import mix

_MOST_CALLS = 10_000  # of one turn
_MOST_TURNS = 1_024  # remembered of one agent
_MOST_PROMPTS = 256


@dataclass(slots=True)
class _Turn:
    id: int
    agent_id: int
    conversation: str
    conversation_id: str | None
    opening: tuple[int, str]
    started_ns: int
    calls: dict[int, LlmCall] = field(default_factory=dict)
    is_side: bool = False  # holds only side calls so far
    ended_ns: int | None = None
    complete: bool = False

    def fact(self) -> AgentTurn:
        return AgentTurn(
            id=self.id,
            agent_id=self.agent_id,
            conversation_id=self.conversation_id,
            call_ids=tuple(self.calls),
            started_ns=self.started_ns,
            ended_ns=self.ended_ns,
            complete=self.complete,
        )


@dataclass(slots=True)
class _Talk:
    """What is known of one agent's turns."""

    turns: dict[int, _Turn] = field(default_factory=dict)
    of_call: dict[int, _Turn] = field(default_factory=dict)
    of_conversation: dict[str, _Turn] = field(default_factory=dict)
    of_tool_call: dict[int, _Turn] = field(default_factory=dict)
    prompts: dict[int, tuple[_Turn, list[str]]] = field(default_factory=dict)  # texts that may begin a sub-agent
    last: _Turn | None = None


class Turns:
    """Turns of all agents, told again as they grow."""

    def __init__(self) -> None:
        self._talks: dict[int, _Talk] = {}

    def take_tool_call(self, fact: ToolCall) -> None:
        """A tool call whose arguments may be the first words of a sub-agent in the same process."""
        talk = self._talks.get(fact.process_id)
        turn = talk.of_call.get(fact.call_id) if talk else None
        if talk is None or turn is None:
            return
        talk.of_tool_call[fact.id] = turn
        texts = [text for text in fact.arguments.values() if isinstance(text, str) and len(text) >= 16]
        if texts:
            talk.prompts[fact.id] = (turn, texts)
            if len(talk.prompts) > _MOST_PROMPTS:
                del talk.prompts[next(iter(talk.prompts))]

    def take_call(self, call: LlmCall) -> AgentTurn | None:
        """The turn the call belongs to, if the call changed it."""
        talk = self._talks.setdefault(call.process_id, _Talk())
        turn = talk.of_call.get(call.id)
        if turn is None:
            turn = self._place(talk, call)
            talk.of_call[call.id] = turn
        before = turn.fact()
        if call.id in turn.calls or len(turn.calls) < _MOST_CALLS:
            turn.calls[call.id] = call
        for tool_call_id in call.tool_call_ids:
            talk.of_tool_call[tool_call_id] = turn
        _close(turn)
        after = turn.fact()
        return after if after != before else None

    def _place(self, talk: _Talk, call: LlmCall) -> _Turn:
        conversation = conversation_of(call)
        known = talk.of_conversation.get(conversation)
        opening = _opening(call)
        if not call.tool_definitions and not call.tool_call_ids:
            # A title, a topic, a quota check: it belongs to what goes on, unless it carries a talk of its own on.
            chat = known is not None and known.is_side and opening is not None and len(call.input_messages) > 2
            turn = talk.last if talk.last is not None and not chat else None
            return turn if turn is not None else self._begin(talk, call, conversation, is_side=True)
        inner = self._outer_turn(talk, call)
        if inner is not None:
            talk.of_conversation[conversation] = inner
            return inner
        if opening is None:
            answered = [talk.of_tool_call[i] for i in call.answered_tool_call_ids if i in talk.of_tool_call]
            carried_on = answered[-1] if answered else known or talk.last
            if carried_on is not None:
                talk.last = carried_on
                return carried_on
        elif known is not None and known.opening == opening and not known.complete:
            return known  # asked again after an error
        if talk.last is not None and talk.last.is_side:
            turn = talk.last  # the side calls before the first main call
            turn.is_side, turn.conversation, turn.opening = False, conversation, opening or (0, "")
            turn.conversation_id = call.conversation_id or turn.conversation_id
            turn.complete, turn.ended_ns = False, None
            talk.of_conversation[conversation] = turn
            return turn
        return self._begin(talk, call, conversation, is_side=False)

    def _outer_turn(self, talk: _Talk, call: LlmCall) -> _Turn | None:
        said = first_words(call)
        for turn, texts in talk.prompts.values():
            if not turn.complete and any(text[:4096] in said for text in texts):
                return turn
        return None

    def _begin(self, talk: _Talk, call: LlmCall, conversation: str, *, is_side: bool) -> _Turn:
        turn = _Turn(
            id=mix(call.process_id, call.id),
            agent_id=call.process_id,
            conversation=conversation,
            conversation_id=call.conversation_id,
            opening=_opening(call) or (0, ""),
            started_ns=call.started_ns,
            is_side=is_side,
        )
        talk.turns[turn.id] = talk.of_conversation[conversation] = talk.last = turn
        if len(talk.turns) > _MOST_TURNS:
            self._forget(talk, talk.turns[next(iter(talk.turns))])
        return turn

    def _forget(self, talk: _Talk, turn: _Turn) -> None:
        del talk.turns[turn.id]
        talk.of_call = {key: value for key, value in talk.of_call.items() if value is not turn}
        talk.of_tool_call = {key: value for key, value in talk.of_tool_call.items() if value is not turn}
        talk.of_conversation = {key: value for key, value in talk.of_conversation.items() if value is not turn}


def _close(turn: _Turn) -> None:
    """A turn is over when its last main call has ended and asks for no tool."""
    main = [call for call in turn.calls.values() if call.tool_definitions or call.tool_call_ids] or list(
        turn.calls.values()
    )
    last = max(main, key=lambda call: (call.started_ns, call.id))
    turn.complete = last.complete and not last.tool_call_ids and last.error_type is None
    ends = [call.ended_ns for call in turn.calls.values()]
    turn.ended_ns = max((end for end in ends if end is not None), default=None) if turn.complete else None


def _opening(call: LlmCall) -> tuple[int, str] | None:
    """Where and what the user said, if the request ends with the user's own words."""
    last = call.input_messages[-1] if call.input_messages else None
    if not isinstance(last, dict) or last.get("role") != "user":
        return None
    parts: list[Any] = [part for part in last.get("parts", ()) if isinstance(part, dict)]
    if any(part.get("type") == "tool_call_response" for part in parts):
        return None
    said = "\n".join(str(part.get("content", "")) for part in parts if part.get("type") == "text")
    return (len(call.input_messages), said[:8192]) if said else None
