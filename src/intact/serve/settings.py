"""The `serve` section of `intact.yaml`."""

import ipaddress
from enum import StrEnum
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from intact.model.errors import UsageError

MAX_FILE_BYTES = 1 << 20
LOOPBACK_NAMES = {"localhost", "127.0.0.1", "[::1]"}


class Auth(StrEnum):
    TOKENS = "tokens"
    DEV = "dev"


class Settings(BaseModel):
    """How serve is started."""

    model_config = ConfigDict(extra="forbid")

    host: str = Field("127.0.0.1", max_length=253)
    port: int = Field(8740, ge=0, le=65535)
    auth: Auth = Auth.TOKENS


def read_settings(config: Path | None, given: dict[str, Any]) -> Settings:
    """The settings of a file; what was `given` (and is not None) goes before.

    Raises:
        UsageError: the file cannot be read, or a key or value is wrong; names it and what is allowed.
    """
    section = {} if config is None else _section(config)
    try:
        settings = Settings.model_validate({**section, **_set(given)})
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(part) for part in ("serve", *first["loc"]))
        allowed = ", ".join(Settings.model_fields)
        hint = f"; keys: {allowed}" if first["type"] == "extra_forbidden" else ""
        raise UsageError(f"{config or 'options'}: {key} = {str(first['input'])[:60]!r}: {first['msg']}{hint}") from None
    if settings.auth is Auth.DEV and not is_loopback(settings.host):
        raise UsageError(
            f"--auth dev lets everybody in and is for loopback only, not {settings.host}; use --auth tokens"
        )
    return settings


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach the address."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def is_loopback_name(header: str) -> bool:
    """Whether a `Host` header means this machine by a name that no one else can give it."""
    name, _, port = header.rpartition(":")
    if not port.isdigit():
        name = header
    return name in LOOPBACK_NAMES


def _set(given: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in given.items() if value is not None}


def _section(config: Path) -> dict[str, Any]:
    try:
        with config.open("rb") as file:
            body = yaml.safe_load(file.read(MAX_FILE_BYTES))
    except OSError as error:
        raise UsageError(f"cannot read {config}: {error.strerror}") from None
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        raise UsageError(f"{config} is no YAML: {' '.join(str(error).split())[:200]}") from None
    section = {} if body is None else body.get("serve") or {} if isinstance(body, dict) else body
    if not isinstance(section, dict):
        raise UsageError(f"{config}: serve holds no keys; allowed: {', '.join(Settings.model_fields)}")
    return {str(key): value for key, value in section.items()}
