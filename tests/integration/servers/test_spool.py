"""The spool: while Redis is away events are taken all the same, and none is lost or counted twice."""

import os
import signal
import sqlite3
import statistics
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest
from support.polling import eventually
from support.processes import OPS_TOKEN, Receiver, environment
from support.server import Server

from shared.settings import Settings
from shared.store import Store, orders
from worker.shift import shift


def event(order: int, number: int = 0) -> dict[str, Any]:
    return {
        "id": f"is_{order}_{number}",
        "event": "order_item_status_updated",
        "orderReferenceId": f"order-{order}",
        "orderId": f"gelato-{order}",
        "itemReferenceId": f"item-{number}",
        "status": "passed",
        "created": "2026-11-01T00:00:00Z",
    }


@pytest.fixture
def own_server(tmp_path: Path) -> Iterator[Server]:
    """A server of this test's own, to be killed and stopped; what it answered for is on its disk."""
    directory = tmp_path / "server"
    directory.mkdir()
    server = Server(directory, "--appendonly", "yes", "--appendfsync", "always")
    server.start()
    yield server
    if server.process is not None:
        server.process.send_signal(signal.SIGCONT)
    server.stop()


@pytest.fixture
def spooling(own_server: Server, tmp_path: Path) -> Iterator[Receiver]:
    env = environment(own_server.url, tmp_path / "var", GELATO_SPOOL_PERSISTENT="yes")
    receiver = Receiver(env, tmp_path / "receiver.log").start()
    yield receiver
    receiver.stop()


def where(receiver: Receiver) -> dict[str, Any]:
    answer: dict[str, Any] = receiver.get("/readyz").json()
    return answer


def drained(receiver: Receiver) -> bool:
    return (where(receiver)["where"], where(receiver)["spooled"]) == ("redis", 0)


def moved_on(server: Server, receiver: Receiver) -> None:
    """Wait until some of the spool has been drained."""
    known = server.client.llen("gelato:log:{default/order-5}")
    eventually(lambda: server.client.llen("gelato:log:{default/order-5}") > known or drained(receiver))


def fold_all(server: Server) -> None:
    store = Store.from_url(server.url)
    while shift(store, Settings(), seconds=0)["orders"]:
        pass
    store.close()


def test_events_are_spooled_while_the_server_is_dead_and_drained_when_it_is_back(
    own_server: Server, spooling: Receiver
) -> None:
    assert "spooled" not in spooling.post(event(1)).json()
    own_server.kill()
    before = time.time_ns() // 1000
    answers = [spooling.post(event(2, number)).json() for number in range(20)]
    after = time.time_ns() // 1000
    assert all(answer["result"] == "accepted" and answer["spooled"] for answer in answers)
    assert where(spooling)["where"] == "spool"
    own_server.start()
    eventually(lambda: drained(spooling), what="the spool to be drained")
    assert spooling.post(event(2, 3)).json()["result"] == "duplicate"
    fold_all(own_server)
    document = spooling.get("/orders/order-2").json()
    assert document["events"] == 20
    store = Store.from_url(own_server.url)
    received = [record.received for record in store.run(orders.log("default", "order-2"))]
    store.close()
    assert received == sorted(received)
    assert before <= received[0] <= received[-1] <= after, "the first time of receipt is kept"


def test_a_server_that_hangs_costs_one_short_wait_and_no_more(own_server: Server, spooling: Receiver) -> None:
    spooling.post(event(1))
    assert own_server.process is not None
    os.kill(own_server.process.pid, signal.SIGSTOP)
    took = []
    for number in range(100):
        start = time.perf_counter()
        assert spooling.post(event(3, number)).json()["spooled"]
        took.append(time.perf_counter() - start)
    assert statistics.median(took) < 0.1, "only the first one waits for the server"
    os.kill(own_server.process.pid, signal.SIGCONT)
    eventually(lambda: drained(spooling), what="the spool to be drained")
    fold_all(own_server)
    assert spooling.get("/orders/order-3").json()["events"] == 100


@pytest.mark.parametrize("name", ["maxmemory", "replicaof"])
def test_a_server_that_refuses_writes_is_away(own_server: Server, spooling: Receiver, name: str) -> None:
    refusing = {"maxmemory": "1", "replicaof": "127.0.0.1 1"}[name]
    well = {"maxmemory": "0", "replicaof": "no one"}[name]

    def tell(value: str) -> None:
        if name == "maxmemory":
            own_server.client.config_set(name, value)
        else:
            own_server.client.execute_command("REPLICAOF", *value.split())

    tell(refusing)
    assert spooling.post(event(4)).json() == {
        "result": "accepted",
        "event": "itemStatus:is_4_0",
        "spooled": True,
    }
    tell(well)
    eventually(lambda: drained(spooling), what="the spool to be drained")
    fold_all(own_server)
    assert spooling.get("/orders/order-4").json()["events"] == 1


def test_a_receiver_killed_while_spooling_and_draining_loses_and_doubles_nothing(
    own_server: Server, spooling: Receiver
) -> None:
    own_server.kill()
    for number in range(300):
        assert spooling.post(event(5, number)).json()["spooled"]
    spooling.kill()
    own_server.start()
    for _ in range(3):  # it drains from its start on: kill it in the midst
        spooling.start()
        moved_on(own_server, spooling)
        spooling.kill()
    spooling.start()
    eventually(lambda: drained(spooling), what="the spool to be drained")
    assert own_server.client.llen("gelato:log:{default/order-5}") == 300
    fold_all(own_server)
    assert spooling.get("/orders/order-5").json()["events"] == 300


def test_two_receivers_share_one_spool(own_server: Server, spooling: Receiver, tmp_path: Path) -> None:
    other = Receiver(spooling.env, tmp_path / "other.log").start()
    try:
        own_server.kill()
        for number in range(40):
            assert (spooling, other)[number % 2].post(event(6, number)).json()["spooled"]
        own_server.start()
        eventually(lambda: drained(spooling) and drained(other), what="the spool to be drained")
    finally:
        other.stop()
    fold_all(own_server)
    assert spooling.get("/orders/order-6").json()["events"] == 40


def test_an_unusable_body_is_spooled_as_a_dead_letter_and_counted_once(own_server: Server, spooling: Receiver) -> None:
    own_server.kill()
    answer = spooling.post(b"not json")
    assert (answer.status_code, answer.json()["spooled"]) == (400, True)
    own_server.start()
    eventually(lambda: drained(spooling), what="the spool to be drained")
    letter = own_server.client.hgetall(f"gelato:dead-letter:{{{answer.json()['deadLetter']}}}")
    assert (letter[b"payload"], letter[b"count"]) == (b"not json", b"1")


def test_without_a_persistent_directory_there_is_no_promise(own_server: Server, tmp_path: Path) -> None:
    receiver = Receiver(environment(own_server.url, tmp_path / "var"), tmp_path / "plain.log").start()
    try:
        own_server.kill()
        answer = receiver.post(event(7))
        assert (answer.status_code, answer.json()) == (503, {"error": "unavailable"})
        assert int(answer.headers["retry-after"]) > 0
        assert receiver.get("/readyz").status_code == 503
    finally:
        receiver.stop()


def test_a_full_spool_says_so(own_server: Server, tmp_path: Path) -> None:
    env = environment(own_server.url, tmp_path / "v", GELATO_SPOOL_PERSISTENT="yes", GELATO_SPOOL_MAX_EVENTS="3")
    receiver = Receiver(env, tmp_path / "small.log").start()
    try:
        own_server.kill()
        answers = [receiver.post(event(8, number)).status_code for number in range(5)]
        assert answers == [200, 200, 200, 503, 503]
        assert receiver.get("/readyz").status_code == 503, "it can take nothing more"
        own_server.start()
        eventually(lambda: drained(receiver), what="the spool to be drained")
        assert receiver.post(event(8, 3)).json()["result"] == "accepted"
    finally:
        receiver.stop()


def test_an_unreadable_spool_is_503_and_never_a_false_2xx(own_server: Server, spooling: Receiver) -> None:
    own_server.kill()
    assert spooling.post(event(9)).json()["spooled"]
    spooling.kill()
    database = Path(spooling.env["GELATO_DATA_DIR"]) / "spool" / "spool.sqlite"
    for each in database.parent.glob("spool.sqlite*"):
        each.write_bytes(b"this is no database" * 400)
    spooling.start()
    assert spooling.post(event(9, 1)).status_code == 503
    assert spooling.get("/readyz").status_code == 503
    own_server.start()
    eventually(lambda: where(spooling)["status"] == "ready", what="the server to be back")
    ready = where(spooling)
    assert any("spool cannot be used" in warning for warning in ready["warnings"])
    assert "spooled" not in ready


def test_nothing_personal_of_a_snapshot_is_spooled(own_server: Server, spooling: Receiver) -> None:
    own_server.kill()
    body = {
        "id": "gelato-10",
        "orderReferenceId": "order-10",
        "fulfillmentStatus": "created",
        "shippingAddress": {"firstName": "Paul", "email": "paul@example.org"},
    }
    headers = {"Authorization": f"Bearer {OPS_TOKEN}"}
    assert spooling.client.post("/snapshots", content=orjson.dumps(body), headers=headers).json()["spooled"]
    assert spooling.client.post("/snapshots", content=b"{Paul", headers=headers).status_code == 400
    held = b"".join(each.read_bytes() for each in (Path(spooling.env["GELATO_DATA_DIR"]) / "spool").iterdir())
    assert b"order-10" in held
    assert b"Paul" not in held
    assert b"example.org" not in held


def test_a_drained_spool_gives_its_room_back(own_server: Server, spooling: Receiver) -> None:
    own_server.kill()
    for number in range(60):
        assert spooling.post({**event(11, number), "padding": "x" * 100_000}).json()["spooled"]
    own_server.start()
    eventually(lambda: drained(spooling), what="the spool to be drained")
    database = Path(spooling.env["GELATO_DATA_DIR"]) / "spool" / "spool.sqlite"
    spooling.terminate()  # the write-ahead log goes with the last connection
    assert database.stat().st_size < 3_000_000


def test_an_entry_that_cannot_be_read_does_not_hold_up_the_others(own_server: Server, spooling: Receiver) -> None:
    own_server.kill()
    spooling.post(event(12, 0))
    database = Path(spooling.env["GELATO_DATA_DIR"]) / "spool" / "spool.sqlite"
    other = sqlite3.connect(database, timeout=5)
    other.execute("INSERT INTO entries (received, kind, tenant, body) VALUES (1, 'L', 'default', X'C1')")
    other.execute("UPDATE totals SET events = events + 1")
    other.commit()
    other.close()
    own_server.start()
    eventually(lambda: own_server.client.llen("gelato:log:{default/order-12}") == 1, what="the other one to be drained")
