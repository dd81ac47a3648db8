"""Reconciliation: which orders are asked about, how cheaply, and what is healed by the answers."""

import time

from support.gelato.reconciling import TENANT, advance, asked, counts, known, order, reconcile, told
from support.gelato.upstream import Upstream
from support.orders import document, fold
from support.polling import eventually
from support.processes import Receiver
from support.server import Server

from shared.secret import SecretUrl
from shared.settings import Settings
from shared.store import Store, keys, orders, reconciling, submissions
from shared.store.reconciling import Counts
from worker.turns import Turns


def test_an_incomplete_order_is_completed_by_one_search_and_one_get(
    upstream: Upstream, server: Server, store: Store
) -> None:
    first, second = order(upstream, "A", "shipped"), order(upstream, "A", "printed")
    for each in (first, second):
        each["connectedOrderIds"] = [first["id"], second["id"]]
    told(store, first, "shipped", connectedOrderIds=[first["id"], second["id"]])
    first["fulfillments"] = None
    assert document(store, "A")["complete"] is False
    assert reconcile(server, known(upstream), after="incomplete=0s") == Counts(1, 1, 1, 2, 1, 0)
    fold(store)
    healed = document(store, "A")
    assert healed["complete"] is True
    assert healed["orders"][second["id"]]["status"] == "printed"
    assert counts(store) == Counts(1, 1, 1, 2, 1, 0)


def test_a_sibling_that_the_search_leaves_out_is_asked_for_only_until_it_is_heard_of(
    upstream: Upstream, server: Server, store: Store
) -> None:
    first, second = order(upstream, "A", "passed"), order(upstream, "A", "passed")
    for each in (first, second):
        each["connectedOrderIds"] = [first["id"], second["id"]]
    told(store, first, "passed", connectedOrderIds=[first["id"], second["id"]])
    second["orderReferenceId"] = "elsewhere"  # a search for A does not find it
    store.run(reconciling.want(TENANT, ["A"]))
    assert reconcile(server, known(upstream)).gets == 1
    assert asked(upstream)[1] == [second["id"]]
    told(store, {**second, "orderReferenceId": "A"}, "passed")
    store.run(reconciling.want(TENANT, ["A"]))
    assert reconcile(server, known(upstream)).gets == 0


def test_nothing_is_asked_while_webhooks_may_still_come(upstream: Upstream, server: Server, store: Store) -> None:
    made = order(upstream, "A", "passed")
    told(store, made, "passed", connectedOrderIds=[made["id"], "another"])
    assert reconcile(server, known(upstream)) == Counts(rounds=1)
    assert asked(upstream) == ([], [])


def test_a_silent_order_whose_webhooks_were_lost_is_healed(upstream: Upstream, server: Server, store: Store) -> None:
    made = order(upstream, "A", "passed")
    told(store, made, "passed")
    advance(made, "canceled")
    assert reconcile(server, known(upstream), after="passed=0s").healed == 1
    fold(store)
    assert document(store, "A")["status"] == "canceled"
    assert document(store, "A")["terminal"] is True


def test_only_a_status_that_has_been_silent_for_long_enough_is_asked_about(
    upstream: Upstream, server: Server, store: Store
) -> None:
    told(store, order(upstream, "passed", "passed"), "passed")
    told(store, order(upstream, "printed", "printed"), "printed")
    reconcile(server, known(upstream), after="printed=0s")
    searches, _ = asked(upstream)
    assert [each["orderReferenceIds"] for each in searches] == [["printed"]]


def test_an_order_about_which_nothing_new_is_known_costs_a_share_of_a_search_and_is_then_left_alone(
    upstream: Upstream, server: Server, store: Store
) -> None:
    for n in range(150):
        told(store, order(upstream, f"R{n}", "passed", connectedOrderIds=None), "passed")
    first = reconcile(server, known(upstream), after="passed=0s")
    assert first == Counts(1, 150, 3, 0, 0, 0)
    assert reconcile(server, known(upstream), after="passed=0s") == Counts(rounds=1)
    assert server.client.zcard(keys.reconcile_quiet(TENANT)) == 150
    assert server.client.pttl(keys.reconcile_quiet(TENANT)) > 0


def test_how_many_connected_orders_there_are_is_learnt_without_a_get(
    upstream: Upstream, server: Server, store: Store
) -> None:
    told(store, order(upstream, "A", "passed"), "passed")
    assert document(store, "A")["complete"] is None
    assert reconcile(server, known(upstream), after="passed=0s") == Counts(1, 1, 1, 0, 1, 0)
    fold(store)
    assert document(store, "A")["complete"] is True


def test_what_was_healed_is_a_metric(upstream: Upstream, server: Server, store: Store, receiver: Receiver) -> None:
    order(upstream, "A", "passed")
    store.run(reconciling.want(TENANT, ["A"]))
    reconcile(server, known(upstream))
    shown = eventually(lambda: receiver.client.get("/metrics").text, what="the metrics")
    assert 'gelato_reconciliation_total{what="healed"} 1.0' in shown
    assert 'gelato_reconciliation_total{what="gets"} 1.0' in shown


def test_an_order_that_has_ended_is_searched_for_once_and_a_sibling_never_heard_of_is_found(
    upstream: Upstream, server: Server, store: Store
) -> None:
    whole = order(upstream, "whole", "canceled")
    first, second = order(upstream, "split", "canceled"), order(upstream, "split", "passed")
    for each in (first, second):
        each["connectedOrderIds"] = [first["id"], second["id"]]
    for each in (whole, first):
        told(store, each, "canceled")
    store.run(orders.close(TENANT, "whole", time.time_ns() // 1000))
    told(store, order(upstream, "alone", "canceled"), "canceled")
    assert reconcile(server, known(upstream)) == Counts(rounds=1)  # its siblings may yet be heard of
    assert reconcile(server, known(upstream), after="incomplete=0s") == Counts(1, 2, 1, 1, 2, 0)
    fold(store)
    assert document(store, "split")["terminal"] is False
    assert document(store, "alone")["complete"] is True
    assert "closedAt" in document(store, "whole")
    assert reconcile(server, known(upstream), after="incomplete=0s,passed=9d") == Counts(rounds=1)


def test_what_somebody_asks_for_comes_first_whatever_was_asked_about_before(
    upstream: Upstream, server: Server, store: Store
) -> None:
    made = order(upstream, "A", "passed")
    told(store, made, "passed", connectedOrderIds=[made["id"]])
    assert reconcile(server, known(upstream), after="passed=0s").looked_at == 1
    advance(made, "printed")
    assert store.run(reconciling.want(TENANT, ["A", "never heard of/é"])) == 2
    result = reconcile(server, known(upstream), minutes=0)
    assert (result.healed, result.missing) == (1, 1)
    assert store.run(reconciling.wanted(TENANT, 10)) == []
    assert server.client.zcard(keys.RECONCILE) == 0  # it rests until something else is asked for


def test_no_more_can_be_asked_for_than_will_be_done(store: Store) -> None:
    assert store.run(reconciling.want(TENANT, [f"R{n}" for n in range(reconciling.MAX_WANTED)])) == 10_000
    assert store.run(reconciling.want(TENANT, ["one more"])) is None
    assert len(store.run(reconciling.wanted(TENANT, 20_000))) == 10_000


def test_a_submit_whose_answer_was_lost_is_found_by_search(upstream: Upstream, server: Server, store: Store) -> None:
    order(upstream, "taken")
    long_ago = int((time.time() - 3_600) * 1000)
    for reference in ("taken", "not taken"):
        store.run(submissions.note(TENANT, reference, "claim", long_ago))
    store.run(submissions.note(TENANT, "on its way", "claim", int(time.time() * 1000)))
    turns = Turns(store, Settings(redis_url=SecretUrl(server.url)))
    for _ in range(20):
        turns.look()
    assert sorted(store.run(reconciling.wanted(TENANT, 10))) == ["not taken", "taken"]
    result = reconcile(server, known(upstream))
    assert (result.healed, result.missing) == (1, 1)
    fold(store)
    assert document(store, "taken")["status"] == "created"
    assert [each.reference for each in store.run(submissions.unsettled(2**53, 10))] == ["on its way"]
