"""The data on a real cluster of three primaries, RQ's queue on a plain server beside it."""

import asyncio
import random
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest
from redis.crc import key_slot
from support import events
from support.polling import eventually
from support.processes import OPS_TOKEN, SECRET, Process, Receiver, environment, fixture
from support.scrape import scrape, value
from support.server import Server
from support.servers import Cluster, own_answers

from gelato_rollup import Change, Reader
from ops.simulator.run import Options, simulate
from receiver.feed import Feed
from shared.errors import StoreUnavailable
from shared.events import Usable, classify_webhook
from shared.settings import Settings
from shared.store import (
    AsyncStore,
    Store,
    changes,
    due,
    indexes,
    intake,
    keys,
    letter_lists,
    orders,
    outages,
    pace,
    reconciling,
    search,
    submissions,
)
from shared.store.calls import Operation
from shared.store.dead_letters import DeadLetter, bury, letter_id
from shared.store.intake import Incoming, Result
from shared.store.pace import Rate
from shared.store.submissions import Found, Times
from worker.shift import shift

WEBHOOKS = [
    "orderStatus-os_3193599927.json",
    "orderStatus-os_3193599928.json",
    "itemStatus-os_3193599925.json",
    "itemStatus-os_3193599926.json",
    "itemStatus-os_3193599927.json",
]


@pytest.fixture(scope="module")
def three_nodes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    cluster = Cluster(tmp_path_factory.mktemp("cluster"))
    try:
        yield cluster.start()
    finally:
        cluster.stop()


@pytest.fixture
def cluster(three_nodes: Cluster) -> Cluster:
    """A real cluster, empty."""
    three_nodes.empty()
    return three_nodes


@pytest.fixture
def store(cluster: Cluster) -> Iterator[Store]:
    store = Store.from_url(cluster.url)
    yield store
    store.close()


@pytest.fixture
def env(cluster: Cluster, server: Server, tmp_path: Path) -> dict[str, str]:
    return environment(cluster.url, tmp_path / "var", RQ_REDIS_URL=server.url, GELATO_LEASE_SECONDS="1")


@pytest.fixture
def command(start: Callable[..., Process]) -> Callable[..., bytes]:
    """Run a command to its end, which must be good; what it said."""

    def run(*arguments: str, code: int = 0) -> bytes:
        process = start(*arguments)
        assert process.process is not None
        ended = process.process.wait(20)
        said = process.log.read_bytes()
        assert ended == code, said.decode()
        return said

    return run


def item_status(reference: str, number: int, status: str = "passed") -> dict[str, Any]:
    return {
        "id": f"is_{reference}_{number}",
        "event": "order_item_status_updated",
        "orderReferenceId": reference,
        "orderId": f"gelato-{reference}",
        "itemReferenceId": f"item-{number}",
        "status": status,
        "created": "2026-11-01T00:00:00Z",
    }


def incoming(reference: str, number: int, status: str = "passed") -> Incoming:
    content = item_status(reference, number, status)
    event = classify_webhook(content, orjson.dumps(content))
    assert isinstance(event, Usable)
    return Incoming("default", event, 1_793_000_000_000_000 + number)


def accept(store: Store, *events: Incoming) -> list[Result | None]:
    return [outcome.result for outcome in store.run(intake.accept(events, cluster=True))]


def fold_all(store: Store) -> None:
    while shift(store, Settings(), seconds=0)["orders"]:
        pass


def test_the_seeds_webhooks_give_the_document(
    receiver: Receiver, start: Callable[..., Process], cluster: Cluster
) -> None:
    start("worker")
    answers = [receiver.post(fixture(name)).json()["result"] for name in (*WEBHOOKS, WEBHOOKS[0])]
    assert answers == ["accepted"] * 5 + ["duplicate"]

    def document(events: int) -> dict[str, Any] | None:
        answer = receiver.get("/orders/83831IAKD2")
        found: dict[str, Any] = answer.json()
        return found if answer.status_code == 200 and found["events"] == events else None

    found = eventually(lambda: document(5), what="the document")
    assert (found["status"], len(found["orders"]), found["complete"]) == ("passed", 2, None)
    assert sorted(found["items"]) == ["mug-15-oz", "phone-case", "poster-13x18"]
    answer = receiver.client.post(
        "/snapshots", content=fixture("order-create-response.json"), headers={"Authorization": f"Bearer {OPS_TOKEN}"}
    )
    assert answer.json()["result"] == "accepted"
    assert eventually(lambda: document(6), what="the snapshot to be folded")["complete"] is True
    key = "gelato:order:{default/83831IAKD2}"
    (node,) = [node for node, held in zip(cluster.nodes, cluster.held(), strict=True) if key in held]
    assert orjson.loads(node.client.get(key) or b"")["events"] == 6


def test_a_whole_play_ends_without_difference_though_a_worker_is_killed_and_scripts_are_forgotten(
    receiver: Receiver, start: Callable[..., Process], cluster: Cluster, tmp_path: Path, command: Callable[..., bytes]
) -> None:
    other = Receiver(receiver.env, tmp_path / "other.log").start()
    workers = [start("worker"), start("worker")]

    def disturb() -> None:
        def documents() -> int:
            return sum(key.startswith("gelato:order:") for node in cluster.held() for key in node)

        eventually(lambda: documents() > 5, what="documents")
        workers[0].kill()
        for node in cluster.nodes:
            node.client.script_flush()
        eventually(lambda: documents() > 15, what="more documents, by the other worker")
        workers.append(start("worker"))

    def play(url: str, seed: int) -> Options:
        return Options(
            url=url, secret=SECRET, redis_url=cluster.url, orders=20, rate=200, seed=seed, duplicate=0.2, reorder=0.3
        )

    async def both() -> list[Any]:
        again = asyncio.create_task(cancel_again())
        plays = [simulate(play(each.base, seed)) for seed, each in enumerate((receiver, other))]
        try:
            return await asyncio.gather(*plays, asyncio.to_thread(disturb))
        finally:
            again.cancel()

    try:
        *reports, _ = asyncio.run(both())
    finally:
        other.stop()
    for report in reports:
        assert (report.differences, report.given_up) == ((), ())
        if not report.failed_attempts:  # an event that was stored though its try failed is a duplicate next time
            assert report.outcomes["accepted"] == report.events
        assert report.outcomes["duplicate"] > 0
    assert len(workers) == 3
    rebuilt = orjson.loads(command("orders", "rebuild", "--all", "--json"))
    assert (rebuilt["rebuilt"], rebuilt["changed"]) == (40, [])
    assert len(orjson.loads(command("orders", "list", "--json"))) == 40
    for process in (receiver, other, *workers):
        said = process.log.read_bytes()
        assert b"CROSSSLOT" not in said
        assert b"same slot" not in said


async def cancel_again() -> None:
    """The simulator cancels its watcher once; Python 3.11's `asyncio.wait_for`, within redis-py, may swallow that."""
    while True:
        await asyncio.sleep(0.5)
        for task in asyncio.all_tasks():
            if task.cancelling() and getattr(task.get_coro(), "__name__", "") == "watch":
                task.cancel()


def test_commands_and_routes_look_at_a_cluster(
    receiver: Receiver, start: Callable[..., Process], store: Store, command: Callable[..., bytes]
) -> None:
    start("worker")
    watching = start("orders", "watch", "--json")

    def seen() -> set[str]:
        receiver.post(item_status("watched", random.randrange(10**9)))
        return {change["orderReferenceId"] for change in watching.said()}

    eventually(lambda: seen() == {"watched"}, what="the watcher to see changes")
    for n in range(30):
        assert receiver.post(item_status(f"order-{n}", 0)).json()["result"] == "accepted"

    def listed() -> list[str]:
        page = receiver.get("/orders?limit=100").json()["orders"]
        return [each["orderReferenceId"] for each in page if each["orderReferenceId"] != "watched"]

    expected = {f"order-{n}" for n in range(30)}
    eventually(lambda: set(listed()) == expected, what="all orders to be listed")
    assert orjson.loads(command("orders", "show", "order-3", "--json"))["events"] == 1
    first = receiver.get("/orders?limit=10").json()
    second = receiver.get(f"/orders?limit=100&cursor={first['cursor']}").json()
    pages = {each["orderReferenceId"] for page in (first, second) for each in page["orders"]}
    assert pages == expected | {"watched"}
    ready = receiver.get("/readyz")
    assert (ready.status_code, ready.json()["where"]) == (200, "redis")
    samples = scrape(receiver.base)
    assert value(samples, "gelato_redis_up") == 1
    assert value(samples, "gelato_orders", state="open") == 31
    eventually(lambda: value(scrape(receiver.base), "gelato_events_folded_total") >= 31, what="the folds to be counted")
    checks = orjson.loads(command("doctor", "--json"))
    assert {each["check"] for each in checks} >= {"server", "work", "queue"}
    assert [each for each in checks if each["level"] == "error"] == []
    command("orders", "erase", "order-3", "--yes")
    assert receiver.get("/orders/order-3").status_code == 404
    assert set(listed()) == expected - {"order-3"}
    assert store.run(orders.log("default", "order-3")) == []


def test_dead_letters_are_replayed_on_a_cluster(
    receiver: Receiver, start: Callable[..., Process], store: Store, command: Callable[..., bytes]
) -> None:
    start("worker")
    received = 1_767_225_600_000_000
    for n in range(60):
        body = b" " + orjson.dumps(item_status(f"order-{n % 20}", n))
        store.run(bury(DeadLetter(letter_id("default", body), "default", "unknown-event", "x", body, received + n)))
    assert receiver.post(b'{"event": "order_unheard_of"}').status_code == 202
    listed = orjson.loads(command("dead-letters", "list", "--json"))
    assert {group["count"] for group in listed["groups"]} == {60, 1}
    replayed = orjson.loads(command("dead-letters", "replay", "--all", "--yes", "--json", code=1))
    assert replayed["counts"] == {"folded": 60, "dead": 1}
    assert store.run(letter_lists.count()) == 1
    assert store.run(letter_lists.in_step())
    assert {receiver.get(f"/orders/order-{n}").json()["events"] for n in range(20)} == {3}


def test_the_typed_reader_reads_and_watches_a_cluster(cluster: Cluster, store: Store) -> None:
    with Reader(cluster.url) as reader:
        assert reader.get("A") is None
        changes: list[Change] = []

        def watch() -> None:
            with Reader(cluster.url) as watcher:
                for change in watcher.watch(group="shipping", consumer="one"):
                    changes.append(change)
                    if len(changes) == 3:
                        return

        watching = threading.Thread(target=watch, daemon=True)
        watching.start()
        eventually(lambda: any("gelato:changes" in node for node in cluster.held()), what="the group")
        accept(store, *(incoming(reference, 0) for reference in "ABC"))
        fold_all(store)
        watching.join(10)
        assert sorted(change["orderReferenceId"] for change in changes) == ["A", "B", "C"]
        document = reader.get("A")
        assert document is not None
        assert document["events"] == 1


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
        assert own.run(due.wait_for_work(8.0))
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


def test_events_of_a_dead_node_go_to_the_spool_and_are_drained_when_it_is_back(
    cluster: Cluster, env: dict[str, str], tmp_path: Path, store: Store
) -> None:
    receiver = Receiver({**env, "GELATO_SPOOL_PERSISTENT": "yes"}, tmp_path / "spooling.log").start()
    node = cluster.nodes[1]
    references = [f"order-{n}" for n in range(12)]
    accepted: list[dict[str, Any]] = []

    def post(number: int) -> bool:
        answers = [receiver.post(item_status(reference, number)) for reference in references]
        assert [answer.status_code for answer in answers] == [200] * len(references)
        accepted.extend(answer.json() for answer in answers)
        return any(answer.json().get("spooled") for answer in answers)

    try:
        assert not post(0)
        node.kill()
        assert post(1)
        node.start()
        eventually(cluster.well, seconds=30, what="the cluster to be well again")

        def drained() -> bool:
            ready = receiver.get("/readyz").json()
            return (ready["where"], ready["spooled"]) == ("redis", 0)

        eventually(drained, seconds=40, what="the spool to be drained")
        assert receiver.post(item_status("order-0", 1)).json()["result"] == "duplicate"
        fold_all(store)
        for reference in references:
            assert receiver.get(f"/orders/{reference}").json()["events"] == 2
    finally:
        receiver.stop()
        if node.process is not None and node.process.poll() is not None:
            node.start()
        eventually(cluster.well, seconds=30, what="the cluster to be well again")


@pytest.mark.parametrize("name", ["worker", "receiver"])
def test_without_a_plain_server_for_rq_it_is_said_what_is_missing(cluster: Cluster, tmp_path: Path, name: str) -> None:
    log = tmp_path / "without.log"
    process = Process([name], environment(cluster.url, tmp_path / "var", PORT="0"), log).start()
    assert process.process is not None
    try:
        assert process.process.wait(10) == 2
    finally:
        process.kill()
    assert b"RQ needs a plain server: set RQ_REDIS_URL" in log.read_bytes()


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
    assert store.run(search.status_counts("default")) == {"shipped": 39, "delivered": 1}
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
