"""The receiver's connection on which operations follow one another: each gets its own answer, whatever happens to it."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import pytest
from support.server import Server

from shared.errors import StoreUnavailable
from shared.store import AsyncStore
from shared.store.calls import Call, Operation, one
from shared.store.pipe import Pipe
from shared.store.scripts import WAKE

Test = Callable[[Pipe], Coroutine[Any, Any, None]]


@pytest.fixture
def on_pipe(server: Server) -> Callable[[Test], None]:
    def run(test: Test) -> None:
        async def main() -> None:
            store = AsyncStore.from_url(server.url)
            assert store.pipe is not None
            try:
                await asyncio.wait_for(test(store.pipe), 10)
            finally:
                await store.close()

        asyncio.run(main())

    return run


def ask(pipe: Pipe, operation: Operation[Any]) -> "asyncio.Future[Any]":
    answer = asyncio.get_running_loop().create_future()
    pipe.start(operation, answer.set_result)
    return answer


def two_steps(key: str) -> Operation[list[Any]]:
    (first,) = yield [Call("INCR", (key,))]
    second, third = yield [Call("INCRBY", (key,), (first * 10,)), Call("GET", (key,))]
    return [first, second, third]


def test_a_thousand_operations_at_once_each_get_their_own_answer(on_pipe: Callable[[Test], None]) -> None:
    async def test(pipe: Pipe) -> None:
        echoes = [ask(pipe, one("ECHO", arguments=(f"{n}" * 50,))) for n in range(1_000)]
        steps = [ask(pipe, two_steps(f"gelato:test:{n}")) for n in range(100)]
        assert [await answer for answer in echoes] == [f"{n}".encode() * 50 for n in range(1_000)]
        assert [await answer for answer in steps] == [[1, 11, b"11"]] * 100

    on_pipe(test)


def test_a_script_that_the_server_has_forgotten_is_sent_in_full(
    on_pipe: Callable[[Test], None], server: Server
) -> None:
    async def test(pipe: Pipe) -> None:
        for _ in range(3):
            server.client.script_flush()
            answers = [ask(pipe, one(WAKE, "gelato:wake")) for _ in range(3)]
            assert [await answer for answer in answers] == [1] * 3
        assert server.client.llen("gelato:wake") == 1

    on_pipe(test)


def test_what_was_on_its_way_fails_with_the_connection_and_the_next_one_is_made_anew(
    on_pipe: Callable[[Test], None], server: Server
) -> None:
    async def test(pipe: Pipe) -> None:
        await ask(pipe, one("PING"))
        blocked = ask(pipe, one("BLPOP", "gelato:test", arguments=(0,)))
        behind = ask(pipe, one("ECHO", arguments=("x",)))
        await asyncio.sleep(0)
        server.client.client_kill_filter(_type="normal", skipme=True)
        for answer in (blocked, behind):
            assert isinstance(await answer, StoreUnavailable)
        assert await ask(pipe, one("ECHO", arguments=("y",))) == b"y"

    on_pipe(test)


def test_a_server_that_refuses_says_why(on_pipe: Callable[[Test], None]) -> None:
    async def test(pipe: Pipe) -> None:
        refused = await ask(pipe, one("INCRBY", "gelato:test", arguments=("no number",)))
        assert isinstance(refused, StoreUnavailable)
        assert "not an integer" in str(refused)
        assert await ask(pipe, one("PING")) in (b"PONG", "PONG")

    on_pipe(test)


def test_nobody_is_told_of_what_was_given_up(on_pipe: Callable[[Test], None], server: Server) -> None:
    async def test(pipe: Pipe) -> None:
        told: list[Any] = []
        await ask(pipe, one("PING"))
        running = pipe.start(one("BLPOP", "gelato:test", arguments=(0,)), told.append)
        after = ask(pipe, one("ECHO", arguments=("z",)))
        running.give_up()
        server.client.rpush("gelato:test", "1")
        assert await after == b"z"
        assert told == []

    on_pipe(test)


def test_a_server_that_is_not_there_fails_everybody_who_asks() -> None:
    async def nobody() -> None:
        store = AsyncStore.from_url("redis://127.0.0.1:1/0")
        assert store.pipe is not None
        answers = [ask(store.pipe, one("PING")) for _ in range(3)]
        assert all([isinstance(await answer, StoreUnavailable) for answer in answers])
        await store.close()

    asyncio.run(asyncio.wait_for(nobody(), 10))


def test_the_end_of_an_old_connection_is_no_business_of_the_new_one(on_pipe: Callable[[Test], None]) -> None:
    async def test(pipe: Pipe) -> None:
        for n in range(20):
            assert await ask(pipe, one("ECHO", arguments=(f"{n}",))) == f"{n}".encode()
            pipe.close()

    on_pipe(test)
