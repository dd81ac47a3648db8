"""`/healthz` and `/readyz`, and what becomes of events while Redis is away: refused in time, and taken again after."""

import concurrent.futures
import signal
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
from shared.store import Store
from worker.shift import shift

#: Gelato's patience is not documented; its three tries are 5 s apart, so an answer must come well before the next.
IN_TIME_SECONDS = 5.0


class House:
    """A receiver, and a server of its own that may be hurt."""

    def __init__(self, home: Path, *options: str, **more: str) -> None:
        (home / "data").mkdir()
        self.server = Server(home / "data", *options)
        self.server.start()
        self.receiver = Receiver(environment(self.server.url, home / "var", **more), home / "receiver.log").start()

    def ready(self) -> int:
        return self.receiver.client.get("/readyz").status_code

    def document(self, reference: str) -> dict[str, Any]:
        store = Store.from_url(self.server.url)
        try:
            shift(store, Settings(), seconds=0)
        finally:
            store.close()
        found: dict[str, Any] = orjson.loads(self.server.client.get(f"gelato:order:{{default/{reference}}}"))
        return found

    def pause(self) -> None:
        assert self.server.process is not None
        self.server.process.send_signal(signal.SIGSTOP)

    def go_on(self) -> None:
        assert self.server.process is not None
        self.server.process.send_signal(signal.SIGCONT)

    def end(self) -> None:
        self.receiver.stop()
        if self.server.process is not None and self.server.process.poll() is None:
            self.go_on()
        self.server.stop()


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    """Without a spool: what Redis cannot take is refused. Durable: each write is on disk before its answer."""
    house = House(tmp_path, "--appendonly", "yes", "--appendfsync", "always", GELATO_SPOOL_PERSISTENT="no")
    yield house
    house.end()


def event(number: int = 1, **more: Any) -> dict[str, Any]:
    return {
        "object": "orderStatus",
        "id": f"os_{number}",
        "orderId": "order-1",
        "orderReferenceId": "REF-1",
        "fulfillmentStatus": "passed",
        **more,
    }


def assert_refused(house: House, body: Any) -> None:
    started = time.monotonic()
    answer = house.receiver.post(body)
    assert time.monotonic() - started < IN_TIME_SECONDS
    assert (answer.status_code, answer.json()) == (503, {"error": "unavailable"})
    assert int(answer.headers["retry-after"]) > 0
    assert answer.headers["content-type"] == "application/json"


def test_a_healthy_receiver_says_so_without_a_token(house: House) -> None:
    assert house.receiver.client.get("/healthz").json() == {"status": "alive"}
    answer = house.receiver.client.get("/readyz")
    assert answer.status_code == 200
    assert answer.json()["status"] == "ready"
    assert answer.json()["where"] == "redis"
    for path in ("/healthz", "/readyz"):
        head = house.receiver.client.head(path)
        assert (head.status_code, head.content) == (200, b"")
        assert house.receiver.client.post(path).status_code == 405


def test_neither_names_an_order(house: House) -> None:
    house.receiver.post(event(orderReferenceId="SOME-ORDER"))
    for path in ("/healthz", "/readyz"):
        assert b"SOME-ORDER" not in house.receiver.client.get(path).content


@pytest.mark.parametrize("away", ["stopped", "killed"])
def test_while_redis_is_away_events_are_refused_in_time_and_taken_again_after(house: House, away: str) -> None:
    assert house.receiver.post(event(1)).json()["result"] == "accepted"
    if away == "stopped":
        house.pause()
    else:
        house.server.kill()
    assert house.receiver.client.get("/healthz").status_code == 200
    started = time.monotonic()
    answer = house.receiver.client.get("/readyz")
    assert time.monotonic() - started < IN_TIME_SECONDS
    assert answer.status_code == 503
    assert answer.json()["status"] == "unavailable"
    for body in (event(2), event(3), b"{not json", event(fulfillmentStatus=None), b"[]"):
        assert_refused(house, body)
    snapshot = {"id": "order-1", "orderReferenceId": "REF-1", "fulfillmentStatus": "passed"}
    token = {"Authorization": f"Bearer {OPS_TOKEN}"}
    assert house.receiver.client.post("/snapshots", json=snapshot, headers=token).status_code == 503
    for path in ("/orders", "/orders/REF-1", "/orders/REF-1/events")[: 3 if away == "killed" else 1]:
        reading = house.receiver.get(path)
        assert (reading.status_code, reading.json()) == (503, {"error": "unavailable"})
        assert int(reading.headers["retry-after"]) > 0
    assert house.receiver.post(event(), secret="wrong").status_code == 401
    assert house.receiver.post({"event": "store_product_created"}).json()["result"] == "ignored"
    assert house.receiver.post(event(orderReferenceId="{{x}}")).json()["result"] == "test"

    if away == "stopped":
        house.go_on()
    else:
        house.server.start()
    eventually(lambda: house.ready() == 200, what="ready again")
    # What was refused may have been carried out nevertheless: both are right, neither is lost or doubled.
    answers = [
        eventually(lambda n=n: house.receiver.post(event(n)).json().get("result"), what="a 200 again") for n in (2, 3)
    ]
    assert set(answers) <= {"accepted", "duplicate"}
    assert house.receiver.post(event(1)).json()["result"] == "duplicate"
    assert eventually(lambda: house.document("REF-1"))["events"] == 3


def test_many_events_while_redis_is_stopped_are_all_answered_in_time(house: House) -> None:
    house.pause()
    with concurrent.futures.ThreadPoolExecutor(32) as threads:
        started = time.monotonic()
        answers = list(threads.map(lambda n: house.receiver.post(event(n)).status_code, range(128)))
    assert set(answers) == {503}
    assert time.monotonic() - started < IN_TIME_SECONDS + 3


def test_an_accepted_event_survives_a_kill_of_the_server(house: House) -> None:
    for n in range(20):
        assert house.receiver.post(event(n)).json()["result"] == "accepted"
    letter = house.receiver.post(b"not json").json()["deadLetter"]
    house.server.kill()
    house.server.start()
    assert house.server.client.hget(f"gelato:dead-letter:{{{letter}}}", "payload") == b"not json"
    assert house.document("REF-1")["events"] == 20
    again = [
        eventually(lambda n=n: house.receiver.post(event(n)).json().get("result"), what="an answer") for n in range(20)
    ]
    assert again == ["duplicate"] * 20


def test_an_accepted_event_survives_a_kill_of_the_receiver(house: House) -> None:
    assert house.receiver.post(event()).json()["result"] == "accepted"
    house.receiver.kill()
    assert house.document("REF-1")["events"] == 1


def test_a_receiver_that_starts_before_its_server_waits_for_it(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    server = Server(tmp_path / "data")
    env = environment(server.url, tmp_path / "var", GELATO_SPOOL_PERSISTENT="no")
    receiver = Receiver(env, tmp_path / "receiver.log").start()
    try:
        assert receiver.client.get("/readyz").status_code == 503
        assert receiver.post(event()).status_code == 503
        server.start()
        eventually(lambda: receiver.client.get("/readyz").status_code == 200, what="readiness")
        eventually(lambda: receiver.post(event()).status_code == 200, what="the event to be taken")
    finally:
        receiver.stop()
        server.stop()


@pytest.mark.parametrize(
    ("setting", "value", "usual"),
    [("maxmemory", "1mb", "0"), ("min-replicas-to-write", "1", "0")],
)
def test_a_server_that_takes_no_writes_is_not_ready(house: House, setting: str, value: str, usual: str) -> None:
    """It answers PING all the same: only a write tells."""
    house.server.client.config_set(setting, value)
    assert_refused(house, event())
    assert_refused(house, b"not json")
    eventually(lambda: house.ready() == 503, what="readyz to notice")
    house.server.client.config_set(setting, usual)
    eventually(lambda: house.ready() == 200, what="readyz to notice")
    result = eventually(lambda: house.receiver.post(event()).json().get("result"), what="the event to be taken")
    assert result == "accepted"


def test_a_server_that_forgot_the_scripts_is_no_trouble(house: House) -> None:
    house.receiver.post(event(1))
    house.server.client.script_flush()
    assert house.receiver.post(event(2)).json()["result"] == "accepted"
    assert house.receiver.post(b"no json").status_code == 400
    assert house.ready() == 200


def test_sigterm_finishes_what_is_on_its_way_and_ends_in_time(house: House) -> None:
    house.receiver.post(event())
    started = time.monotonic()
    assert house.receiver.terminate() in (0, -signal.SIGTERM)
    assert time.monotonic() - started < 10
    assert house.document("REF-1")["events"] == 1
