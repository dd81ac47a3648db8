"""The whole service on a cluster: receivers, workers, commands, readers; a node that dies."""

import asyncio
import random
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import orjson
import pytest
from support.folding.clustered import accept, fold_all, incoming, item_status
from support.polling import eventually
from support.processes import OPS_TOKEN, SECRET, Process, Receiver, environment, fixture
from support.scrape import scrape, value
from support.seed import SEED
from support.servers import Cluster

from gelato_rollup import Change, Reader
from ops.simulator.run import Options, simulate
from shared.store import Store, letter_lists, orders
from shared.store.dead_letters import DeadLetter, bury, letter_id


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


def test_the_seeds_webhooks_give_the_document(
    receiver: Receiver, start: Callable[..., Process], cluster: Cluster
) -> None:
    start("worker")
    answers = [receiver.post(fixture(name)).json()["result"] for name in (*SEED, SEED[0])]
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
    receiver: Receiver, start: Callable[..., Process], store: Store, cluster: Cluster, command: Callable[..., bytes]
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
    command("orders", "erase", "--whole-tenant", "--yes")
    assert listed() == []
    assert not any(key.startswith("gelato:log:") for node in cluster.held() for key in node)


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

    def drained() -> bool:
        ready = receiver.get("/readyz").json()
        return (ready["where"], ready["spooled"]) == ("redis", 0)

    try:
        # With a busy disk under it a node is late now and then, and an event is spooled though no node is dead.
        post(0)
        eventually(drained, seconds=40, what="no event to be in the spool before the node is dead")
        node.kill()
        assert post(1)
        node.start()
        eventually(cluster.well, seconds=30, what="the cluster to be well again")
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
