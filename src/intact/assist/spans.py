"""The assistant's own work as OpenTelemetry spans: one trace a response, made from its events when it has ended.

Names: OpenTelemetry semantic conventions for generative AI (v1.42.0-dev) and MCP; the `traceloop.…` attributes are those
that OpenLLMetry puts on workflows, agents and tools, so that what reads its traces reads these. What was asked and
answered is not in them.
"""

import hashlib
import logging
import queue
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass, field

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.proto.trace.v1.trace_pb2 import Span as OtlpSpan
from opentelemetry.proto.trace.v1.trace_pb2 import Status

from intact import __version__
from intact.assist.keep.keep import ResponseRow
from intact.assist.plain_events import Plain

_LOG = logging.getLogger("intact.assist")

APP = "intact-assistant"
MOST_WAITING = 1_000  # responses
TIMEOUT_S = 10.0
_WELL = {"answered", "found", "nothing_wrong", "cannot_tell", "refused", "cancelled"}

Attribute = str | int | float | bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """One piece of work. `parent_id` is empty for the whole; times are epoch nanoseconds."""

    trace_id: str
    span_id: str
    parent_id: str
    name: str
    kind: str  # `internal` or `client`
    started_ns: int
    ended_ns: int
    ok: bool
    attributes: dict[str, Attribute] = field(default_factory=dict)


def spans_of(row: ResponseRow, events: list[Plain]) -> list[Span]:
    """The spans of one response that has ended, the whole first."""
    done = row.done or {}
    expert = done.get("expert") or "none"
    trace_id = hashlib.blake2b(row.id.encode(), digest_size=16).hexdigest()
    whole_id = _span_id(row.id, "")
    shared: dict[str, Attribute] = {
        "gen_ai.conversation.id": row.session_id,
        "traceloop.workflow.name": APP,
        "traceloop.association.properties.session_id": row.session_id,
        "traceloop.association.properties.response_id": row.id,
    }
    whole: dict[str, Attribute] = {
        **shared,
        "gen_ai.operation.name": "invoke_agent",
        "gen_ai.agent.name": expert,
        "traceloop.span.kind": "workflow",
        "traceloop.entity.name": APP,
        "intact.intent": str(done.get("intent_type")),
        "intact.verdict": str(done.get("verdict")),
        "intact.claims_struck": int(done.get("struck", 0)),
        "gen_ai.usage.input_tokens": int(done.get("input_tokens", 0)),
        "gen_ai.usage.output_tokens": int(done.get("output_tokens", 0)),
    }
    ended_ns = row.ended_ns or row.started_ns
    first = Span(
        trace_id=trace_id, span_id=whole_id, parent_id="", name=f"invoke_agent {expert}", kind="internal",
        started_ns=row.started_ns, ended_ns=ended_ns, ok=done.get("verdict") in _WELL, attributes=whole,
    )  # fmt: skip
    parts = [
        Span(
            trace_id=trace_id, span_id=_span_id(row.id, event["id"]), parent_id=whole_id, name=name, kind=kind,
            started_ns=at_ns, ended_ns=at_ns + int(event["ms"] * 1e6), ok=event["ok"],
            attributes={**shared, **attributes},
        )
        for event, at_ns, (name, kind, attributes) in _parts(events)
    ]  # fmt: skip
    return [first, *parts]


def _parts(events: list[Plain]) -> Iterator[tuple[Plain, int, tuple[str, str, dict[str, Attribute]]]]:
    for event in events:
        started_ns = event["timestamp"] * 1_000_000 - int(event.get("ms", 0) * 1e6)
        if event["type"] == "tool_result":
            tool = event["name"]
            yield event, started_ns, (f"execute_tool {tool}", "client", {
                "gen_ai.operation.name": "execute_tool", "gen_ai.tool.name": tool, "gen_ai.tool.call.id": event["id"],
                "mcp.method.name": "tools/call", "traceloop.span.kind": "tool", "traceloop.entity.name": tool,
            })  # fmt: skip
        elif event["type"] == "model_call":
            failed: dict[str, Attribute] = {"error.type": event["error_type"]} if event["error_type"] else {}
            yield event, started_ns, (f"chat {event['model']}", "client", {
                "gen_ai.operation.name": "chat", "gen_ai.request.model": event["model"],
                "gen_ai.provider.name": event["provider"], "llm.request.type": "chat",
                "gen_ai.usage.input_tokens": event["input_tokens"], "gen_ai.usage.output_tokens": event["output_tokens"],
                "llm.usage.total_tokens": event["input_tokens"] + event["output_tokens"], **failed,
            })  # fmt: skip


def _span_id(response_id: str, part: str) -> str:
    return hashlib.blake2b(f"{response_id}/{part}".encode(), digest_size=8).hexdigest()


def as_otlp(spans: list[Span]) -> bytes:
    """The spans as an OTLP request in protobuf."""
    request = ExportTraceServiceRequest()
    of_resource = request.resource_spans.add()
    of_resource.resource.attributes.extend(
        [_pair("service.name", APP), _pair("service.version", __version__), _pair("telemetry.sdk.name", "intact")]
    )
    scope = of_resource.scope_spans.add()
    scope.scope.name, scope.scope.version = "intact.assist", __version__
    for span in spans:
        scope.spans.add(
            trace_id=bytes.fromhex(span.trace_id),
            span_id=bytes.fromhex(span.span_id),
            parent_span_id=bytes.fromhex(span.parent_id),
            name=span.name,
            kind=OtlpSpan.SPAN_KIND_CLIENT if span.kind == "client" else OtlpSpan.SPAN_KIND_INTERNAL,
            start_time_unix_nano=span.started_ns,
            end_time_unix_nano=span.ended_ns,
            attributes=[_pair(name, value) for name, value in span.attributes.items()],
            status=Status(code=Status.STATUS_CODE_OK if span.ok else Status.STATUS_CODE_ERROR),
        )
    return bytes(request.SerializeToString())


def _pair(name: str, value: Attribute) -> KeyValue:
    if isinstance(value, bool):
        held = AnyValue(bool_value=value)
    elif isinstance(value, int):
        held = AnyValue(int_value=value)
    elif isinstance(value, float):
        held = AnyValue(double_value=value)
    else:
        held = AnyValue(string_value=value.encode("utf-8", "replace").decode())
    return KeyValue(key=name, value=held)


class OtlpSender:
    """Sends spans to an OTLP endpoint (HTTP, protobuf) from a thread; what cannot be sent is counted and let go.

    Args:
        endpoint: as OTEL_EXPORTER_OTLP_ENDPOINT: `/v1/traces` is appended if it is not there.
    """

    def __init__(self, endpoint: str, headers: dict[str, str] | None = None) -> None:
        self._url = endpoint if endpoint.endswith("/v1/traces") else endpoint.rstrip("/") + "/v1/traces"
        self._headers = {"Content-Type": "application/x-protobuf", **(headers or {})}
        self._waiting: queue.Queue[list[Span] | None] = queue.Queue(MOST_WAITING)
        self.sent = self.lost = 0  # responses
        self._thread = threading.Thread(target=self._run, name="otlp", daemon=True)
        self._thread.start()

    def send(self, spans: list[Span]) -> None:
        """Never waits."""
        try:
            self._waiting.put_nowait(spans)
        except queue.Full:
            self.lost += 1

    def close(self) -> None:
        """Send what waits, for a bounded time."""
        self._waiting.put(None)
        self._thread.join(TIMEOUT_S)

    def _run(self) -> None:
        while (spans := self._waiting.get()) is not None:
            asked = urllib.request.Request(self._url, as_otlp(spans), self._headers, method="POST")
            try:
                with urllib.request.urlopen(asked, timeout=TIMEOUT_S):
                    self.sent += 1
            except (OSError, ValueError, urllib.error.URLError) as error:
                self.lost += 1
                _LOG.warning("spans could not be sent to %s: %s", self._url, type(error).__name__)
