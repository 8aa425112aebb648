"""What the API is made over, given by whoever starts it."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

from fastapi import Request

from intact.query.parts import tenant_of
from intact.query.readers import Readers
from intact.serve.auth import ADMIN, AUDITOR, DEFAULT_TENANT, MEMBER, User
from intact.serve.door import Identify
from intact.serve.errors import ApiError, not_found
from intact.serve.live import LiveFeed
from intact.serve.metrics import Readings


class Policies(Protocol):
    """What is asked for of enforcement, and what is in effect."""

    def read(self) -> dict[str, Any]:
        """All of it, as JSON has it."""

    def write(self, text: str, *, by: str) -> dict[str, Any]:
        """Ask for a policy. Raises IntactError if it is none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Service:
    """All that the routes ask."""

    readers: Readers
    live: LiveFeed
    identify: Identify
    readings: Callable[[], Readings]
    is_ready: Callable[[], bool]
    policies: Policies | None = None
    is_host_allowed: Callable[[str], bool] | None = None
    assistant: Any = None  # as `assistance.assistant_of` types it; the whole of it takes a second to load


def user_of(request: Request) -> User:
    """Who asks; the door let nobody else in."""
    user = request.scope["intact.user"]
    assert isinstance(user, User)
    return user


def must_be_admin(user: User) -> None:
    if user.role != ADMIN:
        raise ApiError(403, "forbidden", "this token may read only", "make one that may: intact token add NAME --admin")


def must_see_the_machine(user: User) -> None:
    """What is of this machine as a whole, not of runs, is the first tenant's, as its measurements are; and no member's."""
    if user.tenant_id != DEFAULT_TENANT or user.role == MEMBER:
        raise ApiError(403, "forbidden", "this is of the whole machine, which this token does not show", None)


def own_run(service: Service, user: User, run_id: str) -> str:
    """The id of a run the user may see; what is another's is as if it were not there."""
    if not user.may_see_run(run_id) or service.readers.ask(tenant_of, run_id) != user.tenant_id:
        raise not_found("run")
    return run_id


def must_hear_what_was_said(user: User) -> None:
    """An auditor sees what was done, not what was said."""
    if user.role == AUDITOR:
        raise ApiError(403, "forbidden", "an auditor sees what was done, not what was said", "take another part")
