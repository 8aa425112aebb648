"""What serve tells Prometheus of itself."""

from collections.abc import Callable

from prometheus_client import CollectorRegistry, Counter, Histogram
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4, generate_latest
from prometheus_client.registry import Collector

CONTENT_TYPE = CONTENT_TYPE_PLAIN_0_0_4
_BUCKETS = (0.005, 0.02, 0.05, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0)

# name -> (help, value now); a name ending in _total only grows
Readings = dict[str, tuple[str, float]]


class Metrics:
    """Counts requests; asks for the rest when it is asked."""

    def __init__(self, readings: Callable[[], Readings]) -> None:
        self.registry = CollectorRegistry(auto_describe=False)
        self.registry.register(_Readings(readings))
        self._requests = Counter(
            "intact_http_requests", "Requests answered.", ("route", "method", "status"), registry=self.registry
        )
        self._seconds = Histogram(
            "intact_http_request_seconds", "Time to answer.", ("route",), buckets=_BUCKETS, registry=self.registry
        )

    def answered(self, route: str, method: str, status: int, seconds: float) -> None:
        self._requests.labels(route, method, str(status)).inc()
        self._seconds.labels(route).observe(seconds)

    def text(self) -> bytes:
        return generate_latest(self.registry)


class _Readings(Collector):
    def __init__(self, readings: Callable[[], Readings]) -> None:
        self._readings = readings

    def collect(self):  # type: ignore[no-untyped-def]
        for name, (words, value) in self._readings().items():
            kind = CounterMetricFamily if name.endswith("_total") else GaugeMetricFamily
            yield kind(name.removesuffix("_total"), words, value=value)
