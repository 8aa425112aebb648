"""A policy file: YAML, checked against a schema; each error with its line and what to do about it."""

import ipaddress
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, TypeAlias

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator
from pydantic_core import PydanticCustomError

from intact.govern.layouts import ARGUMENT_TEXT, CONDITIONS, PATH_TEXT, RULES
from intact.govern.positions import Positions, YamlProblem, read_yaml
from intact.model.errors import IntactError, UsageError

MAX_FILE_BYTES = 1 << 20
# Opening what is in there has effects of its own, or names no file that a mark could hold.
NO_FILES = ("/proc", "/sys", "/dev")
ALLOWED_PORTS = 4096  # in all: the kernel takes them one by one

Access: TypeAlias = Literal["read", "write", "delete", "rename"]
Change: TypeAlias = Literal["uid", "gid", "groups", "capabilities"]
SystemCall: TypeAlias = Literal[
    "reboot", "init_module", "finit_module", "delete_module", "kexec_load", "kexec_file_load"
]


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


def _allowed_path(text: str) -> str:
    path = text.removesuffix("/**") or "/"
    if "\0" in text or not text.startswith("/") or ".." in text.split("/"):
        raise ValueError(f"{text!r} is not absolute, or holds ..; write the whole path")
    if any(c in path for c in "*?["):
        raise ValueError(f"{text!r}: no wildcards in an allow-list; name the file, or a directory with all below it")
    return path


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


class AllowedFiles(Strict):
    """Files, and directories with all below them, and what may be done there."""

    path: Annotated[list[Annotated[str, AfterValidator(_allowed_path)]], BeforeValidator(_listed), Field(min_length=1)]
    access: Annotated[
        list[Literal["read", "write", "execute"]], BeforeValidator(_listed), Field(min_length=1, max_length=3)
    ]


AllowedPorts = Annotated[list[Annotated[str, BeforeValidator(_port)]], BeforeValidator(_listed)]


class AllowMatch(Strict):
    """All that a tree may do, of what is named here at all; `connect: []` is no TCP connection."""

    files: Annotated[list[AllowedFiles], Field(min_length=1, max_length=1000)] | None = None
    connect: AllowedPorts | None = None
    bind: AllowedPorts | None = None

    @model_validator(mode="after")
    def _something(self) -> "AllowMatch":
        if self.files is None and self.connect is None and self.bind is None:
            raise ValueError("lists nothing, so that nothing is held; name files, connect or bind")
        if len(ports_of(self.connect or ())) + len(ports_of(self.bind or ())) > ALLOWED_PORTS:
            raise ValueError(f"more than {ALLOWED_PORTS} ports; use a connect or bind rule for what is denied")
        return self


def ports_of(ranges: Iterable[str]) -> tuple[int, ...]:
    """Each port of these ranges once."""
    ends = (text.partition("-") for text in ranges)
    return tuple(sorted({port for low, _, high in ends for port in range(int(low), int(high) + 1)}))


class CredentialMatch(Strict):
    change: Annotated[list[Change], BeforeValidator(_listed), Field(min_length=1)] = ["uid", "gid"]


class SyscallMatch(Strict):
    """System calls, refused whatever their arguments."""

    name: Annotated[list[SystemCall], BeforeValidator(_listed), Field(min_length=1)]


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
    "syscall": set[str](),
    "allow": set[str](),
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
    syscall: SyscallMatch | None = None
    allow: AllowMatch | None = None
    action: Literal["audit", "deny", "kill"]
    exceptions: list[Exception_] = Field(default=[], alias="except", max_length=100)
    fail: Literal["open", "closed"] = "open"

    @property
    def target(self) -> str:
        """What it is about: exec, file, connect, bind, credential, syscall or allow."""
        return next(name for name in _ALLOWED_EXCEPTIONS if getattr(self, name) is not None)

    @model_validator(mode="after")
    def _fits(self) -> "Rule":
        _exactly_one(self, *_ALLOWED_EXCEPTIONS)
        if self.syscall is not None and self.action != "deny":
            raise ValueError(f"no hook tells of a system call, to {self.action} it; write action: deny")
        if self.syscall is not None and self.agent is not None:
            raise ValueError("an agent is known too late to put a filter on; use tree, for what record starts")
        if self.allow is not None:
            _refuse_around_allow(self)
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


def _refuse_around_allow(rule: Rule) -> None:
    if rule.action != "deny":
        raise _at(
            f"an allow-list cannot {rule.action}: Landlock refuses and tells nobody; write action: deny", "action"
        )
    if rule.agent is not None:
        raise _at("an agent is known when its list can no longer be put on; use tree, for what record starts", "agent")
    if rule.exceptions:
        raise _at("what an allow-list does not name is refused, without exceptions; add it to the list", "except")


def _at(message: str, *way: int | str) -> PydanticCustomError:
    """A problem of something further in than the model that found it."""
    return PydanticCustomError("refused", "{told}", {"told": message, "way": way})  # braces of a value stay as they are


class Policy(Strict):
    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")
    description: str = Field(default="", max_length=1000)
    rules: list[Rule] = Field(min_length=1, max_length=RULES)

    @model_validator(mode="after")
    def _ids(self) -> "Policy":
        seen: set[str] = set()
        lists: dict[str | None, str] = {}
        for at, rule in enumerate(self.rules):
            if rule.allow is not None:
                first = lists.get(rule.tree) or lists.get(None)
                if first is not None:
                    raise _at(f"the allow-list of {first!r} is for the same tree; make one list of both", "rules", at)
                lists[rule.tree] = rule.id
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
        location = (*item["loc"], *item.get("ctx", {}).get("way", ()))
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
        "syscall": SyscallMatch,
        "allow": AllowMatch,
        "files": AllowedFiles,
        "except": Exception_,
        "exceptions": Exception_,
        "argv": Argument,
        "line": Line,
    }
    for part in location:
        if isinstance(part, str):
            model = inner.get(part, model)
    return [field.alias or name for name, field in model.model_fields.items()]
