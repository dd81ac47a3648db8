"""The events of an order over HTTP: exact, in order of receipt, in pages, with what each changed."""

import json
from datetime import UTC, datetime, timedelta

import orjson
import pytest
from support.events import now_us, order_status
from support.orders import fold
from support.processes import OPS_TOKEN, Receiver

from shared import canonical
from shared.events import Usable, content_digest, read_webhook
from shared.settings import Settings
from shared.store import Store, intake
from shared.store.intake import Incoming
from worker.shift import policy_of

UNKNOWN = {"error": "unknown-order"}


class TestTheEvents:
    def test_they_are_exact(self, receiver: Receiver, store: Store) -> None:
        big = 123456789012345678901234567890
        sent = {
            **order_status(),
            "big": big,
            "negative": -big,
            "edge": [2**63, 2**64 - 1, 2**64],
            "text": '🥨 \u202e \x00 " \\ /',
            "deep": {"z": [1, {"y": None}], "a": True},
        }
        before = now_us()
        body = json.dumps(sent).encode()
        assert receiver.post(body).status_code == 200
        after = now_us()
        for _ in range(2):
            answer = receiver.get("/orders/REF-1/events")
            content = json.loads(answer.content)
            assert (content["tenant"], content["orderReferenceId"]) == ("default", "REF-1")
            (entry,) = content["events"]
            assert entry["event"] == sent
            assert entry["identity"] == "orderStatus:os_1"
            assert entry["orderId"] == "order-1"
            assert len(entry["receivedAt"]) == len("2026-11-22T08:00:00.123456Z")
            assert before <= in_us(entry["receivedAt"]) <= after
            assert entry["at"].endswith("Z")
            fold(store)

    def test_they_come_by_time_of_receipt(self, receiver: Receiver) -> None:
        for n in range(5):
            receiver.post(order_status(id=f"os_{n}"))
        answer = receiver.get("/orders/REF-1/events").json()
        assert [entry["identity"] for entry in answer["events"]] == [f"orderStatus:os_{n}" for n in range(5)]
        times = [entry["receivedAt"] for entry in answer["events"]]
        assert times == sorted(times)

    def test_they_come_in_pages_whatever_comes_meanwhile(self, receiver: Receiver, store: Store) -> None:
        received = now_us()
        # Three of one microsecond stand across the end of a page.
        for n, moment in enumerate((1, 2, 2, 2, 3, 4, 5)):
            usable = read_webhook(orjson.dumps(order_status(id=f"os_{n}")))
            assert isinstance(usable, Usable)
            store.run(intake.accept([Incoming("default", usable, received + moment)], cluster=False))
        seen: list[str] = []
        cursor = ""
        while True:
            page = receiver.get(f"/orders/REF-1/events?limit=2{cursor}").json()
            seen += [entry["identity"] for entry in page["events"]]
            if page["cursor"] is None:
                break
            assert len(page["events"]) == 2
            cursor = f"&cursor={page['cursor']}"
        assert seen == [f"orderStatus:os_{n}" for n in range(7)]
        assert receiver.get("/orders/REF-1/events").json()["cursor"] is None

    @pytest.mark.parametrize(
        "query", ["limit=0", "limit=1001", "limit=x", "cursor=x", "cursor=WzEsMl0", "cursor=bnVsbA"]
    )
    def test_a_page_that_makes_no_sense_is_refused(self, receiver: Receiver, query: str) -> None:
        receiver.post(order_status())
        answer = receiver.get(f"/orders/REF-1/events?{query}")
        assert (answer.status_code, answer.json()["error"]) == (400, "invalid-query")

    def test_each_says_what_it_changed(self, receiver: Receiver) -> None:
        receiver.post(order_status(created="2026-11-22T08:00:00Z"))
        receiver.post(order_status(id="os_2", fulfillmentStatus="shipped", created="2026-11-22T09:00:00Z"))
        first, second = receiver.get("/orders/REF-1/events").json()["events"]
        assert {"path": ["status"], "from": None, "to": "passed"} in first["changed"]
        assert {"path": ["orders", "order-1", "status"], "from": "passed", "to": "shipped"} in second["changed"]

    def test_a_duplicate_is_not_among_them_and_a_collision_is(self, receiver: Receiver) -> None:
        for status in ("passed", "passed", "shipped", "passed"):
            receiver.post(order_status(fulfillmentStatus=status))
        assert len(receiver.get("/orders/REF-1/events").json()["events"]) == 2

    def test_a_parked_event_is_marked(self, receiver: Receiver, store: Store) -> None:
        receiver.post(order_status())
        text = canonical.dumps(order_status(id="os_2", fulfillmentStatus=5))  # as a version stored it that could use it
        poison = Usable("orderStatus", "orderStatus:os_2", "order-1", "REF-1", {}, text, content_digest(b"W", text))
        store.run(intake.accept([Incoming("default", poison, now_us())], cluster=False))
        fold(store, policy_of(Settings(fold_tries=1)))
        answer = receiver.get("/orders/REF-1/events").json()
        assert [entry.get("parked", False) for entry in answer["events"]] == [False, True]
        assert answer["events"][1]["event"] == orjson.loads(text)
        assert "fulfillmentStatus" in answer["events"][1]["error"]
        assert receiver.get("/orders/REF-1").json()["events"] == 1

    def test_a_snapshot_is_among_them(self, receiver: Receiver) -> None:
        snapshot = {"id": "order-1", "orderReferenceId": "REF-1", "fulfillmentStatus": "passed", "price": 5}
        token = {"Authorization": f"Bearer {OPS_TOKEN}"}
        receiver.client.post("/snapshots", json=snapshot, headers=token)
        (entry,) = receiver.get("/orders/REF-1/events").json()["events"]
        assert entry["identity"] == "snapshot:order-1:"
        assert "price" not in entry["event"]

    def test_of_an_unknown_order(self, receiver: Receiver) -> None:
        answer = receiver.get("/orders/none/events")
        assert (answer.status_code, answer.json()) == (404, UNKNOWN)


def in_us(text: str) -> int:
    moment = datetime.fromisoformat(text)
    return (moment - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)
