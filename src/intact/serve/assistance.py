"""What the routes of the assistant ask of a request and of the service."""

from collections.abc import Iterable
from typing import Any, Protocol

from fastapi import Request
from starlette.types import ASGIApp

from intact.assist.asking import Asker, Language
from intact.assist.identity import Signer
from intact.assist.keep.keep import Keep
from intact.assist.responses import Responses
from intact.serve.auth import DEFAULT_TENANT, ROLES, User
from intact.serve.errors import ApiError
from intact.serve.service import Service, user_of


class ToolServers(Protocol):
    """The servers of this process; `assist.servers.apps.ServerApps` is it."""

    @property
    def names(self) -> tuple[str, ...]:
        """What they are called."""

    def asgi(self, name: str) -> ASGIApp:
        """One of them, at `/mcp`."""


class Assisting(Protocol):
    """As much of the assistant as the routes ask; the whole of it takes a second to load."""

    @property
    def keep(self) -> Keep:
        """Where sessions are kept."""

    @property
    def responses(self) -> Responses:
        """What answers."""

    @property
    def servers(self) -> ToolServers:
        """Its tools, as servers."""

    @property
    def signer(self) -> Signer:
        """Signs who asks them."""

    @property
    def expert_ids(self) -> tuple[str, ...]:
        """Those that may be asked directly."""

    def experts(self, asker: Asker, language: Language) -> list[dict[str, Any]]:
        """The same, described."""

    async def tools(self, asker: Asker, language: Language) -> list[dict[str, Any]]:
        """The tools that the asker may use."""


def assistant_of(service: Service) -> Assisting:
    """The assistant of a service.

    Raises:
        ApiError: this server has none.
    """
    assistant: Assisting | None = getattr(service, "assistant", None)
    if assistant is None:
        raise ApiError(501, "not_offered", "this server has no assistant", "start `intact serve`")
    return assistant


def asker_of(request: Request) -> Asker:
    """Who asks, as the assistant and its tools know it.

    Users of two tenants may have one name: that of another than the first begins with the number of its tenant, so that
    what is kept for a name is for one person.
    """
    return asker_for(user_of(request))


def has_rights_still(asker: Asker, users: Iterable[User]) -> bool:
    """Whether an asker of before is one of these users with the same rights; who is none of them came by a cookie."""
    known = [each for each in map(asker_for, users) if each.name == asker.name]
    return not known or asker in known


def asker_for(user: User) -> Asker:
    """The same for a user."""
    name = user.name if user.tenant_id == DEFAULT_TENANT else f"{user.tenant_id}/{user.name}"
    return Asker(name=name, tenant_id=user.tenant_id, role=ROLES[user.role], run_ids=user.run_ids, hosts=user.hosts)
