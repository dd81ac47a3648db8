"""A server that hangs while events come from many connections at once: each event gets its 2xx soon."""

import asyncio
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.polling import eventually
from support.processes import Receiver

from faults.gelato import Gelato, couriers, play
from faults.report import OUTAGE_P99_MS
from faults.stage import Stage

_RATE = 100.0
_POSTS = 100
#: Other work on this machine can make one outage look slow, not three.
_OUTAGES = 3


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    stage = Stage(tmp_path, receivers=1, workers=0)
    try:
        stage.start()
        yield stage
    finally:
        stage.stop()


def test_a_hung_server_does_not_slow_concurrent_senders_down(stage: Stage) -> None:
    receiver = stage.receivers[0].process
    assert isinstance(receiver, Receiver)
    posts = play(8, _POSTS * (_OUTAGES + 2), run="hung").posts

    async def send(first: int) -> Gelato:
        clients = couriers([receiver.base])
        sender = Gelato(clients, _RATE)
        await sender.send(posts[first:][:_POSTS])
        for client in clients:
            await client.aclose()
        return sender

    asyncio.run(send(0))
    p99 = []
    for n in range(1, _OUTAGES + 1):
        stage.server.send(signal.SIGSTOP)
        try:
            sender = asyncio.run(send(n * _POSTS))
        finally:
            stage.server.send(signal.SIGCONT)
        took = sorted(each.ended - each.began for each in sender.journal if each.failure is None)
        p99.append(took[int(len(took) * 0.99)] * 1000)
        assert any(each.spooled for each in sender.journal)
        eventually(lambda: receiver.get("/readyz").json().get("spooled") == 0, what="the spool to be drained")
    assert min(p99) < OUTAGE_P99_MS
