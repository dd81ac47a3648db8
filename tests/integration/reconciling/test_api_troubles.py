"""Reconciliation while the order API refuses, breaks, hangs, or has lost an order: nothing else is held up."""

import time
from collections.abc import Callable
from typing import Any

import pytest
from support.gelato.reconciling import TENANT, known, order, outage, reconcile, told
from support.gelato.upstream import Fault, Upstream
from support.orders import document, fold, letters
from support.server import Server

from shared.clock import format_time
from shared.store import Store, keys, reconciling
from shared.store.reconciling import Counts


def test_an_order_that_the_api_has_lost_is_counted_and_left_alone(
    upstream: Upstream, server: Server, store: Store
) -> None:
    made = order(upstream, "A", "passed")
    told(store, made, "passed")
    upstream.orders.clear()
    assert reconcile(server, known(upstream), after="passed=0s").missing == 1
    assert reconcile(server, known(upstream), after="passed=0s") == Counts(rounds=1)
    assert document(store, "A")["status"] == "passed"


def test_an_answer_that_cannot_be_used_is_a_dead_letter_and_the_rest_is_healed(
    upstream: Upstream, server: Server, store: Store
) -> None:
    order(upstream, "A", "passed")
    upstream.add("B", fulfillmentStatus=None)
    store.run(reconciling.want(TENANT, ["A", "B"]))
    assert reconcile(server, known(upstream)).healed == 1
    (letter,) = letters(server)
    assert letter["reason"] == b"invalid-event"
    assert b"Personal" not in letter["payload"]


def test_a_refused_key_is_said_once_and_tried_again_in_its_time(
    upstream: Upstream, server: Server, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[str] = []

    class Said:
        """Where the lines go depends on who has set up logging before in this process."""

        def __getattr__(self, level: str) -> Callable[..., None]:
            return lambda event, **fields: said.append(event)

    monkeypatch.setattr("worker.reconcile.logger", Said())
    told(store, order(upstream, "A", "passed"), "passed")
    wrong = known(upstream, key="revoked")
    for _ in range(3):
        assert reconcile(server, wrong, after="passed=0s").healed == 0
        now = store.run(reconciling.now_ms())
        assert server.client.zscore(keys.RECONCILE, TENANT) > now + 10 * 60_000
    assert reconcile(server, known(upstream), after="passed=0s").healed == 1
    assert sum("refuses this tenant's key" in event for event in said) == 1
    reconcile(server, wrong, after="passed=0s")


@pytest.mark.parametrize(
    "fault", [Fault(status=500), Fault(status=429, headers=(("Retry-After", "30"),)), Fault(reset=True)]
)
def test_an_api_in_trouble_is_left_alone_for_a_while_and_the_round_goes_on_after_it(
    upstream: Upstream, server: Server, store: Store, fault: Fault, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shared.orderapi.client._FIRST_WAIT_SECONDS", 0.01)
    told(store, order(upstream, "A", "passed"), "passed")
    upstream.fault_for = lambda _: fault
    assert reconcile(server, known(upstream), after="passed=0s").healed == 0
    now = store.run(reconciling.now_ms())
    assert now + 30_000 < server.client.zscore(keys.RECONCILE, TENANT) < now + 120_000
    upstream.fault_for = lambda _: None
    server.client.delete(*server.client.keys("gelato:pace:*"))
    assert reconcile(server, known(upstream), after="passed=0s").healed == 1


def test_an_order_that_the_api_cannot_give_holds_up_no_other(
    upstream: Upstream, server: Server, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shared.orderapi.client._FIRST_WAIT_SECONDS", 0.01)
    monkeypatch.setattr("worker.asking._GET_SECONDS", 0.3)
    broken, forbidden, hanging = (order(upstream, each) for each in ("broken", "forbidden", "hanging"))
    order(upstream, "fine")
    faults = {broken["id"]: Fault(status=500), forbidden["id"]: Fault(status=403), hanging["id"]: Fault(delay=5.0)}
    upstream.fault_for = lambda each: faults.get(each.path.rpartition("/")[2])
    store.run(reconciling.want(TENANT, ["broken", "forbidden", "hanging", "fine"]))
    done = reconcile(server, known(upstream))
    assert (done.rounds, done.healed) == (1, 1)
    fold(store)
    assert document(store, "fine")["status"] == "created"


def test_a_get_that_fails_is_tried_once_more(
    upstream: Upstream, server: Server, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A search by date comes to each order only once."""
    monkeypatch.setattr("shared.orderapi.client._FIRST_WAIT_SECONDS", 0.01)
    made = order(upstream, "A", createdAt=format_time(time.time_ns() // 1000 - 60_000_000))
    fails = 6  # as often as the client tries

    def fault(each: Any) -> Fault | None:
        nonlocal fails
        fails -= each.path.endswith(made["id"])
        return Fault(status=500) if each.path.endswith(made["id"]) and fails >= 0 else None

    upstream.fault_for = fault
    outage(store, 20)
    done = reconcile(server, known(upstream))
    assert (done.rounds, done.healed, done.gets) == (1, 1, 2)


def test_a_reference_that_the_api_refuses_to_search_for_holds_up_no_other(
    upstream: Upstream, server: Server, store: Store
) -> None:
    references = [f"R{n}" for n in range(8)]
    for each in references:
        order(upstream, each)
    upstream.fault_for = lambda each: Fault(status=400) if b'"R5"' in each.body else None
    store.run(reconciling.want(TENANT, references))
    done = reconcile(server, known(upstream))
    assert (done.rounds, done.healed, done.missing) == (1, 7, 1)
