"""The `serve` section of `intact.yaml`."""

import ipaddress
from enum import StrEnum
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from intact.model.config import config_file, read_section
from intact.model.config_keys import Label
from intact.model.errors import UsageError

LOOPBACK_NAMES = {"localhost", "127.0.0.1", "[::1]"}
LABELS = {
    "serve.host": Label(*("Serve Host", "监听地址"), *("Address to listen on", "serve 监听的地址")),
    "serve.port": Label(
        *("Serve Port", "监听端口"),
        *("Port to listen on; 0: any free one, which is printed", "serve 监听的端口; 0 为任一空闲端口, 启动时打印"),
    ),
    "serve.auth": Label(
        *("Serve Auth", "认证方式"),
        *("dev: every program of this machine is let in, on loopback only", "dev: 本机任何程序无需令牌, 仅限环回地址"),
    ),
}


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
    """The section `serve` of this file, else of that in the usual place; what was `given` (and is not None) goes before.

    Raises:
        UsageError: the file cannot be read, or a key or value is wrong; names it and what is allowed.
    """
    try:
        settings = Settings.model_validate({**read_section(config, "serve", Settings.model_fields), **_set(given)})
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(part) for part in ("serve", *first["loc"]))
        allowed = ", ".join(Settings.model_fields)
        hint = f"; keys: {allowed}" if first["type"] == "extra_forbidden" else ""
        raise UsageError(
            f"{config_file(config) or 'options'}: {key} = {str(first['input'])[:60]!r}: {first['msg']}{hint}"
        ) from None
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
