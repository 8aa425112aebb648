"""Which tool call a result belongs to, when providers are careless with ids."""

from intact.assemble.llm.reading import ToolResult
from intact.assemble.tool_join import MAX_WAITING, ToolJoin
from intact.model.facts import ToolCall


def asked(
    number: int, *, name: str = "bash", tool_call_id: str | None = None, call_id: int = 1, process_id: int = 1
) -> ToolCall:
    return ToolCall(
        id=number,
        tool_call_id=tool_call_id,
        name=name,
        arguments={},
        arguments_text="{}",
        call_id=call_id,
        process_id=process_id,
        issued_ns=0,
        order=number,
    )


def answer(join: ToolJoin, result: ToolResult, *, process_id: int = 1) -> tuple[int | None, bool]:
    tool_id, told = join.answered(result, process_id=process_id, call_id=9, at_ns=5)
    return tool_id, told is not None


def test_an_id_used_again_means_the_latest_call() -> None:
    join = ToolJoin()
    result = ToolResult(tool_call_id="call_0", name=None, result="r")
    join.asked(asked(1, tool_call_id="call_0"))
    assert answer(join, result) == (1, True)
    join.asked(asked(2, tool_call_id="call_0"))
    assert answer(join, result) == (2, True)
    assert answer(join, result) == (2, False)


def test_the_same_id_in_two_processes() -> None:
    join = ToolJoin()
    join.asked(asked(1, tool_call_id="x", process_id=1))
    join.asked(asked(2, tool_call_id="x", process_id=2))
    result = ToolResult(tool_call_id="x", name=None, result="r")
    assert answer(join, result, process_id=1) == (1, True)
    assert answer(join, result, process_id=2) == (2, True)


def test_without_ids_by_name_and_order_of_the_latest_call() -> None:
    join = ToolJoin()
    join.asked(asked(1, call_id=1))
    join.asked(asked(2, name="read", call_id=2))
    join.asked(asked(3, call_id=2))
    join.asked(asked(4, call_id=2))
    result = ToolResult(tool_call_id=None, name="bash", result="r")
    assert [answer(join, result)[0] for _ in range(3)] == [3, 4, 1]
    assert answer(join, ToolResult(tool_call_id=None, name="bash", result="r", is_new=False)) == (None, False)


def test_an_id_of_the_clients_own_making_is_remembered() -> None:
    join = ToolJoin()
    join.asked(asked(1))
    result = ToolResult(tool_call_id="bash-17", name="bash", result="r")
    assert answer(join, result) == (1, True)
    join.asked(asked(2))
    assert answer(join, result) == (1, False)


def test_calls_never_answered_are_forgotten_in_time() -> None:
    join = ToolJoin()
    for number in range(1, MAX_WAITING + 3):
        join.asked(asked(number, tool_call_id=f"c{number}"))
    assert join.forgotten == 2
    assert answer(join, ToolResult(tool_call_id="c1", name=None, result="r")) == (None, False)
    assert answer(join, ToolResult(tool_call_id="c3", name=None, result="r")) == (3, True)
