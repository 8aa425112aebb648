"""What is kept between requests, as its users know it; where it is kept is said in `opening`.

Whoever is not the owner of a session or an answer meets the same as if it were not there: None, False or nothing.
"""

import json
import re
import secrets
import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Protocol

from intact.assist.asking import Message
from intact.assist.tool import Readings
from intact.model.errors import IntactError

MAX_MESSAGE_BYTES = 64 << 10
MAX_ANSWER_BYTES = 256 << 10
MAX_READING_BYTES = 1 << 20
MAX_EVENT_BYTES = 4 << 20
MAX_COMMENT = 2_000  # characters
MAX_TITLE = 100  # characters; what is made here is far shorter
MAX_MESSAGES = 2_000  # of a session; the oldest go
MAX_RESPONSES = 2_000  # of a session; the oldest go, with their events and feedback
MAX_SESSIONS = 5_000  # of an owner; the longest unused go
MAX_READINGS = 2_000  # of an asker; the oldest go
MAX_READINGS_BYTES = 64 << 20  # of an asker, all together
MAX_EVENTS = 20_000  # of an answer
MAX_STATISTICS = 100_000  # ratings that one statistic looks at
MAX_GROUPS = 1_000  # groups of a statistic
HISTORY = 20

HOUR_NS = 3_600 * 10**9
DAY_NS = 24 * HOUR_NS
EVENTS_KEPT_NS = DAY_NS
READINGS_KEPT_NS = 30 * DAY_NS

_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,127}")


class KeepUnavailable(IntactError):
    """What is kept cannot be reached now; whoever can do without goes on without."""


class State(StrEnum):
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"


class Rating(StrEnum):
    UP = "up"
    DOWN = "down"


class GroupBy(StrEnum):
    """What ratings are counted by; `hour` and `day` are those of UTC."""

    SESSION = "session"
    HOUR = "hour"
    DAY = "day"
    EXPERT = "expert"
    MODEL = "model"


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """One conversation.

    Args:
        title: empty until there is one.
        updated_ns: of the last question or answer; whole microseconds.
        expert: who answered last; None: nobody yet.
    """

    id: str
    owner: str
    title: str
    created_ns: int
    updated_ns: int
    expert: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class MessagePage:
    """Some messages of a session, oldest first; `before` gets those that came before them, None: there are none."""

    messages: tuple[Message, ...]
    before: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ResponseRow:
    """An answer, from its start on.

    Args:
        question, asker: enough to work on it again after a restart; `asker` has `tenant_id`.
        text: the verified answer; empty until `save_answer` or `close_response`.
        done: the fields of `events.Done`.
        place: which program works on it, `serve` or `ask`: only that one may take it up again.
    """

    id: str
    session_id: str
    owner: str
    question: dict[str, Any]
    asker: dict[str, Any]
    started_ns: int
    state: State = State.RUNNING
    ended_ns: int | None = None
    text: str = ""
    done: dict[str, Any] | None = None
    place: str = "serve"


@dataclass(frozen=True, slots=True, kw_only=True)
class Feedback:
    """What the owner of an answer thinks of it; a cleared rating is None."""

    response_id: str
    session_id: str
    rating: Rating | None
    comment: str
    at_ns: int


@dataclass(frozen=True, slots=True, kw_only=True)
class FeedbackQuery:
    """Which ratings are counted, and by what; `owner` None: those of the whole tenant."""

    tenant_id: int
    owner: str | None
    from_ns: int
    to_ns: int
    by: GroupBy


@dataclass(frozen=True, slots=True, kw_only=True)
class FeedbackCount:
    """The ratings of one group; `key` is the session, hour (`2026-11-20T12`), day, expert or model, empty: none."""

    key: str
    up: int = 0
    down: int = 0
    cleared: int = 0
    comments: int = 0


@dataclass(slots=True)
class Tally:
    """What was kept and what a bound took, since the start of this process."""

    counted: dict[str, int] = field(default_factory=dict)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def count(self, what: str, number: int = 1) -> None:
        if number:
            with self.lock:
                self.counted[what] = self.counted.get(what, 0) + number


class Keep(Protocol):
    """Everything that is kept. Any method raises KeepUnavailable when the place cannot be reached."""

    @property
    def readings(self) -> Readings:
        """Those of tools, which run in threads: nothing of it is awaited. A body too long is an IntactError."""

    async def new_session(self, owner: str, session_id: str | None = None, *, at_ns: int) -> Session | None:
        """A new session; with an id, the one of that id if the owner has it already.

        None: the id given cannot be one, or is another's.
        """

    async def session(self, owner: str, session_id: str) -> Session | None:
        """A session of this owner."""

    async def sessions(self, owner: str, *, limit: int, before: tuple[int, str] | None = None) -> list[Session]:
        """The last used first; `before` is (updated_ns, id) of the last one of the page before."""

    async def rename(self, owner: str, session_id: str, title: str) -> bool:
        """Give it a title; this is no use of it and moves it nowhere."""

    async def delete(self, owner: str, session_id: str) -> bool:
        """Forget it with its messages, answers, events and feedback."""

    async def add_message(self, owner: str, session_id: str, message: Message) -> bool:
        """Add to the end; a text too long is cut."""

    async def messages(
        self, owner: str, session_id: str, *, limit: int = HISTORY, before: int | None = None
    ) -> MessagePage:
        """The last ones."""

    async def open_response(self, row: ResponseRow) -> bool:
        """Begin an answer. False: the session is not the owner's, or the id is taken."""

    async def save_answer(self, response_id: str, text: str) -> bool:
        """Keep the verified text, before the first of it is told."""

    async def close_response(
        self, response_id: str, state: State, *, ended_ns: int, text: str, done: dict[str, Any] | None
    ) -> bool:
        """End an answer; what it ended as is changed no more. False: it is not there, or has ended."""

    async def response(self, owner: str, response_id: str) -> ResponseRow | None:
        """An answer of this owner."""

    async def unfinished(self, place: str = "serve") -> list[ResponseRow]:
        """Answers, of whomever, that a program of this name began and did not end; the oldest first."""

    async def log(self, response_id: str, first_seq: int, texts: Sequence[str]) -> bool:
        """Keep events, numbered on from the first; one that is kept already stays. False: there is no such answer."""

    async def logged(self, response_id: str, after_seq: int = -1) -> list[tuple[int, str]]:
        """The events after a number. Ask `response` first whether the asker may see them."""

    async def rate(
        self, owner: str, response_id: str, rating: Rating | None, *, comment: str | None = None, at_ns: int
    ) -> Feedback | None:
        """Rate an answer, or clear the rating. The comment stays as it is if None is given; an empty one removes it."""

    async def feedback(self, owner: str, session_id: str) -> dict[str, Feedback]:
        """What was said of the answers of a session, by the id of the answer."""

    async def feedback_stats(self, query: FeedbackQuery) -> list[FeedbackCount]:
        """Ratings by group, ordered by key; at most MAX_GROUPS, the last of them."""

    async def use_once(self, used_id: str, expires_ns: int) -> bool:
        """True the first time only, whichever process asks; False also for one that has expired."""

    async def expire(self) -> int:
        """Remove what is old, a bounded number at once; how many. Also done by itself, now and then."""

    def counts(self) -> dict[str, int]:
        """For /metrics: `sessions` as they are, all else since the start of this process."""


def new_id(kind: str) -> str:
    """An opaque id, 160 random bits; `kind` is for people who read logs."""
    return f"{kind}_{secrets.token_hex(20)}"


def is_id(text: str) -> bool:
    """Whether something could be an id of ours, or of a client that names its own sessions."""
    return _ID.fullmatch(text) is not None


def clean_id(text: str) -> str:
    """The id, or, for what cannot be one, an id that nothing has."""
    return text if is_id(text) else ""


def cut(text: str, most_bytes: int) -> str:
    """At most so many bytes of UTF-8, never half a character; what no encoding can hold becomes `?`."""
    raw = text.encode("utf-8", "replace")
    return raw.decode("utf-8") if len(raw) <= most_bytes else raw[:most_bytes].decode("utf-8", "ignore")


def as_text(body: dict[str, Any]) -> str:
    """A body as JSON in ASCII."""
    return json.dumps(body, ensure_ascii=True, separators=(",", ":"))
