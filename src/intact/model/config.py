"""The config: `intact.yaml` and `INTACT_…` variables, checked whole before anything starts on it.

A variable is the path of its key in capitals with two underscores for each dot: INTACT_SCOPE__CGROUP. It wins over the file.
"""

import os
import re
from collections.abc import Iterable, Iterator, Mapping
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

import yaml
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, field_validator, model_validator
from pydantic_settings import BaseSettings, EnvSettingsSource, PydanticBaseSettingsSource, SettingsConfigDict

from intact.model.errors import UsageError
from intact.model.recognition import MatchOn

PREFIX = "INTACT_"
DEFAULT_FILES = (Path("/etc/intact/intact.yaml"),)
SECTIONS_OF_OTHERS = ("serve", "assist")  # of the same file; each is checked by the room that it starts
MAX_FILE_BYTES = 1 << 20
MAX_PAYLOAD_BYTES = 64 << 20  # what max_payload_size 0 means
MOST_HTTP_ENDPOINTS = 32  # beside those that are known
DEFAULT_ENDPOINTS = ("/v1/chat/completions", "/v1/embeddings", "/v1/responses")
_MOST_SHOWN = 60
_MOST_INTEGER = 2_147_483_647


def _not_bool(value: object) -> object:
    if isinstance(value, bool):
        raise ValueError("a whole number")
    return value


def _word(value: object) -> object:
    """Words of choice are compared without regard to case or spaces around them."""
    return value.strip().lower() if isinstance(value, str) else value


Whole = Annotated[int, BeforeValidator(_not_bool)]


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class ExecArgument(_Section):
    """One argument of a rule on exec."""

    index: Annotated[Whole, Field(ge=0, le=255)] = 0
    op: Annotated[Literal["exact", "prefix", "suffix"], BeforeValidator(_word)] = "exact"
    value: str = ""


class ExecTarget(_Section):
    """What is executed."""

    exact: tuple[str, ...] = ()
    suffix: tuple[str, ...] = ()
    prefix: tuple[str, ...] = ()
    argv_matches: tuple[ExecArgument, ...] = ()
    cmdline_prefixes: tuple[str, ...] = ()


class SyscallTarget(_Section):
    """Which system calls: none can be held for a tree that others started, so naming one is an error and not a promise."""

    names: tuple[Literal["reboot", "init_module", "finit_module", "delete_module", "kexec_load"], ...] = ()
    symbols: tuple[str, ...] = ()


class Action(_Section):
    """What a rule does."""

    type: Annotated[Literal["deny", "audit"], BeforeValidator(_word)] = "deny"
    errno: Literal["EPERM"] = "EPERM"


class Rule(_Section):
    """One rule of enforcement."""

    id: Annotated[str, Field(max_length=64)] = ""
    description: str = ""
    scope: Annotated[Literal["ai_agent_tree"], BeforeValidator(_word)] = "ai_agent_tree"
    target_type: Annotated[Literal["exec", "syscall"], BeforeValidator(_word)] = "exec"
    action: Action = Action()
    audit: bool = True  # taken and without effect: a hit is always told
    exec: ExecTarget = ExecTarget()
    syscall: SyscallTarget = SyscallTarget()

    @model_validator(mode="after")
    def _can_be_held(self) -> "Rule":
        if self.target_type == "syscall" or self.syscall.names or self.syscall.symbols:
            raise ValueError("rules on exec; a system call is held by no mechanism for a process that runs already")
        target = self.exec
        if not (target.exact or target.suffix or target.prefix or target.argv_matches or target.cmdline_prefixes):
            raise ValueError("a rule whose exec names a path, an argument or the beginning of a command line")
        return self


class Enforcement(_Section):
    """`inputs.proc.ai_agent.enforcement`. A mechanism is chosen by its self-test: keys that choose one do nothing."""

    enabled: bool = False
    mode: Annotated[Literal["audit_only", "block"], BeforeValidator(_word)] = "audit_only"
    strategy: Annotated[
        Literal["auto", "lsm_only", "override_only", "sigkill_only", "audit_only"], BeforeValidator(_word)
    ] = "auto"
    syscall_strategy: Annotated[
        Literal["auto", "override_only", "lsm_only", "sigkill_only", "audit_only"], BeforeValidator(_word)
    ] = "auto"
    allowed_mechanisms: tuple[Literal["lsm", "kprobe_override", "sigkill", "seccomp"], ...] = ("lsm", "kprobe_override")
    default_fallback: Literal["sigkill"] = "sigkill"
    max_rules: Annotated[Whole, Field(ge=0, le=256)] = 256
    rules: tuple[Rule, ...] = ()


class AiAgent(_Section):
    """`inputs.proc.ai_agent`; all of it may change while we run."""

    http_endpoints: Annotated[tuple[str, ...], Field(max_length=MOST_HTTP_ENDPOINTS)] = DEFAULT_ENDPOINTS
    known_endpoints: bool = True  # also those of the APIs that Intact knows
    max_payload_size: Annotated[Whole, Field(ge=0, le=_MOST_INTEGER)] = 0
    file_io_enabled: bool = True
    idle_hours: Annotated[Whole, Field(ge=1, le=8760)] = 24
    enforcement: Enforcement = Enforcement()

    @field_validator("http_endpoints")
    @classmethod
    def _paths(cls, paths: tuple[str, ...]) -> tuple[str, ...]:
        for path in paths:
            if not path.startswith("/") or any(ord(c) <= 32 or ord(c) == 127 for c in path) or len(path) > 1024:
                raise ValueError(f"{path[:_MOST_SHOWN]!r} is no URL path: begin it with /, without spaces")
        return paths

    @property
    def payload_bound(self) -> int:
        """Bytes of a message that are kept; there is always a bound."""
        return min(self.max_payload_size or MAX_PAYLOAD_BYTES, MAX_PAYLOAD_BYTES)


class ProcessMatcher(_Section):
    """One of `inputs.proc.process_matcher`: with the feature `proc.ai_agent` what it meets is an agent."""

    match_regex: Annotated[str, Field(min_length=1, max_length=1024)]
    match_type: Annotated[MatchOn, BeforeValidator(_word)] = MatchOn.PROCESS_NAME
    enabled_features: tuple[
        Literal["proc.ai_agent", "proc.gprocess_info", "proc.socket_list", "proc.golang_symbol"], ...
    ] = ()

    @field_validator("match_regex")
    @classmethod
    def _compiles(cls, pattern: str) -> str:
        try:
            re.compile(pattern)
        except re.error as error:
            raise ValueError(f"no regular expression: {error}") from None
        return pattern


class Proc(_Section):
    """`inputs.proc`."""

    ai_agent: AiAgent = AiAgent()
    process_matcher: tuple[ProcessMatcher, ...] = ()


class Inputs(_Section):
    """`inputs`."""

    proc: Proc = Proc()


class Scope(_Section):
    """What the sensor watches: the processes of one cgroup, else of the host. A change needs a restart."""

    cgroup: str = ""

    @field_validator("cgroup")
    @classmethod
    def _absolute(cls, path: str) -> str:
        if path and (not path.startswith("/") or ".." in path.split("/")):
            raise ValueError("an absolute path of a cgroup v2 directory, or nothing for the whole host")
        return path


class Spool(_Section):
    """How the sensor writes its segments, and what of them is stored. A change needs a restart."""

    segment_seconds: Annotated[Whole, Field(ge=1, le=3600)] = 60
    raw_reads: bool = False  # store reads and writes also as they came, in `file_event`


class Webhook(_Section):
    """`outputs.webhook`: hits of policies, posted as JSON."""

    url: Annotated[str, Field(max_length=2048)] = ""
    timeout_seconds: Annotated[Whole, Field(ge=1, le=60)] = 5
    retries: Annotated[Whole, Field(ge=0, le=10)] = 3

    @field_validator("url")
    @classmethod
    def _is_http(cls, url: str) -> str:
        try:
            parts = urlsplit(url)
            usable = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
        except ValueError:
            usable = False
        if url and (not usable or any(ord(c) <= 32 or ord(c) > 126 for c in url)):
            raise ValueError("http://HOST[:PORT]/PATH or https://…, in ASCII, or nothing")
        return url


class Syslog(_Section):
    """`outputs.syslog`: hits of policies, as RFC 5424."""

    address: Annotated[str, Field(max_length=255)] = ""

    @field_validator("address")
    @classmethod
    def _is_place(cls, address: str) -> str:
        if (
            address
            and not address.startswith("/")
            and not re.fullmatch(r"udp://(\[[0-9A-Fa-f:.]+\]|[^:/\s]+):\d{1,5}", address)
        ):
            raise ValueError("the path of a socket such as /dev/log, or udp://HOST:PORT, or nothing")
        return address


class Outputs(_Section):
    """`outputs`: who else is told of hits; all of it may change while we run."""

    webhook: Webhook = Webhook()
    syslog: Syslog = Syslog()
    queue: Annotated[Whole, Field(ge=1, le=65_536)] = 1024  # hits that wait; what is beyond is counted


class LogLevel(StrEnum):
    ERROR = "error"
    WARNING = "warning"
    INFO = "info"


class Config(BaseSettings):
    """All of `intact.yaml`."""

    model_config = SettingsConfigDict(
        extra="forbid",
        frozen=True,
        env_prefix=PREFIX,
        env_nested_delimiter="__",
        nested_model_default_partial_update=True,
    )

    inputs: Inputs = Inputs()
    scope: Scope = Scope()
    spool: Spool = Spool()
    outputs: Outputs = Outputs()
    log_level: Annotated[LogLevel, BeforeValidator(_word)] = LogLevel.INFO

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Variables before the file; nothing else."""
        del settings_cls, dotenv_settings, file_secret_settings
        return env_settings, init_settings


class _Loader(yaml.SafeLoader):
    """YAML in which no key stands twice."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: set[str] = set()
        for key, _ in node.value:
            name = str(key.value)
            if name in seen:
                raise yaml.constructor.ConstructorError(None, None, f"the key {name!r} stands twice", key.start_mark)
            seen.add(name)
        return super().construct_mapping(node, deep)


def load_config(path: Path | None = None, *, environ: Mapping[str, str] = os.environ) -> Config:
    """The config of this file (None: of the usual place, if there is one) and of the environment.

    Raises:
        UsageError: it cannot be read, a key is not known or a value not allowed; names key, value and what is allowed.
    """
    found = config_file(path)
    values = {} if found is None else _read(found)
    _check_variables(environ)
    try:
        return Config(**{key: value for key, value in values.items() if key not in SECTIONS_OF_OTHERS})
    except ValidationError as error:
        where = f"{found}: " if found is not None else ""
        raise UsageError(where + "; ".join(_problems(error))) from None
    except Exception as error:  # a variable that holds no JSON where a list is due
        raise UsageError(f"the config cannot be read: {' '.join(str(error).split())[:300]}") from None


def config_file(path: Path | None = None) -> Path | None:
    """The file that is read: this one, else that of the usual place, if there is one."""
    return path or next((each for each in DEFAULT_FILES if each.exists()), None)


def read_section(path: Path | None, name: str, allowed: Iterable[str]) -> dict[str, Any]:
    """The keys of one of SECTIONS_OF_OTHERS, unchecked; of the usual place only if we may read it.

    Raises:
        UsageError: the file cannot be read, or the section is no mapping.
    """
    found = config_file(path)
    if found is None or (path is None and not os.access(found, os.R_OK)):
        return {}
    section = _read(found).get(name)
    if section is None:
        return {}
    if not isinstance(section, dict):
        raise UsageError(f"{found}: {name} holds no keys; allowed: {', '.join(allowed)}")
    return {str(key): value for key, value in section.items()}


def origins(keys: Iterable[str], path: Path | None = None) -> dict[str, Literal["default", "file", "environment"]]:
    """Where the value in force of each key comes from; the config has been loaded before."""
    found = config_file(path)
    file = {} if found is None else _read(found)
    environment = EnvSettingsSource(Config)()
    return {
        key: "environment" if _gives(environment, key) else "file" if _gives(file, key) else "default" for key in keys
    }


def _gives(values: object, key: str) -> bool:
    for part in key.split("."):
        if not isinstance(values, Mapping) or part not in values:
            return False
        values = values[part]
    return True


def _read(path: Path) -> dict[str, Any]:
    try:
        with open(path, "rb") as file:
            text = file.read(MAX_FILE_BYTES + 1)
    except OSError as error:
        raise UsageError(f"cannot read the config {path}: {error.strerror}") from None
    if len(text) > MAX_FILE_BYTES:
        raise UsageError(f"{path}: longer than {MAX_FILE_BYTES} bytes")
    try:
        values = yaml.load(text, _Loader)
    except (yaml.YAMLError, UnicodeDecodeError, RecursionError, ValueError) as error:
        raise UsageError(f"{path}: no YAML: {' '.join(str(error).split())[:300]}") from None
    if values is None:
        return {}
    if not isinstance(values, dict) or not all(isinstance(key, str) for key in values):
        raise UsageError(f"{path}: a mapping of keys is expected, such as: scope: {{cgroup: /…}}")
    return values


def _check_variables(environ: Mapping[str, str]) -> None:
    """A variable with a path that begins with no key would be left out in silence."""
    for name in environ:
        if name.startswith(PREFIX) and "__" in name:
            first = name.removeprefix(PREFIX).partition("__")[0].lower()
            if first not in Config.model_fields:
                allowed = ", ".join(Config.model_fields)
                raise UsageError(f"the variable {name} names no key: {first!r} is not known; allowed: {allowed}")


def _problems(error: ValidationError) -> Iterator[str]:
    for one in error.errors()[:8]:
        key = ".".join(str(part) for part in one["loc"]) or "the config"
        if one["type"] == "extra_forbidden":
            allowed = ", ".join(_allowed_keys(one["loc"]))
            yield f"unknown key {key} (value {_shown(one['input'])}); allowed here: {allowed}"
        elif one["type"] == "missing":
            yield f"{key} is missing"
        else:
            allowed = one["msg"].removeprefix("Value error, ").removeprefix("Input should be ")
            yield f"{key}: {_shown(one['input'])} is not allowed; allowed: {allowed}"


def _allowed_keys(loc: tuple[int | str, ...]) -> list[str]:
    model: Any = Config
    for part in loc[:-1]:
        if isinstance(part, str):
            model = _model_of(model.model_fields[part].annotation)
    return list(model.model_fields)


def _model_of(annotation: Any) -> Any:
    """The section an annotation is of, also inside a tuple."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next((_model_of(each) for each in getattr(annotation, "__args__", ()) if each is not Ellipsis), BaseModel)


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= _MOST_SHOWN else f"{text[:_MOST_SHOWN]}…"
