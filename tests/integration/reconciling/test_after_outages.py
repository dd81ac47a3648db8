"""Reconciliation after a time in which no receiver was ready."""

import time

from support.gelato.reconciling import asked, known, order, outage, reconcile, told
from support.gelato.upstream import Upstream
from support.orders import document, fold, found_document
from support.server import Server

from shared.clock import format_time
from shared.store import Store
from shared.store.reconciling import Counts


def test_orders_placed_in_an_outage_are_found_by_date_and_others_are_not_looked_for(
    upstream: Upstream, server: Server, store: Store
) -> None:
    now_us = time.time_ns() // 1000
    for n in range(130):
        order(upstream, f"new-{n}", "passed", createdAt=format_time(now_us - 60_000_000))
    order(upstream, "old", "passed", createdAt=format_time(now_us - 86_400_000_000))
    outage(store, 20)
    assert reconcile(server, known(upstream)) == Counts(1, 130, 2, 130, 130, 0)
    fold(store)
    assert all(found_document(store, f"new-{n}") for n in range(130))
    assert found_document(store, "old") is None
    assert reconcile(server, known(upstream)) == Counts(rounds=1)  # once for each outage


def test_orders_that_were_open_in_an_outage_are_compared_even_where_they_look_done(
    upstream: Upstream, server: Server, store: Store
) -> None:
    long_ago = format_time(time.time_ns() // 1000 - 86_400_000_000)
    first = order(upstream, "A", "canceled", createdAt=long_ago)
    second = order(upstream, "A", "passed", createdAt=long_ago)
    for each in (first, second):
        each["connectedOrderIds"] = [first["id"], second["id"]]
    told(store, first, "canceled")
    assert document(store, "A")["terminal"] is True
    outage(store, 20)
    assert reconcile(server, known(upstream)).healed == 1
    fold(store)
    assert document(store, "A")["terminal"] is False


def test_an_outage_that_has_just_ended_waits_until_no_receiver_can_take_it_back(
    upstream: Upstream, server: Server, store: Store
) -> None:
    order(upstream, "A", createdAt=format_time(time.time_ns() // 1000 - 30_000_000))
    outage(store, 1)
    assert reconcile(server, known(upstream)) == Counts(rounds=1)
    assert asked(upstream) == ([], [])
