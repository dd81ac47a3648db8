"""What `/metrics` shows, in Prometheus's text format: an instance's counts and state, and those of the service."""

from collections.abc import Iterator

from prometheus_client import generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from shared.counting import Values
from shared.metrics import METRICS, Kind
from shared.metrics import Metric as Declared

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


def render(values: Values) -> bytes:
    """Values as text, in the order in which their metrics are declared. A metric without values is left out."""
    unknown = values.keys() - METRICS.keys()
    if unknown:
        raise KeyError(f"metrics that are not declared: {sorted(unknown)}")
    return generate_latest(_Values(values))


class _Values(Collector):
    def __init__(self, values: Values) -> None:
        self._values = values

    def collect(self) -> Iterator[Metric]:
        """All metrics that have values."""
        for metric in METRICS.values():
            if self._values.get(metric.name):
                yield _family(metric, self._values)


def _family(metric: Declared, values: Values) -> Metric:
    samples = sorted(values[metric.name].items())
    if metric.kind is Kind.HISTOGRAM:
        histogram = HistogramMetricFamily(metric.name, metric.about, labels=metric.labels)
        for labels, value in samples:
            if isinstance(value, list):
                histogram.add_metric(labels, _buckets(metric, value[1:]), value[0])
        return histogram
    of_kind = CounterMetricFamily if metric.kind is Kind.COUNTER else GaugeMetricFamily
    family = of_kind(metric.name, metric.about, labels=metric.labels)
    for labels, value in samples:
        if not isinstance(value, list):
            family.add_metric(labels, value)
    return family


def _buckets(metric: Declared, counts: list[float]) -> list[tuple[str, float]]:
    """Upper bounds and how many lie at or below each."""
    buckets: list[tuple[str, float]] = []
    below = 0.0
    for bound, count in zip((*map(str, metric.bounds), "+Inf"), counts, strict=True):
        below += count
        buckets.append((bound, below))
    return buckets
