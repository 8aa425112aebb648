"""Turns begin with the user's own words and end with a call that asks for no tool."""

from dataclasses import replace
from typing import Any

from intact.correlate.turns import Turns
from intact.model.facts import AgentTurn, LlmCall, ToolCall

AGENT = 7


def text(role: str, content: str) -> dict[str, Any]:
    return {"role": role, "parts": [{"type": "text", "content": content}]}


RESULT = {"role": "tool", "parts": [{"type": "tool_call_response", "response": "ok"}]}


class Talk:
    def __init__(self) -> None:
        self.turns = Turns()
        self.told: dict[int, AgentTurn] = {}
        self.now = 0

    def call(self, *messages: dict[str, Any], asks: tuple[int, ...] = (), tools: bool = True, ok: bool = True) -> int:
        self.now += 10
        call = LlmCall(
            id=self.now, exchange_id=1, process_id=AGENT, pid=1, tid=1, provider_name="p", wire_api="w", operation_name="chat",
            request_model="m", started_ns=self.now, input_messages=list(messages), tool_definitions=[{}] if tools else [],
        )  # fmt: skip
        done = replace(call, ended_ns=self.now + 5, complete=ok, tool_call_ids=asks, error_type=None if ok else "500")
        for each in (call, done):
            turn = self.turns.take_call(each)
            if turn is not None:
                self.told[turn.id] = turn
        return call.id

    def tool(self, call_id: int, tool_id: int, **arguments: str) -> None:
        self.turns.take_tool_call(
            ToolCall(
                id=tool_id, tool_call_id=None, name="Task", arguments=dict(arguments), arguments_text="", call_id=call_id,
                process_id=AGENT, issued_ns=self.now,
            )
        )  # fmt: skip

    @property
    def calls(self) -> list[tuple[int, ...]]:
        return [turn.call_ids for turn in self.told.values()]


def test_two_turns_with_side_calls() -> None:
    talk = Talk()
    quota = talk.call(text("user", "quota"), tools=False)
    first = talk.call(text("user", "build it"), asks=(100,))
    title = talk.call(text("user", "title for: build it"), tools=False)
    second = talk.call(text("user", "build it"), text("assistant", "."), RESULT)
    third = talk.call(
        text("user", "build it"), text("assistant", "."), RESULT, text("assistant", "done"), text("user", "now test")
    )
    assert talk.calls == [(quota, first, title, second), (third,)]
    one, two = talk.told.values()
    assert one.complete
    assert one.ended_ns == second + 5
    assert two.complete


def test_side_calls_alone_make_a_turn() -> None:
    talk = Talk()
    only = talk.call(text("user", "hello"), tools=False)
    assert talk.calls == [(only,)]
    assert next(iter(talk.told.values())).complete


def test_retry_stays_in_its_turn_and_open_turn_is_not_complete() -> None:
    talk = Talk()
    first = talk.call(text("user", "go"), ok=False)
    again = talk.call(text("user", "go"), asks=(100,))
    assert talk.calls == [(first, again)]
    assert not next(iter(talk.told.values())).complete


def test_a_sub_agent_in_the_process_belongs_to_the_outer_turn() -> None:
    talk = Talk()
    outer = talk.call(text("user", "refactor"), asks=(100,))
    talk.tool(outer, 100, prompt="look for all the callers of f")
    inner = talk.call(text("user", "look for all the callers of f"), asks=(101,))
    inner_end = talk.call(text("user", "look for all the callers of f"), text("assistant", "."), RESULT)
    assert talk.calls == [(outer, inner, inner_end)]


def test_two_conversations_at_once() -> None:
    talk = Talk()
    a = talk.call(text("user", "talk a"), asks=(1,))
    b = talk.call(text("user", "talk b"), asks=(2,))
    a2 = talk.call(text("user", "talk a"), text("assistant", "."), RESULT)
    b2 = talk.call(text("user", "talk b"), text("assistant", "."), RESULT)
    assert talk.calls == [(a, a2), (b, b2)]
