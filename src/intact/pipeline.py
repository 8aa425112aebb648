"""The order of the stages, whole: each is given facts, passes them on, and adds what it concludes.

The road is cut at the spool: `front` runs beside the agent and ends in durable segments, `back` runs wherever they are read.
A replay runs both without the cut.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from intact.assemble.body import MAX_BODY_BYTES
from intact.assemble.stage import assemble
from intact.correlate.stage import correlate
from intact.decode.stage import decode
from intact.identify.registry import Registry
from intact.identify.stage import identify
from intact.model.slice import Host, RawSlice, Slice


@dataclass(frozen=True, slots=True, kw_only=True)
class FrontSettings:
    """What the front half is told beside the records; all of it may change while it runs."""

    redaction_key: bytes = b""
    registry: Registry | None = None  # who is an agent by other rules than a recording's
    max_body_bytes: Callable[[], int] = lambda: MAX_BODY_BYTES


def front(
    raw: Iterable[RawSlice], host: Host, *, redaction_key: bytes = b"", settings: FrontSettings | None = None
) -> Iterator[Slice]:
    """Records as the kernel wrote them to facts without secrets."""
    told = settings or FrontSettings(redaction_key=redaction_key)
    decoded = decode(raw, host)  # + Chunk, Process, effects
    # + HttpExchange, LlmCall, ToolCall; - Chunk
    understood = assemble(decoded, redaction_key=told.redaction_key, max_body_bytes=told.max_body_bytes)
    return identify(understood, host, told.registry)  # + Agent


def back(slices: Iterable[Slice], host: Host) -> Iterator[Slice]:
    """Facts to conclusions."""
    return correlate(slices, host)  # + Process, AgentTurn, links
