"""Responses: heard by any number, gone on with after a broken connection and after a restart, ended, nobody else's."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from intact.assist.answers import Evidence, ToolAnswer
from intact.assist.asking import Asker, Language, Message, Question
from intact.assist.begun import Begun
from intact.assist.events import Done, Event, EvidenceFound, Step, Token
from intact.assist.keep.keep import KeepUnavailable, ResponseRow, Session
from intact.assist.keep.sqlite import SqliteKeep
from intact.assist.plain_events import Plain
from intact.assist.responses import Asked, Care, Responses, Taken, Unknown

ALICE, BOB = Asker(name="alice"), Asker(name="bob", tenant_id=2)
ASKED = Asked(text="what happened?", language=Language.EN)
ANSWER = ToolAnswer(query="q", arguments={}, columns=("x",), rows=((1,),))
TEXT = "0123456789" * 30


class Scripted:
    """Answers as it is told to; stops at a step until it is let on."""

    def __init__(self, *, stop_at: int | None = None, fail_at: int | None = None) -> None:
        self.stop_at, self.fail_at = stop_at, fail_at
        self.let_on = asyncio.Event()
        self.asked: list[Question] = []
        self.runs = 0

    async def run(
        self, question: Question, asker: Asker, recorded: tuple[Plain, ...] = ()
    ) -> AsyncGenerator[Event, None]:
        self.runs += 1
        self.asked.append(question)
        told = sum(event["type"] in ("thinking_step", "evidence") for event in recorded)
        events: list[Event] = [
            Step(step="one", message="looking"),
            EvidenceFound(evidence=Evidence(id="e1", tool="agents.runs", answer=ANSWER)),
            Step(step="two", message=f"for {asker.name}"),
        ]
        for number, event in enumerate(events):
            if number == self.stop_at:
                await self.let_on.wait()
            if number == self.fail_at:
                raise RuntimeError("of ours")
            if number >= told:
                yield event
        yield Token(message=TEXT)
        yield Done(verdict="found", expert="host_diagnosis")


Work = Callable[[SqliteKeep], Awaitable[None]]


def kept(path: Path, work: Work) -> None:
    async def run() -> None:
        keep = SqliteKeep(path)
        try:
            await work(keep)
        finally:
            keep.close()

    asyncio.run(run())


async def heard(
    responses: Responses, response_id: str, after: int = 0, asker: Asker = ALICE
) -> list[tuple[int, Plain]]:
    return [pair async for pair in responses.listen(asker, response_id, after)]


def test_the_first_event_names_session_and_response_and_the_last_ends_it(tmp_path: Path) -> None:
    async def work(keep: SqliteKeep) -> None:
        responses = Responses(keep, Scripted())
        identity = await responses.start(ALICE, ASKED)
        events = await heard(responses, identity)
        assert [number for number, _ in events] == list(range(1, len(events) + 1))
        first, last = events[0][1], events[-1][1]
        assert (first["type"], first["message"]) == ("session_response_id", identity)
        assert (last["type"], last["verdict"]) == ("done", "found")
        assert "".join(event["message"] for _, event in events if event["type"] == "token") == TEXT
        page = await keep.messages("alice", first["session_id"])
        assert [(m.role, m.content) for m in page.messages] == [("user", ASKED.text), ("assistant", TEXT)]

    kept(tmp_path / "a.db", work)


def test_a_secret_of_a_question_goes_no_further(tmp_path: Path) -> None:
    secret = "sk-ant-REDACTED"

    async def work(keep: SqliteKeep) -> None:
        answering = Scripted()
        responses = Responses(keep, answering, care=Care(redact=lambda text: text.replace(secret, "[...]")))
        await heard(responses, await responses.start(ALICE, Asked(text=f"is {secret} used?", language=Language.EN)))
        assert [question.text for question in answering.asked] == ["is [...] used?"]

    kept(tmp_path / "a.db", work)
    assert not [path for path in tmp_path.iterdir() if secret.encode() in path.read_bytes()]


@pytest.mark.parametrize("is_still", [True, False])
def test_who_may_see_less_by_now_is_not_answered_as_before(tmp_path: Path, is_still: bool) -> None:
    async def work(keep: SqliteKeep) -> None:
        before = Responses(keep, Scripted(stop_at=1))
        identity = await before.start(ALICE, ASKED)
        await asyncio.sleep(0.2)
        await before.close()
        answering = Scripted()
        after = Responses(keep, answering, care=Care(is_still=lambda asker: is_still and asker == ALICE))
        assert await after.go_on() == 1
        events = await heard(after, identity)
        assert events[-1][1]["verdict"] == ("found" if is_still else "cancelled")
        assert answering.runs == int(is_still)

    kept(tmp_path / "a.db", work)


@pytest.mark.parametrize("after", [0, 1, 3, 5, 9, 1000])
def test_who_listens_again_hears_what_is_left(tmp_path: Path, after: int) -> None:
    async def work(keep: SqliteKeep) -> None:
        responses = Responses(keep, Scripted())
        identity = await responses.start(ALICE, ASKED)
        whole, part = await asyncio.gather(heard(responses, identity), heard(responses, identity, after))
        assert part == whole[after:]
        assert await heard(responses, identity, after) == whole[after:]  # of the log, now that it has ended

    kept(tmp_path / "a.db", work)


@pytest.mark.parametrize("stop_at", [0, 1, 2])
def test_another_process_goes_on_and_nothing_is_told_twice(tmp_path: Path, stop_at: int) -> None:
    async def work(keep: SqliteKeep) -> None:
        stopped = Scripted(stop_at=stop_at)
        before = Responses(keep, stopped)
        identity = await before.start(ALICE, ASKED)
        listening = before.listen(ALICE, identity)
        seen = [await anext(listening) for _ in range(1 + stop_at)]
        await before.close()
        after = Responses(keep, Scripted())
        assert await after.go_on() == 1
        seen += await heard(after, identity, seen[-1][0])
        assert [number for number, _ in seen] == list(range(1, len(seen) + 1))
        kinds = [event["type"] for _, event in seen if event["type"] != "token"]
        assert kinds == ["session_response_id", "thinking_step", "evidence", "thinking_step", "verdict", "done"]
        assert "".join(event["message"] for _, event in seen if event["type"] == "token") == TEXT
        page = await keep.messages("alice", seen[0][1]["session_id"])
        assert len(page.messages) == 2

    kept(tmp_path / "a.db", work)


@pytest.mark.parametrize("pieces", [0, 1, 3])
def test_an_answer_that_was_being_told_is_told_on(tmp_path: Path, pieces: int) -> None:
    """The process ends after the text was kept and some of it told: the rest comes, and nobody is asked again."""

    class Dying(SqliteKeep):
        left = 10_000

        async def log(self, response_id: str, first_seq: int, texts: object) -> bool:
            if '"token"' in str(texts):
                Dying.left -= 1
                if Dying.left < 0:
                    await asyncio.Event().wait()
            return await super().log(response_id, first_seq, texts)  # type: ignore[arg-type]

    async def work(_: SqliteKeep) -> None:
        dying = Dying(tmp_path / "b.db")
        Dying.left = pieces
        before = Responses(dying, Scripted())
        identity = await before.start(ALICE, ASKED)
        listening = before.listen(ALICE, identity)
        seen = []
        while len([event for _, event in seen if event["type"] == "token"]) < pieces or len(seen) < 5:
            seen.append(await anext(listening))
        await before.close()
        dying.close()
        keep = SqliteKeep(tmp_path / "b.db")
        silent = Scripted(fail_at=0)
        after = Responses(keep, silent)
        await after.go_on()
        seen += await heard(after, identity, seen[-1][0])
        assert silent.runs == 0
        assert "".join(event["message"] for _, event in seen if event["type"] == "token") == TEXT
        assert (seen[-1][1]["type"], seen[-1][1]["expert"]) == ("done", "host_diagnosis")
        keep.close()

    kept(tmp_path / "a.db", work)


def test_what_is_anothers_is_as_if_it_were_not_there(tmp_path: Path) -> None:
    async def work(keep: SqliteKeep) -> None:
        responses = Responses(keep, Scripted(stop_at=1))
        identity = await responses.start(ALICE, ASKED)
        session = (await anext(responses.listen(ALICE, identity)))[1]["session_id"]
        await asyncio.sleep(0.05)  # the first packet goes before anything is written
        for attempt in (
            lambda: heard(responses, identity, asker=BOB),
            lambda: responses.cancel(BOB, identity),
            lambda: responses.start(BOB, Asked(text="?", language=Language.EN, session_id=session)),
            lambda: responses.start(
                BOB, Asked(text="?", language=Language.EN, session_id=session, may_make_session=True)
            ),
            lambda: heard(responses, "r_none"),
        ):
            with pytest.raises(Unknown):
                await attempt()
        with pytest.raises(Taken):
            await responses.start(BOB, Asked(text="?", language=Language.EN, response_id=identity))
        await responses.close()

    kept(tmp_path / "a.db", work)


def test_a_response_can_be_ended(tmp_path: Path) -> None:
    async def work(keep: SqliteKeep) -> None:
        responses = Responses(keep, Scripted(stop_at=1))
        identity = await responses.start(ALICE, ASKED)
        listening = asyncio.create_task(heard(responses, identity))
        await asyncio.sleep(0.05)
        assert await responses.cancel(ALICE, identity)
        events = await listening
        assert events[-1][1]["verdict"] == "cancelled"
        assert not await responses.cancel(ALICE, identity)
        assert await keep.unfinished() == []

    kept(tmp_path / "a.db", work)


def test_a_fault_of_ours_is_told_and_ends_it(tmp_path: Path) -> None:
    async def work(keep: SqliteKeep) -> None:
        responses = Responses(keep, Scripted(fail_at=1))
        events = await heard(responses, await responses.start(ALICE, ASKED))
        assert [event["type"] for _, event in events[-3:]] == ["error", "verdict", "done"]
        assert events[-1][1]["verdict"] == "failed"
        assert "of ours" not in str(events)

    kept(tmp_path / "a.db", work)


def test_a_session_goes_on_with_its_history_and_gets_one_title(tmp_path: Path) -> None:
    async def title(text: str, language: Language) -> str:
        return f"{language.value}:{text[:4]}"

    async def work(keep: SqliteKeep) -> None:
        answering = Scripted()
        responses = Responses(keep, answering, make_title=title)
        first = await heard(responses, await responses.start(ALICE, ASKED))
        session = first[0][1]["session_id"]
        assert [event["message"] for _, event in first if event["type"] == "title"] == ["en:what"]
        again = Asked(text="and now?", language=Language.EN, session_id=session)
        second = await heard(responses, await responses.start(ALICE, again))
        assert not [event for _, event in second if event["type"] == "title"]
        assert [message.content for message in answering.asked[1].history] == [ASKED.text, TEXT]
        found = await keep.session("alice", session)
        assert found is not None
        assert found.title == "en:what"

    kept(tmp_path / "a.db", work)


def test_a_question_is_not_lost_between_its_first_packet_and_its_place(tmp_path: Path) -> None:
    """The process is killed after the first packet went and before anything was written where responses are."""

    class Away(SqliteKeep):
        async def new_session(self, owner: str, session_id: str | None = None, *, at_ns: int) -> Session | None:
            await asyncio.Event().wait()
            return None

    async def work(keep: SqliteKeep) -> None:
        away = Away(tmp_path / "a.db")
        before = Responses(away, Scripted(), begun=Begun(tmp_path))
        identity = await before.start(ALICE, ASKED)
        seen = [await anext(before.listen(ALICE, identity))]
        await asyncio.sleep(0.05)
        assert await keep.unfinished() == []
        after = Responses(keep, Scripted(), begun=Begun(tmp_path))
        assert await after.go_on() == 1
        seen += await heard(after, identity, 1)
        assert await heard(after, identity) == seen
        assert [number for number, _ in seen] == list(range(1, len(seen) + 1))
        assert seen[-1][1]["type"] == "done"
        assert Begun(tmp_path).left() == []
        away.close()

    kept(tmp_path / "a.db", work)


def test_what_was_begun_and_cut_off_is_left_out(tmp_path: Path) -> None:
    begun = Begun(tmp_path)
    for name in ("r_1", "r_2"):
        begun.note(_row(name), "first")
    begun.forget("r_1")
    begun.close()
    file = tmp_path / "begun.jsonl"
    assert file.stat().st_mode & 0o777 == 0o600
    whole = file.read_bytes()
    for cut in range(whole.rindex(b"\n") + 1, len(whole)):  # of what was written last: that r_1 is forgotten
        file.write_bytes(whole[:cut])
        again = Begun(tmp_path)
        assert [row.id for row, _ in again.left()] == ["r_1", "r_2"]
        again.note(_row("r_3"), "first")
        assert [row.id for row, _ in again.left()] == ["r_1", "r_2", "r_3"]
        for name in ("r_1", "r_2", "r_3"):
            again.forget(name)
        assert file.stat().st_size == 0
        again.close()


def _row(identity: str) -> ResponseRow:
    return ResponseRow(id=identity, session_id="ses", owner="alice", question={}, asker={}, started_ns=1)


@pytest.mark.parametrize("dies_at", ["log", "close_response", "add_message"])
def test_an_end_that_was_being_written_is_written_once(tmp_path: Path, dies_at: str) -> None:
    """The process is killed while it writes the end: nothing is told twice, nothing is said twice in the session."""

    class Dying(SqliteKeep):
        async def log(self, response_id: str, first_seq: int, texts: Sequence[str]) -> bool:
            if dies_at == "log" and '"done"' in texts[0]:
                await asyncio.Event().wait()
            return await super().log(response_id, first_seq, texts)

        async def close_response(self, response_id: str, *args: Any, **named: Any) -> bool:
            if dies_at == "close_response":
                await asyncio.Event().wait()
            return await super().close_response(response_id, *args, **named)

        async def add_message(self, owner: str, session_id: str, message: Message) -> bool:
            if dies_at == "add_message" and message.role == "assistant":
                await asyncio.Event().wait()
            return await super().add_message(owner, session_id, message)

    async def work(keep: SqliteKeep) -> None:
        dying = Dying(tmp_path / "a.db")
        before = Responses(dying, Scripted())
        identity = await before.start(ALICE, ASKED)
        listening = asyncio.create_task(heard(before, identity))
        await asyncio.sleep(0.2)
        assert not listening.done()
        assert not await before.cancel(ALICE, identity), "it is ending"
        after = Responses(keep, Scripted(fail_at=0))
        assert await after.go_on() == 1
        whole = await heard(after, identity)
        assert [event["type"] for _, event in whole].count("done") == 1
        assert whole[-1][1]["type"] == "done"
        page = await keep.messages("alice", whole[0][1]["session_id"])
        assert [message.role for message in page.messages] == ["user", "assistant"]
        assert await keep.unfinished() == []
        listening.cancel()
        dying.close()

    kept(tmp_path / "a.db", work)


def test_who_hears_the_end_finds_the_answer_in_the_session(tmp_path: Path) -> None:
    async def work(keep: SqliteKeep) -> None:
        responses = Responses(keep, Scripted())
        identity = await responses.start(ALICE, ASKED)
        async for _, event in responses.listen(ALICE, identity):
            if event["type"] == "session_response_id":
                session = event["session_id"]
            elif event["type"] == "done":
                assert len((await keep.messages("alice", session)).messages) == 2

    kept(tmp_path / "a.db", work)


def test_ended_twice_is_ended_once_and_leaves_no_work(tmp_path: Path) -> None:
    async def work(keep: SqliteKeep) -> None:
        answering = Scripted(stop_at=1)
        responses = Responses(keep, answering, begun=Begun(tmp_path))
        identity = await responses.start(ALICE, ASKED)
        listening = asyncio.create_task(heard(responses, identity))
        await asyncio.sleep(0.05)
        assert [await responses.cancel(ALICE, identity) for _ in range(2)] == [True, False]
        assert [event["type"] for _, event in await listening].count("done") == 1
        await asyncio.sleep(0)
        assert [task for task in asyncio.all_tasks() if task is not asyncio.current_task()] == []
        assert responses.running == 0
        assert await Responses(keep, Scripted(), begun=Begun(tmp_path)).go_on() == 0

    kept(tmp_path / "a.db", work)


@pytest.mark.parametrize("dies_after", [0, 1, 3, 6])
def test_without_its_place_an_answer_goes_on_and_says_so_once(tmp_path: Path, dies_after: int) -> None:
    class Failing(SqliteKeep):
        left = 0

        async def log(self, response_id: str, first_seq: int, texts: Sequence[str]) -> bool:
            Failing.left -= 1
            if Failing.left < 0:
                raise KeepUnavailable("gone")
            return await super().log(response_id, first_seq, texts)

    async def work(_: SqliteKeep) -> None:
        failing = Failing(tmp_path / "b.db")
        Failing.left = dies_after
        responses = Responses(failing, Scripted(), begun=Begun(tmp_path))
        events = await heard(responses, await responses.start(ALICE, ASKED))
        assert [number for number, _ in events] == list(range(1, len(events) + 1))
        assert [event.get("code") for _, event in events if event["type"] == "error"] == ["unkept"]
        assert "".join(event["message"] for _, event in events if event["type"] == "token") == TEXT
        assert events[-1][1]["verdict"] == "found"
        assert Begun(tmp_path).left() == []
        failing.close()

    kept(tmp_path / "a.db", work)
