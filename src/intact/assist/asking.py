"""Who asks and what is asked: handed from part to part with every request, kept on nothing that requests share."""

from dataclasses import dataclass
from enum import StrEnum

from intact.query.row_limits import Reader, Role


class Language(StrEnum):
    EN = "en"
    ZH = "zh"


@dataclass(frozen=True, slots=True, kw_only=True)
class Asker:
    """Who asks, and what that person may see."""

    name: str  # unique; owns sessions and feedback
    tenant_id: int = 1
    role: Role = Role.ADMIN
    run_ids: tuple[str, ...] = ()  # of a member: the runs that may be seen
    hosts: tuple[str, ...] | None = None  # that may be looked at; None: all of the tenant for who may see all runs

    def reader(self, language: Language = Language.EN) -> Reader:
        """The same as the query layer knows it."""
        return Reader(
            role=self.role, tenant_id=self.tenant_id, run_ids=self.run_ids, hosts=self.hosts, language=language.value
        )

    def may_see_host(self, host: str) -> bool:
        """Whether a host may be looked at: its processes hold the words of everybody's agents in their arguments."""
        if self.hosts is None:
            return self.role in (Role.OWNER, Role.ADMIN)
        return host in self.hosts


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """One message of a session."""

    role: str  # `user` or `assistant`
    content: str
    at_ns: int
    response_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """One question of a session, with all that an answer depends on beside the data."""

    id: str  # of the response; opaque
    session_id: str
    text: str
    language: Language
    asked_ns: int  # "now" of every default time range, so that a second run gives the same rows
    direct_agent: str | None = None  # the id of an expert: route mode
    history: tuple[Message, ...] = ()  # oldest first, without this question
