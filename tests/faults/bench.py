"""One run of the bench: play Gelato, inject faults meanwhile, wait until all is quiet, check every promise."""

import asyncio
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack
from dataclasses import asdict, dataclass
from pathlib import Path

import orjson

from faults.checks import check
from faults.director import Director, Story
from faults.gelato import Gelato, Play, couriers, play
from faults.kinds import kinds_for
from faults.lag import Lag
from faults.report import Report
from faults.stage import Stage


@dataclass(frozen=True)
class Plan:
    """What to play: `seconds` of sending, `rate` posts a second, faults shortened by `scale`."""

    seed: int = 1
    seconds: float = 600.0
    rate: float = 60.0
    scale: float = 1.0


def run(plan: Plan, directory: Path, tell: Callable[[str], None] = lambda _: None) -> Report:
    """Play a plan. Files go to `directory`; no process outlives this call."""
    stage = Stage(directory)
    try:
        stage.start()
        kinds = kinds_for(stage)
        played = play(plan.seed, int(plan.seconds * plan.rate), run="faults")
        director = Director(stage, kinds, plan.seed, plan.scale, tell)
        sender = _sender(stage, plan.rate)
        with ThreadPoolExecutor(1) as thread:
            directing = thread.submit(director.run)
            ending = threading.Timer(plan.seconds, director.enough.set)
            ending.start()
            lag = Lag()
            lag.start()
            try:
                sent_seconds = asyncio.run(_send(sender, played))
            finally:
                ending.cancel()
                lag.done.set()
                director.enough.set()
            story = directing.result()
        tell("all faults are gone; checking")
        _keep(directory, sender, director.story)
        findings = check(stage, played, sender.journal)
        return Report.of(
            plan.seed, stage, played, sender.journal, story, kinds.skipped, findings, sent_seconds, lag.seconds
        )
    finally:
        stage.stop()


def _keep(directory: Path, sender: Gelato, story: Story) -> None:
    """What was done and what came of it, for whoever looks into a run."""
    told = {
        "journal": [tuple(each) for each in sender.journal],
        "episodes": [asdict(each) for each in story.episodes],
        "outages": story.outages,
    }
    (directory / "journal.json").write_bytes(orjson.dumps(told))


def _sender(stage: Stage, rate: float) -> Gelato:
    return Gelato(couriers([actor.process.base for actor in stage.receivers]), rate)  # type: ignore[attr-defined]


async def _send(sender: Gelato, played: Play) -> float:
    began = time.monotonic()
    async with AsyncExitStack() as stack:
        for courier in sender.couriers:
            await stack.enter_async_context(courier)
        await sender.send(played.posts)
    return time.monotonic() - began
