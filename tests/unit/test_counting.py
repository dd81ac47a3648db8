"""Counts: histograms, their quantiles, and adding up what several processes have counted."""

import pytest

from shared.counting import Histogram, quantile, together
from shared.metrics import METRICS, Kind
from shared.store import activity


def test_a_bucket_holds_its_upper_bound() -> None:
    histogram = Histogram((1.0, 2.0))
    histogram.observe_all([0.5, 1.0, 1.5, 2.0, 9.0])
    assert histogram.value() == [14.0, 2, 2, 1]


def test_quantiles_are_interpolated_within_their_bucket() -> None:
    bounds = (1.0, 2.0, 4.0)
    assert quantile(bounds, [0, 0, 0, 0], 0.5) is None
    assert quantile(bounds, [100, 0, 0, 0], 0.5) == 0.5
    assert quantile(bounds, [50, 50, 0, 0], 0.99) == pytest.approx(1.98)
    assert quantile(bounds, [0, 0, 0, 3], 0.5) == 4.0, "beyond the last bound there is nothing to say"


def test_what_several_have_counted_adds_up() -> None:
    one = {"a": {("x",): 1, ("y",): 2}, "h": {(): [0.5, 1, 0]}}
    other = {"a": {("y",): 3}, "b": {(): 1}, "h": {(): [1.5, 0, 2]}}
    assert together([one, other]) == {"a": {("x",): 1, ("y",): 5}, "b": {(): 1}, "h": {(): [2.0, 1, 2]}}
    assert one == {"a": {("x",): 1, ("y",): 2}, "h": {(): [0.5, 1, 0]}}, "what was given is left as it was"


def test_totals_that_go_to_redis_come_back_as_they_were() -> None:
    histogram = Histogram(METRICS["gelato_fold_seconds"].bounds)
    histogram.observe_all([0.001, 0.03, 77.0])
    counted = {"gelato_events_folded_total": {(): 7}, "gelato_fold_seconds": {(): histogram.value()}}
    fields = activity.total_fields(counted)
    answer = [word for field in fields.items() for word in (field[0].encode(), b"%d" % field[1])]
    operation = activity.totals()
    next(operation)
    with pytest.raises(StopIteration) as stop:
        operation.send([answer])
    assert stop.value.value == counted


def test_metrics_are_named_as_prometheus_wants_them() -> None:
    for metric in METRICS.values():
        assert metric.name.startswith("gelato_")
        assert (metric.kind is Kind.COUNTER) == metric.name.endswith("_total")
        assert bool(metric.bounds) == (metric.kind is Kind.HISTOGRAM)
        assert list(metric.bounds) == sorted(metric.bounds)
        assert "tenant" not in metric.labels
