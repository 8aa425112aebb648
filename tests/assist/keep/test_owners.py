"""Whatever is asked in whatever order, each owner meets only what is theirs: compared with a dict in memory."""

import asyncio
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

import pytest

from intact.assist.asking import Message
from intact.assist.keep.keep import DAY_NS, Feedback, Keep, Rating, ResponseRow, Session, State
from tests.assist.keep.places import NOW, Place

OWNERS = ("ann", "bob", "Ann", "ann:1", "*")


@dataclass
class Kept:
    """A session in the model."""

    owner: str
    title: str = ""
    used_ns: int = 0
    messages: list[Message] = field(default_factory=list)
    answers: dict[str, dict[str, Any]] = field(default_factory=dict)


class Model:
    """What should be kept, and random requests that are compared with what is."""

    def __init__(self, keep: Keep, place: Place, seed: int) -> None:
        self.keep, self.clock, self.random = keep, place.clock, random.Random(seed)
        self.sessions: dict[str, Kept] = {}
        self.gone: list[str] = ["nothing"]
        self.number = 0

    def own(self, owner: str, session_id: str) -> Kept | None:
        kept = self.sessions.get(session_id)
        return kept if kept is not None and kept.owner == owner else None

    def forget_old(self) -> None:
        for session_id, kept in list(self.sessions.items()):
            if kept.used_ns <= self.clock() - 30 * DAY_NS:
                self.gone.append(session_id)
                del self.sessions[session_id]

    def any_session(self) -> str:
        return self.random.choice([*self.sessions, self.random.choice(self.gone)])

    def any_answer(self) -> str:
        return self.random.choice([*(each for kept in self.sessions.values() for each in kept.answers), "nothing"])

    def answer(self, owner: str, response_id: str) -> tuple[Kept, dict[str, Any]] | tuple[None, None]:
        for kept in self.sessions.values():
            if kept.owner == owner and response_id in kept.answers:
                return kept, kept.answers[response_id]
        return None, None

    async def step(self) -> None:
        self.clock.now_ns += self.random.choice((1_000, 10**9, 10**9, DAY_NS // 3))
        self.forget_old()
        acts: list[Callable[[str], Awaitable[None]]] = [
            self.new, self.say, self.say, self.read, self.read, self.rename, self.delete, self.open, self.close, self.log,
            self.rate, self.look,
        ]  # fmt: skip
        await self.random.choice(acts)(self.random.choice(OWNERS))

    async def new(self, owner: str) -> None:
        wanted = self.random.choice((None, self.any_session()))
        found = await self.keep.new_session(owner, wanted, at_ns=self.clock())
        if wanted in self.sessions:
            kept = self.sessions[wanted]
            assert (found is None) == (kept.owner != owner)
            return
        assert found is not None
        self.sessions[found.id] = Kept(owner, used_ns=self.clock())

    async def say(self, owner: str) -> None:
        session_id = self.any_session()
        self.number += 1
        message = Message(role="user", content=f"{self.number}", at_ns=self.clock(), response_id="r")
        kept = self.own(owner, session_id)
        assert await self.keep.add_message(owner, session_id, message) == (kept is not None)
        if kept is not None:
            kept.messages.append(message)
            kept.used_ns = self.clock()

    async def read(self, owner: str) -> None:
        session_id = self.any_session()
        kept = self.own(owner, session_id)
        limit = self.random.choice((1, 3, 20))
        page = await self.keep.messages(owner, session_id, limit=limit)
        assert list(page.messages) == (kept.messages[-limit:] if kept else [])
        assert (page.before is not None) == (kept is not None and len(kept.messages) > limit)

    async def rename(self, owner: str) -> None:
        session_id, title = self.any_session(), f"t{self.random.random()}"
        kept = self.own(owner, session_id)
        assert await self.keep.rename(owner, session_id, title) == (kept is not None)
        if kept is not None:
            kept.title = title

    async def delete(self, owner: str) -> None:
        session_id = self.any_session()
        kept = self.own(owner, session_id)
        assert await self.keep.delete(owner, session_id) == (kept is not None)
        if kept is not None:
            del self.sessions[session_id]
            self.gone.append(session_id)

    async def open(self, owner: str) -> None:
        session_id, response_id = self.any_session(), self.random.choice((f"rsp_{self.number}", self.any_answer()))
        self.number += 1
        kept = self.own(owner, session_id)
        is_taken = any(response_id in each.answers for each in self.sessions.values())
        row = ResponseRow(
            id=response_id,
            session_id=session_id,
            owner=owner,
            question={},
            asker={"tenant_id": 1},
            started_ns=self.clock(),
        )
        is_open = await self.keep.open_response(row)
        if kept is None or is_taken:
            assert not is_open
        elif is_open:  # else the id is one of an expired session, which is not swept yet
            kept.answers[response_id] = {"state": "running", "events": [], "feedback": None, "ended_ns": None}
            kept.used_ns = self.clock()

    async def close(self, owner: str) -> None:
        response_id = self.any_answer()
        kept, answer = self.answer(owner, response_id)
        if answer is None or kept is None:
            assert await self.keep.response(owner, response_id) is None
            return
        is_closed = await self.keep.close_response(
            response_id, State.DONE, ended_ns=self.clock(), text=response_id, done={}
        )
        assert is_closed == (answer["state"] == "running")
        if is_closed:
            answer |= {"state": "done", "ended_ns": self.clock()}
            kept.used_ns = self.clock()

    async def log(self, owner: str) -> None:
        response_id = self.any_answer()
        _, answer = self.answer(owner, response_id)
        if answer is None:
            return
        texts = [str(self.random.random()) for _ in range(self.random.randrange(1, 4))]
        is_old = answer["ended_ns"] is not None and answer["ended_ns"] <= self.clock() - DAY_NS
        if not is_old:
            assert await self.keep.log(response_id, len(answer["events"]), texts)
            answer["events"] += texts
        assert [text for _, text in await self.keep.logged(response_id)] == ([] if is_old else answer["events"])

    async def rate(self, owner: str) -> None:
        response_id = self.any_answer()
        kept, answer = self.answer(owner, response_id)
        rating = self.random.choice((Rating.UP, Rating.DOWN, None))
        comment = self.random.choice((None, "", "because"))
        said = await self.keep.rate(owner, response_id, rating, comment=comment, at_ns=self.clock())
        assert (said is not None) == (answer is not None)
        if answer is not None and said is not None:
            before: Feedback | None = answer["feedback"]
            assert said.rating == rating
            assert said.comment == ((before.comment if before else "") if comment is None else comment)
            answer["feedback"] = said
            assert kept is not None

    async def look(self, owner: str) -> None:
        shown = await self.keep.sessions(owner, limit=1000)
        expected = sorted(
            (
                (kept.used_ns - kept.used_ns % 1000, session_id)
                for session_id, kept in self.sessions.items()
                if kept.owner == owner
            ),
            reverse=True,
        )
        assert [(each.updated_ns, each.id) for each in shown] == expected
        for each in shown:
            await self.compare(each)
        if self.random.random() < 0.2:
            await self.keep.expire()
            self.gone = ["nothing"]

    async def compare(self, session: Session) -> None:
        kept = self.sessions[session.id]
        assert (session.owner, session.title) == (kept.owner, kept.title)
        said = {key: each["feedback"] for key, each in kept.answers.items() if each["feedback"] is not None}
        assert await self.keep.feedback(session.owner, session.id) == said
        for response_id, answer in kept.answers.items():
            row = await self.keep.response(session.owner, response_id)
            assert row is not None
            assert (row.state, row.session_id) == (answer["state"], session.id)


@pytest.mark.parametrize("seed", range(12))
def test_owners_never_meet(place: Place, seed: int) -> None:
    async def work(keep: Keep) -> None:
        model = Model(keep, place, seed)
        for _ in range(400):
            await model.step()
        for owner in OWNERS:
            await model.look(owner)

    place.run(work)


def test_owners_who_ask_at_once_never_meet(place: Place) -> None:
    async def user(keep: Keep, owner: str) -> None:
        session = await keep.new_session(owner, at_ns=NOW)
        assert session is not None
        for i in range(15):
            text = f"{owner} {i}"
            assert await keep.add_message(
                owner, session.id, Message(role="user", content=text, at_ns=NOW + i, response_id="r")
            )
            row = ResponseRow(
                id=f"rsp-{owner}-{i}",
                session_id=session.id,
                owner=owner,
                question={"text": text},
                asker={},
                started_ns=NOW,
            )
            assert await keep.open_response(row)
            assert await keep.log(row.id, 0, [text])
            reading = await asyncio.to_thread(keep.readings.put, owner, {"text": text})
            assert await asyncio.to_thread(keep.readings.get, owner, reading) == {"text": text}
            assert await keep.logged(row.id) == [(0, text)]
            assert await keep.rate(owner, row.id, Rating.UP, comment=text, at_ns=NOW) is not None
        said = await keep.feedback(owner, session.id)
        assert {each.comment for each in said.values()} == {f"{owner} {i}" for i in range(15)}
        shown = (await keep.messages(owner, session.id)).messages
        assert [each.content for each in shown] == [f"{owner} {i}" for i in range(15)]
        assert [each.id for each in await keep.sessions(owner, limit=9)] == [session.id]

    async def work(keep: Keep) -> None:
        await asyncio.gather(*(user(keep, f"user{i}") for i in range(20)))

    place.run(work)
