"""A policy file: YAML, checked against a schema; each error with its line and what to do about it."""

import ipaddress
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, TypeAlias

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from intact.govern.layouts import ARGUMENT_TEXT, CONDITIONS, PATH_TEXT, RULES
from intact.govern.positions import Positions, YamlProblem, read_yaml
from intact.model.errors import IntactError, UsageError

MAX_FILE_BYTES = 1 << 20
# Opening what is in there has effects of its own, or names no file that a mark could hold.
NO_FILES = ("/proc", "/sys", "/dev")

Access: TypeAlias = Literal["read", "write", "delete", "rename"]
Change: TypeAlias = Literal["uid", "gid", "groups", "capabilities"]


def _listed(value: Any) -> Any:
    return [value] if isinstance(value, str | int) else value


def _path(text: str) -> str:
    if "\0" in text or len(text.encode()) >= PATH_TEXT:
        raise ValueError(f"a path of {len(text)} characters; at most {PATH_TEXT - 1} bytes, without NUL")
    if not text.startswith("/"):
        raise ValueError(f"{text!r} is not absolute; write the whole path, ~ and variables are not replaced")
    if ".." in text.split("/"):
        raise ValueError(f"{text!r} holds ..; write the path it means")
    body = text.removesuffix("/**")
    if "**" in body or any(c in body.rpartition("/")[0] for c in "*?["):
        raise ValueError(f"{text!r}: wildcards may stand in the last part only (/dir/*.pem), or /dir/** for all below")
    if body in ("", "/"):
        raise ValueError(f"{text!r} is the whole machine; name a directory")
    first = "/" + body.split("/")[1]
    if first in NO_FILES:
        raise ValueError(f"{text!r} is in {first}, where permission events are not safe; choose files on a disk")
    return text


def _program(text: str) -> str:
    if text.startswith("/"):
        return _path(text)
    name = text.removeprefix("*/")
    if not name or "/" in name or any(c in name for c in "*?["):
        raise ValueError(
            f"{text!r} is neither an absolute path nor the plain name of a program; write /usr/bin/curl or curl"
        )
    return name


def _network(text: str) -> str:
    try:
        ipaddress.ip_network(text)
    except ValueError as error:
        raise ValueError(f"{text!r} is no address: {error}; write 10.0.0.0/8, 192.0.2.7 or 2001:db8::/32") from None
    return text


def _port(value: Any) -> str:
    match = re.fullmatch(r"(\d{1,5})(?:-(\d{1,5}))?", str(value))
    low, high = (int(match[1]), int(match[2] or match[1])) if match else (1, 0)
    if isinstance(value, bool) or not low <= high <= 65535:
        raise ValueError(f"{value!r} is no port; write 443 or 8000-8100")
    return f"{low}-{high}"


Paths = Annotated[list[Annotated[str, AfterValidator(_path)]], BeforeValidator(_listed), Field(min_length=1)]
Programs = Annotated[list[Annotated[str, AfterValidator(_program)]], BeforeValidator(_listed), Field(min_length=1)]
Networks = Annotated[list[Annotated[str, AfterValidator(_network)]], BeforeValidator(_listed), Field(min_length=1)]
Ports = Annotated[list[Annotated[str, BeforeValidator(_port)]], BeforeValidator(_listed), Field(min_length=1)]
Text = Annotated[str, Field(min_length=1, max_length=ARGUMENT_TEXT)]


class Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)


class Argument(Strict):
    """One argument that has to be there: at `index` (0 is the program's name), or anywhere."""

    index: int | None = Field(default=None, ge=0, le=255)
    is_: Text | None = Field(default=None, alias="is")
    starts: Text | None = None
    ends: Text | None = None
    contains: Text | None = None

    @model_validator(mode="after")
    def _one(self) -> "Argument":
        return _exactly_one(self, "is_", "starts", "ends", "contains")


class Line(Strict):
    """The arguments as one line, with a space between them."""

    starts: Text | None = None
    contains: Text | None = None

    @model_validator(mode="after")
    def _one(self) -> "Line":
        return _exactly_one(self, "starts", "contains")


def _exactly_one(model: Any, *names: str) -> Any:
    shown = ", ".join(name.rstrip("_") for name in names)
    if sum(getattr(model, name) is not None for name in names) != 1:
        raise ValueError(f"one of {shown} is needed, and only one")
    return model


class ExecMatch(Strict):
    path: Programs | None = None
    argv: list[Argument] = Field(default=[], max_length=CONDITIONS)
    line: Line | None = None
    deny_reading: bool = False  # the program may not be read either: no copy of it, no loader that runs it

    @model_validator(mode="after")
    def _something(self) -> "ExecMatch":
        if self.path is None and not self.argv and self.line is None:
            raise ValueError("matches every exec; name path, argv or line")
        if len(self.argv) + (self.line is not None) > CONDITIONS:
            raise ValueError(f"more than {CONDITIONS} conditions on the arguments; split the rule")
        if self.deny_reading and (self.argv or self.line or self.path is None):
            raise ValueError("deny_reading goes with path alone; put argv and line into a rule of their own")
        return self


class FileMatch(Strict):
    path: Paths
    access: Annotated[list[Access], BeforeValidator(_listed), Field(min_length=1)] = ["read", "write"]


class NetMatch(Strict):
    address: Networks = ["0.0.0.0/0", "::/0"]
    port: Ports = ["0-65535"]
    protocol: Literal["tcp", "udp", "any"] = "any"


class CredentialMatch(Strict):
    change: Annotated[list[Change], BeforeValidator(_listed), Field(min_length=1)] = ["uid", "gid"]


class Exception_(Strict):
    """What the rule does not hold for. Keys of one entry hold together; entries are alternatives."""

    path: Programs | None = None
    argv: list[Argument] = Field(default=[], max_length=CONDITIONS)
    program: Programs | None = None
    address: Networks | None = None
    port: Ports | None = None


_ALLOWED_EXCEPTIONS = {
    "exec": {"path", "argv"},
    "file": {"path", "program"},
    "connect": {"address", "port"},
    "bind": {"address", "port"},
    "credential": set[str](),
}


class Rule(Strict):
    id: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")
    description: str = Field(default="", max_length=1000)
    agent: str | None = Field(default=None, min_length=1, max_length=200)  # of agents whose name matches
    tree: str | None = Field(default=None, min_length=1, max_length=200)  # of trees whose first program matches
    exec: ExecMatch | None = None
    file: FileMatch | None = None
    connect: NetMatch | None = None
    bind: NetMatch | None = None
    credential: CredentialMatch | None = None
    action: Literal["audit", "deny", "kill"]
    exceptions: list[Exception_] = Field(default=[], alias="except", max_length=100)
    fail: Literal["open", "closed"] = "open"

    @property
    def target(self) -> str:
        """What it is about: exec, file, connect, bind or credential."""
        return next(name for name in _ALLOWED_EXCEPTIONS if getattr(self, name) is not None)

    @model_validator(mode="after")
    def _fits(self) -> "Rule":
        _exactly_one(self, *_ALLOWED_EXCEPTIONS)
        allowed = _ALLOWED_EXCEPTIONS[self.target]
        for entry in self.exceptions:
            given = {name for name in Exception_.model_fields if getattr(entry, name)}
            if not given:
                raise ValueError("an empty exception would undo the rule; name what it lets through")
            if given - allowed:
                shown = ", ".join(sorted(allowed)) or "none"
                raise ValueError(
                    f"an exception of {self.target} by {', '.join(sorted(given - allowed))}; allowed: {shown}"
                )
        return self


class Policy(Strict):
    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")
    description: str = Field(default="", max_length=1000)
    rules: list[Rule] = Field(min_length=1, max_length=RULES)

    @model_validator(mode="after")
    def _ids(self) -> "Policy":
        seen: set[str] = set()
        for rule in self.rules:
            if rule.id in seen:
                raise ValueError(f"two rules have the id {rule.id!r}; hits could not be told apart")
            seen.add(rule.id)
        return self


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """One thing wrong in a policy file."""

    line: int
    where: str
    message: str
    remedy: str

    def __str__(self) -> str:
        where = f"{self.where}: " if self.where else ""
        return f"line {self.line}: {where}{self.message}" + (f"; {self.remedy}" if self.remedy else "")


class PolicyError(IntactError):
    """A policy file that cannot be used."""

    def __init__(self, file: str, problems: list[Problem]) -> None:
        self.problems = problems
        more = f" (and {len(problems) - 1} more; see: intact policy check {file})" if len(problems) > 1 else ""
        super().__init__(f"{file}: {problems[0]}{more}")


def read_policy(path: Path) -> Policy:
    """The policy in a file.

    Raises:
        UsageError: there is no such file.
        PolicyError: it cannot be used; holds every problem found.
    """
    try:
        with path.open("rb") as file:
            raw = file.read(MAX_FILE_BYTES + 1)
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror}") from None
    return parse_policy(raw, str(path))


def parse_policy(raw: bytes, name: str = "policy") -> Policy:
    """The policy in these bytes; errors as of `read_policy`."""
    if len(raw) > MAX_FILE_BYTES:
        problem = Problem(line=1, where="", message=f"larger than {MAX_FILE_BYTES} bytes", remedy="split it")
        raise PolicyError(name, [problem])
    try:
        content, positions = read_yaml(raw)
    except YamlProblem as error:
        problem = Problem(line=error.line, where="", message=error.message, remedy=error.remedy)
        raise PolicyError(name, [problem]) from None
    try:
        return Policy.model_validate(content)
    except ValidationError as error:
        raise PolicyError(name, problems_of(error, positions)) from None


def problems_of(error: ValidationError, positions: Positions) -> list[Problem]:
    """What pydantic found, in order of lines, in words for the person who wrote the file."""
    found = []
    for item in error.errors(include_url=False):
        location = tuple(item["loc"])
        message, remedy = _words(item["type"], item["msg"], item.get("ctx", {}), location)
        where = ".".join(str(part + 1) if isinstance(part, int) else part for part in location)
        found.append(Problem(line=positions.line(location), where=where, message=message, remedy=remedy))
    return sorted(found, key=lambda problem: problem.line)


def _words(kind: str, message: str, context: dict[str, Any], location: tuple[int | str, ...]) -> tuple[str, str]:
    key = str(location[-1]) if location else "policy"
    if kind == "extra_forbidden":
        return f"unknown key {key!r}", f"allowed here: {', '.join(_keys_at(location[:-1]))}"
    if kind == "missing":
        return f"{key!r} is missing", "add it"
    if kind == "literal_error":
        return "not a value that is known", f"use one of {context.get('expected', '')}"
    if kind == "string_pattern_mismatch":
        return "not a usable name", "use letters, digits, dot, dash and underscore, at most 64"
    text, _, remedy = message.removeprefix("Value error, ").partition("; ")
    return text, remedy or "see docs/enforcement.md"


def _keys_at(location: tuple[int | str, ...]) -> list[str]:
    model: type[BaseModel] = Policy
    inner: dict[str, type[BaseModel]] = {
        "rules": Rule,
        "exec": ExecMatch,
        "file": FileMatch,
        "connect": NetMatch,
        "bind": NetMatch,
        "credential": CredentialMatch,
        "except": Exception_,
        "exceptions": Exception_,
        "argv": Argument,
        "line": Line,
    }
    for part in location:
        if isinstance(part, str):
            model = inner.get(part, model)
    return [field.alias or name for name, field in model.model_fields.items()]
