"""Questions through the executor without a model: what is told, in which order, and what happens when something fails."""

import asyncio
import subprocess
import sys
from dataclasses import replace
from typing import Any

import pytest

from intact.assist.answers import ToolAnswer
from intact.assist.asking import Asker, Language
from intact.assist.events import (
    Chart,
    Done,
    Event,
    EvidenceFound,
    Problem,
    Started,
    Step,
    Token,
    ToolEnded,
    ToolStarted,
)
from intact.assist.executor import Executor
from intact.assist.expert import Case, Report, Statement, ToolFailed, Value
from intact.assist.tool import ToolRefused
from tests.assist.executor.scene import (
    ALICE,
    NOW_NS,
    Gate,
    Judged,
    Pool,
    as_plain,
    events_of,
    expert,
    gives,
    question,
    settings,
    table,
)

SPACE = table("mount used_percent used", ("/", 97.3, 1_610_612_736), ("/home", 12.0, 5_000), units={
    "used_percent": "%", "used": "bytes"}, untrusted=("mount",))  # fmt: skip


async def look_at_space(case: Case) -> Report | None:
    space = await case.call("host.space", hosts=["web-1"])
    values = {
        "mount": Value(evidence_id=space.id, column="mount", form="text"),
        "percent": Value(evidence_id=space.id, column="used_percent", form="percent"),
        "used": Value(evidence_id=space.id, column="used", form="bytes"),
    }
    chart = Chart(title="space", kind="bar", evidence_id=space.id, x="mount", y=("used_percent",), unit="%")
    statement = Statement(text="{mount} is {percent} full with {used}.", values=values)
    return Report(statements=(statement,), verdict="found", charts=(chart,), detail={"fault": "disk_full"})


def pool_with_space() -> Pool:
    pool = Pool()
    says = {Language.EN: "Look at disk space", Language.ZH: "查询磁盘空间"}
    at_ns = {"type": "object", "properties": {"at_ns": {"type": "integer"}}}
    pool.add("host.space", gives(SPACE), says=says, schema=at_ns)
    return pool


def executor_with(pool: Pool, *experts: Any, verdict: Judged | None = None, **bounds: Any) -> Executor:
    return Executor(Gate(verdict=verdict or Judged()), experts, pool, None, settings(**bounds), ours=pool.texts.get)


def text_of(events: list[Event]) -> str:
    return "".join(event.message for event in events if isinstance(event, Token))


def done_of(events: list[Event]) -> Done:
    assert isinstance(events[-1], Done)
    assert sum(isinstance(event, Done) for event in events) == 1
    return events[-1]


def problems_of(events: list[Event]) -> list[str]:
    return [event.code for event in events if isinstance(event, Problem)]


def test_route_mode_tells_everything_in_order_and_asks_no_gate() -> None:
    pool, gate = pool_with_space(), Gate()
    executor = Executor(
        gate, [expert(look_at_space, tools=("host.space",))], pool, None, settings(), ours=pool.texts.get
    )
    events = events_of(executor, question(direct_agent="host_diagnosis"))
    kinds = [type(event) for event in events]
    assert kinds == [Step, ToolStarted, ToolEnded, EvidenceFound, Step, Chart, Token, Done]
    assert gate.asked == 0
    assert text_of(events) == "`/` is 97.3% full with 1.5 GiB [e1]."
    done = done_of(events)
    assert (done.verdict, done.expert, done.model, done.struck) == ("found", "host_diagnosis", None, 0)
    assert done.detail == {"fault": "disk_full"}
    started = events[1]
    assert isinstance(started, ToolStarted)
    assert started.description == "Look at disk space - hosts: web-1"
    assert pool.calls[0] == ("alice", "host.space", {"hosts": ["web-1"], "at_ns": NOW_NS})
    assert pool.calls[1] == pool.calls[0], "the verifier gets it again with the arguments of the answer"


def test_descriptions_are_in_the_language_of_the_question() -> None:
    events = events_of(
        executor_with(pool_with_space(), expert(look_at_space, tools=("host.space",))),
        question("磁盘满了吗", language=Language.ZH, direct_agent="host_diagnosis"),
    )
    assert [event.description for event in events if isinstance(event, ToolStarted)] == ["查询磁盘空间 - 目标: web-1"]


def test_an_unknown_expert_is_one_clear_line() -> None:
    executor = executor_with(pool_with_space(), expert(look_at_space))
    events = events_of(executor, question(direct_agent="nobody"))
    assert [type(event) for event in events] == [Problem, Done]
    assert "host_diagnosis" in events[0].message  # type: ignore[union-attr]
    assert done_of(events).verdict == "failed"


@pytest.mark.parametrize(
    ("kind", "verdict"),
    [("greeting", "answered"), ("identity", "answered"), ("invalid", "refused"), ("suspicious", "refused")],
)
def test_what_is_answered_directly_calls_no_tool(kind: str, verdict: str) -> None:
    pool = pool_with_space()
    executor = executor_with(pool, expert(look_at_space), verdict=Judged(intent_type=kind, intent_name=kind))
    events = events_of(executor, question("hello"))
    assert [type(event) for event in events] == [Step, Token, Done]
    assert done_of(events).verdict == verdict
    assert done_of(events).intent_type == kind
    assert pool.calls == []


def test_a_followup_is_asked_as_the_gate_made_it_whole() -> None:
    heard: list[str] = []

    async def listen(case: Case) -> Report | None:
        heard.append(case.question.text)
        return Report(statements=(Statement(text="heard"),))

    whole = Judged(intent_type="followup", resolved_text="how much memory has web-1")
    events = events_of(executor_with(Pool(), expert(listen), verdict=whole), question("and memory?"))
    assert heard == ["how much memory has web-1"]
    assert text_of(events) == "heard"


def test_the_best_expert_is_asked_first_and_the_next_if_it_is_not_its_question() -> None:
    asked: list[str] = []

    async def pass_on(case: Case) -> Report | None:
        asked.append("first")
        return None

    first = expert(pass_on, name="governance", weight=0.9)
    second = expert(look_at_space, tools=("host.space",), weight=0.5)
    never = expert(pass_on, name="never", weight=0.0)
    events = events_of(executor_with(pool_with_space(), second, first, never), question())
    assert asked == ["first"]
    assert done_of(events).expert == "host_diagnosis"


def test_without_an_answer_it_says_what_it_can_do() -> None:
    async def pass_on(case: Case) -> Report | None:
        return None

    events = events_of(executor_with(Pool(), expert(pass_on)), question("how is the weather on mars"))
    assert "cannot answer this without a model" in text_of(events)
    assert "host_diagnosis: looks at hosts" in text_of(events)
    assert done_of(events).verdict == "cannot_tell"
    assert done_of(events).expert is None


def test_a_tool_that_fails_is_told_and_the_answer_is_honest() -> None:
    def refuse(asker: Asker, arguments: dict[str, Any]) -> ToolAnswer:
        raise ToolRefused("there is no host web-1")

    pool = Pool()
    pool.add("host.space", refuse)
    events = events_of(executor_with(pool, expert(look_at_space, tools=("host.space",))), question())
    ended = next(event for event in events if isinstance(event, ToolEnded))
    assert (ended.ok, ended.problem) == (False, "there is no host web-1")
    assert problems_of(events) == ["expert_failed"]
    assert "there is no host web-1" in text_of(events)
    assert done_of(events).verdict == "cannot_tell"


def test_what_a_library_raises_is_not_shown() -> None:
    def crash(asker: Asker, arguments: dict[str, Any]) -> ToolAnswer:
        raise RuntimeError("password=hunter2")

    pool = Pool()
    pool.add("host.space", crash)
    events = events_of(executor_with(pool, expert(look_at_space, tools=("host.space",))), question())
    assert "hunter2" not in str(events)


def test_a_fault_of_an_expert_is_told() -> None:
    async def crash(case: Case) -> Report | None:
        raise KeyError("secret")

    events = events_of(executor_with(Pool(), expert(crash)), question())
    assert problems_of(events) == ["expert_failed"]
    assert "secret" not in str(events)


def test_an_expert_may_call_only_its_own_tools() -> None:
    pool = pool_with_space()
    events = events_of(executor_with(pool, expert(look_at_space, tools=("host.memory",))), question())
    assert pool.calls == []
    assert done_of(events).verdict == "cannot_tell"


def test_the_same_call_is_made_once_and_others_run_beside_each_other() -> None:
    running = 0
    most = 0

    async def slow(asker: Asker, arguments: dict[str, Any]) -> ToolAnswer:
        nonlocal running, most
        running += 1
        most = max(most, running)
        await asyncio.sleep(0.01)
        running -= 1
        return table("n", (arguments["n"],), arguments=arguments)

    ids: list[str] = []

    async def many(case: Case) -> Report | None:
        found = await asyncio.gather(*(case.call("host.n", n=n) for n in (1, 2, 3, 1)))
        ids.extend(each.id for each in found)
        return Report(statements=(Statement(text="{n}", values={"n": Value(evidence_id=ids[1], column="n")}),))

    pool = Pool()
    pool.add("host.n", slow)
    events = events_of(executor_with(pool, expert(many, tools=("host.n",))), question())
    assert ids == ["e1", "e2", "e3", "e1"]
    assert most == 3
    assert done_of(events).tool_calls == 3
    assert text_of(events) == "2 [e2]"


def test_the_bound_of_tool_calls_bites_once_and_what_is_there_is_told() -> None:
    async def many(case: Case) -> Report | None:
        for n in range(5):
            await case.call("host.space", n=n)
        return Report(statements=())

    pool = pool_with_space()
    events = events_of(executor_with(pool, expert(many, tools=("host.space",)), tool_calls=2), question())
    assert problems_of(events) == ["bound_tool_calls", "expert_failed"]
    assert "Look at disk space: 2 rows [e1]" in text_of(events)
    assert done_of(events).detail["bounds"] == ["tool_calls"]
    assert done_of(events).verdict == "cannot_tell"


def test_the_bound_of_seconds_ends_the_expert() -> None:
    async def wait(case: Case) -> Report | None:
        await case.call("host.space")
        await asyncio.sleep(60)
        return None

    events = events_of(executor_with(pool_with_space(), expert(wait, tools=("host.space",)), seconds=1), question())
    assert problems_of(events) == ["bound_seconds"]
    assert "2 rows [e1]" in text_of(events)


def test_cancelling_ends_the_calls_too() -> None:
    ended = asyncio.Event()

    async def hang(asker: Asker, arguments: dict[str, Any]) -> ToolAnswer:
        try:
            await asyncio.sleep(60)
        finally:
            ended.set()
        return SPACE

    pool = Pool()
    pool.add("host.space", hang)
    executor = executor_with(pool, expert(look_at_space, tools=("host.space",)))

    async def cancel() -> None:
        async def listen() -> None:
            async for event in executor.run(question(), ALICE):
                if isinstance(event, ToolStarted):
                    listening.cancel()

        listening = asyncio.create_task(listen())
        await asyncio.gather(listening, return_exceptions=True)
        assert listening.cancelled()
        await asyncio.wait_for(ended.wait(), 1)
        await asyncio.sleep(0)
        assert len(asyncio.all_tasks()) == 1

    asyncio.run(cancel())


def test_evidence_that_changed_backs_nothing() -> None:
    given = [SPACE, replace(SPACE, rows=(("/", 98.0, 1), ("/home", 12.0, 5_000)))]
    pool = Pool()
    pool.add("host.space", lambda _asker, _arguments: given.pop(0))
    events = events_of(executor_with(pool, expert(look_at_space, tools=("host.space",))), question())
    assert "~~97.3%~~ (unproven)" in text_of(events)
    assert done_of(events).struck == 3


def test_tools_that_cannot_be_listed_are_told() -> None:
    class Broken(Pool):
        async def list_tools(self, asker: Asker) -> Any:
            raise OSError("no route to 10.1.2.3")

    events = events_of(executor_with(Broken(), expert(look_at_space, tools=("host.space",))), question())
    assert problems_of(events) == ["tools_failed", "expert_failed"]
    assert "10.1.2.3" not in str(events)


def test_a_gate_that_fails_does_not_fail_the_answer() -> None:
    class Broken(Gate):
        async def judge(self, question: Any) -> Judged:
            raise RuntimeError("fault")

    executor = Executor(Broken(), [expert(look_at_space, tools=("host.space",))], pool_with_space(), None, settings())
    events = events_of(executor, question())
    assert problems_of(events) == ["gate_failed"]
    assert done_of(events).verdict == "found"


@pytest.mark.parametrize("heard", range(8))
def test_it_goes_on_from_wherever_it_was_interrupted(heard: int) -> None:
    pool = pool_with_space()
    executor = executor_with(pool, expert(look_at_space, tools=("host.space",)))
    asked = question(direct_agent="host_diagnosis")
    whole = events_of(executor, asked)
    told = [event for event in whole if not isinstance(event, Token | Done)]
    recorded = as_plain([Started(session_id="s1", response_id="r1"), *told[:heard]])
    pool.calls.clear()
    again = events_of(executor, asked, recorded=recorded)
    assert as_plain_without_times(again) == as_plain_without_times(whole[len(recorded) - 1 :])
    found = sum(isinstance(event, EvidenceFound) for event in told[:heard])
    assert len(pool.calls) == 2 - found, "evidence that was found is not looked up again, only verified"


def as_plain_without_times(events: list[Event]) -> list[dict[str, Any]]:
    return [{name: value for name, value in event.items() if name != "ms"} for event in as_plain(events)]


def test_no_question_is_mixed_up_with_another() -> None:
    async def of_asker(asker: Asker, arguments: dict[str, Any]) -> ToolAnswer:
        await asyncio.sleep(0.001)
        return table("who", (asker.name,), arguments=arguments)

    async def who(case: Case) -> Report | None:
        found = await case.call("host.who")
        return Report(statements=(Statement(text="{w}", values={"w": Value(evidence_id=found.id, column="who")}),))

    pool = Pool()
    pool.add("host.who", of_asker)
    executor = executor_with(pool, expert(who, tools=("host.who",)))

    async def ask(name: str) -> str:
        return text_of([event async for event in executor.run(question(), Asker(name=name))])

    async def many() -> list[str]:
        return await asyncio.gather(*(ask(f"user{n}") for n in range(50)))

    assert asyncio.run(many()) == [f"user{n} [e1]" for n in range(50)]


def test_a_tool_failed_carries_our_line() -> None:
    assert str(ToolFailed("one line")) == "one line"


def test_without_a_model_nothing_of_langchain_is_loaded() -> None:
    program = "import sys, intact.assist.executor; print(sorted(m for m in sys.modules if m.startswith('lang')))"
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True)
    assert ran.stdout.strip() == "[]"
