"""What serve tells Prometheus of what the assistant keeps: how much, and what each bound took."""

from typing import Any

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.registry import Collector

from intact.assist.keep.keep import Keep

_NOW = {"sessions": "Sessions that are kept.", "unavailable": "1: what is kept cannot be reached."}


class KeepMetrics(Collector):
    """`intact_keep_sessions`, `intact_keep_unavailable`; all else has grown since the start."""

    def __init__(self, keep: Keep) -> None:
        self._keep = keep

    def describe(self) -> list[Any]:
        return []  # what is there is known when it is asked for

    def collect(self) -> list[Any]:
        families: list[Any] = []
        for name, value in sorted(self._keep.counts().items()):
            if name in _NOW:
                families.append(GaugeMetricFamily(f"intact_keep_{name}", _NOW[name], value=value))
            else:
                words = f"Since the start: {name.replace('_', ' ')}."
                families.append(CounterMetricFamily(f"intact_keep_{name}", words, value=value))
        return families
