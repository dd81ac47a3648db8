"""Rolling restarts: every receiver and worker is asked to end and started again, one after the other, under load."""

import asyncio
import signal
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
from support.processes import Receiver

from faults.checks import check
from faults.gelato import Gelato, couriers, play
from faults.stage import STOP_SECONDS, Actor, Stage

_RATE = 60.0


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    stage = Stage(tmp_path)
    try:
        stage.start()
        yield stage
    finally:
        stage.stop()


def test_rolling_restarts_under_load_show_no_5xx_and_lose_nothing(stage: Stage) -> None:
    played = play(5, int(_RATE * 6), run="rolling")
    sender = Gelato(couriers([actor.process.base for actor in stage.receivers]), _RATE)
    sending = threading.Event()
    sending.set()

    def roll() -> int:
        rounds = 0
        while sending.is_set():
            for actor in stage.actors:
                actor.terminate()
                actor.launch()
                actor.ready()
            rounds += 1
        return rounds

    async def send() -> None:
        async with AsyncExitStack() as stack:
            for courier in sender.couriers:
                await stack.enter_async_context(courier)
            await sender.send(played.posts)

    with ThreadPoolExecutor(1) as pool:
        rolling = pool.submit(roll)
        try:
            asyncio.run(send())
        finally:
            sending.clear()
        assert rolling.result() >= 1
    stops = [(actor.name, code, took) for actor in stage.actors for code, took in actor.stops]
    assert [stop for stop in stops if stop[1] != 0 or stop[2] > STOP_SECONDS] == []
    failures = [attempt.failure for attempt in sender.journal if attempt.failure is not None]
    assert [failure for failure in failures if failure.startswith("HTTP")] == []
    findings = check(stage, played, sender.journal)
    assert findings.broken == {}
    assert findings.given_up == {}


@pytest.mark.parametrize("kind", ["receivers", "workers"])
@pytest.mark.parametrize("trouble", ["dead", "hung"])
def test_a_process_ends_in_time_while_the_server_is_away(stage: Stage, kind: str, trouble: str) -> None:
    actors: list[Actor] = getattr(stage, kind)
    played = play(6, 200, run="away")
    receiver = stage.receivers[0].process
    assert isinstance(receiver, Receiver)
    for post in played.posts[:40]:  # something is in the air
        receiver.post(post.body)
    if trouble == "dead":
        stage.server.kill()
    else:
        stage.server.send(signal.SIGSTOP)
    try:
        for post in played.posts[40:60]:
            assert receiver.post(post.body).status_code == 200
        with ThreadPoolExecutor(2) as pool:
            stops = list(pool.map(Actor.terminate, actors))
    finally:
        if trouble == "hung":
            stage.server.send(signal.SIGCONT)
    assert [(code, took) for code, took in stops if code or took > STOP_SECONDS] == []
