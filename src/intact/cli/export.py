"""`intact export`: hands a run on in a form other tools read."""

import json
import sys
from collections.abc import Iterator
from contextlib import nullcontext
from enum import StrEnum
from pathlib import Path
from typing import Any

import typer

from intact.cli.reading import opened
from intact.model.errors import IntactError
from intact.query.run import show_run

# The order in which the parts of `show --json` are written; a reader can stop after what it needs.
PARTS = ("processes", "agents", "turns", "calls", "tool_calls", "mcp_calls", "effects", "links", "findings")


class Format(StrEnum):
    JSONL = "jsonl"


def run(
    wanted: str = typer.Argument(..., metavar="RUN", help="Id, name, or the beginning of one."),
    form: Format = typer.Option(..., "--format", help="jsonl: one JSON object a line, its type in `type`."),
    out: Path | None = typer.Option(None, "--out", metavar="PATH", help="A file; default: standard output."),
    data: Path | None = typer.Option(None, "--data", metavar="DIR", help="Data directory."),
) -> None:
    """Hand a run on, secrets removed.

    Example: intact export latest --format jsonl --out run.jsonl
    """
    assert form is Format.JSONL
    with opened(data, wanted) as (database, chosen):
        assert chosen is not None
        shown = show_run(database, chosen.id)
    try:
        with out.open("x") if out else nullcontext(sys.stdout) as file:
            file.writelines(json.dumps(line, ensure_ascii=True) + "\n" for line in _lines(shown))
    except FileExistsError:
        raise IntactError(f"{out} exists already; it is not overwritten") from None
    except BrokenPipeError:
        raise  # the reader of our output went away: `main` ends quietly
    except OSError as error:
        raise IntactError(f"cannot write {out or 'standard output'}: {error.strerror}") from error


def _lines(shown: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield {"type": "run", **shown["run"]}
    for part in PARTS:
        for row in shown[part]:
            yield {"type": part.removesuffix("es") if part == "processes" else part.removesuffix("s"), **row}
    yield {"type": "ledger", **shown["ledger"]}
