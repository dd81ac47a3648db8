"""One receiver that is sent what nobody should send; after each test it must be as well as before."""

import time
from collections.abc import Iterator

import pytest
from support.events import order_status
from support.polling import eventually
from support.processes import OPS_TOKEN, SECRET, Receiver
from support.server import Server
from support.webhooks import MARK, MIB

from ops.bench.proc import rss_bytes

#: What a receiver may grow by under any of these attacks; at rest it has about 50 MiB.
ROOM_BYTES = 100 * MIB


@pytest.fixture
def receiver(process: Receiver, server: Server) -> Iterator[Receiver]:
    """The receiver; afterwards it is the same process, small, quiet about what it was sent, and takes a good event."""
    before = rss_bytes(process.pid)
    pid = process.pid
    said_before = process.log.stat().st_size
    yield process
    answer = process.post(order_status(id=time.monotonic_ns()))
    assert answer.json()["result"] == "accepted", "the service takes a good event afterwards"
    assert process.pid == pid
    eventually(lambda: rss_bytes(process.pid) < before + ROOM_BYTES, seconds=5, what="the memory to be given back")
    said = process.log.read_bytes()[said_before:]
    for text in (MARK, SECRET, OPS_TOKEN):
        assert text.encode() not in said, "the log says nothing of payloads and secrets"
