"""The drill: a backup of a working service is restored into a new server, and nothing of it is missing.

DRILL_ORDERS=20000 makes it a larger one (`make drill`), which prints its figures.
"""

import itertools
import json
import os
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from support.events import incoming, webhook
from support.orders import accept, document, found_document, nothing_waits
from support.polling import eventually
from support.processes import ROOT, Process, Receiver, environment
from support.servers import Node

from ops.bench.lives import interleaved
from shared.store import Store, keys

BACK_UP = ROOT / "deploy" / "back-up"
ORDERS = int(os.environ.get("DRILL_ORDERS", "40"))
DURABLE = ("--appendonly", "yes", "--appendfsync", "always")
PENDING, SPOOLED = 5, 7
#: A large drill takes as long as it takes.
PATIENCE = 60.0 if ORDERS < 1000 else 3600.0

pytestmark = [
    pytest.mark.skipif(
        shutil.which("redis-cli") is None and shutil.which("valkey-cli") is None,
        reason="deploy/back-up needs redis-cli",
    ),
    *([pytest.mark.timeout(0)] if ORDERS >= 1000 else []),
]


@pytest.fixture
def old(tmp_path: Path) -> Iterator[Node]:
    node = Node(tmp_path, *DURABLE).start()
    yield node
    node.stop()


@pytest.fixture
def new(tmp_path: Path) -> Iterator[Node]:
    """Another server, not started yet."""
    node = Node(tmp_path, *DURABLE)
    yield node
    node.stop()


@pytest.fixture
def store(old: Node) -> Iterator[Store]:
    store = Store.from_url(old.url)
    yield store
    store.close()


def live(store: Store, orders: int) -> None:
    """Whole lives of so many orders, from created to delivered."""
    events = (incoming(each.body) for each in interleaved("life", orders, events=24))
    while batch := list(itertools.islice(events, 500)):
        accept(store, *batch)


def documents(node: Node) -> dict[bytes, bytes]:
    names = list(node.client.scan_iter(match=f"{keys.PREFIX}order:*", count=1000))
    return dict(zip(names, node.client.mget(names), strict=True))


def rebuilt(env: dict[str, str]) -> dict[str, Any]:
    """What `orders rebuild --all` says."""
    command = [sys.executable, "-m", "ops", "orders", "rebuild", "--all", "--json"]
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return dict(json.loads(done.stdout))


class Writer:
    """Goes on accepting events while the backup is made; remembers what was answered for before it began."""

    def __init__(self, url: str) -> None:
        self._store = Store.from_url(url)
        self._stop = threading.Event()
        self.accepted: list[str] = []
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> "Writer":
        self._thread.start()
        eventually(lambda: len(self.accepted) > 3, what="the writer to write")
        return self

    def __exit__(self, *error: object) -> None:
        self._stop.set()
        self._thread.join()
        self._store.close()

    def _run(self) -> None:
        for n in itertools.count():
            if self._stop.is_set():
                return
            accept(self._store, webhook(f"meanwhile-{n}"))
            self.accepted.append(f"meanwhile-{n}")


def spool_some(env: dict[str, str], old: Node, log: Path) -> None:
    """A receiver takes events while the server hangs, and dies before it can drain them."""
    receiver = Receiver({**env, "GELATO_SPOOL_PERSISTENT": "yes"}, log).start()
    with old.hanging():
        for n in range(SPOOLED):
            event = {"id": f"is_{n}", "object": "itemStatus", "orderId": f"spooled-{n}-1", "itemReferenceId": "mug"}
            answer = receiver.post({**event, "orderReferenceId": f"spooled-{n}", "status": "passed"})
            assert answer.json()["spooled"] is True
        receiver.stop()


def test_a_backup_of_a_working_service_is_restored_without_loss(
    old: Node, new: Node, store: Store, start: Callable[..., Process], tmp_path: Path
) -> None:
    figures: dict[str, Any] = {"orders": ORDERS, "events": ORDERS * 24}
    there = environment(old.url, tmp_path / "var")
    worker = start("worker", REDIS_URL=old.url)
    live(store, ORDERS)
    eventually(lambda: nothing_waits(store), seconds=PATIENCE, what="all to be folded")
    worker.terminate()
    accept(store, *(webhook(f"pending-{n}") for n in range(PENDING)))  # taken in, and folded by nobody yet
    spool_some(there, old, tmp_path / "spooling.log")
    figures["memoryMiB"] = round(old.client.info("memory")["used_memory"] / 2**20, 1)

    backup = tmp_path / "backup"
    with Writer(old.url) as writer:
        promised = len(writer.accepted)
        old.client.bgrewriteaof()  # the files are exchanged while they are copied
        began = time.monotonic()
        done = subprocess.run(
            [BACK_UP, backup], env={**os.environ, **there}, capture_output=True, text=True, check=False
        )
        figures["backUpSeconds"] = round(time.monotonic() - began, 2)
    assert done.returncode == 0, done.stderr
    figures["backupMiB"] = round(sum(each.stat().st_size for each in backup.rglob("*") if each.is_file()) / 2**20, 1)
    before = documents(old)
    assert len(before) == ORDERS
    old.kill()  # that machine is gone, with its spool

    shutil.copytree(backup / "appendonlydir", new.directory / "appendonlydir")
    shutil.copytree(backup / "spool", tmp_path / "new-var" / "spool")
    began = time.monotonic()
    new.start()
    figures["loadSeconds"] = round(time.monotonic() - began, 2)
    assert documents(new) == before, "each document is as it was, to the byte"

    here = environment(new.url, tmp_path / "new-var", GELATO_SPOOL_PERSISTENT="yes")
    receiver = Receiver(here, tmp_path / "receiver.log").start()
    start("worker", REDIS_URL=new.url)
    with closing(Store.from_url(new.url)) as restored:
        eventually(lambda: receiver.get("/readyz").json()["spooled"] == 0, seconds=30, what="an empty spool")
        eventually(lambda: nothing_waits(restored), seconds=30, what="all to be folded")
        late = [f"pending-{n}" for n in range(PENDING)] + [f"spooled-{n}" for n in range(SPOOLED)]
        for reference in [*late, *writer.accepted[:promised]]:
            assert document(restored, reference)["status"] == "passed"
        assert found_document(restored, "never-was") is None
        held = len(documents(new))
    receiver.stop()
    began = time.monotonic()
    said = rebuilt(here)
    figures["rebuildSeconds"] = round(time.monotonic() - began, 2)
    assert (said["rebuilt"], said["changed"], said["left"]) == (held, [], [])
    if ORDERS >= 1000:
        sys.stdout.write(json.dumps(figures) + "\n")
