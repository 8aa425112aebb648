"""`intact sources`: the data sources and how long each is kept."""

import json
from enum import StrEnum
from pathlib import Path

import typer
from rich.table import Table

from intact.cli.reading import opened_store
from intact.cli.terminal import console
from intact.store.retention import retention
from intact.store.runs import DataDirectory
from intact.store.sources import NORMAL
from intact.store.tables import DATABASE


class Language(StrEnum):
    EN = "en"
    ZH = "zh"


def run(
    lang: Language = typer.Option(Language.EN, "--lang", help="Language of the names."),
    as_json: bool = typer.Option(False, "--json", help="Print JSON."),
    data: Path | None = typer.Option(None, "--data", metavar="DIR", help="Data directory."),
) -> None:
    """List the data sources: every store has these.

    Example: intact sources --lang zh
    """
    directory = DataDirectory.locate(data)
    directory.become_owner()
    with opened_store(directory) as database:
        kept = retention(database)
    rows = [
        {
            "id": each.source.id,
            "name": each.source.name_zh if lang is Language.ZH else each.source.name_en,
            "table": f"{DATABASE}.{each.source.table}",
            "interval_s": each.source.interval_s,
            "retention_hours": each.hours,
            "default": True,
            "state": "normal" if each.state == NORMAL else "exception",
        }
        for each in kept
    ]
    if as_json:
        typer.echo(json.dumps(rows, indent=1, ensure_ascii=False))
        return
    table = Table(box=None, pad_edge=False, header_style="dim")
    for name in ("id", "name", "table", "kept", "state"):
        table.add_column(name, no_wrap=True)
    for row in rows:
        hours = f"{row['retention_hours']} h" if row["retention_hours"] else "for ever"
        table.add_row(str(row["id"]), str(row["name"]), str(row["table"]), hours, str(row["state"]))
    console().print(table)
