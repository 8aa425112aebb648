"""One response as it is kept: as long as the place can be reached; when it cannot, the response is made all the same."""

import dataclasses
import logging
import time
from collections.abc import Coroutine
from typing import Any, TypeVar

from intact.assist.asking import Message, Question
from intact.assist.events import Done
from intact.assist.keep.keep import HISTORY, Keep, KeepUnavailable, ResponseRow, State

_LOG = logging.getLogger("intact.assist")

T = TypeVar("T")


class KeptResponse:
    """What is written of one response, and read of its session.

    Args:
        is_begun: whether the place knows of it.
    """

    def __init__(self, keep: Keep, row: ResponseRow, *, is_begun: bool) -> None:
        self.row = row
        self.is_kept = True
        """False once the place could not be reached: nothing is written from then on."""
        self._keep = keep
        self._is_begun = is_begun

    async def begin(self, first: list[str]) -> bool:
        """Write that it is being made, in a session of its own, with its first events. False: it was, or cannot be."""
        if self._is_begun:
            return False
        self._is_begun = True
        self.is_kept = await self._try(self._begin(first), False)
        return self.is_kept

    async def log(self, first_seq: int, texts: list[str]) -> None:
        """Write events; those of before `begin` are written by it."""
        if self._is_begun:
            await self._try(self._keep.log(self.row.id, first_seq, texts), False)

    async def history(self) -> tuple[Message, ...]:
        page = await self._try(self._keep.messages(self.row.owner, self.row.session_id, limit=HISTORY), None)
        return () if page is None else page.messages

    async def save(self, answer: str) -> None:
        """Write the text, before anybody is told a word of it: whoever goes on sends the same."""
        self.row = dataclasses.replace(self.row, text=answer)
        await self._try(self._keep.save_answer(self.row.id, answer), False)

    async def needs_title(self) -> bool:
        session = await self._try(self._keep.session(self.row.owner, self.row.session_id), None)
        return session is not None and not session.title

    async def rename(self, title: str) -> None:
        await self._try(self._keep.rename(self.row.owner, self.row.session_id, title), False)

    async def close(self, question: Question, done: Done) -> ResponseRow:
        """Write its end, and what was said into the session; the row as it is then."""
        state = {"cancelled": State.CANCELLED, "failed": State.FAILED}.get(done.verdict, State.DONE)
        self.row = dataclasses.replace(self.row, state=state, ended_ns=time.time_ns(), done=dataclasses.asdict(done))
        await self._try(self._close(question), None)
        return self.row

    async def _begin(self, first: list[str]) -> bool:
        row = self.row
        if await self._keep.new_session(row.owner, row.session_id, at_ns=row.started_ns) is None:
            return False
        await self._keep.open_response(row)  # it may be there, of a process that was killed before it wrote more
        return await self._keep.log(row.id, 1, first)

    async def _close(self, question: Question) -> None:
        row = self.row
        page = await self._keep.messages(row.owner, row.session_id, limit=4)
        # An earlier process may have been killed between these and the end.
        there = {message.role for message in page.messages if message.response_id == row.id}
        ended_ns = row.ended_ns or row.started_ns
        for role, content, at_ns in (("user", question.text, question.asked_ns), ("assistant", row.text, ended_ns)):
            if role not in there:
                message = Message(role=role, content=content, at_ns=at_ns, response_id=row.id)
                await self._keep.add_message(row.owner, row.session_id, message)
        await self._keep.close_response(row.id, row.state, ended_ns=ended_ns, text=row.text, done=row.done)

    async def _try(self, work: Coroutine[Any, Any, T], otherwise: T) -> T:
        if not self.is_kept:
            work.close()
            return otherwise
        try:
            return await work
        except KeepUnavailable as error:
            self.is_kept = False
            _LOG.warning("a response is not kept any more: %s", error)
            return otherwise
