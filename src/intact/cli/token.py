"""`intact token`: who may ask a running `intact serve`."""

import time
from enum import StrEnum
from pathlib import Path

import typer

from intact.cli.terminal import plural
from intact.model.errors import UsageError
from intact.serve.auth import ADMIN, AUDITOR, MEMBER, READER, Tokens, User
from intact.serve.cookies import COOKIE_HOURS, SignedCookies
from intact.store.runs import DEFAULT_TENANT, DataDirectory


class Doing(StrEnum):
    ADD = "add"
    REMOVE = "remove"
    LIST = "list"
    COOKIE = "cookie"


class UserRole(StrEnum):
    ADMIN = ADMIN
    READER = READER
    MEMBER = MEMBER
    AUDITOR = AUDITOR


def run(  # noqa: PLR0913  # one for each option
    doing: Doing = typer.Argument(..., metavar="add|remove|list|cookie", help="What to do."),
    name: str | None = typer.Argument(None, metavar="NAME", help="Whose token."),
    data: Path | None = typer.Option(None, "--data", metavar="DIR", help="Data directory."),
    admin: bool = typer.Option(False, "--admin", help="With add: it may change policies; as --role admin."),
    role: UserRole = typer.Option(
        UserRole.READER, "--role",
        help="With add: reader sees all of a tenant; member the runs of --run; auditor what was done, not what was said.",
    ),
    tenant: int = typer.Option(
        DEFAULT_TENANT, "--tenant", min=0, max=(1 << 32) - 1, help="With add: whose runs it shows."
    ),
    host: list[str] = typer.Option([], "--host", metavar="H", help="With add: only these hosts' measurements; again for more."),
    run_id: list[str] = typer.Option([], "--run", metavar="R", help="With add --role member: a run it shows; again for more."),
    hours: float = typer.Option(COOKIE_HOURS, "--hours", min=0.01, max=24 * 30, help="With cookie: until it expires."),
) -> None:  # fmt: skip
    """Make tokens for `intact serve`, take them back, list whose there are. A token is shown once, when it is made.

    `cookie` prints a signed value for the cookie `sessionid` or `JSESSIONID`, for a single sign-on that sets it.

    Example: TOKEN=$(intact token add me)
    """
    directory = DataDirectory.locate(data)
    directory.become_owner()
    directory.make()
    tokens = Tokens(directory.path)
    if doing is Doing.LIST:
        for user in tokens.users():
            typer.echo(_line(user))
        return
    if name is None:
        raise UsageError(f"no name given; write: intact token {doing} NAME")
    user = User(
        name=name, tenant_id=tenant, role=ADMIN if admin else role.value, run_ids=tuple(run_id), hosts=tuple(host) or None
    )  # fmt: skip
    if doing is Doing.ADD:
        typer.echo(tokens.add(name, role=user.role, tenant_id=tenant, run_ids=user.run_ids, hosts=user.hosts))
        typer.echo("intact: this is the only time it is shown", err=True)
    elif doing is Doing.COOKIE:
        typer.echo(SignedCookies.load(directory.path).sign(user, time.time() + hours * 3600))
    else:
        tokens.remove(name)


def _line(user: User) -> str:
    more = [plural(len(user.run_ids), "run")] if user.run_ids else []
    more += [f"hosts {' '.join(user.hosts)}"] if user.hosts is not None else []
    return "  ".join([user.name, user.role, f"tenant {user.tenant_id}", *more])
