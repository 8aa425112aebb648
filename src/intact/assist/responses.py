"""The responses being made: started, listened to by any number, gone on with after a restart, cancelled.

A response is made by a task of this process and written in a log, event by event, each before it is sent: who listens
again hears what comes after the event heard last, wherever that was made.
"""

import asyncio
import dataclasses
import json
import logging
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any, Protocol

from intact.assist.asking import Asker, Language, Question
from intact.assist.begun import Begun
from intact.assist.events import Decided, Done, Event, Problem, Started, Title, Token
from intact.assist.keep.keep import MAX_ANSWER_BYTES, Keep, ResponseRow, cut, new_id
from intact.assist.kept import KeptResponse
from intact.assist.plain_events import Plain, as_text, plain
from intact.model.errors import IntactError
from intact.query.row_limits import Role

_LOG = logging.getLogger("intact.assist")

MOST_RUNNING = 200
MOST_EVENTS = 20_000  # of one response
MOST_OF_ONE = 20  # responses of one asker at once
# First packets go first: a response is worked on FIRST_S after it was asked for; where more than MANY ask, when for
# QUIET_S nobody else asked, at the latest after PATIENCE_S.
MANY = 4
FIRST_S, QUIET_S, PATIENCE_S = 0.01, 0.1, 0.5
PIECE = 80  # characters of the answer in one event


class Unknown(IntactError):
    """There is no such session or response, or it is another's: the same words for both."""


class Taken(IntactError):
    """The id that a client chose for a response is used."""


class TooMany(IntactError):
    """More is asked at once than can be answered."""


class Answering(Protocol):
    """What makes the events of a response (the executor)."""

    def run(self, question: Question, asker: Asker, recorded: tuple[Plain, ...] = ()) -> AsyncGenerator[Event, None]:
        """The events of one answer, without `Started`; the text of the answer as `Token`, the end as `Done`.

        Args:
            recorded: what an earlier process told of it, which is not told again.
        """


MakeTitle = Callable[[str, Language], Any]  # an awaitable text


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """A question as it came in."""

    text: str
    language: Language
    session_id: str | None = None  # None: a new one
    direct_agent: str | None = None
    response_id: str | None = None  # one the client chose; None: we choose
    may_make_session: bool = False  # whether a session_id that nobody has becomes a new session


class _Live:
    """A response that is being made in this process."""

    def __init__(self, kept: KeptResponse, asker: Asker, events: list[str] | None = None) -> None:
        self.kept = kept
        self.asker = asker
        self.events = events or []  # number n is at n - 1
        self.is_over = False
        self.is_ending = False  # nothing can be cancelled any more
        self.is_unkept_told = False
        self.task: asyncio.Task[None] | None = None
        self.news = asyncio.Event()  # of what comes next; take it before looking at what there is

    def tell(self, texts: list[str]) -> None:
        self.events += texts
        self.news.set()
        self.news = asyncio.Event()

    def end(self) -> None:
        self.is_over = True
        self.news.set()


@dataclass(frozen=True, slots=True, kw_only=True)
class Care:
    """What is seen to before anything is kept or done.

    Args:
        redact: gives a question without the secrets in it, which nothing and nobody here needs.
        is_still: whether somebody may see today what was to be seen when the question was asked; what an earlier
            process left is ended otherwise.
    """

    redact: Callable[[str], str] = str
    is_still: Callable[[Asker], bool] = bool


class Responses:
    """All responses of this process.

    Args:
        keep: where they are logged.
        answering: what answers.
        make_title: the first question of a session to its title.
        on_end: told of each response that ended, with its events.
        place: whose responses these are: `serve`, or `ask` for a command of its own.
        begun: remembers what was asked until `keep` does; None: a process that is killed just then loses it.
    """

    def __init__(  # noqa: PLR0913  # one for each part that it is made of
        self,
        keep: Keep,
        answering: Answering,
        *,
        make_title: MakeTitle | None = None,
        on_end: Callable[[ResponseRow, list[Plain]], None] | None = None,
        place: str = "serve",
        begun: Begun | None = None,
        care: Care | None = None,
    ) -> None:
        self._keep = keep
        self._answering = answering
        self._make_title = make_title
        self._on_end = on_end
        self._place = place
        self._begun = begun
        self._care = care or Care()
        self._live: dict[str, _Live] = {}
        self._asked_at = 0.0
        self._is_leaving = False

    @property
    def running(self) -> int:
        return len(self._live)

    def _running_of(self, asker: Asker) -> int:
        return sum(live.kept.row.owner == asker.name for live in self._live.values())

    async def start(self, asker: Asker, asked: Asked) -> str:
        """Begin a response; its first event can be listened to when this returns.

        Raises:
            Unknown: the session is not there, or not the asker's.
            TooMany: too many are being made.
        """
        if len(self._live) >= MOST_RUNNING or self._running_of(asker) >= MOST_OF_ONE:
            raise TooMany("too many questions are being answered; ask again in a moment")
        self._asked_at = time.monotonic()
        now_ns = time.time_ns()
        # Ids of ours need no look into the place where things are kept: it is written after the first packet.
        is_ours = asked.session_id is None and asked.response_id is None
        session_id = new_id("ses") if is_ours else await self._session(asker, asked, now_ns)
        question = Question(
            id=asked.response_id or new_id("r"), session_id=session_id, text=self._care.redact(asked.text),
            language=asked.language, asked_ns=now_ns, direct_agent=asked.direct_agent,
        )  # fmt: skip
        row = ResponseRow(
            id=question.id, session_id=session_id, owner=asker.name, question=_fields(question), asker=_fields(asker),
            started_ns=now_ns, place=self._place,
        )  # fmt: skip
        if not is_ours and not await self._keep.open_response(row):
            raise Taken("there is an answer of this id, or the session was deleted just now")
        live = _Live(KeptResponse(self._keep, row, is_begun=not is_ours), asker)
        self._live[question.id] = live
        started = as_text(plain(Started(session_id=session_id, response_id=question.id), _now_ms()))
        if is_ours and self._begun is not None:
            self._begun.note(row, started)
        await live.kept.log(1, [started])
        live.tell([started])
        live.task = asyncio.create_task(self._make(live, question, ()))
        return question.id

    async def listen(self, asker: Asker, response_id: str, after: int = 0) -> AsyncIterator[tuple[int, Plain]]:
        """The events after a number, and each that follows, until the last one.

        Raises:
            Unknown: there is no such response of this asker.
        """
        live = self._live.get(response_id)
        if live is None or live.kept.row.owner != asker.name:
            row = await self._keep.response(asker.name, response_id)
            if row is None:
                raise Unknown("there is no such response")
            for number, text in await self._keep.logged(response_id, after):
                yield number, _read(text)
            return
        place = max(after, 0)
        while True:
            news = live.news
            while place < len(live.events):
                place += 1
                yield place, _read(live.events[place - 1])
            if live.is_over:
                return
            await news.wait()

    async def cancel(self, asker: Asker, response_id: str) -> bool:
        """End a response; False: it had ended.

        Raises:
            Unknown: there is no such response of this asker.
        """
        live = self._live.get(response_id)
        if live is None or live.kept.row.owner != asker.name:
            if await self._keep.response(asker.name, response_id) is None:
                raise Unknown("there is no such response")
            return False
        if live.task is None or live.is_ending:
            return False
        live.is_ending = True
        live.task.cancel()
        return True

    async def go_on(self) -> int:
        """Go on with the responses that were being made when an earlier process ended; how many.

        Raises:
            KeepUnavailable: it cannot be known now which these are.
        """
        for row, first in () if self._begun is None else self._begun.left():
            if row.id not in self._live:
                await self._begin(_Live(KeptResponse(self._keep, row, is_begun=False), _asker(row.asker), [first]))
        rows = [row for row in await self._keep.unfinished(self._place) if row.id not in self._live]
        for row in rows:
            logged = [text for _, text in await self._keep.logged(row.id, 0)]
            live = _Live(KeptResponse(self._keep, row, is_begun=True), _asker(row.asker), logged)
            self._live[row.id] = live
            if not live.events:  # killed between the response and its first event
                await self._tell(live, [Started(session_id=row.session_id, response_id=row.id)])
            recorded = tuple(_read(text) for text in live.events)
            live.task = asyncio.create_task(self._make(live, _question(row.question), recorded))
        return len(rows)

    async def close(self) -> None:
        """Stop making responses; the next process goes on with them."""
        tasks = [live.task for live in self._live.values() if live.task is not None]
        self._is_leaving = True
        for task in tasks:
            task.cancel()
        lives = list(self._live.values())
        await asyncio.gather(*tasks, return_exceptions=True)
        for live in lives:
            await self._begin(live)

    async def _session(self, asker: Asker, asked: Asked, now_ns: int) -> str:
        if asked.session_id is None or asked.may_make_session:
            made = await self._keep.new_session(asker.name, asked.session_id, at_ns=now_ns)
        else:
            made = await self._keep.session(asker.name, asked.session_id)
        if made is None:
            raise Unknown("there is no such session")
        return made.id

    async def _begin(self, live: _Live) -> None:
        if await live.kept.begin(live.events) and self._begun is not None:
            self._begun.forget(live.kept.row.id)

    async def _make(self, live: _Live, question: Question, recorded: tuple[Plain, ...]) -> None:
        """Make one response to its end, whatever happens on the way."""
        try:
            try:
                if not recorded:
                    await self._let_first_packets_go()
                    await self._begin(live)
                is_ended = bool(recorded) and not self._care.is_still(live.asker)
                done = Done(verdict="cancelled") if is_ended else await self._answer(live, question, recorded)
            except asyncio.CancelledError:
                if self._is_leaving:  # the next process goes on
                    return
                done = Done(verdict="cancelled")
            live.is_ending = True
            await self._end(live, question, done)
        except Exception:
            _LOG.exception("a fault of ours while answering")
            problem = Problem(code="internal", message="a fault of intact's own; the log of serve says more")
            live.tell([as_text(plain(event, _now_ms())) for event in (problem, Done(verdict="failed"))])
        finally:
            live.end()
            self._live.pop(live.kept.row.id, None)

    async def _end(self, live: _Live, question: Question, done: Done) -> None:
        """Log the last event, close the response, and only then tell it: who hears it finds all of it in the session."""
        await self._begin(live)  # it may have been cancelled before it was
        last = [] if _is_ended(live) else [as_text(plain(done, _now_ms()))]
        await self._log(live, last)
        row = await live.kept.close(question, done)
        if self._begun is not None and not live.kept.is_kept:
            self._begun.forget(row.id)
        live.tell(last)
        if self._on_end is not None:
            self._on_end(row, [_read(text) for text in live.events])

    async def _answer(self, live: _Live, question: Question, recorded: tuple[Plain, ...]) -> Done:
        """Have it answered, and tell of it; what was saved of an earlier attempt is told, not made again."""
        decided = next((event for event in recorded if event["type"] == "verdict"), None)
        if decided is not None:
            if not _is_ended(live):
                await self._send(live, live.kept.row.text, recorded)
            return _done(decided)
        question = dataclasses.replace(question, history=await live.kept.history())
        text: list[str] = []
        done = Done(verdict="failed")
        try:
            async with aclosing(self._answering.run(question, live.asker, recorded)) as events:
                async for event in events:
                    if isinstance(event, Token):
                        text.append(event.message)
                    elif isinstance(event, Done):
                        done = event
                    elif len(live.events) < MOST_EVENTS:
                        await self._tell(live, [event])
        except IntactError as error:
            await self._tell(live, [Problem(code="failed", message=str(error))])
            done = Done(verdict="failed")
        except Exception as error:
            _LOG.exception("a fault of ours while answering")
            message = f"a fault of intact's own ({type(error).__name__}); the log of serve says more"
            await self._tell(live, [Problem(code="internal", message=message)])
            done = Done(verdict="failed")
        answer = cut("".join(text), MAX_ANSWER_BYTES)
        await live.kept.save(answer)
        await self._tell(live, [Decided(done=done)])
        await self._send(live, answer, recorded)
        return done

    async def _send(self, live: _Live, answer: str, recorded: tuple[Plain, ...]) -> None:
        """Tell the answer in pieces; those that were told before are not told again. What is left to tell is its end."""
        told = sum(len(event["message"]) for event in recorded if event["type"] == "token")
        pieces = [answer[at : at + PIECE] for at in range(told, len(answer), PIECE)]
        # A session has a title by the end of its first answer, made beside it.
        title = asyncio.create_task(self._title(live, recorded))
        try:
            for piece in pieces:
                await self._tell(live, [Token(message=piece)])
                await asyncio.sleep(0)
            found = await title
        finally:
            title.cancel()
        if found is not None:
            await self._tell(live, [found])

    async def _title(self, live: _Live, recorded: tuple[Plain, ...]) -> Title | None:
        if self._make_title is None or any(event["type"] == "title" for event in recorded):
            return None
        if not await live.kept.needs_title():
            return None
        question = _question(live.kept.row.question)
        title: str = await self._make_title(question.text, question.language)
        await live.kept.rename(title)
        return Title(message=title)

    async def _tell(self, live: _Live, events: list[Event]) -> None:
        """Log events, then let listeners hear them."""
        texts = [as_text(plain(event, _now_ms())) for event in events]
        await self._log(live, texts)
        live.tell(texts)

    async def _log(self, live: _Live, texts: list[str]) -> None:
        """Log what is told next; that it cannot be kept is told once, before it."""
        await live.kept.log(len(live.events) + 1, texts)
        if not live.kept.is_kept and not live.is_unkept_told:
            live.is_unkept_told = True
            problem = Problem(code="unkept", message="this answer cannot be kept: it is told once, and in no history")
            live.tell([as_text(plain(problem, _now_ms()))])

    async def _let_first_packets_go(self) -> None:
        deadline = time.monotonic() + PATIENCE_S
        await asyncio.sleep(FIRST_S)
        while len(self._live) > MANY and (now := time.monotonic()) < deadline and now - self._asked_at < QUIET_S:
            await asyncio.sleep(QUIET_S)


def _now_ms() -> int:
    return time.time_ns() // 1_000_000


def _is_ended(live: _Live) -> bool:
    return any(_read(text)["type"] == "done" for text in live.events[-1:])


def _read(text: str) -> Plain:
    body: Plain = json.loads(text)
    return body


def _done(event: Plain) -> Done:
    return Done(**{field.name: event[field.name] for field in dataclasses.fields(Done)})


def _fields(of: Question | Asker) -> dict[str, Any]:
    """As JSON takes them; they hold nothing that would have to be copied."""
    return {name: getattr(of, name) for name in of.__slots__}


def _question(body: dict[str, Any]) -> Question:
    return Question(**{**body, "language": Language(body["language"]), "history": ()})


def _asker(body: dict[str, Any]) -> Asker:
    hosts = body["hosts"]
    return Asker(
        **{
            **body,
            "role": Role(body["role"]),
            "run_ids": tuple(body["run_ids"]),
            "hosts": None if hosts is None else tuple(hosts),
        }
    )
