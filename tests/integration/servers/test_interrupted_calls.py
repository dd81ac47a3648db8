"""Calls that are cancelled, interrupted or hang: the next ones get their own answers."""

import asyncio
import time
from typing import Any

import pytest
import redis
import redis.asyncio
from support.servers import Node, own_answers

from shared.errors import StoreUnavailable
from shared.store import AsyncStore, Store, due, orders
from shared.store.calls import one


def test_cancelled_calls_leave_the_next_ones_their_own_answers(node: Node) -> None:
    asyncio.run(own_answers(node.url, [node]))


def test_a_hanging_server_is_unavailable_in_time_and_well_again_after(node: Node) -> None:
    store = Store.from_url(node.url, timeout_seconds=0.2)
    store.run(one("SET", "key", arguments=("own",)))
    with node.hanging():
        began = time.monotonic()
        with pytest.raises(StoreUnavailable):
            store.run(one("GET", "key"))
        assert time.monotonic() - began < 2
    assert store.run(one("GET", "key")) == b"own"
    assert store.run(one("ECHO", arguments=("mine",))) == b"mine"
    store.close()


class Interrupted(BaseException):
    """As RQ's timeout: a signal raises it anywhere."""


def test_an_interruption_between_a_call_and_its_answer_leaves_the_next_call_its_own(
    node: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = Store.from_url(node.url)
    store.run(one("SET", "key", arguments=("own",)))

    def interrupted(*_: Any, **__: Any) -> Any:
        raise Interrupted

    with monkeypatch.context() as patch:
        patch.setattr(redis.Redis, "parse_response", interrupted)
        with pytest.raises(Interrupted):
            store.run(due.wait_for_work(0.2))  # its answer comes later
    assert store.run(one("GET", "key")) == b"own"
    assert store.run(one("ECHO", arguments=("mine",))) == b"mine"
    store.close()


def test_a_burst_of_readers_is_no_outage(node: Node) -> None:
    async def play() -> None:
        store = AsyncStore.from_url(node.url)
        found = await asyncio.gather(*(store.run(orders.document("default", f"order-{n}")) for n in range(300)))
        assert found == [None] * 300
        await store.close()

    asyncio.run(play())
