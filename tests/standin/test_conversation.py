"""Which step answers a request."""

from tests.standin.conversation import Conversations
from tests.standin.script import Script, Step, ToolCall
from tests.standin.wire import Asked, Message, OfferedTool

SHELL = OfferedTool(name="Bash", schema={"properties": {"command": {}}})
CALL = ToolCall(name="shell", arguments={"command": "ls"})
USER = Message(role="user", text="please")
MODEL = Message(role="assistant")
SCRIPT = Script(steps=(Step(tool_calls=(CALL, CALL)), Step(tool_calls=(CALL,)), Step(text="end"), Step(text="again")))


def asked(*messages: Message, tools: tuple[OfferedTool, ...] = (SHELL,)) -> Asked:
    return Asked(model="m", stream=False, messages=messages, tools=tools, caches=True, counts_cache_writes=True)


def results(*ids: str) -> Message:
    return Message(role="user", result_ids=ids)


def test_steps_follow_the_results_and_turns() -> None:
    conversations = Conversations({"default": SCRIPT}, seed="")
    history = [USER]
    indexes = []
    for more in ([MODEL, results("a", "b")], [MODEL, results("c")], [MODEL, USER], []):
        indexes.append(conversations.due(asked(*history)).index)
        history += more
    assert indexes == [0, 1, 2, 3]


def test_the_script_begins_again_with_a_new_conversation() -> None:
    conversations = Conversations({"default": SCRIPT}, seed="")
    whole = [USER, MODEL, results("a", "b"), MODEL, results("c")]
    for _ in range(2):
        assert conversations.due(asked(USER)).index == 0
        assert conversations.due(asked(*whole[:3])).index == 1
        assert conversations.due(asked(*whole)).index == 2


def test_a_result_sent_twice_counts_once() -> None:
    conversations = Conversations({"default": SCRIPT}, seed="")
    assert conversations.due(asked(USER, MODEL, results("a", "b"), MODEL, results("a", "b"))).index == 1


def test_a_marker_begins_its_script_within_the_conversation() -> None:
    conversations = Conversations({"default": SCRIPT, "two": Script(steps=(Step(text="2"),))}, seed="")
    second = Message(role="user", text="now [[script:two]]")
    due = conversations.due(asked(USER, MODEL, results("a", "b"), MODEL, second))
    assert (due.script_name, due.index, due.step.text) == ("two", 0, "2")


def test_requests_without_tools_are_side_requests() -> None:
    conversations = Conversations(
        {"default": SCRIPT, "bare": Script(steps=(Step(text="b"),), tools_required=False)}, seed=""
    )
    assert conversations.due(asked(USER, tools=())).index is None
    assert conversations.due(asked(Message(role="user", text="[[script:bare]]"), tools=())).index == 0
    assert conversations.due(asked(Message(role="user", text="[[script:unknown]]"))).index is None


def test_cached_tokens_grow_with_the_conversation() -> None:
    conversations = Conversations({"default": SCRIPT}, seed="")
    usages = []
    for history in ((USER,), (USER, MODEL, results("a", "b"))):
        due = conversations.due(asked(*history))
        reply = conversations.reply(due, asked(*history), prompt_bytes=4000 * len(history), call_id_prefix="c")
        usages.append(reply.usage)
    assert usages[0].cache_read_tokens == 0
    assert usages[1].cache_read_tokens == 1001 // 128 * 128
    assert all(u.cache_read_tokens + u.cache_creation_tokens < u.input_tokens for u in usages)


def test_a_missing_tool_is_said_in_the_answer() -> None:
    conversations = Conversations({"default": Script(steps=(Step(tool_calls=(ToolCall(name="fly"),)),))}, seed="")
    request = asked(USER)
    reply = conversations.reply(conversations.due(request), request, prompt_bytes=1, call_id_prefix="c")
    assert reply.calls == ()
    assert "no tool for 'fly'" in reply.text
