"""Moving to another server by replication, while Gelato goes on posting: every event with a 2xx arrives there."""

import itertools
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest
from redis.exceptions import ConnectionError as Gone
from support.orders import document, nothing_waits
from support.polling import eventually
from support.processes import Process, Receiver, environment
from support.servers import Node

from shared.store import Store

DURABLE = ("--appendonly", "yes", "--appendfsync", "always", "--repl-diskless-sync-delay", "0")


@pytest.fixture
def old(tmp_path: Path) -> Iterator[Node]:
    node = Node(tmp_path, *DURABLE).start()
    yield node
    node.stop()


@pytest.fixture
def new(tmp_path: Path, old: Node) -> Iterator[Node]:
    """A replica of the old one."""
    node = Node(tmp_path, *DURABLE, "--replicaof", f"127.0.0.1 {old.port}").start()
    yield node
    node.stop()


class Gelato:
    """Posts events of ever new orders, one after the other, three tries each; notes which had a 2xx."""

    def __init__(self, receivers: list[Receiver]) -> None:
        self._receivers = receivers  # the last one is the one behind the proxy
        self._stop = threading.Event()
        self.answered: list[str] = []
        self.spooled = 0
        self.refused: list[str] = []
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> "Gelato":
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._stop.set()
        self._thread.join()

    def more(self) -> None:
        """Wait for some more answers."""
        goal = len(self.answered) + 10
        eventually(lambda: len(self.answered) >= goal, what="more webhooks to be answered")

    def _run(self) -> None:
        for n in itertools.count():
            if self._stop.is_set():
                return
            reference = f"order-{n}"
            event = {"id": f"is_{n}", "object": "itemStatus", "orderId": f"{reference}-1", "itemReferenceId": "mug"}
            answer = self._receivers[-1].post({**event, "orderReferenceId": reference, "status": "passed"})
            if answer.status_code == 200:
                self.answered.append(reference)
                self.spooled += "spooled" in answer.json()
            else:
                self.refused.append(reference)
            time.sleep(0.005)  # some two hundred a second


def test_no_event_with_a_2xx_is_left_behind(
    old: Node, new: Node, start: Callable[..., Process], tmp_path: Path
) -> None:
    data = tmp_path / "var"
    receivers = [
        Receiver(environment(old.url, data, GELATO_SPOOL_PERSISTENT="yes"), tmp_path / "receiver-old.log").start()
    ]
    worker = start("worker", REDIS_URL=old.url)
    with Gelato(receivers) as gelato:
        gelato.more()
        eventually(lambda: new.client.info("replication")["master_link_status"] == "up", what="the replica")
        # The old server hands all that it has to its replica, and ends: from here on events are spooled.
        try:
            old.client.execute_command("SHUTDOWN")
        except Gone:
            assert old.process is not None
        assert old.process is not None
        assert old.process.wait(20) == 0
        gelato.more()
        new.client.execute_command("REPLICAOF NO ONE")
        worker.terminate()
        # A receiver for the new server beside the old one, with the same spool; then the proxy turns to it.
        fresh = Receiver(environment(new.url, data, GELATO_SPOOL_PERSISTENT="yes"), tmp_path / "receiver-new.log")
        receivers.append(fresh.start())
        gelato.more()
        assert receivers[0].terminate() == 0
        receivers[0].stop()
        start("worker", REDIS_URL=new.url)
        gelato.more()
    assert gelato.refused == []
    assert gelato.spooled > 0
    with closing(Store.from_url(new.url)) as store:
        eventually(lambda: fresh.get("/readyz").json()["spooled"] == 0, seconds=30, what="an empty spool")
        eventually(lambda: nothing_waits(store), seconds=30, what="all to be folded")
        for reference in gelato.answered:
            assert document(store, reference)["status"] == "passed"
    fresh.stop()
