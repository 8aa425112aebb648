"""The order of the stages, whole: each is given facts, passes them on, and adds what it concludes.

The road is cut at the spool: `front` runs beside the agent and ends in durable segments, `back` runs wherever they are read.
A replay runs both without the cut.
"""

from collections.abc import Iterable, Iterator

from intact.assemble.stage import assemble
from intact.correlate.stage import correlate
from intact.decode.stage import decode
from intact.identify.registry import Registry
from intact.identify.stage import identify
from intact.model.slice import Host, RawSlice, Slice


def front(
    raw: Iterable[RawSlice], host: Host, *, redaction_key: bytes = b"", registry: Registry | None = None
) -> Iterator[Slice]:
    """Records as the kernel wrote them to facts without secrets; with `registry` its rules tell who is an agent."""
    decoded = decode(raw, host)  # + Chunk, Process, effects
    understood = assemble(decoded, redaction_key=redaction_key)  # + HttpExchange, LlmCall, ToolCall; - Chunk
    return identify(understood, host, registry)  # + Agent


def back(slices: Iterable[Slice], host: Host) -> Iterator[Slice]:
    """Facts to conclusions."""
    return correlate(slices, host)  # + Process, AgentTurn, links
