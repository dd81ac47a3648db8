"""How often the order API is asked, by all processes together; and its answers page by page."""

import asyncio
import time

import pytest
from support.gelato.orderapi import ask, gelato
from support.gelato.upstream import Fault, Upstream
from support.server import Server

from shared.orderapi import Broken, OrderApi, OrderApis, pages
from shared.settings import Settings
from shared.store import AsyncStore


class TestTheRate:
    def test_is_shared_by_all(self, server: Server, upstream: Upstream) -> None:
        """Four clients, as in four processes, at 40 a second together: no second holds more."""
        settings = Settings(api_timeout_seconds=10.0, api_requests_per_second=40.0)

        async def process() -> None:
            store = AsyncStore.from_url(server.url)
            async with OrderApis(store, settings) as apis:
                # The first call reads the authorities' certificates; the loop, which all share, stands still.
                await apis.of(gelato(upstream.url)).get("x")
                await ready.wait()
                upstream.asked.clear()
                await asyncio.gather(*(apis.of(gelato(upstream.url)).get("x") for _ in range(18)))
            await store.close()

        async def all_of_them() -> None:
            await asyncio.gather(*(process() for _ in range(4)))

        ready = asyncio.Barrier(4)
        asyncio.run(all_of_them())
        times = sorted(asked.at for asked in upstream.asked)
        assert len(times) == 72
        most = max(sum(1 for other in times if at <= other < at + 1.0) for at in times)
        assert most <= 43, "40, and what the way there may bunch"
        assert times[-1] - times[0] < 3.0, "and it is used"

    def test_live_calls_come_first(self, server: Server, upstream: Upstream) -> None:
        settings = Settings(api_timeout_seconds=10.0, api_requests_per_second=20.0)

        async def work() -> tuple[float, int]:
            store = AsyncStore.from_url(server.url)
            async with OrderApis(store, settings) as apis:
                behind = apis.of(gelato(upstream.url), background=True)
                tasks = [asyncio.create_task(behind.get("background")) for _ in range(40)]
                await asyncio.sleep(1.0)
                done = sum(task.done() for task in tasks)
                begun = time.monotonic()
                await apis.of(gelato(upstream.url)).get("live")
                took = time.monotonic() - begun
                for task in tasks:
                    task.cancel()
                await asyncio.gather(*tasks, return_exceptions=True)
            await store.close()
            return took, done

        took, done = asyncio.run(work())
        assert took < 0.3, "it did not queue behind forty others"
        assert 1 <= done <= 13, "which have half of the rate"

    def test_without_redis_each_process_paces_itself(self, upstream: Upstream) -> None:
        settings = Settings(api_timeout_seconds=10.0, api_requests_per_second=100.0)

        async def work() -> float:
            store = AsyncStore.from_url("redis://127.0.0.1:1/0")
            begun = time.monotonic()
            async with OrderApis(store, settings) as apis:
                await asyncio.gather(*(apis.of(gelato(upstream.url)).get("x") for _ in range(9)))
            await store.close()
            return time.monotonic() - begun

        assert 0.75 < asyncio.run(work()) < 3.0
        assert len(upstream.asked) == 9


class TestPages:
    @pytest.mark.parametrize(("orders", "asked"), [(0, 1), (3, 1), (4, 2), (9, 3)])
    def test_all_orders_come(self, server: Server, upstream: Upstream, orders: int, asked: int) -> None:
        made = [upstream.add(f"REF-{n}")["id"] for n in range(orders)]

        async def work(api: OrderApi) -> list[str]:
            return [order["id"] async for page in pages(api, {"startDate": "x"}, limit=4) for order in page.orders]

        assert ask(server, gelato(upstream.url), work) == made
        assert len(upstream.asked) == asked
        assert all(each.json()["startDate"] == "x" for each in upstream.asked)

    def test_one_may_go_on_where_another_left_off(self, server: Server, upstream: Upstream) -> None:
        made = [upstream.add(f"REF-{n}")["id"] for n in range(9)]

        async def first(api: OrderApi) -> int:
            async for page in pages(api, {}, limit=4):
                return page.following
            raise AssertionError

        following = ask(server, gelato(upstream.url), first)

        async def rest(api: OrderApi) -> list[str]:
            return [order["id"] async for page in pages(api, {}, limit=4, offset=following) for order in page.orders]

        assert ask(server, gelato(upstream.url), rest) == made[4:]

    def test_an_api_without_offsets_is_not_asked_for_ever(self, server: Server, upstream: Upstream) -> None:
        upstream.fault_for = lambda _: Fault(200, body=b'{"orders":[{"id":"1"},{"id":"2"}]}')

        async def work(api: OrderApi) -> int:
            return len([page async for page in pages(api, {}, limit=2)])

        assert ask(server, gelato(upstream.url), work) == 1

    @pytest.mark.parametrize("fault", [Fault(400), Fault(200, body=b"<html>"), Fault(200, body=b'{"orders":{}}')])
    def test_what_is_no_page_is_an_error(self, server: Server, upstream: Upstream, fault: Fault) -> None:
        upstream.fault_for = lambda _: fault

        async def work(api: OrderApi) -> None:
            async for _ in pages(api, {}):
                pass

        with pytest.raises(Broken):
            ask(server, gelato(upstream.url), work)
