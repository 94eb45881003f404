"""Figures as Prometheus reads them; the only file that imports its client library.

Nothing is counted here: every scrape turns one picture of the line into text, so that what is
scraped can't differ from what the spool has counted.
"""

from collections.abc import Iterator
from itertools import accumulate
from typing import Any

from prometheus_client import CollectorRegistry, ProcessCollector
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector

from collector.latency import BOUNDS_S
from collector.metrics.flow import FLOW
from collector.metrics.parts import PARTS
from collector.metrics.requests import REQUESTS
from collector.metrics.samples import Family, Figures


def render(figures: Figures, accept: str) -> tuple[str, bytes]:
    """Return the content type and the body; OpenMetrics for a client that accepts it."""
    registry = CollectorRegistry()
    registry.register(_Picture(figures))
    ProcessCollector(registry=registry)
    encode, content_type = choose_encoder(accept)
    return content_type, encode(registry)


class _Picture(Collector):
    def __init__(self, figures: Figures) -> None:
        self._figures = figures

    def collect(self) -> Iterator[Metric]:
        for family in (*FLOW, *REQUESTS, *PARTS):
            yield _family(family, self._figures)


def _family(family: Family, figures: Figures) -> Metric:
    name, text, labels = family.name, family.text, family.labels
    if family.kind == "histogram":
        histogram = HistogramMetricFamily(name, text, labels=labels)
        for values, latency in family.samples(figures):
            # A table that has sent nothing since the start has none.
            if not latency:
                continue
            histogram.add_metric(values, _buckets(latency["counts"]), latency["sum_s"])
        return histogram
    made = CounterMetricFamily if family.kind == "counter" else GaugeMetricFamily
    found = made(name, text, labels=labels)
    for values, value in family.samples(figures):
        found.add_metric(values, value)
    return found


def _buckets(counts: list[int]) -> list[Any]:
    bounds = [*map(str, BOUNDS_S), "+Inf"]
    return list(zip(bounds, accumulate(counts), strict=True))
