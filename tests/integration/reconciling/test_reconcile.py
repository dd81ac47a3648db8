"""Reconciliation: what is asked about, how cheaply, what is made of the answers, and what it survives."""

import asyncio
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import orjson
import pytest
from support.contents import all_texts
from support.events import webhook
from support.orders import accept, document, fold, found_document, letters
from support.polling import eventually
from support.processes import Process, Receiver
from support.server import Server
from support.upstream import KEY, PERSONAL, Fault, Upstream

from shared.clock import format_time
from shared.orderapi import OrderApis
from shared.secret import Secret, SecretUrl
from shared.settings import Settings
from shared.store import AsyncStore, Store, keys, orders, reconciling, submissions
from shared.store.reconciling import Counts
from shared.tenants import Api, Tenant, Tenants
from worker.reconcile import Reconciliation
from worker.turns import Turns

TENANT = "default"
NOTHING = Counts()


@pytest.fixture(scope="module")
def api() -> Iterator[Upstream]:
    upstream = Upstream().start()
    yield upstream
    upstream.stop()


@pytest.fixture
def upstream(api: Upstream, server: Server) -> Iterator[Upstream]:
    api.clear()
    yield api
    api.clear()


def known(upstream: Upstream, *more: Tenant, key: str = KEY, reference: str | None = None) -> Tenants:
    mine = Tenant(TENANT, customer_reference=reference, api=Api(Secret(key), {"url": upstream.url}))
    return Tenants({each.name: each for each in (mine, *more)})


def reconcile(
    server: Server,
    tenants: Tenants,
    *,
    after: str = "",
    minutes: float = 15.0,
    stopped: Callable[[], bool] = lambda: False,
    tenant: str = TENANT,
    seconds: float = 10.0,
) -> Counts:
    """A slice of a round, now."""
    settings = Settings(
        api_timeout_seconds=2.0, api_requests_per_second=2_000.0, reconcile_after=after, reconcile_minutes=minutes
    )

    async def work() -> Counts:
        store = AsyncStore.from_url(server.url)
        try:
            await store.run(reconciling.hurry(tenant))
            async with OrderApis(store, settings) as apis:
                return await Reconciliation(store, apis, settings, tenants, stopped).turns(seconds)
        finally:
            await store.close()

    return asyncio.run(work())


def asked(upstream: Upstream) -> tuple[list[dict[str, Any]], list[str]]:
    """The searches, and the ids of the gets."""
    searches = [each.json() for each in upstream.asked if each.path.endswith("search")]
    return searches, [each.path.rpartition("/")[2] for each in upstream.asked if each.method == "GET"]


def order(upstream: Upstream, reference: str, status: str = "created", **more: Any) -> dict[str, Any]:
    made = upstream.add(reference, **more)
    advance(made, status)
    return made


def advance(made: dict[str, Any], status: str) -> None:
    made["fulfillmentStatus"] = status
    made["updatedAt"] = time.strftime("%Y-%m-%dT%H:%M:%S+00:00", time.gmtime())
    for item in made["items"]:
        item["fulfillmentStatus"] = status


def told(store: Store, made: dict[str, Any], status: str, **more: Any) -> None:
    """A webhook says that an order has a status."""
    items = [{"itemReferenceId": each["itemReferenceId"], "fulfillmentStatus": status} for each in made["items"]]
    content = {
        "object": "orderStatus",
        "id": f"os_{made['id']}_{status}",
        "orderId": made["id"],
        "orderReferenceId": made["orderReferenceId"],
        "fulfillmentStatus": status,
        "created": made["updatedAt"],
        "items": items,
        **more,
    }
    accept(store, webhook(made["orderReferenceId"], **content))
    fold(store)


def outage(store: Store, seconds_ago: float, length: float = 60.0) -> None:
    now = store.run(reconciling.now_ms())
    ended = now - int(seconds_ago * 1000)
    store.client.zadd(keys.OUTAGES, {f"{ended - int(length * 1000)}-{ended}": ended})


def counts(store: Store) -> Counts:
    return store.run(reconciling.counts([TENANT]))[TENANT]


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


def test_an_order_that_the_api_has_lost_is_counted_and_left_alone(
    upstream: Upstream, server: Server, store: Store
) -> None:
    made = order(upstream, "A", "passed")
    told(store, made, "passed")
    upstream.orders.clear()
    assert reconcile(server, known(upstream), after="passed=0s").missing == 1
    assert reconcile(server, known(upstream), after="passed=0s") == Counts(rounds=1)
    assert document(store, "A")["status"] == "passed"


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


def test_the_end_of_an_outage_hurries_reconciliation(store: Store) -> None:
    store.run(reconciling.schedule({"a": 900_000, "b": 1}))
    store.run(reconciling.hurry_all(20_000))
    turns = dict(store.client.zrange(keys.RECONCILE, 0, -1, withscores=True))
    now = store.run(reconciling.now_ms())
    assert turns[b"a"] == pytest.approx(now + 20_000, abs=2_000)
    assert turns[b"b"] < now + 1_000


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


def test_nothing_personal_of_an_answer_is_kept(upstream: Upstream, server: Server, store: Store) -> None:
    store.run(reconciling.want(TENANT, ["A"]))
    order(upstream, "A", "passed")
    assert reconcile(server, known(upstream)).healed == 1
    fold(store)
    held = all_texts(server)
    assert document(store, "A")["status"] == "passed"
    assert not [text for text in (*PERSONAL.values(), "Personal", KEY) if text.encode() in held]


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


def test_another_customers_order_is_never_folded_here(upstream: Upstream, server: Server, store: Store) -> None:
    mine = order(upstream, "A", "passed", customerReferenceId="me")
    other = order(upstream, "A", "delivered", customerReferenceId="them")
    nobodys = order(upstream, "A", "delivered")
    them = Tenant("them", customer_reference="them", api=Api(Secret(KEY), {"url": upstream.url}))
    told(store, mine, "created", connectedOrderIds=[mine["id"], other["id"]])  # whoever wrote that
    store.run(reconciling.want(TENANT, ["A"]))
    assert reconcile(server, known(upstream, them, reference="me")).healed == 1
    fold(store)
    found = document(store, "A")["orders"]
    assert found[mine["id"]]["status"] == "passed"
    assert found[other["id"]]["silent"] is True
    assert nobodys["id"] not in found


def test_an_order_that_another_tenant_submitted_here_stays_that_tenants(
    upstream: Upstream, server: Server, store: Store
) -> None:
    theirs, mine = order(upstream, "A", "passed"), order(upstream, "A", "passed")
    store.run(submissions.remember("them", [theirs["id"]], "", 1))
    store.run(submissions.remember(TENANT, [mine["id"]], "", 1))
    store.run(reconciling.want(TENANT, ["A"]))
    reconcile(server, known(upstream, Tenant("them", api=Api(Secret(KEY), {"url": upstream.url}))))
    fold(store)
    assert document(store, "A")["connectedOrderIds"] == [mine["id"]]


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
