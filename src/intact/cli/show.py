"""`intact show`: one run as a tree, as JSON, or line by line while it goes on."""

import json
import shutil
from pathlib import Path

import typer

from intact.cli.follow import Follower
from intact.cli.reading import opened
from intact.cli.terminal import console
from intact.cli.tree import RunTree
from intact.pipeline import back
from intact.query.run import show_run
from intact.store.runs import DataDirectory
from intact.store.segments import read_segments


def run(
    wanted: str | None = typer.Argument(
        None, metavar="[RUN]", help="Id, name, or the beginning of one; default: the latest."
    ),
    data: Path | None = typer.Option(None, "--data", metavar="DIR", help="Data directory."),
    as_json: bool = typer.Option(False, "--json", help="Print one JSON object; with --follow one object a line."),
    following: bool = typer.Option(False, "--follow", "-f", help="Print what happens while the run goes on."),
    full: bool = typer.Option(False, "--full", help="List every effect, files that were only looked at too."),
) -> None:
    """Show what a run did and why: turn, call, tool call, effects; what is unexplained; what was missed.

    Example: intact show claude --json | jq '.tool_calls[].name'
    """
    if following:
        follow(data, wanted, as_json)
        return
    with opened(data, wanted) as (database, chosen):
        assert chosen is not None
        shown = show_run(database, chosen.id)
    if as_json:
        typer.echo(json.dumps(shown, ensure_ascii=True))
        return
    out = console()
    out.print(RunTree(shown, full=full, width=out.width if out.is_terminal else 160).build())
    if chosen.is_going:
        typer.echo(f"the run goes on; follow it with: intact show {chosen.id} --follow")


def follow(data: Path | None, wanted: str | None, as_json: bool) -> None:
    """Print until the run ends; a run that has ended is printed from its beginning."""
    directory = DataDirectory.locate(data)
    chosen = directory.run(wanted)
    slices = read_segments(
        chosen.segments, follow=lambda: directory.run(chosen.id).ended_ns is None and chosen.is_going
    )
    Follower(as_json=as_json).follow(back(slices, chosen.host))
    if shutil.which("intact") and not as_json:
        typer.echo(f"the run has ended; see it whole with: intact show {chosen.id}")
