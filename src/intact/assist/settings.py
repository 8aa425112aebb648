"""The `assist` section of `intact.yaml`."""

import os
from enum import StrEnum
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError

from intact.model.config import config_file, read_section
from intact.model.errors import UsageError


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Provider(StrEnum):
    OPENAI = "openai"  # any endpoint that speaks chat completions: Qwen, DeepSeek, vLLM, Ollama, OpenAI
    ANTHROPIC = "anthropic"


class ModelSettings(_Section):
    """A model that may be asked."""

    provider: Provider = Provider.OPENAI
    name: str = Field(min_length=1, max_length=200)
    base_url: str | None = Field(None, max_length=500)
    api_key_env: str | None = Field(None, max_length=100, description="The variable that holds the key.")
    timeout_s: float = Field(60.0, gt=0, le=600)
    max_output_tokens: int = Field(2_000, ge=16, le=100_000)

    def key(self) -> SecretStr:
        return SecretStr(os.environ.get(self.api_key_env or "", "") or "none")


class McpSettings(_Section):
    """An MCP server of somebody else: `url`, or `command` for one that speaks over standard input and output."""

    url: str | None = Field(None, max_length=500)
    command: list[str] = Field([], max_length=50)
    environment: dict[str, str] = {}
    headers: dict[str, str] = {}
    tools: list[str] = Field([], max_length=200, description="Only these are offered; empty: none.")
    send_identity: bool = Field(False, description="Whether the signed identity of the asker is sent along.")


class Bounds(_Section):
    """What one question may cost."""

    tool_calls: int = Field(16, ge=1, le=200)
    model_calls: int = Field(10, ge=1, le=100)
    tokens: int = Field(100_000, ge=1_000, le=10_000_000)
    seconds: float = Field(120.0, ge=1, le=3_600)


class AuthCentre(_Section):
    """Who verifies the cookie `sessionid` or `JSESSIONID`: `module:function`, or the signed cookies that ship."""

    callback: str | None = Field(None, max_length=200)
    key_file: Path | None = Field(None, description="Of signed cookies; made in the data directory if not given.")


class AssistSettings(_Section):
    """How the assistant is started."""

    language: str | None = Field(None, pattern="^(en|zh)$", description="Of answers; default: of the question.")
    model: ModelSettings | None = None
    fallback: ModelSettings | None = None
    small: ModelSettings | None = Field(None, description="For titles and the last level of the intent gate.")
    sessions: str = Field("sqlite", max_length=500, description="`sqlite`, or a redis:// or rediss:// address.")
    session_days: int = Field(30, ge=1, le=3_650)
    feedback_db: int = Field(1, ge=0, le=15, description="Of Redis: feedback has a database of its own.")
    knowledge: list[Path] = Field([], max_length=50, description="Folders of Markdown, HTML and text.")
    mcp: dict[str, McpSettings] = {}
    bounds: Bounds = Field(default_factory=lambda: Bounds.model_validate({}))
    auth_centre: AuthCentre | None = None
    otlp_endpoint: str | None = Field(None, max_length=500)
    host_metrics_s: float = Field(10.0, ge=0, le=3_600, description="Between measurements of this host; 0: none.")


def read_assist_settings(config: Path | None) -> AssistSettings:
    """The section `assist` of this file, else of that in the usual place; without a file what holds by default.

    Raises:
        UsageError: the file cannot be read, or a key or value is wrong; names it and what is allowed.
    """
    try:
        return AssistSettings.model_validate(read_section(config, "assist", AssistSettings.model_fields))
    except ValidationError as error:
        first = error.errors(include_input=False)[0]
        key = ".".join(str(part) for part in ("assist", *first["loc"]))
        allowed = f"; keys of assist: {', '.join(AssistSettings.model_fields)}" if len(first["loc"]) == 1 else ""
        raise UsageError(f"{config_file(config)}: {key}: {first['msg']}{allowed}") from None
