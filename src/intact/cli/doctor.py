"""`intact doctor`: what this machine and kernel can do for Intact, found out by trying, each with the reason and the remedy."""

import importlib.util
import json
import os
from pathlib import Path

import typer
from rich.table import Table
from rich.text import Text

from intact.cli.terminal import console, plural, safe
from intact.collect.features import Answer, Feature, probe_features
from intact.store.runs import DataDirectory

RECORD = "record"
READ = "show, why, query, export"
LATER = "a better hook where there is one"

_WORDS = {Answer.YES: "yes", Answer.NO: "no", Answer.UNKNOWN: "unknown"}
_STYLES = {Answer.YES: "green", Answer.NO: "red", Answer.UNKNOWN: "yellow"}


def run(
    data: Path | None = typer.Option(None, "--data", metavar="DIR", help="Data directory to look at."),
    as_json: bool = typer.Option(False, "--json", help="Print a JSON list."),
) -> None:
    """Say what this machine and kernel can do: yes, no, or could not tell, with the reason and the remedy.

    Nothing is left attached or changed. Example: sudo -E intact doctor
    """
    found = [(feature, RECORD if feature.needed else LATER) for feature in probe_features()]
    found.append((_store(), READ))
    found.append((_data_directory(DataDirectory.locate(data)), f"{RECORD}, replay, {READ}"))
    if as_json:
        typer.echo(json.dumps([_as_json(feature, use) for feature, use in found], indent=2))
        return
    table = Table(box=None, pad_edge=False, header_style="dim")
    table.add_column("feature", no_wrap=True)
    table.add_column("answer", no_wrap=True)
    table.add_column("needed for")
    table.add_column("reason, and what to do", overflow="fold")
    for feature, use in found:
        answer = Text(feature.answer.value, style=_style(feature, use))
        remedy = f"; {feature.remedy}" if feature.remedy and feature.answer is not Answer.YES else ""
        table.add_row(safe(feature.name), answer, use if use != LATER else "–", safe(feature.reason + remedy))
    console().print(table)
    console().print(verdict(found))


def verdict(found: list[tuple[Feature, str]]) -> str:
    """What the answers come to, in one line."""
    missing = [feature.name for feature, use in found if use != LATER and feature.answer is Answer.NO]
    unsure = [feature.name for feature, use in found if use != LATER and feature.answer is Answer.UNKNOWN]
    if missing:
        return f"not everything works here: {', '.join(missing)}"
    if unsure:
        return f"could not tell about {plural(len(unsure), 'feature')}: {', '.join(unsure)}"
    return "everything that intact needs is here"


def _style(feature: Feature, use: str) -> str:
    # What is only nice to have is no alarm.
    return "dim" if use == LATER and feature.answer is Answer.NO else _STYLES[feature.answer]


def _store() -> Feature:
    # Looked for and not imported: it is a library of 300 MB.
    if importlib.util.find_spec("chdb") is None:
        remedy = "pip install 'intact[store]'; recording and replay work without it"
        return Feature(name="store", answer=Answer.NO, reason="chDB is not installed", remedy=remedy)
    return Feature(name="store", answer=Answer.YES, reason="chDB is installed")


def _data_directory(directory: DataDirectory) -> Feature:
    name = "data directory"
    there = next(path for path in (directory.path, *directory.path.parents) if path.exists())
    if not there.is_dir():
        reason = f"{there} is no directory"
        return Feature(name=name, answer=Answer.NO, reason=reason, remedy="choose another with --data or INTACT_DATA")
    if not os.access(there, os.W_OK | os.X_OK):
        reason = f"{there} is not writable for us"
        return Feature(name=name, answer=Answer.NO, reason=reason, remedy="choose another with --data or INTACT_DATA")
    room = os.statvfs(there)
    free = room.f_bavail * room.f_frsize >> 20
    made = "is there" if there == directory.path else "can be made"
    return Feature(name=name, answer=Answer.YES, reason=f"{directory.path} {made}, {free:,} MiB free")


def _as_json(feature: Feature, use: str) -> dict[str, str]:
    return {
        "feature": feature.name,
        "answer": _WORDS[feature.answer],
        "reason": feature.reason,
        "remedy": feature.remedy,
        "needed_for": use,
    }
