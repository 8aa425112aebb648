"""`intact retention`: how long each table is kept."""

import json
from pathlib import Path
from typing import Any

import typer
from rich.table import Table

from intact.cli.reading import opened_store
from intact.cli.terminal import console
from intact.store.retention import Kept, retention, set_retention
from intact.store.runs import DataDirectory
from intact.store.sources import NORMAL


def run(
    table: str | None = typer.Argument(None, help="One table; none: all of them."),
    hours: int | None = typer.Argument(None, help="Keep it so long, and the tables linked with it; 0: for ever."),
    only: bool = typer.Option(False, "--only", help="Change this table alone, not those linked with it."),
    as_json: bool = typer.Option(False, "--json", help="Print JSON."),
    data: Path | None = typer.Option(None, "--data", metavar="DIR", help="Data directory."),
) -> None:
    """Show or change how long the sensor's rows are kept. What was recorded or replayed on purpose stays.

    Example: intact retention file_agg_event 720
    """
    directory = DataDirectory.locate(data)
    directory.become_owner()
    with opened_store(directory) as database:
        kept = retention(database)
        if table is not None and (hours is not None or table not in {each.source.table for each in kept}):
            kept = set_retention(database, table, -1 if hours is None else hours, only=only)
        elif table is not None:
            kept = [each for each in kept if each.source.table == table]
    if as_json:
        typer.echo(json.dumps([_row(each) for each in kept], indent=1))
    else:
        _print(kept)


def _row(kept: Kept) -> dict[str, Any]:
    return {
        "table": kept.source.table,
        "hours": kept.hours,
        "effective_hours": kept.effective_hours,
        "state": "normal" if kept.state == NORMAL else "exception",
        "linked": list(kept.linked),
    }


def _print(kept: list[Kept]) -> None:
    table = Table(box=None, pad_edge=False, header_style="dim")
    for name in ("table", "kept", "in effect", "linked with"):
        table.add_column(name, no_wrap=True)
    for each in kept:
        others = ", ".join(name for name in each.linked if name != each.source.table)
        effect = _hours(each.effective_hours) + ("" if each.state == NORMAL else " (last change failed)")
        table.add_row(each.source.table, _hours(each.hours), effect, others)
    console().print(table)


def _hours(hours: int) -> str:
    return f"{hours} h" if hours else "for ever"
