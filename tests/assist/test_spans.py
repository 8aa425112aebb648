"""The assistant's own work as spans: what a receiver of OTLP reads is what happened."""

import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from intact.assist.events import Done, ModelCalled, Started, ToolEnded, ToolStarted
from intact.assist.keep.keep import ResponseRow
from intact.assist.plain_events import plain
from intact.assist.spans import OtlpSender, spans_of

START_NS = 1_700_000_000_000_000_000
DONE = Done(verdict="found", expert="host_diagnosis", intent_type="task", model="m-1", input_tokens=40, output_tokens=9)
ROW = ResponseRow(
    id="r_1", session_id="s_1", owner="alice", question={"text": "SECRET WORDS"}, asker={}, started_ns=START_NS,
    ended_ns=START_NS + 900_000_000, text="SECRET ANSWER", done={
        name: getattr(DONE, name) for name in DONE.__slots__
    },
)  # fmt: skip
EVENTS = [
    plain(event, START_NS // 1_000_000 + at)
    for at, event in (
        (0, Started(session_id="s_1", response_id="r_1")),
        (10, ToolStarted(call_id="t1", name="host.system_space", description="", arguments={"hosts": ["web-1"]})),
        (30, ToolEnded(call_id="t1", name="host.system_space", ok=True, ms=20.0)),
        (40, ToolEnded(call_id="t2", name="agents.runs", ok=False, ms=1.5, problem="gone")),
        (
            800,
            ModelCalled(
                call_id="m1", model="m-1", provider="openai", ok=True, ms=700.0, input_tokens=40, output_tokens=9
            ),
        ),
        (900, DONE),
    )
]


def test_one_trace_holds_tools_and_model_calls() -> None:
    whole, *parts = spans_of(ROW, EVENTS)
    assert whole.name == "invoke_agent host_diagnosis"
    assert (whole.started_ns, whole.ended_ns) == (START_NS, START_NS + 900_000_000)
    assert [part.name for part in parts] == ["execute_tool host.system_space", "execute_tool agents.runs", "chat m-1"]
    assert {part.parent_id for part in parts} == {whole.span_id}
    assert len({part.span_id for part in parts}) == 3
    assert [part.ok for part in parts] == [True, False, True]
    assert [part.ended_ns - part.started_ns for part in parts] == [20_000_000, 1_500_000, 700_000_000]
    assert all(START_NS <= part.started_ns < part.ended_ns <= whole.ended_ns for part in parts)
    assert parts[2].attributes["gen_ai.usage.input_tokens"] == 40
    assert parts[0].attributes["mcp.method.name"] == "tools/call"
    assert whole.attributes["traceloop.span.kind"] == "workflow"


def test_a_receiver_reads_them_and_no_words_are_sent() -> None:
    bodies: list[tuple[str, bytes]] = []

    class Receiver(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            bodies.append((self.path, self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Receiver) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        sender = OtlpSender(f"http://127.0.0.1:{server.server_port}")
        sender.send(spans_of(ROW, EVENTS))
        sender.close()
        server.shutdown()
        thread.join()
    assert (sender.sent, sender.lost) == (1, 0)
    ((path, body),) = bodies
    assert path == "/v1/traces"
    assert b"SECRET" not in body
    request = ExportTraceServiceRequest.FromString(body)
    spans = request.resource_spans[0].scope_spans[0].spans
    assert [span.name for span in spans] == [span.name for span in spans_of(ROW, EVENTS)]
    assert len({span.trace_id for span in spans}) == 1


def test_an_endpoint_that_is_not_there_loses_only_spans() -> None:
    sender = OtlpSender("http://127.0.0.1:9")
    sender.send(spans_of(ROW, EVENTS))
    sender.close()
    assert (sender.sent, sender.lost) == (0, 1)
