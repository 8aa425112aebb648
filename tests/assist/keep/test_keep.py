"""The same of both places: what is kept, for whom, how long and how much."""

import asyncio
import json
from dataclasses import replace
from typing import Any

import pytest

from intact.assist.asking import Message
from intact.assist.keep import keep as bounds
from intact.assist.keep.keep import (
    DAY_NS,
    HOUR_NS,
    FeedbackCount,
    FeedbackQuery,
    GroupBy,
    Keep,
    Rating,
    ResponseRow,
    Session,
    State,
    cut,
)
from intact.model.errors import IntactError
from tests.assist.keep.places import NOW, Place

ANN, BOB = "ann", "bob"
EVIL = "x'; DROP TABLE sessions; --\r\nSET a b\r\n"
NOT_IDS = ("", " ", "*", "../x", "a b", "x" * 129, "\ud800", "a\x00b", EVIL, "会话")


def said(text: str, at_ns: int = NOW, role: str = "user") -> Message:
    return Message(role=role, content=text, at_ns=at_ns, response_id="rsp_1")


def answer(session: Session, identity: str = "rsp_1", **changes: Any) -> ResponseRow:
    row = ResponseRow(
        id=identity,
        session_id=session.id,
        owner=session.owner,
        question={"text": "为什么 🤖 \ud800", "from_ns": NOW},
        asker={"name": session.owner, "tenant_id": 1},
        started_ns=NOW,
    )
    return replace(row, **changes)


async def new(keep: Keep, owner: str = ANN, at_ns: int = NOW) -> Session:
    session = await keep.new_session(owner, at_ns=at_ns)
    assert session is not None
    return session


async def answered(keep: Keep, session: Session, identity: str, **done: Any) -> None:
    assert await keep.open_response(answer(session, identity))
    assert await keep.close_response(identity, State.DONE, ended_ns=NOW, text="so", done=done)


def test_a_session_is_its_owners(place: Place) -> None:
    async def work(keep: Keep) -> None:
        mine, other = await new(keep), await new(keep, at_ns=NOW + 5_999)
        assert mine == Session(id=mine.id, owner=ANN, title="", created_ns=NOW, updated_ns=NOW)
        assert other.updated_ns == NOW + 5_000  # whole microseconds
        assert len({mine.id, other.id}) == 2
        assert len(mine.id) >= 40  # 160 bits in hex
        assert await keep.session(ANN, mine.id) == mine
        assert await keep.rename(ANN, mine.id, "磁盘 \ud800" + "长" * 200)
        titled = await keep.session(ANN, mine.id)
        assert titled is not None
        assert titled == replace(mine, title="磁盘 ?" + "长" * (bounds.MAX_TITLE - 4))
        assert await keep.sessions(ANN, limit=10) == [other, titled]
        assert await keep.sessions(BOB, limit=10) == []

        for session_id in (mine.id, *NOT_IDS, "ses_" + "0" * 40):
            for owner in (BOB,) if session_id == mine.id else (ANN, BOB):
                assert await keep.session(owner, session_id) is None
                assert not await keep.rename(owner, session_id, "mine now")
                assert not await keep.delete(owner, session_id)
                assert not await keep.add_message(owner, session_id, said("x"))
                assert (await keep.messages(owner, session_id)).messages == ()
                assert await keep.feedback(owner, session_id) == {}
                assert not await keep.open_response(answer(replace(mine, id=session_id, owner=owner), "rsp_9"))
        assert await keep.session(ANN, mine.id) == titled
        assert await keep.delete(ANN, mine.id)
        assert not await keep.delete(ANN, mine.id)
        assert await keep.session(ANN, mine.id) is None

    place.run(work)


def test_a_client_may_name_its_session_if_nobody_else_did(place: Place) -> None:
    async def work(keep: Keep) -> None:
        first = await keep.new_session(ANN, "5f0c7b1e-thread", at_ns=NOW)
        assert first is not None
        assert await keep.new_session(ANN, "5f0c7b1e-thread", at_ns=NOW + 10**9) == first
        assert await keep.new_session(BOB, "5f0c7b1e-thread", at_ns=NOW) is None
        for wrong in NOT_IDS:
            assert await keep.new_session(ANN, wrong, at_ns=NOW) is None
        many = await asyncio.gather(*(keep.new_session(f"u{i}", "wanted-by-all", at_ns=NOW) for i in range(8)))
        assert len([each for each in many if each is not None]) == 1

    place.run(work)


def test_sessions_come_in_pages_newest_first(place: Place) -> None:
    async def work(keep: Keep) -> None:
        # three of each time, so that pages end between those of one time
        made = [await new(keep, at_ns=NOW + 1000 * (i // 3)) for i in range(23)]
        expected = sorted(made, key=lambda each: (each.updated_ns, each.id), reverse=True)
        for limit in (1, 2, 5, 23, 100):
            found: list[Session] = []
            before = None
            while page := await keep.sessions(ANN, limit=limit, before=before):
                assert len(page) <= limit
                found += page
                before = (page[-1].updated_ns, page[-1].id)
            assert found == expected
        assert await keep.add_message(ANN, made[0].id, said("again", NOW + HOUR_NS))
        assert (await keep.sessions(ANN, limit=1))[0].id == made[0].id

    place.run(work)


def test_the_last_messages_come_oldest_first(place: Place) -> None:
    async def work(keep: Keep) -> None:
        session = await new(keep)
        assert (await keep.messages(ANN, session.id)).before is None
        sent = [said(f"{i} 好\x00\x1b[31m", NOW + i, "user" if i % 2 else "assistant") for i in range(45)]
        for message in sent:
            assert await keep.add_message(ANN, session.id, message)
        page = await keep.messages(ANN, session.id)
        assert list(page.messages) == sent[-20:]
        found = list(page.messages)
        while page.before is not None:
            page = await keep.messages(ANN, session.id, before=page.before)
            found = [*page.messages, *found]
        assert found == sent
        for before in (-5, 0):
            assert (await keep.messages(ANN, session.id, before=before)).messages == ()
        assert list((await keep.messages(ANN, session.id, limit=100, before=1 << 70)).messages) == sent
        await keep.add_message(ANN, session.id, said("界" * 40_000))
        kept = (await keep.messages(ANN, session.id, limit=1)).messages[0].content
        assert kept == "界" * (bounds.MAX_MESSAGE_BYTES // 3)
        assert keep.counts()["messages_cut"] == 1
        assert keep.counts()["messages_added"] == 46

    place.run(work)


def test_the_oldest_go_where_there_are_too_many(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bounds, "MAX_MESSAGES", 20)
    monkeypatch.setattr(bounds, "MAX_SESSIONS", 5)
    monkeypatch.setattr(bounds, "MAX_RESPONSES", 4)

    async def work(keep: Keep) -> None:
        session = await new(keep, at_ns=NOW + DAY_NS)
        for i in range(30):
            await keep.add_message(ANN, session.id, said(str(i)))
        page = await keep.messages(ANN, session.id, limit=100)
        assert [each.content for each in page.messages] == [str(i) for i in range(10, 30)]
        assert page.before is None
        some = await keep.messages(
            ANN, session.id, limit=3, before=(await keep.messages(ANN, session.id, limit=2)).before
        )
        assert [each.content for each in some.messages] == ["25", "26", "27"]
        for i in range(6):
            await answered(keep, session, f"rsp_{i}")
            await keep.log(f"rsp_{i}", 0, ["{}"])
            await keep.rate(ANN, f"rsp_{i}", Rating.UP, at_ns=NOW)
        assert await keep.response(ANN, "rsp_1") is None
        assert await keep.logged("rsp_1") == []
        assert await keep.response(ANN, "rsp_2") is not None
        assert set(await keep.feedback(ANN, session.id)) == {f"rsp_{i}" for i in range(2, 6)}
        older = [await new(keep, at_ns=NOW + i * 1000) for i in range(6)]
        assert await keep.sessions(ANN, limit=10) == [
            await keep.session(ANN, session.id), *older[:1:-1]
        ]  # fmt: skip
        assert await new(keep, BOB)
        counts = keep.counts()
        assert (counts["messages_dropped"], counts["responses_dropped"], counts["sessions_dropped"]) == (10, 2, 2)
        assert counts["sessions"] == 6

    place.run(work)


def test_an_answer_outlives_whoever_began_it(place: Place) -> None:
    async def begin(keep: Keep) -> Session:
        session = await new(keep)
        assert await keep.open_response(answer(session))
        assert not await keep.open_response(answer(session))  # the id is taken
        assert await keep.open_response(answer(session, "rsp_ask", place="ask", started_ns=NOW + 1))
        assert await keep.log("rsp_1", 0, ['{"type":"session_response_id"}', '{"n":1}'])
        assert await keep.log("rsp_1", 2, ['{"n":"\ud800会"}'])
        assert await keep.log("rsp_1", 1, ['{"n":"another"}', '{"n":"too"}', '{"n":3}'])  # sent again
        assert await keep.save_answer("rsp_1", "**verified** 🤖")
        return session

    session = place.run(begin)

    async def go_on(keep: Keep) -> None:
        (row,) = await keep.unfinished()
        assert row == replace(answer(session), text="**verified** 🤖")
        assert [each.id for each in await keep.unfinished("ask")] == ["rsp_ask"]
        expected = [(0, '{"type":"session_response_id"}'), (1, '{"n":1}'), (2, '{"n":"?会"}'), (3, '{"n":3}')]
        assert await keep.logged("rsp_1") == expected
        assert await keep.logged("rsp_1", 1) == expected[2:]
        assert await keep.logged("rsp_1", 1 << 70) == []
        done = {"verdict": "found", "expert": "host_diagnosis", "model": None}
        assert await keep.close_response("rsp_1", State.DONE, ended_ns=NOW + 9_999, text="so", done=done)
        assert not await keep.close_response("rsp_1", State.FAILED, ended_ns=NOW, text="", done=None)
        assert not await keep.save_answer("rsp_1", "other")
        closed = replace(row, state=State.DONE, ended_ns=NOW + 9_999, text="so", done=done)
        assert await keep.response(ANN, "rsp_1") == closed
        assert await keep.unfinished() == []
        found = await keep.session(ANN, session.id)
        assert found == replace(session, updated_ns=NOW + 9_000, expert="host_diagnosis")
        for owner, response_id in ((BOB, "rsp_1"), *((ANN, wrong) for wrong in NOT_IDS), (ANN, "rsp_7")):
            assert await keep.response(owner, response_id) is None
            assert await keep.rate(owner, response_id, Rating.UP, at_ns=NOW) is None
        for wrong in (*NOT_IDS, "rsp_7"):
            assert not await keep.close_response(wrong, State.DONE, ended_ns=NOW, text="", done=None)
            assert not await keep.save_answer(wrong, "x")
            assert not await keep.log(wrong, 0, ["{}"])
            assert not await keep.log(wrong, 0, ["{}", "{}"])
            assert await keep.logged(wrong) == []

    place.run(go_on)


def test_a_session_takes_all_of_its_own_along(place: Place) -> None:
    async def work(keep: Keep) -> None:
        session, stays = await new(keep), await new(keep)
        for each, identity in ((session, "rsp_1"), (stays, "rsp_2")):
            await keep.add_message(ANN, each.id, said("x"))
            await answered(keep, each, identity)
            await keep.log(identity, 0, ["{}"])
            await keep.rate(ANN, identity, Rating.UP, comment="good", at_ns=NOW)
        await keep.open_response(answer(session, "rsp_3"))
        assert await keep.delete(ANN, session.id)
        assert await keep.response(ANN, "rsp_1") is None
        assert await keep.logged("rsp_1") == []
        assert await keep.unfinished() == []
        assert not await keep.log("rsp_3", 0, ["{}"])
        assert not await keep.close_response("rsp_3", State.DONE, ended_ns=NOW, text="", done=None)
        assert sum(group.up for group in await keep.feedback_stats(asked())) == 1
        assert (await keep.messages(ANN, stays.id)).messages == (said("x"),)
        # another who takes the same id meets nothing of before
        again = await keep.new_session(BOB, session.id, at_ns=NOW)
        assert again is not None
        assert (await keep.messages(BOB, session.id)).messages == ()
        assert await keep.feedback(BOB, session.id) == {}

    place.run(work)


def asked(by: GroupBy = GroupBy.DAY, **changes: Any) -> FeedbackQuery:
    return replace(FeedbackQuery(tenant_id=1, owner=ANN, from_ns=0, to_ns=(1 << 63) - 1, by=by), **changes)


def test_a_rating_is_changed_and_cleared(place: Place) -> None:
    async def work(keep: Keep) -> None:
        session = await new(keep)
        await answered(keep, session, "rsp_1")
        first = await keep.rate(ANN, "rsp_1", Rating.DOWN, comment="wrong\x1b host 🤖" + "x" * 3000, at_ns=NOW)
        assert first is not None
        assert first.comment == ("wrong\x1b host 🤖" + "x" * 3000)[: bounds.MAX_COMMENT]
        assert keep.counts()["comments_cut"] == 1
        turned = await keep.rate(ANN, "rsp_1", Rating.UP, at_ns=NOW + 1)
        assert turned == replace(first, rating=Rating.UP, at_ns=NOW + 1)
        cleared = await keep.rate(ANN, "rsp_1", None, at_ns=NOW + 2)
        assert cleared == replace(first, rating=None, at_ns=NOW + 2)  # the comment stays
        assert await keep.feedback(ANN, session.id) == {"rsp_1": cleared}
        bare = await keep.rate(ANN, "rsp_1", None, comment="", at_ns=NOW + 3)
        assert bare == replace(first, rating=None, comment="", at_ns=NOW + 3)
        assert await keep.rate(BOB, "rsp_1", Rating.UP, at_ns=NOW) is None
        assert await keep.feedback_stats(asked()) == [FeedbackCount(key="2027-01-15", cleared=1)]

    place.run(work)


def test_ratings_are_counted_by_session_time_expert_and_model(place: Place) -> None:
    async def work(keep: Keep) -> None:
        mine, also, bobs = await new(keep), await new(keep), await new(keep, BOB)
        experts = ["host_diagnosis", "agent_governance", None]
        for i in range(12):
            session = (mine, also, bobs)[i % 3]
            tenant = {"name": session.owner, "tenant_id": 2 if i == 11 else 1}
            assert await keep.open_response(answer(session, f"rsp_{i}", asker=tenant))
            done = {"expert": experts[i % 3], "model": "qwen" if i % 2 else None}
            assert await keep.close_response(f"rsp_{i}", State.DONE, ended_ns=NOW, text="so", done=done)
            rating = (Rating.UP, Rating.UP, Rating.DOWN, None)[i % 4]
            comment = "so so" if i % 5 == 0 else None
            assert await keep.rate(session.owner, f"rsp_{i}", rating, comment=comment, at_ns=NOW + i * 3 * HOUR_NS)
        assert await keep.feedback_stats(asked(GroupBy.SESSION)) == sorted(
            [
                FeedbackCount(key=mine.id, up=2, down=1, cleared=1, comments=1),
                FeedbackCount(key=also.id, up=2, down=1, cleared=1, comments=1),
            ],
            key=lambda group: group.key,
        )
        everybody = asked(GroupBy.EXPERT, owner=None)
        assert await keep.feedback_stats(everybody) == [
            FeedbackCount(key="", up=2, down=1, comments=1),
            FeedbackCount(key="agent_governance", up=2, down=1, cleared=1, comments=1),
            FeedbackCount(key="host_diagnosis", up=2, down=1, cleared=1, comments=1),
        ]
        assert await keep.feedback_stats(asked(GroupBy.MODEL, owner=None)) == [
            FeedbackCount(key="", up=3, down=3, comments=2),
            FeedbackCount(key="qwen", up=3, cleared=2, comments=1),
        ]
        assert await keep.feedback_stats(asked(owner=None)) == [
            FeedbackCount(key="2027-01-15", up=4, down=1, cleared=1, comments=2),
            FeedbackCount(key="2027-01-16", up=2, down=2, cleared=1, comments=1),
        ]
        hours = await keep.feedback_stats(asked(GroupBy.HOUR, owner=None, from_ns=NOW, to_ns=NOW + 3 * HOUR_NS + 1))
        assert [group.key for group in hours] == ["2027-01-15T08", "2027-01-15T11"]
        assert len(await keep.feedback_stats(asked(GroupBy.HOUR, to_ns=NOW))) == 0
        assert len(await keep.feedback_stats(asked(owner=None, tenant_id=2))) == 1

    place.run(work)


def test_an_id_is_good_once(place: Place) -> None:
    async def work(keep: Keep) -> None:
        assert await keep.use_once("jti-1", NOW + 60 * 10**9)
        assert not await keep.use_once("jti-1", NOW + 60 * 10**9)
        assert not await keep.use_once("jti-1", NOW + 90 * 10**9)
        for hostile in NOT_IDS:
            assert await keep.use_once(hostile, NOW + 60 * 10**9)
            assert not await keep.use_once(hostile, NOW + 60 * 10**9)
        assert not await keep.use_once("late", NOW)
        many = await asyncio.gather(*(keep.use_once(f"id {i % 50}", NOW + 10**9) for i in range(500)))
        assert sum(many) == 50

    place.run(work)


def test_a_reading_is_for_its_asker_and_for_a_month(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    async def work(keep: Keep) -> None:
        body = {"rows": [["名\ud800", 1, None, 1.5]], "at_ns": NOW}
        reading_id = await asyncio.to_thread(keep.readings.put, ANN, body)
        assert keep.readings.get(ANN, reading_id) == body
        assert keep.readings.get(BOB, reading_id) is None
        for wrong in NOT_IDS:
            assert keep.readings.get(ANN, wrong) is None
        with pytest.raises(IntactError, match="at most 1048576 bytes"):
            keep.readings.put(ANN, {"text": "x" * (1 << 20)})
        found = await asyncio.gather(*(asyncio.to_thread(keep.readings.put, ANN, {"n": i}) for i in range(50)))
        assert [(keep.readings.get(ANN, each) or {})["n"] for each in found] == list(range(50))
        place.clock.now_ns += 30 * DAY_NS
        assert keep.readings.get(ANN, reading_id) is None
        await keep.expire()
        assert keep.readings.get(ANN, keep.readings.put(ANN, {})) == {}
        assert keep.counts()["readings_refused"] == 1

    place.run(work)


def test_readings_are_bounded_in_number_and_size(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in ("intact.assist.keep.keep", "intact.assist.keep.redis_readings"):
        monkeypatch.setattr(f"{module}.MAX_READINGS", 5)
        monkeypatch.setattr(f"{module}.MAX_READINGS_BYTES", 1000)

    async def work(keep: Keep) -> None:
        for sizes, kept in (([10] * 8, 5), ([300] * 4, 3), ([900], 1)):
            ids = []
            for size in sizes:
                place.clock.now_ns += 10**6
                ids.append(keep.readings.put(ANN, {"x": "y" * size}))
            assert [keep.readings.get(ANN, each) is not None for each in ids] == [
                i >= len(ids) - kept for i in range(len(ids))
            ]
        assert keep.counts()["readings_dropped"] > 0
        other = keep.readings.put(BOB, {})
        keep.readings.put(ANN, {"x": "y" * 900})
        assert keep.readings.get(BOB, other) == {}

    place.run(work)


def test_what_is_not_used_is_gone_after_its_days(place: Place) -> None:
    async def work(keep: Keep) -> None:
        left, used = await new(keep), await new(keep)
        await keep.add_message(ANN, left.id, said("x"))
        for session, identity in ((left, "rsp_1"), (used, "rsp_2")):
            await answered(keep, session, identity, expert="e")
            await keep.log(identity, 0, ["{}"])
            await keep.rate(ANN, identity, Rating.UP, at_ns=NOW)
        await keep.open_response(answer(used, "rsp_3"))
        await keep.log("rsp_3", 0, ["{}"])
        await keep.use_once("jti", NOW + 10**9)

        place.clock.now_ns = NOW + DAY_NS - 1
        assert await keep.logged("rsp_1") == [(0, "{}")]
        place.clock.now_ns = NOW + DAY_NS
        assert await keep.logged("rsp_1") == []
        assert await keep.logged("rsp_3") == [(0, "{}")]  # it runs
        await keep.expire()
        row = await keep.response(ANN, "rsp_1")
        assert row is not None
        assert row.text == "so"  # answers stay

        place.clock.now_ns = NOW + 29 * DAY_NS
        await keep.add_message(ANN, used.id, said("again", place.clock.now_ns))
        place.clock.now_ns = NOW + 30 * DAY_NS - 1
        assert await keep.session(ANN, left.id) is not None
        place.clock.now_ns = NOW + 30 * DAY_NS
        assert await keep.session(ANN, left.id) is None
        assert await keep.response(ANN, "rsp_1") is None
        assert (await keep.messages(ANN, left.id)).messages == ()
        assert not await keep.add_message(ANN, left.id, said("x"))
        assert not await keep.delete(ANN, left.id)
        assert [each.id for each in await keep.sessions(ANN, limit=9)] == [used.id]
        taken = await keep.new_session(BOB, left.id, at_ns=place.clock.now_ns)
        assert taken is not None
        assert (await keep.messages(BOB, left.id)).messages == ()

        place.clock.now_ns = NOW + 70 * DAY_NS
        while await keep.expire():
            pass
        counts = keep.counts()
        assert counts["sessions"] == 0
        assert counts["sessions_expired"] == 2  # the third was taken over
        assert await keep.feedback_stats(asked()) == []

    place.run(work)


def test_a_log_of_ten_thousand_events(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    async def work(keep: Keep) -> None:
        await keep.open_response(answer(await new(keep)))
        texts = [json.dumps({"type": "token", "n": i, "message": "文字" * 10}) for i in range(10_000)]
        for start in range(0, 9_000, 100):
            assert await keep.log("rsp_1", start, texts[start : start + 100])
        for i in range(9_000, 10_000):
            assert await keep.log("rsp_1", i, texts[i : i + 1])
        assert await keep.logged("rsp_1") == list(enumerate(texts))
        assert await keep.logged("rsp_1", 9_997) == [(9_998, texts[9_998]), (9_999, texts[9_999])]
        monkeypatch.setattr(bounds, "MAX_EVENTS", 10_001)
        assert await keep.log("rsp_1", 10_000, ["a", "b", "c"])
        assert (await keep.logged("rsp_1", 9_999)) == [(10_000, "a")]
        monkeypatch.setattr(bounds, "MAX_EVENT_BYTES", 10)
        assert await keep.log("rsp_1", 10_001, ["x" * 11])
        assert keep.counts()["events_dropped"] == 3
        assert keep.counts()["events_logged"] == 10_001

    place.run(work)


def test_many_who_write_at_once_lose_nothing(place: Place) -> None:
    async def work(keep: Keep) -> None:
        session = await new(keep)
        await asyncio.gather(*(keep.add_message(ANN, session.id, said(str(i))) for i in range(40)))
        found = [each.content for each in (await keep.messages(ANN, session.id, limit=100)).messages]
        assert sorted(found, key=int) == [str(i) for i in range(40)]

    place.run(work)


def test_a_text_is_cut_between_characters() -> None:
    for most in range(12):
        assert "a界🤖b".startswith(cut("a界🤖b", most))
        assert len(cut("a界🤖b", most).encode()) <= most
