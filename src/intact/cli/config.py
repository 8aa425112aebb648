"""`intact config`: every key in words, what it may be, and the value in force with where it comes from."""

import json
from enum import StrEnum
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import typer

from intact.cli.terminal import safe
from intact.model.config import Config, config_file, load_config, origins
from intact.model.config_keys import Key, config_keys

_WEBHOOK = "outputs.webhook.url"
_ITEMS = "[]"


class Language(StrEnum):
    EN = "en"
    ZH = "zh"


def run(
    config: Path | None = typer.Option(
        None, "--config", metavar="FILE", help="The config; else /etc/intact/intact.yaml."
    ),
    lang: Language = typer.Option(Language.EN, "--lang", help="Language of names and descriptions."),
    as_json: bool = typer.Option(False, "--json", help="Print a JSON list, in both languages."),
) -> None:
    """List every key of the config: what it means, what it may be, the value in force and where it comes from.

    Example: INTACT_LOG_LEVEL=error intact config --lang zh
    """
    settings = load_config(config)
    rows = _rows(settings, config)
    if as_json:
        typer.echo(json.dumps(rows, indent=1, ensure_ascii=False))
        return
    for row in rows:
        known = "" if row["source"] is None else f"{_shown(row['value'])} ({row['source']}); "
        taken = "on reload" if row["is_reloaded"] else "at restart"
        default = "required" if row["default"] is None else f"default {_shown(row['default'])}"
        allowed = f", {row['allowed']}" if row["allowed"] else ""
        typer.echo(safe(f"{row['key']}  {row[f'name_{lang}']}"))
        typer.echo(safe(f"    {known}{row['type']}{allowed}; {default}; taken over {taken}"))
        typer.echo(safe(f"    {row[f'description_{lang}']}"))
    typer.echo(f"file: {safe(str(config_file(config) or 'none'))}")


def _rows(settings: Config, path: Path | None) -> list[dict[str, Any]]:
    keys = config_keys()
    values = settings.model_dump(mode="json")
    told = origins([key.path for key in keys if _ITEMS not in key.path], path)
    return [
        {
            "key": key.path,
            "name_en": key.label.en,
            "name_zh": key.label.zh,
            "description_en": key.label.description_en,
            "description_zh": key.label.description_zh,
            "type": key.type,
            "allowed": key.allowed,
            "default": key.default,
            "value": _value(values, key),
            "source": told.get(key.path),  # of a key of a list's entries none: it is the list's
            "is_reloaded": key.is_reloaded,
        }
        for key in keys
    ]


def _value(values: Any, key: Key) -> Any:
    if _ITEMS in key.path:
        return None
    for part in key.path.split("."):
        values = values[part]
    return _without_secret(values) if key.path == _WEBHOOK else values


def _without_secret(url: str) -> str:
    """The address of a webhook is often its password; what is printed here gets pasted elsewhere."""
    if not url:
        return url
    parts = urlsplit(url)
    place = f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}"
    return place if url.rstrip("/") == place else f"{place}/…"


def _shown(value: Any) -> str:
    return value if isinstance(value, str) and value else json.dumps(value, ensure_ascii=False)
