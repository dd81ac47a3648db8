"""Bugs that the bench found, each by a test with its name."""

import asyncio
import errno
import io
import time
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from support.polling import eventually
from support.servers import Node

from faults.stage import Stage
from receiver.door import Door
from receiver.drain import Drain
from receiver.spool import Entry, Spool
from shared import log
from shared.facts import WEBHOOK
from shared.store import AsyncStore, Store, due, keys, orders, records

EVENT = (
    b'{"created":"2026-11-01T00:00:00Z","event":"order_item_status_updated","id":"is_%d","itemReferenceId":"mug",'
    b'"orderId":"gelato-1","orderReferenceId":"order-1","status":"passed"}'
)


@pytest.fixture
def node(tmp_path: Path) -> Iterator[Node]:
    node = Node(tmp_path / "server").start()
    yield node
    node.stop()


async def spooled(directory: Path, count: int) -> Spool:
    spool = Spool(directory, max_events=1000, max_bytes=1 << 20)
    now = time.time_ns() // 1000
    for n in range(count):
        await spool.put(Entry(now + n, records.letter_of(WEBHOOK), "default", EVENT % n))
    return spool


async def soon(look: Callable[[], Awaitable[bool]], seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if await look():
            return True
        await asyncio.sleep(0.05)
    return False


@pytest.mark.parametrize("refusal", ["maxmemory", "replicaof"])
def test_a_refusal_while_draining_does_not_hold_the_spool_back_once_the_server_is_well(
    node: Node, tmp_path: Path, refusal: str
) -> None:
    """A server that refuses all writes says nothing of one entry: no entry is put off for it, and the order is kept."""

    def refuse(refusing: bool) -> None:
        if refusal == "maxmemory":
            node.client.config_set("maxmemory", "1" if refusing else "0")
        else:
            node.client.execute_command("REPLICAOF", *(("127.0.0.1", "1") if refusing else ("NO", "ONE")))

    async def run() -> bool:
        store = AsyncStore.from_url(node.url)
        spool = await spooled(tmp_path / "spool", 20)
        door = Door(store, spool, 0.15, 100, lambda: None, lambda _: None)
        drain = Drain(spool, door)
        refuse(True)
        drain.start()
        await asyncio.sleep(1.5)  # the drain meets the refusal
        refuse(False)

        async def empty() -> bool:
            return (await spool.totals()).events == 0

        try:
            return await soon(empty, 10.0)
        finally:
            await drain.stop()
            await door.drain()
            await spool.close()
            await store.close()

    assert asyncio.run(run()), "the spool waits although the server is well"
    store = Store.from_url(node.url)
    received = [each.received for each in store.run(orders.log("default", "order-1"))]
    store.close()
    assert (len(received), received) == (20, sorted(received))


def test_an_entry_put_off_while_the_clock_was_ahead_does_not_wait_for_that_time(
    node: Node, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The host's clock was a day ahead when Redis refused one entry; it is right again, and the wait is over."""
    real = time.time_ns
    ahead_ns = 86_400 * 10**9
    monkeypatch.setattr("receiver.drain.time.time_ns", lambda: real() + ahead_ns)
    monkeypatch.setattr("receiver.drain._POSTPONED_SECONDS", 1.0)

    async def run() -> bool:
        nonlocal ahead_ns
        store = AsyncStore.from_url(node.url)
        spool = await spooled(tmp_path / "spool", 1)
        door = Door(store, spool, 0.15, 100, lambda: None, lambda _: None)
        drain = Drain(spool, door)
        node.client.set("gelato:log:{default/order-1}", "of a wrong type: this order alone is refused")
        drain.start()

        async def refused() -> bool:
            stats = node.client.info("commandstats")
            return sum(stats.get(f"cmdstat_{name}", {"calls": 0})["calls"] for name in ("eval", "evalsha")) >= 2

        async def empty() -> bool:
            return (await spool.totals()).events == 0

        try:
            assert await soon(refused, 10.0)
            await asyncio.sleep(0.2)  # what was refused is put off
            node.client.delete("gelato:log:{default/order-1}")
            ahead_ns = 0
            return await soon(empty, 5.0)
        finally:
            await drain.stop()
            await door.drain()
            await spool.close()
            await store.close()

    assert asyncio.run(run()), "the entry waits for a time that the clock was at by mistake"


class _FullDisk(io.BytesIO):
    """A log file whose disk is full for one write."""

    refusals = 1

    def write(self, lines: Any) -> int:
        if self.refusals:
            self.refusals -= 1
            raise OSError(errno.ENOSPC, "No space left on device")
        return super().write(lines)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_log_that_could_not_be_written_once_is_written_again_afterwards() -> None:
    """The thread that writes gathered lines must outlive a full disk; else a receiver is silent until it ends."""
    file = _FullDisk()
    gathering = log._Gathering(file, wanted=True)
    gathering.write(b"lost\n")
    eventually(lambda: file.refusals == 0, what="the first lines to be refused")
    gathering.write(b"kept\n")
    eventually(lambda: b"kept" in file.getvalue(), seconds=3, what="the next lines to be written")


def test_a_worker_does_not_wait_longer_for_rq_after_each_outage_of_its_life(tmp_path: Path) -> None:
    """The wait grows within one outage; a worker that has had a shift since begins anew."""
    stage = Stage(tmp_path, receivers=0, workers=1)
    (worker,) = stage.workers
    store = Store.from_url(stage.server.url)

    def ended() -> list[float]:
        return [line["retry_seconds"] for line in worker.process.said() if "retry_seconds" in line]

    try:
        stage.start()
        firsts = []
        for _ in range(4):
            stage.server.client.delete(keys.SHIFTS)  # the server remembers the shift that died with it
            eventually(lambda: store.run(due.live_shifts()), seconds=30, what="a shift")
            before = len(ended())
            stage.server.kill()
            eventually(lambda before=before: len(ended()) > before, what="the worker to notice")
            firsts.append(ended()[before])
            stage.server.start()
        assert firsts == [1.0] * 4
    finally:
        store.close()
        stage.stop()
