"""`intact query`: read-only SQL over what was recorded."""

import sys
from enum import StrEnum
from pathlib import Path

import pyarrow as pa
import typer
from rich.table import Table

from intact.cli.reading import opened
from intact.cli.terminal import clip, console
from intact.query.row_limits import Reader
from intact.query.sql import MAX_ROWS, Answer, as_csv, as_json, run_sql, run_sql_arrow

CELL_WIDTH = 120


class Language(StrEnum):
    EN = "en"
    ZH = "zh"


class Format(StrEnum):
    TABLE = "table"
    JSON = "json"
    CSV = "csv"
    ARROW = "arrow"


def run(
    sql: str = typer.Argument(..., help='One SELECT, "SHOW TABLES", "SHOW TAGS FROM table" or "DESCRIBE table".'),
    data: Path | None = typer.Option(None, "--data", metavar="DIR", help="Data directory."),
    output: Format = typer.Option(Format.TABLE, "--format", help="How rows are printed; arrow is an IPC stream."),
    limit: int = typer.Option(MAX_ROWS, "--limit", min=1, max=MAX_ROWS, help="At most so many rows."),
    lang: Language = typer.Option(Language.EN, "--lang", help="Language of the labels that Enum(tag) gives."),
) -> None:
    """Ask the store in SQL (ClickHouse's); nothing can be written, and only Intact's tables can be read.

    Example: intact query "SELECT name, count() FROM tool_call GROUP BY name"
    """
    reader = Reader(language=lang.value)
    with opened(data, all_runs=True) as (database, _):
        if output is Format.ARROW:
            table = run_sql_arrow(database, sql, limit=limit, reader=reader)
            with pa.ipc.new_stream(sys.stdout.buffer, table.schema) as stream:
                stream.write_table(table)
            return
        answer = run_sql(database, sql, limit=limit, reader=reader)
    if output is Format.JSON:
        typer.echo(as_json(answer))
    elif output is Format.CSV:
        typer.echo(as_csv(answer), nl=False)
    else:
        _print(answer)
    if answer.truncated:
        typer.echo(f"intact: only the first {limit:,} rows; narrow the query or raise --limit", err=True)


def _print(answer: Answer) -> None:
    table = Table(box=None, pad_edge=False, header_style="dim")
    for name in answer.names:
        table.add_column(clip(name, CELL_WIDTH), no_wrap=True)
    for row in answer.rows:
        table.add_row(*("" if value is None else clip(str(value), CELL_WIDTH) for value in row))
    console().print(table)
