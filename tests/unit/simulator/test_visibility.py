"""From a post to the rollup that shows it: only what is sure is measured."""

from dataclasses import replace

from support.gelato.simulated import orders_of, post

from ops.simulator.delivery import schedule
from ops.simulator.run import _sample
from ops.simulator.visibility import Visibility


def test_only_what_is_sure_is_measured() -> None:
    visibility = Visibility(None, None, "default", ["r"])  # type: ignore[arg-type]
    visibility.succeeded(post(1), 10.0)
    visibility.succeeded(post(1), 10.5)  # a duplicate
    visibility.succeeded(post(2), 11.0)
    visibility.failed(post(3))
    visibility.succeeded(post(3), 16.0)
    visibility.succeeded(replace(post(4), reference="not watched"), 17.0)
    visibility.saw("r", 1, 10.25)
    visibility.saw("r", 3, 12.0)
    assert visibility.latencies_s() == [0.25, 1.0]


def test_orders_without_planned_failures_are_watched_first() -> None:
    orders = orders_of(250)
    posts = schedule(orders, 1, duplicate=0, reorder=0, fail=0.02)
    watched = _sample(orders, posts)
    calm = {order.reference for order in orders} - {post.reference for post in posts if post.cuts}
    assert len(watched) == len(set(watched)) == 200
    assert calm
    assert calm <= set(watched)
