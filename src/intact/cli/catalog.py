"""`intact catalog`: what can be asked, in words."""

import json
from enum import StrEnum

import typer
from rich.table import Table

from intact.cli.terminal import console
from intact.query.catalogue import Entry, as_rows, catalogue, entry, in_language


class Language(StrEnum):
    EN = "en"
    ZH = "zh"


def run(
    table: str | None = typer.Argument(None, help="One table; none: the list of tables."),
    lang: Language = typer.Option(Language.EN, "--lang", help="Language of names and descriptions."),
    as_json: bool = typer.Option(False, "--json", help="Print JSON."),
) -> None:
    """List tables, tags, metrics and enumerations, with their descriptions.

    Example: intact catalog file_agg_event --lang zh
    """
    found = [entry(table)] if table is not None else list(catalogue().values())
    if as_json:
        rows = [as_rows(each, lang.value) for each in found]
        typer.echo(json.dumps(rows[0] if table is not None else rows, indent=1, ensure_ascii=False))
    elif table is None:
        _print_tables(found, lang.value)
    else:
        _print_entry(found[0], lang.value)


def _print_tables(found: list[Entry], language: str) -> None:
    table = _table("table", "what", "tags", "metrics")
    for each in found:
        table.add_row(each.name, in_language(each.title, language), str(len(each.tags)), str(len(each.metrics)))
    console().print(table)


def _print_entry(found: Entry, language: str) -> None:
    table = _table("tag", "name", "type", "unit", "description")
    for tag in found.tags:
        text = in_language(tag.description, language)
        if tag.values:
            values = ", ".join(
                f"{value}={in_language(label, language)}" for value, label in list(tag.values.items())[:12]
            )
            text += f" [{values}]"
        table.add_row(tag.name, in_language(tag.title, language), tag.type, tag.unit, text)
    console().print(table)
    console().print()
    table = _table("metric", "name", "type", "unit")
    for metric in found.metrics:
        table.add_row(metric.name, in_language(metric.title, language), metric.type, metric.unit)
    console().print(table)


def _table(*names: str) -> Table:
    table = Table(box=None, pad_edge=False, header_style="dim")
    for name in names:
        table.add_column(name, no_wrap=name != "description")
    return table
