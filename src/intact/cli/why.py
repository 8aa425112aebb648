"""`intact why`: every effect on a file, a host or a process, and the words that caused each."""

import json
from pathlib import Path
from typing import Any

import typer
from rich.text import Text
from rich.tree import Tree

from intact.cli.reading import opened
from intact.cli.terminal import clip, clock, console, plural, quote, safe, size
from intact.cli.tree import CALL, DIM, PROCESS, TOOL, VERBS, argument_words, error_name
from intact.query.why import why

MOST = 50


def run(
    target: str = typer.Argument(..., metavar="PATH|HOST|PID", help="A file, an address, host name or host:port, or a process."),
    wanted: str | None = typer.Argument(None, metavar="[RUN]", help="Id, name, or the beginning of one; default: the latest."),
    data: Path | None = typer.Option(None, "--data", metavar="DIR", help="Data directory."),
    as_json: bool = typer.Option(False, "--json", help="Print a JSON list."),
) -> None:
    """Which words made this what it is: every effect on it, newest first, each with its cause.

    Example: intact why src/app.py
    """
    with opened(data, wanted) as (database, chosen):
        assert chosen is not None
        found = why(database, target, chosen.id)
    if as_json:
        typer.echo(json.dumps(found, ensure_ascii=True))
        return
    if not found:
        typer.echo(f"nothing in run {chosen.id} touched {safe(target)}")
        raise typer.Exit(1)
    out = console()
    width = max(60, out.width if out.is_terminal else 160)
    root = Tree(Text(safe(target), style="bold").append(f"  in run {chosen.id}", style=DIM), guide_style=DIM)
    for one in found[:MOST]:
        root.add(_effect(one, width)).add(_cause(one, width))
    if len(found) > MOST:
        root.add(Text(f"and {plural(len(found) - MOST, 'older effect')}; see them with --json", style=DIM))
    out.print(root)
