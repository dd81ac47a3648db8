"""A server that hangs, or is slow, while events come from many connections at once: each event gets its 2xx soon."""

import asyncio
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from support.polling import eventually
from support.processes import Receiver

from faults.gelato import Gelato, couriers, play
from faults.report import OUTAGE_P99_MS
from faults.stage import Stage

_RATE = 100.0
_POSTS = 100
#: Other work on this machine can make one outage look slow, and even three; a receiver that waits too long is slow in all.
_OUTAGES = 8


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    stage = Stage(tmp_path, receivers=1, workers=0)
    try:
        stage.start()
        yield stage
    finally:
        stage.stop()


@contextmanager
def slow(stage: Stage) -> Iterator[None]:
    stage.proxy.delay_seconds = 0.14
    try:
        yield
    finally:
        stage.proxy.delay_seconds = 0.0


def p99_ms(sender: Gelato) -> float:
    took = sorted(each.ended - each.began for each in sender.journal if each.failure is None)
    return took[int(len(took) * 0.99)] * 1000


def slowest_sync_ms(directory: Path) -> float:
    """What a sync takes at worst here and now: other tests write too, and the spool promises nothing before its own."""
    worst = 0.0
    with (directory / "sync").open("wb", buffering=0) as file:
        for _ in range(20):
            file.write(b"x" * 4096)
            began = time.monotonic()
            os.fsync(file.fileno())
            worst = max(worst, time.monotonic() - began)
    return worst * 1000


@pytest.mark.parametrize("trouble", ["hung", "slow"])
def test_a_server_in_trouble_does_not_slow_concurrent_senders_down(stage: Stage, trouble: str) -> None:
    """`slow`: just within the receiver's patience, so that nobody calls it away."""
    receiver = stage.receivers[0].process
    assert isinstance(receiver, Receiver)
    posts = play(8, _POSTS * (_OUTAGES + 1), run="hung").posts

    async def send(first: int) -> Gelato:
        clients = couriers([receiver.base])
        sender = Gelato(clients, _RATE)
        await sender.send(posts[first:][:_POSTS])
        for client in clients:
            await client.aclose()
        return sender

    # What this machine needs without trouble, and its disk for the spool's sync, is no fault of the receiver's.
    allowed = OUTAGE_P99_MS + p99_ms(asyncio.run(send(0)))
    beyond: list[float] = []
    while not beyond or (min(beyond) >= 0 and len(beyond) < _OUTAGES):
        with stage.server.hanging() if trouble == "hung" else slow(stage):
            sender = asyncio.run(send((len(beyond) + 1) * _POSTS))
            sync_ms = slowest_sync_ms(stage.data_dir)
        beyond.append(p99_ms(sender) - allowed - 2 * sync_ms)
        eventually(lambda: receiver.get("/readyz").json().get("spooled") == 0, what="the spool to be drained")
    assert min(beyond) < 0
