"""The feed of changes within a receiver: who is told what, who is ended."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from support.server import Server

from receiver.feed import MOST_WAITING, SLOW, Feed, TooManySubscribers
from shared.store import AsyncStore, keys
from shared.store import changes as stored_changes


class TestFeed:
    def play(self, server: Server, act: Callable[[Feed, AsyncStore], Any]) -> None:
        async def run() -> None:
            store = AsyncStore.from_url(server.url)
            feed = Feed(store, most=3, most_per_tenant=2)
            try:
                await act(feed, store)
            finally:
                await feed.close()
                await store.close()

        asyncio.run(run())

    def tell(self, server: Server, reference: str, version: int, tenant: str = "default") -> None:
        fields = {"tenant": tenant, "orderReferenceId": reference, "version": version, "status": "passed"}
        server.client.xadd(keys.CHANGES, {**fields, "previousStatus": "", "terminal": "false", "at": "now"})

    def test_each_subscriber_gets_what_it_asked_for(self, server: Server) -> None:
        async def act(feed: Feed, store: AsyncStore) -> None:
            async with (
                feed.subscribe() as everything,
                feed.subscribe("acme") as acme,
                feed.subscribe("acme", "B") as one,
            ):
                self.tell(server, "A", 1)
                self.tell(server, "A", 2, "acme")
                self.tell(server, "B", 3, "acme")

                async def told(subscription: Any, n: int) -> list[int]:
                    return [(await anext(subscription)).change["version"] for _ in range(n)]

                async with asyncio.timeout(5):
                    assert await told(everything, 3) == [1, 2, 3]
                    assert await told(acme, 2) == [2, 3]
                    assert await told(one, 1) == [3]
                assert feed.subscribers == 3
                with pytest.raises(TooManySubscribers):
                    async with feed.subscribe():
                        pass
            assert feed.subscribers == 0

        self.play(server, act)

    def test_one_that_does_not_keep_up_is_ended_and_holds_nothing(self, server: Server) -> None:
        async def act(feed: Feed, store: AsyncStore) -> None:
            async with feed.subscribe() as slow, feed.subscribe("acme") as quick:
                for n in range(MOST_WAITING + 2):
                    self.tell(server, "A", n)
                self.tell(server, "A", 1, "acme")
                async with asyncio.timeout(5):
                    await anext(quick)
                assert slow.ended == SLOW
                assert [entry async for entry in slow] == []
                assert quick.ended is None

        self.play(server, act)

    def test_after_a_stop_nobody_comes_in(self, server: Server) -> None:
        async def act(feed: Feed, store: AsyncStore) -> None:
            async with feed.subscribe() as subscription:
                feed.stop()
                assert [entry async for entry in subscription] == []
            with pytest.raises(TooManySubscribers):
                async with feed.subscribe():
                    pass

        self.play(server, act)

    def test_ids_are_compared_as_numbers(self) -> None:
        assert stored_changes.later(b"10-2", b"9-3")
        assert stored_changes.later(b"10-10", b"10-9")
        assert not stored_changes.later(b"10-2", b"10-2")
