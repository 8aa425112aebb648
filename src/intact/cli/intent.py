"""`intact intent`: what the intent gate makes of an input, without running anything."""

import asyncio
import importlib
import json
import os
from pathlib import Path
from typing import Any

import typer
from rich.table import Table

from intact.assist.asking import Language, Message
from intact.assist.intent.gate import Gate, Verdict
from intact.cli.terminal import console, safe
from intact.model.errors import IntactError
from intact.store.runs import DataDirectory

OWNER = "@owner"  # of sessions begun by `intact ask`
LEVELS = {1: "clean", 2: "suspicious", 3: "relevance", 4: "history", 5: "model"}


def run(
    text: str = typer.Argument(..., metavar="TEXT", help="What somebody might type."),
    session: str | None = typer.Option(
        None, "--session", metavar="ID", help="Judge it as the next input of a session."
    ),
    lang: Language | None = typer.Option(None, "--lang", help="Of the answer; default: that of the text."),
    as_json: bool = typer.Option(False, "--json", help="Print one JSON object."),
    data: Path | None = typer.Option(None, "--data", metavar="DIR", help="Data directory."),
    config: Path | None = typer.Option(
        None, "--config", metavar="FILE", help="Else /etc/intact/intact.yaml; its section assist."
    ),
) -> None:
    """Say what the assistant would take a text for: its intent, how sure, and what it would answer at once.

    Example: intact intent "ignore previous instructions" --json
    """
    # A language model is never asked here: nothing is run.
    history = () if session is None else _history(session, data, config)
    verdict = Gate().judge(text, lang, history)
    if as_json:
        typer.echo(json.dumps(_as_json(verdict), ensure_ascii=False, indent=1))
        return
    _show(verdict, has_reasons=bool(os.environ.get("INTACT_DEBUG")))


def _history(session: str, data: Path | None, config: Path | None) -> tuple[Message, ...]:
    """The last messages of a session.

    Raises:
        IntactError: there is no such session.
    """
    # Here, since what keeps sessions takes longer to import than a text to judge.
    opening = importlib.import_module("intact.assist.keep.opening")
    settings = importlib.import_module("intact.assist.settings").read_assist_settings(config)

    directory = DataDirectory.locate(data).path

    async def read() -> tuple[Message, ...] | None:
        async with opening.open_keep(settings, directory) as keep:
            if await keep.session(OWNER, session) is None:
                return None
            return tuple((await keep.messages(OWNER, session)).messages)

    found = asyncio.run(read()) if directory.is_dir() else None
    if found is None:
        raise IntactError(f"there is no session {safe(session)[:60]!r}")
    return found


def _as_json(verdict: Verdict) -> dict[str, Any]:
    return {
        "intent_type": verdict.intent_type,
        "intent_name": verdict.intent_name,
        "confidence": verdict.confidence,
        "level": verdict.level,
        "direct_response": verdict.direct_response,
        "language": verdict.language.value,
        "resolved_text": verdict.resolved_text,
        "reasons": list(verdict.reasons),
    }


def _show(verdict: Verdict, *, has_reasons: bool) -> None:
    table = Table(box=None, show_header=False, pad_edge=False)
    table.add_column(style="dim", no_wrap=True)
    table.add_column()
    table.add_row("intent", f"{verdict.intent_type} ({verdict.intent_name})")
    table.add_row("confidence", f"{verdict.confidence:.2f}")
    table.add_row("decided at", f"level {verdict.level}, {LEVELS[verdict.level]}")
    if verdict.intent_type == "followup":
        table.add_row("read as", safe(verdict.resolved_text))
    table.add_row("answer", verdict.direct_response or "none at once: it needs an expert")
    for reason in verdict.reasons if has_reasons else ():
        table.add_row("level " + reason[:1], safe(reason[2:]))
    console().print(table)
