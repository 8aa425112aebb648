"""What the routes of the assistant ask of a request and of the service."""

from typing import Protocol

from fastapi import Request

from intact.assist.asking import Asker
from intact.assist.keep.keep import Keep
from intact.query.row_limits import Role
from intact.serve.errors import ApiError
from intact.serve.service import Service, user_of


class Keeping(Protocol):
    """As much of the assistant as keeps sessions."""

    @property
    def keep(self) -> Keep:
        """Where they are kept."""


def assistant_of(service: Service) -> Keeping:
    """The assistant of a service.

    Raises:
        ApiError: this server has none.
    """
    assistant: Keeping | None = getattr(service, "assistant", None)
    if assistant is None:
        raise ApiError(501, "not_offered", "this server has no assistant", "start `intact serve`")
    return assistant


def asker_of(request: Request) -> Asker:
    """Who asks, as the assistant and its tools know it."""
    user = user_of(request)
    return Asker(name=user.name, tenant_id=user.tenant_id, role=Role.ADMIN)
