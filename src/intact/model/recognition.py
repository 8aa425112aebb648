"""What makes a process an agent: the rules of the recognisers, as the config and the person at the machine give them."""

from dataclasses import dataclass
from enum import IntEnum, StrEnum

# Bounds of the table in which the kernel looks request lines up (bpf/tls_judge.bpf.h).
MOST_ENDPOINTS = 64
_METHOD_BYTES, _PREFIX_BYTES, _SUFFIX_BYTES = 8, 64, 32


class BizType(IntEnum):
    """`biz_type` of a process."""

    DEFAULT = 0
    AGENT = 1

    def label(self, language: str = "en") -> str:
        """Its name for a person: `en` or `zh`."""
        return _BIZ_TYPE_LABELS[language][self]


_BIZ_TYPE_LABELS = {
    "en": {BizType.DEFAULT: "Default", BizType.AGENT: "AI-Agent"},
    "zh": {BizType.DEFAULT: "默认", BizType.AGENT: "智能体"},
}


class PathForm(StrEnum):
    """How the path of an endpoint rule is meant; the query of a request is left out."""

    EXACT = "exact"
    PREFIX = "prefix"
    SUFFIX = "suffix"
    TEMPLATE = "template"  # {name} stands for one path segment, or for what is left of one


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestLine:
    """What the kernel compares: never narrower than the rule it was made of."""

    method: bytes
    prefix: bytes
    suffix: bytes
    is_exact: bool  # nothing between prefix and suffix


@dataclass(frozen=True, slots=True, kw_only=True)
class EndpointRule:
    """A request that only an agent makes, as far as one can tell from its first line and where it goes."""

    path: str
    form: PathForm
    api: str  # what is spoken there, for the reason given
    method: str = "POST"
    host: str = ""  # the server's name, or what it ends in if it begins with a dot; "": any
    score: float = 0.9
    needs_upgrade: bool = False  # a GET that becomes a WebSocket

    @property
    def request_line(self) -> RequestLine:
        """The rule as the kernel can hold it."""
        prefix, suffix = _ends(self.path.encode(), self.form)
        clipped = len(prefix) > _PREFIX_BYTES or len(suffix) > _SUFFIX_BYTES
        return RequestLine(
            method=self.method.encode()[:_METHOD_BYTES],
            prefix=prefix[:_PREFIX_BYTES],
            suffix=suffix[-_SUFFIX_BYTES:] if suffix else b"",
            is_exact=self.form is PathForm.EXACT and not clipped,
        )


def _ends(path: bytes, form: PathForm) -> tuple[bytes, bytes]:
    if form is PathForm.SUFFIX:
        return b"", path
    if form is PathForm.TEMPLATE:
        return path.partition(b"{")[0], path.rpartition(b"}")[2]
    return path, b""


class MatchOn(StrEnum):
    """What of a process a pattern is compared with."""

    PROCESS_NAME = "process_name"  # the last part of its exe
    EXE = "exe"
    CMDLINE = "cmdline"  # its first argument
    CMDLINE_WITH_ARGS = "cmdline_with_args"
    SCRIPT = "script"  # the file an interpreter was given
    ENV = "env"  # NAME=VALUE, one variable at a time


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessRule:
    """Processes that are agents by what they run."""

    match_on: MatchOn
    pattern: str  # a regular expression, searched for


@dataclass(frozen=True, slots=True, kw_only=True)
class ManualRule:
    """What a person said: this process, or every process that runs this file, is an agent, or is not."""

    is_agent: bool
    reason: str
    added_ns: int
    exe: str = ""
    boot_id: str = ""  # with tgid and start_ns: one process
    tgid: int = 0
    start_ns: int = 0  # boot clock, as /proc gives it: in hundredths of a second


@dataclass(frozen=True, slots=True, kw_only=True)
class RecognitionRules:
    """All rules in force."""

    endpoints: tuple[EndpointRule, ...] = ()
    processes: tuple[ProcessRule, ...] = ()
    manual: tuple[ManualRule, ...] = ()
    idle_ns: int = 24 * 3_600_000_000_000  # an agent without a call for so long is one no longer
