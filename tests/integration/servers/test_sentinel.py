"""A primary, two replicas and three real Sentinels, in a failover."""

import asyncio
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import orjson
import pytest
from support.polling import eventually
from support.processes import Process, Receiver, environment
from support.servers import Node, Replicated, own_answers

from shared import kick
from shared.store import Store, due, orders


@pytest.fixture
def env(replicated: Replicated, tmp_path: Path) -> dict[str, str]:
    return environment(
        replicated.url, tmp_path / "var", GELATO_SPOOL_PERSISTENT="yes", GELATO_LEASE_SECONDS="2", LOG_LEVEL="debug"
    )


def item_status(order: int, number: int) -> dict[str, Any]:
    return {
        "id": f"is_{order}_{number}",
        "event": "order_item_status_updated",
        "orderReferenceId": f"order-{order}",
        "orderId": f"gelato-{order}",
        "itemReferenceId": f"item-{number % 7}",
        "status": ("passed", "printed", "shipped")[number % 3],
        "created": "2026-11-01T00:00:00Z",
    }


class Poster(threading.Thread):
    """Posts events of some orders one after the other, until it is told to stop; remembers which got a 2xx."""

    ORDERS = 8

    def __init__(self, receiver: Receiver) -> None:
        super().__init__(daemon=True)
        self.receiver = receiver
        self.answered: list[tuple[int, int]] = []
        self.spooled = 0
        self.refused = 0
        self.enough = threading.Event()

    def run(self) -> None:
        number = 0
        while not self.enough.is_set():
            order = number % self.ORDERS
            answer = self.receiver.post(item_status(order, number))
            if answer.status_code == 200:
                self.answered.append((order, number))
                self.spooled += bool(answer.json().get("spooled"))
            else:
                self.refused += 1
            number += 1
            time.sleep(0.002)  # a sender's pace

    def more(self, count: int) -> None:
        """Wait for so many more answers."""
        known = len(self.answered)
        eventually(lambda: len(self.answered) >= known + count, what="more events to be answered")


def beaten_since(node: Node, moment: datetime) -> bool:
    """Whether a worker of RQ has said so at a server since then; the names of dead ones stay for minutes."""
    beats = [node.client.hget(name, "last_heartbeat") for name in node.client.smembers(f"rq:workers:{kick.QUEUE}")]
    return any(datetime.fromisoformat(beat.decode()) > moment for beat in beats if beat)


def test_every_event_answered_during_a_failover_is_in_its_document_exactly_once(
    replicated: Replicated, receiver: Receiver, start: Callable[..., Process]
) -> None:
    worker = start("worker")

    def waits_for_a_replica() -> bool:
        ready = receiver.get("/readyz").json()
        return bool(ready.get("server", {}).get("replicas") == 2)

    eventually(waits_for_a_replica, what="the receiver to know of the replicas")
    poster = Poster(receiver)
    poster.start()
    poster.more(100)
    old = replicated.kill_primary()
    killed, killed_at = time.monotonic(), datetime.now(UTC)
    eventually(lambda: poster.spooled, what="events to go to the spool")
    new = replicated.failed_over(old)
    poster.more(50)

    def at_the_new_primary() -> bool:
        ready = receiver.get("/readyz").json()
        return bool(ready["where"] == "redis")

    eventually(at_the_new_primary, what="the receiver to find the new primary")
    taken_over = time.monotonic() - killed
    poster.more(50)
    poster.enough.set()
    poster.join(10)
    assert poster.refused == 0

    eventually(lambda: receiver.get("/readyz").json().get("spooled") == 0, seconds=45, what="the spool to be drained")
    store = Store.from_url(new.url)
    expected = {order: {n for each, n in poster.answered if each == order} for order in range(Poster.ORDERS)}

    def folded() -> bool:
        raws = store.run(orders.documents("default", [f"order-{order}" for order in expected]))
        return [orjson.loads(raw or b'{"events":0}')["events"] for raw in raws] == [
            len(numbers) for numbers in expected.values()
        ]

    try:
        eventually(folded, seconds=20, what="all events to be folded, each once")
        for order, numbers in expected.items():
            log = store.run(orders.log("default", f"order-{order}"))
            ids = [orjson.loads(record.text)["id"] for record in log if record.is_event]
            assert sorted(ids) == sorted(f"is_{order}_{number}" for number in numbers)
        # RQ's worker has followed too, registered itself anew, and a shift of it is alive.
        eventually(lambda: beaten_since(new, killed_at), seconds=20, what="RQ's worker")
        eventually(lambda: store.run(due.live_shifts()) == 1, seconds=20, what="a live shift")
    finally:
        store.close()
    assert worker.process is not None
    assert worker.process.poll() is None
    assert taken_over < 15


def test_cancelled_calls_leave_the_next_ones_their_own_answers_behind_sentinel(replicated: Replicated) -> None:
    asyncio.run(own_answers(replicated.url, [replicated.primary], hang_seconds=0.1))
