"""`intact config`: every key in words, what it may be, and the value in force with where it comes from."""

import json
import os
from enum import StrEnum
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import typer

from intact.assist.setting_labels import LABELS as ASSIST_LABELS
from intact.assist.settings import AssistSettings, read_assist_settings
from intact.cli.terminal import safe
from intact.model.config import config_file, load_config, origins
from intact.model.config_keys import Key, config_keys, section_keys
from intact.serve.settings import LABELS as SERVE_LABELS
from intact.serve.settings import Settings, read_settings

_WEBHOOK = "outputs.webhook.url"
_OTHERS = "assist.mcp"  # its entries hold addresses, headers and variables, which may be secrets
_PARTS = ("[]", "{}")
_SERVE_VARIABLES = {"serve.host": "INTACT_SERVE_HOST", "serve.port": "INTACT_SERVE_PORT"}


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
    rows = _rows(config)
    if as_json:
        typer.echo(json.dumps(rows, indent=1, ensure_ascii=False))
        return
    for row in rows:
        known = "" if row["source"] is None else f"{_shown(row['value'])} ({row['source']}); "
        taken = "on reload" if row["is_reloaded"] else "at restart"
        default = "required" if row["is_required"] else f"default {_shown(row['default'])}"
        allowed = f", {row['allowed']}" if row["allowed"] else ""
        typer.echo(safe(f"{row['key']}  {row[f'name_{lang}']}"))
        typer.echo(safe(f"    {known}{row['type']}{allowed}; {default}; taken over {taken}"))
        typer.echo(safe(f"    {row[f'description_{lang}']}"))
    typer.echo(f"file: {safe(str(config_file(config) or 'none'))}")


def _rows(path: Path | None) -> list[dict[str, Any]]:
    keys = (
        *config_keys(),
        *section_keys(Settings, SERVE_LABELS, "serve."),
        *section_keys(AssistSettings, ASSIST_LABELS, "assist."),
    )
    variables = {key: os.environ[name] for key, name in _SERVE_VARIABLES.items() if os.environ.get(name)}
    given = {key.removeprefix("serve."): value for key, value in variables.items()}
    values = {
        **load_config(path).model_dump(mode="json"),
        "serve": read_settings(path, given).model_dump(mode="json"),
        "assist": read_assist_settings(path).model_dump(mode="json"),
    }
    told = {**origins([key.path for key in keys if not _is_part(key)], path), **dict.fromkeys(variables, "environment")}
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
            "source": told.get(key.path),  # of a key of an entry none: it is that of the list or mapping
            "is_required": key.is_required,
            "is_reloaded": key.is_reloaded,
        }
        for key in keys
    ]


def _is_part(key: Key) -> bool:
    return any(sign in key.path for sign in _PARTS)


def _value(values: Any, key: Key) -> Any:
    if _is_part(key):
        return None
    for part in key.path.split("."):
        values = None if values is None else values[part]
    if key.path == _OTHERS:
        return sorted(values)
    if key.path == _WEBHOOK:
        return _without_secret(values)
    return _without_user(values) if isinstance(values, str) and "://" in values else values


def _without_user(url: str) -> str:
    parts = urlsplit(url)
    return parts._replace(netloc=parts.netloc.rpartition("@")[2], query="", fragment="").geturl()


def _without_secret(url: str) -> str:
    """The address of a webhook is often its password; what is printed here gets pasted elsewhere."""
    if not url:
        return url
    parts = urlsplit(url)
    place = f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}"
    return place if url.rstrip("/") == place else f"{place}/…"


def _shown(value: Any) -> str:
    if value is None:
        return "none"
    return value if isinstance(value, str) and value else json.dumps(value, ensure_ascii=False)
