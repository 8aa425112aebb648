"""What serve tells Prometheus of the assistant: answers, their times, tools, models, tokens."""

from collections.abc import Callable

from prometheus_client import CollectorRegistry, Counter, Histogram
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from intact.assist.keep.keep import ResponseRow
from intact.assist.plain_events import Plain

# From a direct answer (milliseconds) to a model that works for minutes.
_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0)
_TOOL_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0, 30.0)


class RunningMetrics(Collector):
    """How many answers are being made now, when it is asked."""

    def __init__(self, running: Callable[[], int]) -> None:
        self._running = running

    def collect(self):  # type: ignore[no-untyped-def]
        yield GaugeMetricFamily("intact_answers_running", "Answers that are being made now.", value=self._running())


class AssistMetrics:
    """Counts each response when it has ended.

    P50 and P99 are `histogram_quantile` over the buckets, questions a second the `rate` of a count.
    """

    def __init__(self, registry: CollectorRegistry) -> None:
        self._answers = Counter(
            "intact_answers", "Questions answered.", ("intent", "expert", "verdict"), registry=registry
        )
        self._seconds = Histogram(
            "intact_answer_seconds", "From the question to the end.", ("expert",), buckets=_SECONDS, registry=registry
        )
        self._tools = Counter("intact_tool_calls", "Tool calls of the assistant.", ("tool", "ok"), registry=registry)
        self._tool_seconds = Histogram(
            "intact_tool_seconds", "Time of a tool call.", ("tool",), buckets=_TOOL_SECONDS, registry=registry
        )
        self._models = Counter("intact_model_calls", "Calls to a model.", ("model", "error_type"), registry=registry)
        self._model_seconds = Histogram(
            "intact_model_seconds", "Time of a call to a model.", ("model",), buckets=_SECONDS, registry=registry
        )
        self._tokens = Counter("intact_model_tokens", "Tokens.", ("model", "direction"), registry=registry)
        self._struck = Counter("intact_claims_struck", "Claims that the verifier struck out.", registry=registry)

    def ended(self, row: ResponseRow, events: list[Plain]) -> None:
        """Count one response that has ended."""
        done = row.done or {}
        expert = done.get("expert") or "none"
        self._answers.labels(done.get("intent_type") or "none", expert, done.get("verdict") or "none").inc()
        self._seconds.labels(expert).observe(max(0, (row.ended_ns or row.started_ns) - row.started_ns) / 1e9)
        self._struck.inc(done.get("struck", 0))
        for event in events:
            if event["type"] == "tool_result":
                self._tools.labels(event["name"], str(event["ok"]).lower()).inc()
                self._tool_seconds.labels(event["name"]).observe(event["ms"] / 1e3)
            elif event["type"] == "model_call":
                self._models.labels(event["model"], event["error_type"] or "").inc()
                self._model_seconds.labels(event["model"]).observe(event["ms"] / 1e3)
                self._tokens.labels(event["model"], "input").inc(event["input_tokens"])
                self._tokens.labels(event["model"], "output").inc(event["output_tokens"])
