"""`intact runs`: what has been recorded."""

import json
from pathlib import Path

import typer
from rich.table import Table

from intact.cli.terminal import clip, clock, console, duration, quote
from intact.store.runs import DataDirectory, Run

HEADINGS = ("run", "started", "took", "exit", "command")


def run(
    data: Path | None = typer.Option(None, "--data", metavar="DIR", help="Data directory."),
    as_json: bool = typer.Option(False, "--json", help="Print a JSON list."),
) -> None:
    """List recorded runs, newest first.

    Example: intact runs --json | jq '.[0].id'
    """
    found = DataDirectory.locate(data).runs()[::-1]
    if as_json:
        typer.echo(json.dumps([_as_json(r) for r in found], indent=2))
        return
    if not found:
        typer.echo("no runs yet; record one: sudo -E intact record -- CMD")
        return
    table = Table(box=None, pad_edge=False, header_style="dim")
    for heading in HEADINGS:
        table.add_column(heading, no_wrap=True)
    rows = []
    for one in found:
        took = duration(one.ended_ns - one.started_ns) if one.ended_ns else "going" if one.is_going else "cut off"
        code = "" if one.exit_code is None else str(one.exit_code)
        rows.append((one.id, clock(one.started_ns, date=True), took, code, quote(one.command)))
    out = console()
    # On a narrow terminal it is the command that is cut.
    taken = sum(2 + max(len(cell) for cell in column) for column in list(zip(HEADINGS, *rows, strict=True))[:-1])
    room = max(out.width - taken, 10) if out.is_terminal else 80
    for *cells, command in rows:
        table.add_row(*cells, clip(command, room))
    out.print(table)


def _as_json(one: Run) -> dict[str, object]:
    return {
        "id": one.id,
        "name": one.name,
        "command": list(one.command),
        "started_ns": one.started_ns,
        "ended_ns": one.ended_ns,
        "exit_code": one.exit_code,
        "host": one.host.name,
        "boot_id": one.host.boot_id,
        "root_process_id": str(one.root_process_id),
        "kernel": one.host.kernel,
        "intact_version": one.intact_version,
        "problem": one.problem,
    }
