"""`intact doctor`: what this machine and kernel can do for Intact, found out by trying, each with the reason and the remedy."""

import importlib.util
import json
import os
from pathlib import Path
from urllib.parse import urlsplit

import typer
from rich.table import Table
from rich.text import Text

from intact.assist.settings import AssistSettings, ModelSettings, read_assist_settings
from intact.cli.terminal import console, plural, safe
from intact.collect.asking_features import asking_features
from intact.collect.features import Answer, Feature, probe_features
from intact.store.runs import DataDirectory

RECORD = "record"
READ = "show, why, query, export"
LATER = "a better hook where there is one"
ASK = "ask"
BETTER = "answers that say more"
NOTHING_NEEDED = (LATER, BETTER)
REDIS_S = 1.0

_WORDS = {Answer.YES: "yes", Answer.NO: "no", Answer.UNKNOWN: "unknown"}
_STYLES = {Answer.YES: "green", Answer.NO: "red", Answer.UNKNOWN: "yellow"}


def run(
    data: Path | None = typer.Option(None, "--data", metavar="DIR", help="Data directory to look at."),
    config: Path | None = typer.Option(
        None, "--config", metavar="FILE", help="The config; else /etc/intact/intact.yaml."
    ),
    as_json: bool = typer.Option(False, "--json", help="Print a JSON list."),
) -> None:
    """Say what this machine and kernel can do: yes, no, or could not tell, with the reason and the remedy.

    Nothing is left attached or changed, and no model is asked. Example: sudo -E intact doctor
    """
    found = [(feature, RECORD if feature.needed else LATER) for feature in probe_features()]
    found.append((_store(), READ))
    found.append((_data_directory(DataDirectory.locate(data)), f"{RECORD}, replay, {READ}"))
    settings = read_assist_settings(config)
    found.append((_sessions(settings), ASK))
    found += [(feature, BETTER) for feature in (_model(settings), *asking_features())]
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
        table.add_row(
            safe(feature.name), answer, use if use not in NOTHING_NEEDED else "–", safe(feature.reason + remedy)
        )
    console().print(table)
    console().print(verdict(found))


def verdict(found: list[tuple[Feature, str]]) -> str:
    """What the answers come to, in one line."""
    missing = [feature.name for feature, use in found if use not in NOTHING_NEEDED and feature.answer is Answer.NO]
    unsure = [feature.name for feature, use in found if use not in NOTHING_NEEDED and feature.answer is Answer.UNKNOWN]
    if missing:
        return f"not everything works here: {', '.join(missing)}"
    if unsure:
        return f"could not tell about {plural(len(unsure), 'feature')}: {', '.join(unsure)}"
    return "everything that intact needs is here"


def _style(feature: Feature, use: str) -> str:
    # What is only nice to have is no alarm.
    return "dim" if use in NOTHING_NEEDED and feature.answer is Answer.NO else _STYLES[feature.answer]


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


def _sessions(settings: AssistSettings) -> Feature:
    name = "sessions"
    if settings.sessions == "sqlite":
        return Feature(name=name, answer=Answer.YES, reason="kept in a file of the data directory")
    if importlib.util.find_spec("redis") is None:
        remedy = "pip install 'intact[all]', or keep sessions in sqlite"
        return Feature(name=name, answer=Answer.NO, reason="the client of Redis is not installed", remedy=remedy)
    from redis import Redis, RedisError  # here, since it is needed only where the config names one

    parts = urlsplit(settings.sessions)
    place = f"{parts.hostname}:{parts.port or 6379}"  # without the password
    try:
        with Redis.from_url(settings.sessions, socket_timeout=REDIS_S, socket_connect_timeout=REDIS_S) as server:
            server.ping()
    except ValueError:
        remedy = "assist.sessions is `sqlite`, or a redis:// or rediss:// address"
        return Feature(name=name, answer=Answer.NO, reason="assist.sessions is no address", remedy=remedy)
    except RedisError as error:
        remedy = "start it, or correct assist.sessions; until then no answer is kept"
        return Feature(
            name=name, answer=Answer.NO, reason=f"{place} does not answer ({type(error).__name__})", remedy=remedy
        )
    return Feature(name=name, answer=Answer.YES, reason=f"{place} answers")


def _model(settings: AssistSettings) -> Feature:
    name = "language model"
    if settings.model is None:
        reason = "none is configured: experts answer by their own procedure"
        return Feature(name=name, answer=Answer.NO, reason=reason, remedy="name one in assist.model to explore further")
    absent = [
        model.api_key_env
        for model in (settings.model, settings.fallback, settings.small)
        if model is not None and model.api_key_env and not os.environ.get(model.api_key_env)
    ]
    if absent:
        reason = f"the variable {absent[0]} that holds its key is not set"
        return Feature(
            name=name, answer=Answer.NO, reason=reason, remedy=f"export {absent[0]} where ask or serve is started"
        )
    return Feature(name=name, answer=Answer.UNKNOWN, reason=f"{_told(settings.model)} is configured; it was not called")


def _told(model: ModelSettings) -> str:
    place = urlsplit(model.base_url).hostname if model.base_url else None
    return f"{model.name} of {model.provider}" + (f" at {place}" if place else "")


def _as_json(feature: Feature, use: str) -> dict[str, str]:
    return {
        "feature": feature.name,
        "answer": _WORDS[feature.answer],
        "reason": feature.reason,
        "remedy": feature.remedy,
        "needed_for": use,
    }
