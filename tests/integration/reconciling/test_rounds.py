"""The rounds of reconciliation: whose turn it is, leases, stops, and workers that die."""

import signal
import time
from collections.abc import Callable, Sequence
from typing import Any

import orjson
import pytest
from support.events import webhook
from support.gelato.reconciling import NOTHING, TENANT, advance, asked, counts, known, order, reconcile, told
from support.gelato.upstream import KEY, Fault, Upstream
from support.orders import accept, found_document
from support.polling import eventually
from support.processes import Process
from support.server import Server

from shared.store import Store, keys, reconciling
from shared.store.reconciling import Counts
from shared.tenants import Tenant, Tenants


def test_the_end_of_an_outage_hurries_reconciliation(store: Store) -> None:
    store.run(reconciling.schedule({"a": 900_000, "b": 1}))
    store.run(reconciling.hurry_all(20_000))
    turns = dict(store.client.zrange(keys.RECONCILE, 0, -1, withscores=True))
    now = store.run(reconciling.now_ms())
    assert turns[b"a"] == pytest.approx(now + 20_000, abs=2_000)
    assert turns[b"b"] < now + 1_000


def test_a_tenant_without_an_api_has_no_turns(server: Server, store: Store) -> None:
    tenants = Tenants({TENANT: Tenant(TENANT)})
    assert reconcile(server, tenants) == NOTHING
    assert server.client.zcard(keys.RECONCILE) == 0


def test_a_tenants_round_is_carried_out_by_one_at_a_time(upstream: Upstream, server: Server, store: Store) -> None:
    store.run(reconciling.hurry(TENANT))
    assert store.run(reconciling.hold(TENANT, "another", 60_000)).ours
    assert reconcile(server, known(upstream)) == NOTHING
    store.run(reconciling.give_up(TENANT, "another", 0))
    assert reconcile(server, known(upstream)).rounds == 1


def test_who_has_lost_the_lease_keeps_nothing(store: Store) -> None:
    assert store.run(reconciling.hold(TENANT, "one", 60_000)).ours
    store.client.delete(keys.reconcile_lease(TENANT))
    assert store.run(reconciling.hold(TENANT, "two", 60_000)).ours
    assert not store.run(reconciling.save(TENANT, "one", 60_000, position=b"{}", counts=Counts(healed=1)))
    assert counts(store) == NOTHING
    assert store.run(reconciling.position(TENANT)) is None


def test_a_round_that_was_stopped_goes_on_where_it_was(upstream: Upstream, server: Server, store: Store) -> None:
    for n in range(250):
        told(store, order(upstream, f"R{n:03}", "passed", connectedOrderIds=None), "passed")
    slices = 0
    looked_at = 0
    while True:
        done = reconcile(server, known(upstream), after="passed=0s", stopped=lambda: len(upstream.asked) > 0)
        looked_at += done.looked_at
        slices += 1
        if done.rounds:
            break
        upstream.asked.clear()
    assert looked_at == 250
    assert slices >= 3


def api_environment(upstream: Upstream) -> dict[str, str]:
    return {
        "GELATO_API_KEY": KEY,
        "GELATO_API_URL": upstream.url,
        "GELATO_RECONCILE_MINUTES": "0.01",
        "GELATO_RECONCILE_AFTER": "passed=0s",
    }


def test_a_worker_reconciles_by_itself_and_one_that_is_killed_in_the_middle_is_followed_by_another(
    upstream: Upstream, server: Server, store: Store, start: Callable[..., Process]
) -> None:
    references = [f"R{n:03}" for n in range(60)]
    for reference in references:
        made = order(upstream, reference, "passed")
        told(store, made, "passed")
        advance(made, "printed")
    gets = 0

    def slowly(each: Any) -> Fault | None:
        nonlocal gets
        gets += each.method == "GET"
        return Fault(delay=60.0) if gets == 45 else None

    upstream.fault_for = slowly
    store.run(reconciling.hurry(TENANT))
    worker = start("worker", **api_environment(upstream))
    eventually(lambda: gets >= 45, seconds=20, what="the worker to be in the middle of a round")
    worker.send(signal.SIGKILL)
    worker.kill()
    assert 0 < counts_of(store, references, "printed") < 60
    upstream.fault_for = lambda _: None
    store.client.delete(keys.reconcile_lease(TENANT))  # as it will be when it has run out
    store.run(reconciling.hurry(TENANT))
    asked_before = len(asked(upstream)[1])
    start("worker", **api_environment(upstream))
    eventually(lambda: counts_of(store, references, "printed") == 60, seconds=20, what="the round to be finished")
    assert len(asked(upstream)[1]) - asked_before <= 60 - 40  # what was folded is not asked for again


def counts_of(store: Store, references: Sequence[str], status: str) -> int:
    raw = store.client.mget([keys.document_key(TENANT, each) for each in references])
    return sum(orjson.loads(each)["status"] == status for each in raw if each)


def test_folding_goes_on_as_ever_while_a_slow_api_is_asked(
    upstream: Upstream, server: Server, store: Store, start: Callable[..., Process]
) -> None:
    for n in range(40):
        made = order(upstream, f"R{n:03}", "passed")
        told(store, made, "passed")
        advance(made, "printed")
    upstream.fault_for = lambda _: Fault(delay=0.3)
    store.run(reconciling.hurry(TENANT))
    start("worker", **api_environment(upstream))
    eventually(lambda: asked(upstream)[1], seconds=20, what="reconciliation to be at work")
    delays = []
    for n in range(20):
        began = time.monotonic()
        accept(store, webhook(f"live-{n}"))
        eventually(lambda: found_document(store, f"live-{n}"), what="a live event to be folded")  # noqa: B023
        delays.append(time.monotonic() - began)
    assert len(asked(upstream)[1]) < 40, "it was over before it was measured"
    assert sorted(delays)[10] < 0.1, delays
    assert max(delays) < 1.0, delays
