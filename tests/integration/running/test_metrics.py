"""`/metrics`: right whichever process answers, bounded whatever is sent, there while Redis is away."""

import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest
from support.polling import eventually
from support.processes import OPS_TOKEN, READ_TOKEN, SECRET, Process, Receiver, environment, fixture, free_port
from support.scrape import names, parsed, scrape, value
from support.server import Server

from shared.metrics import METRICS, Kind

EVENT = fixture("itemStatus-os_3193599925.json")


def numbered(number: int) -> bytes:
    return EVENT.replace(b"os_3193599925", b"os_%d" % number)


class Instance:
    """A receiver of several processes. Each request comes on a connection of its own: any process may take it."""

    def __init__(self, start: Callable[..., Process], home: Path) -> None:
        port = free_port()
        self.base = f"http://127.0.0.1:{port}"
        home.mkdir()
        self.home = home
        self.process = start("receiver", "--processes", "2", PORT=str(port), TMPDIR=str(home))
        eventually(self._all_answer, what="all processes to answer")

    def post(self, body: bytes) -> None:
        headers = {"X-Webhook-Secret": SECRET}
        url = f"{self.base}/webhooks/gelato"
        assert httpx.post(url, content=body, headers=headers, verify=False).status_code == 200

    def pids(self) -> list[int]:
        """The processes that serve: the parent's children, but for Python's own helper."""
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split()
        return [pid for pid in map(int, children) if b"spawn_main" in Path(f"/proc/{pid}/cmdline").read_bytes()]

    def _all_answer(self) -> bool:
        return value(scrape(self.base), "gelato_receiver_processes") == 2


@pytest.fixture
def instance(start: Callable[..., Process], tmp_path: Path) -> Iterator[Instance]:
    instance = Instance(start, tmp_path / "temporary")
    yield instance
    instance.process.terminate()  # a killed parent would leave its processes behind


def accepted(instance: Instance) -> float:
    return value(scrape(instance.base), "gelato_webhooks_total", result="accepted", kind="itemStatus")


def test_several_processes_are_counted_as_one_whichever_answers(instance: Instance) -> None:
    before = 0.0
    for number in range(60):
        instance.post(numbered(number))
        now = accepted(instance)
        assert before <= now <= number + 1, "a counter fell, or counted twice"
        before = now
    eventually(lambda: accepted(instance) == 60, what="all processes' counts")
    for _ in range(20):
        samples = scrape(instance.base)
        assert value(samples, "gelato_webhooks_total", result="accepted") == 60
        assert value(samples, "gelato_acknowledgement_seconds_count") == 60
    files = list(instance.home.glob("*/*.counts"))
    assert len(files) == 2
    assert instance.process.terminate() == 0
    assert not list(instance.home.glob("gelato-rollup-counts-*")), "the instance leaves nothing behind"


def test_a_process_that_dies_takes_no_counts_with_it(instance: Instance) -> None:
    for number in range(30):
        instance.post(numbered(number))
    eventually(lambda: accepted(instance) == 30, what="all processes' counts")
    for victim in instance.pids()[:1]:
        os.kill(victim, signal.SIGKILL)

        def replaced(victim: int = victim) -> bool:
            return len(instance.pids()) == 2 and victim not in instance.pids()

        eventually(replaced, what="another process to take its place")
        eventually(lambda: accepted(instance) == 30, what="an answer")
    instance.post(numbered(31))
    eventually(lambda: accepted(instance) == 31, what="the next count to be added")
    assert len(list(instance.home.glob("*/*.counts"))) <= 3


def test_everything_shown_is_declared_and_everything_declared_is_shown(
    receiver: Receiver, start: Callable[..., Process]
) -> None:
    start("worker")
    receiver.post(EVENT)
    receiver.post(EVENT.replace(b"83831IAKD2", b"ANOTHER").replace(b'"passed"', b'"failed"'))
    receiver.post(b"{}")
    receiver.get("/orders/83831IAKD2")
    receiver.client.post("/snapshots", content=b"{}", headers={"Authorization": f"Bearer {OPS_TOKEN}"})
    eventually(lambda: value(scrape(receiver.base), "gelato_events_folded_total") == 2, what="the fold to be counted")
    samples = scrape(receiver.base)
    assert {state: value(samples, "gelato_orders", state=state) for state in ("open", "attention", "stuck")} == {
        "open": 2,
        "attention": 1,
        "stuck": 0,
    }
    shown = names(samples)
    expected: set[str] = set()
    for metric in METRICS.values():
        endings = ("_bucket", "_sum", "_count") if metric.kind is Kind.HISTOGRAM else ("",)
        expected |= {metric.name + ending for ending in endings}
    # Nothing was dropped, and this receiver has no spool.
    left_out = {name for name in expected if name.startswith(("gelato_spool_", "gelato_dead_letters_dropped"))}
    assert shown == expected - left_out

    def streams() -> float:
        return value(scrape(receiver.base), "gelato_event_streams")

    follow = {"Authorization": f"Bearer {OPS_TOKEN}"}
    with httpx.stream("GET", f"{receiver.base}/orders/83831IAKD2/changes", headers=follow, timeout=10.0):
        eventually(lambda: streams() == 1, what="a client that follows")
    eventually(lambda: streams() == 0, what="the client to be gone")


def test_what_is_counted_is_what_happened(receiver: Receiver) -> None:
    collision = EVENT.replace(b'"passed"', b'"printed"')
    for body in (EVENT, EVENT, collision, b"{", b"[]", fixture("docs-order_item_status_updated.json")):
        receiver.post(body)
    receiver.post(EVENT, secret="wrong")
    receiver.client.get("/webhooks/gelato")
    receiver.post(fixture("docs-catalog_product_stock_availability_updated.json"))
    samples = scrape(receiver.base)

    def webhooks(result: str, kind: str = "none") -> float:
        return value(samples, "gelato_webhooks_total", result=result, kind=kind)

    assert webhooks("accepted", "itemStatus") == 2
    assert webhooks("duplicate", "itemStatus") == 1
    assert webhooks("test", "itemStatus") == 1
    for result in ("invalid-json", "quarantined", "unauthorized", "ignored", "not-post"):
        assert webhooks(result) == 1, result
    assert value(samples, "gelato_quarantined_total", reason="invalid-json") == 1
    assert value(samples, "gelato_quarantined_total", reason="invalid-event") == 1
    assert value(samples, "gelato_id_collisions_total") == 1
    assert value(samples, "gelato_test_notifications_total") == 1
    assert value(samples, "gelato_acknowledgement_seconds_count") == 6, "what was answered with 2xx"
    assert value(samples, "gelato_pending_orders") == 1
    assert value(samples, "gelato_dead_letters") == 2
    assert value(samples, "gelato_workers") == 0


def test_labels_are_bounded_whatever_is_sent(receiver: Receiver) -> None:
    def size() -> int:
        return len(scrape(receiver.base))

    def attack(number: int) -> None:
        bad = f"evil-{number}-{{}}\"'\\n<script>"
        for path in (
            f"/orders/{number}-evil",
            f"/{number}-evil",
            f"/tenants/evil-{number}/orders",
            "/webhooks/gelato/a/b",
        ):
            receiver.get(path)
        receiver.client.request(f"EVIL{number}", "/orders")
        receiver.client.request("PROPFIND", "/orders")
        receiver.post({"event": bad})
        receiver.post({"object": "itemStatus", "id": bad, "orderId": bad, "orderReferenceId": bad})
        receiver.post(EVENT.replace(b'"passed"', b'"evil-%d"' % number).replace(b"os_3193599925", b"evil-%d" % number))
        receiver.post(EVENT, tenant=f"evil-{number}")
        receiver.post(b'"evil-%d' % number)

    size()  # which is counted too
    attack(0)
    before = size()
    for number in range(1, 20):
        attack(number)
    assert size() == before
    assert value(scrape(receiver.base), "gelato_http_requests_total", method="other", status="405") == 20
    text = receiver.client.get("/metrics").text
    for secret in ("evil", "script", SECRET, OPS_TOKEN, "83831IAKD2"):
        assert secret not in text.lower(), secret


@pytest.fixture
def shaky(tmp_path: Path) -> Iterator[tuple[Server, Receiver]]:
    """A receiver with a spool, and a server of its own that may be hurt."""
    (tmp_path / "data").mkdir()
    server = Server(tmp_path / "data")
    server.start()
    env = environment(server.url, tmp_path / "var", GELATO_SPOOL_PERSISTENT="yes")
    receiver = Receiver(env, tmp_path / "shaky.log").start()
    yield server, receiver
    receiver.stop()
    server.stop()


def test_while_redis_is_away_it_shows_what_the_instance_knows(shaky: tuple[Server, Receiver]) -> None:
    server, receiver = shaky
    receiver.post(numbered(1))
    assert value(scrape(receiver.base), "gelato_redis_up") == 1
    server.kill()
    for number in (2, 3):
        assert receiver.post(numbered(number)).json()["spooled"] is True
    eventually(lambda: value(scrape(receiver.base), "gelato_redis_up") == 0, what="the scrape to say so")
    samples = scrape(receiver.base)
    assert value(samples, "gelato_webhooks_total", result="accepted") == 1
    assert value(samples, "gelato_webhooks_total", result="spooled") == 2
    assert value(samples, "gelato_spool_events") == 2
    assert value(samples, "gelato_spool_bytes") > 2 * len(EVENT) * 0.8
    assert value(samples, "gelato_spool_oldest_seconds") > 0
    assert value(samples, "gelato_breaker_open") == 1
    assert value(samples, "gelato_last_event_timestamp_seconds") > 0
    assert "gelato_pending_orders" not in names(samples), "nobody knows"
    server.start()
    eventually(lambda: value(scrape(receiver.base), "gelato_redis_up") == 1, what="Redis to be back")
    eventually(lambda: value(scrape(receiver.base), "gelato_spool_events") == 0, what="the spool to be drained")
    assert value(scrape(receiver.base), "gelato_spool_oldest_seconds") == 0


def test_a_token_guards_it_if_one_is_set(env: dict[str, str], tmp_path: Path) -> None:
    guarded = Receiver({**env, "GELATO_METRICS_TOKEN": "a-metrics-token"}, tmp_path / "guarded.log").start()
    try:
        assert scrape(guarded.base, "a-metrics-token")
        assert scrape(guarded.base, OPS_TOKEN)
        for headers in ({}, {"Authorization": "Bearer wrong"}, {"Authorization": "a-metrics-token"}):
            answer = guarded.client.get("/metrics", headers=headers)
            assert (answer.status_code, answer.json()) == (401, {"error": "unauthorized"})
        assert guarded.get("/metrics", READ_TOKEN).status_code == 403
        assert guarded.get("/orders", "a-metrics-token").status_code == 401, "it opens nothing else"
    finally:
        guarded.stop()


def test_scrapes_that_come_at_once_ask_redis_once(receiver: Receiver, server: Server) -> None:
    scrape(receiver.base)
    before = server.client.info("commandstats")["cmdstat_xlen"]["calls"]
    for _ in range(30):
        parsed(receiver.client.get("/metrics").text)
    assert server.client.info("commandstats")["cmdstat_xlen"]["calls"] - before <= 2
