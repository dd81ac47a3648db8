"""The data on a cluster: where keys lie, slots that move, how often a node is asked, each kind of operation."""

import asyncio
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest
from redis.crc import key_slot
from support import events
from support.folding.clustered import accept, fold_all, incoming
from support.folding.indexed import status_counts
from support.polling import eventually
from support.servers import Cluster, own_answers

from receiver.feed import Feed
from shared.errors import StoreUnavailable
from shared.store import (
    AsyncStore,
    Store,
    changes,
    due,
    indexes,
    intake,
    keys,
    orders,
    outages,
    pace,
    reconciling,
    search,
    submissions,
)
from shared.store.calls import Operation
from shared.store.intake import Result
from shared.store.pace import Rate
from shared.store.submissions import Found, Times


def test_keys_of_one_order_are_in_one_slot_and_due_shards_on_all_nodes(cluster: Cluster, store: Store) -> None:
    accept(store, *(incoming(f"order {n}/é", 0) for n in range(64)))
    assert all(any(key.startswith("gelato:due:") for key in node) for node in cluster.held())
    assert sum(key.startswith("gelato:due:") for node in cluster.held() for key in node) == keys.SHARDS
    fold_all(store)
    name = keys.order_name("default", "order 7/é")
    assert len({key_slot(key.encode()) for key in keys.of_order(name)}) == 1
    (node,) = [node for node in cluster.held() if any(name in key for key in node)]
    assert set(keys.of_order(name)) <= set(node)
    assert not any(key.startswith("gelato:due:") for node in cluster.held() for key in node)


def test_an_idle_shift_is_woken_by_a_mark(cluster: Cluster, store: Store) -> None:
    woken: list[float] = []

    def idle() -> None:
        own = Store.from_url(cluster.url)
        assert own.run(due.wait_for_work(8.0)) is not None
        woken.append(time.monotonic())
        own.close()

    sleeper = threading.Thread(target=idle)
    sleeper.start()
    eventually(lambda: any(node.client.info("clients")["blocked_clients"] for node in cluster.nodes), what="a sleeper")
    marked = time.monotonic()
    store.run(due.mark(["default/A"]))
    sleeper.join(10)
    assert woken
    assert woken[0] - marked < 1.0


@pytest.mark.parametrize("asynchronous", [False, True])
def test_a_slot_that_moves_to_another_node_is_followed(cluster: Cluster, asynchronous: bool) -> None:
    references = [f"order-{n}" for n in range(30)]
    slot = key_slot(keys.log("default/order-5").encode())
    home = next(node for node in cluster.nodes if cluster.has(node, slot))
    there = next(node for node in cluster.nodes if node is not home)

    async def play() -> None:
        run, close = running(cluster.url, asynchronous=asynchronous)
        for number in range(2):
            accepted = await run(intake.accept([incoming(each, number) for each in references], cluster=True))
            assert [each.result for each in accepted] == [Result.ACCEPTED] * 30
            if number == 0:
                cluster.move_slot(slot, there)
        logs = [await run(orders.log("default", each)) for each in references]
        assert [len(each) for each in logs] == [2] * 30
        await close()

    try:
        asyncio.run(play())
        assert there.client.llen(keys.log("default/order-5")) == 2
    finally:
        cluster.move_slot(slot, home)


def running(url: str, *, asynchronous: bool) -> tuple[Callable[[Operation[Any]], Any], Callable[[], Any]]:
    """Run operations with either executor, from a coroutine."""
    if asynchronous:
        store = AsyncStore.from_url(url)
        return store.run, store.close
    blocking = Store.from_url(url)

    async def run(operation: Operation[Any]) -> Any:
        return blocking.run(operation)

    async def close() -> None:
        blocking.close()

    return run, close


def test_large_batches_and_many_readers_at_once_are_no_outage(cluster: Cluster) -> None:
    async def play() -> None:
        store = AsyncStore.from_url(cluster.url)
        try:
            events = [incoming(f"order-{n}", 0) for n in range(600)]
            lots = [events[at : at + 128] for at in range(0, 600, 128)]
            await asyncio.gather(*(store.run(intake.accept(lot, cluster=True)) for lot in lots))
            logs = await asyncio.gather(*(store.run(orders.log("default", f"order-{n}")) for n in range(600)))
            assert [len(log) for log in logs] == [1] * 600
        finally:
            await store.close()

    asyncio.run(play())


def test_a_batch_costs_a_round_trip_per_node_and_not_per_order(cluster: Cluster, store: Store) -> None:
    store.run(orders.documents("default", ["warm", "up"]))
    reads = [node.client.info("stats")["total_reads_processed"] for node in cluster.nodes]
    accept(store, *(incoming(f"order-{n}", 0) for n in range(200)))
    store.run(orders.documents("default", [f"order-{n}" for n in range(200)]))
    now = [node.client.info("stats")["total_reads_processed"] for node in cluster.nodes]
    commands = sum(now) - sum(reads)
    assert commands < 400, "one read by a server for each call"


@pytest.mark.parametrize("asynchronous", [False, True])
def test_a_dead_cluster_is_store_unavailable_and_a_store_is_made_before_it_is_there(asynchronous: bool) -> None:
    async def play() -> None:
        run, close = running("redis+cluster://someone:hidden@127.0.0.1:1,127.0.0.1:2", asynchronous=asynchronous)
        for operation in (orders.document("default", "A"), orders.documents("default", ["A", "B"])):
            with pytest.raises(StoreUnavailable) as raised:
                await run(operation)
            assert "hidden" not in str(raised.value)
        await close()

    asyncio.run(play())


def test_cancelled_calls_leave_the_next_ones_their_own_answers(cluster: Cluster) -> None:
    asyncio.run(own_answers(cluster.url, cluster.nodes))


def test_indexes_of_a_cluster_find_follow_and_forget(cluster: Cluster, store: Store) -> None:
    names = {n: {"orderReferenceId": f"order {n}/é", "orderId": f"gelato-order {n}/é"} for n in range(40)}
    parcels = [events.tracking_code(**names[n], id=f"tc_{n}", trackingCode=f"code-{n}") for n in range(40)]
    accept(store, *map(events.incoming, parcels))
    fold_all(store)
    for n in range(0, 40, 7):
        for text in (f"code-{n}", f"gelato-order {n}/é", f"order {n}/é"):
            assert store.run(search.find("default", text)) == [f"order {n}/é"]
    assert len(store.run(search.find("default", "mug", 100))) == 40
    accept(store, events.incoming(events.item_status(**names[3], status="delivered")))
    fold_all(store)
    assert store.run(search.counts("default", 1 << 45)) == search.Counts(40, 39, 0, 0, 0, 39)
    assert status_counts(store) == {"shipped": 39, "delivered": 1}
    assert store.run(indexes.check_some("default", 0)) == 0
    assert sum(key.startswith("gelato:find:") for key in cluster.held()[0]) > 5
    for n in range(40):
        assert store.run(orders.erase("default", f"order {n}/é")) == 4
    left = {key for node in cluster.held() for key in node}
    assert left <= {keys.CHANGES, keys.WAKE}


def test_a_receivers_feed_follows_the_changes_of_a_cluster(cluster: Cluster, store: Store) -> None:
    async def play() -> list[str]:
        own = AsyncStore.from_url(cluster.url)
        feed = Feed(own, most=5, most_per_tenant=5)
        try:
            async with feed.subscribe("default") as subscription, asyncio.timeout(10):
                await asyncio.to_thread(accept, store, *(incoming(reference, 0) for reference in "ABC"))
                await asyncio.to_thread(fold_all, store)
                told = [await anext(subscription) for _ in range(3)]
            assert await own.run(changes.after(told[0].id, 10)) == told[1:]
            return [entry.change["orderReferenceId"] for entry in told if entry.change is not None]
        finally:
            await feed.close()
            await own.close()

    assert sorted(asyncio.run(play())) == ["A", "B", "C"]


def test_reconciliation_of_a_cluster_keeps_its_place_its_counts_and_outages(cluster: Cluster, store: Store) -> None:
    """Its keys lie in several slots: turns, a tenant's, the receivers'."""
    store.run(reconciling.schedule({"acme": 0, "later": 60_000}))
    assert store.run(reconciling.turns()) == ["acme"]
    assert store.run(reconciling.hold("acme", "one", 60_000)).ours
    assert store.run(reconciling.turns()) == []
    assert not store.run(reconciling.hold("acme", "two", 60_000)).ours
    assert store.run(reconciling.want("acme", ["A", "B/é"])) == 2
    done = reconciling.Counts(looked_at=2, healed=1)
    assert store.run(reconciling.save("acme", "one", 60_000, position=b"{}", counts=done, asked={"B/é": 60_000}))
    assert store.run(reconciling.position("acme")) == b"{}"
    assert store.run(reconciling.counts(["acme", "later"])) == {"acme": done, "later": reconciling.Counts()}
    assert store.run(reconciling.wanted("acme", 10)) == ["A"]
    quiet, free = store.run(reconciling.quiet_until("acme", ["B/é", "A"]))
    assert quiet > free == 0
    store.run(reconciling.give_up("acme", "one", 0))
    assert store.run(reconciling.turns()) == ["acme"]
    assert store.run(outages.ready(0, kept_days=1)) is None
    contents = intake.contents("acme", [("A", "snapshot:1:"), ("B", "snapshot:2:")])
    assert store.run(contents) == [b"", b""]


def test_submissions_and_turns_of_an_order_api_are_kept_in_a_cluster(cluster: Cluster, store: Store) -> None:
    name, times = submissions.submit_name("acme", "k"), Times(60, 1, 1)
    assert store.run(submissions.begin(name, b"digest", "c-1", times)).found is Found.NEW
    assert store.run(submissions.begin(name, b"digest", "c-2", times)).found is Found.BUSY
    assert store.run(submissions.begin(name, b"other", "c-2", times)).found is Found.OTHER
    ids = [f"order-{n}" for n in range(20)]
    store.run(submissions.remember("acme", ids, name, 1))
    store.run(submissions.done(name, "c-1", ids[0]))
    assert store.run(submissions.begin(name, b"digest", "c-3", times))[:2] == (Found.DONE, ids[0])
    assert store.run(submissions.submitters([*ids, "unknown"])) == [{"acme"}] * 20 + [set()]
    store.run(submissions.note("acme", "R/1", "c-1", 5))
    (lost,) = store.run(submissions.unsettled(9, 10))
    assert (lost.tenant, lost.reference, lost.since_ms) == ("acme", "R/1", 5)
    store.run(submissions.settle("acme", "R/1", "c-1"))
    assert store.run(submissions.unsettled(9, 10)) == []
    store.run(submissions.forget("acme", ids))
    assert store.run(submissions.submitters(ids)) == [set()] * 20
    assert store.run(submissions.begin(name, b"other", "c-4", times)).found is Found.NEW
    rate = Rate(10, 0.5)
    assert [store.run(pace.turn("a", rate, 5, background=False)).granted for _ in range(3)] == [True] * 3
    store.run(pace.hold("a", 60))
    assert not store.run(pace.turn("a", rate, 5, background=False)).granted
    assert store.run(pace.turn("b", rate, 5, background=True)).granted
