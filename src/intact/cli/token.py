"""`intact token`: who may ask a running `intact serve`."""

from enum import StrEnum
from pathlib import Path

import typer

from intact.model.errors import UsageError
from intact.serve.auth import ADMIN, READER, Tokens
from intact.store.runs import DEFAULT_TENANT, DataDirectory


class Doing(StrEnum):
    ADD = "add"
    REMOVE = "remove"
    LIST = "list"


def run(
    doing: Doing = typer.Argument(..., metavar="add|remove|list", help="What to do."),
    name: str | None = typer.Argument(None, metavar="NAME", help="Whose token."),
    data: Path | None = typer.Option(None, "--data", metavar="DIR", help="Data directory."),
    admin: bool = typer.Option(False, "--admin", help="With add: it may change policies."),
    tenant: int = typer.Option(
        DEFAULT_TENANT, "--tenant", min=0, max=(1 << 32) - 1, help="With add: whose runs it shows."
    ),
) -> None:
    """Make tokens for `intact serve`, take them back, list whose there are. A token is shown once, when it is made.

    Example: TOKEN=$(intact token add me)
    """
    directory = DataDirectory.locate(data)
    directory.become_owner()
    directory.make()
    tokens = Tokens(directory.path)
    if doing is Doing.LIST:
        for user in tokens.users():
            typer.echo(f"{user.name}  {user.role}  tenant {user.tenant_id}")
    elif name is None:
        raise UsageError(f"no name given; write: intact token {doing} NAME")
    elif doing is Doing.ADD:
        typer.echo(tokens.add(name, role=ADMIN if admin else READER, tenant_id=tenant))
        typer.echo("intact: this is the only time it is shown", err=True)
    else:
        tokens.remove(name)
