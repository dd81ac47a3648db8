"""Latency at steady rates, everything on the same cores: POST to 2xx and POST to document visible, beside D."""

import itertools
import math
import time
from typing import Final

from ops.bench import lives, proc, subjects
from ops.bench.bench import Bench
from ops.bench.processes import Stage, baseline_script
from ops.bench.results import Result
from ops.bench.steady import Seen, drive, percentile, schedule
from ops.bench.subjects import Running

_AT_ONCE: Final = 200
_QUIET_SECONDS: Final = 1.5
_SHARES: Final = (("p50", 0.5), ("p99", 0.99))


def latency(bench: Bench) -> Result:
    """The benchmark."""
    sizes = bench.sizes
    baseline_script("streams_reader.py")
    result = Result(
        "latency",
        {
            "rates": list(sizes.rates),
            "secondsMeasured": sizes.latency_seconds,
            "secondsWarm": sizes.latency_warm_seconds,
            "idleSeconds": sizes.idle_seconds,
            "appendfsync": "everysec",
            "loadGenerator": "one asyncio process (uvloop), raw sockets, 32 connections, events evenly spaced; documents "
            "watched by key space notifications and read with MGET; the same for both",
            "ordersUnderWay": _AT_ONCE,
        },
    )
    bench.rounds([("ours", lambda: _ours(bench, result)), ("D", lambda: _streams(bench, result))])
    for rate in sizes.rates:
        for name, _ in _SHARES:
            ratio = result.ratio(f"ours, {rate}/s, visible {name}", f"D, {rate}/s, visible {name}")
            result.target(f"visible {name} at {rate}/s, ours / D", ratio, 2.0, at_least=False)
    idle = result.median("idle, receiver and worker")
    result.target("idle: receiver and worker together", idle, 2.0, at_least=False, unit="% of a core")
    return result


def _ours(bench: Bench, result: Result) -> None:
    with Stage(bench.scratch) as stage:
        running = subjects.ours(stage)
        _rates(bench, result, "ours", running)
        _idle(bench, result, running)


def _streams(bench: Bench, result: Result) -> None:
    with Stage(bench.scratch) as stage:
        _rates(bench, result, "D", subjects.streams(stage))


def _rates(bench: Bench, result: Result, who: str, running: Running) -> None:
    sizes = bench.sizes
    for rate in sizes.rates:
        count = math.ceil(rate * (sizes.latency_warm_seconds + sizes.latency_seconds))
        orders = math.ceil(count / 20 / _AT_ONCE) * _AT_ONCE
        events = list(itertools.islice(lives.interleaved(f"L{rate}-", orders, at_once=_AT_ONCE), count))
        seen = drive(running.subject, schedule(events, rate, warm_seconds=sizes.latency_warm_seconds))
        note(result, f"{who}, {rate}/s", seen, len(events))


def note(result: Result, name: str, seen: Seen, sent: int) -> None:
    """Note the percentiles of one run, and check that every event was answered and shown."""
    for what, values in (("answered", seen.answered), ("visible", seen.visible)):
        for percent, share in _SHARES:
            result.add(f"{name}, {what} {percent}", percentile(values, share) * 1000, "ms", 2)
    result.check(
        f"{name}: every event was answered with 2xx and shows in a document",
        not seen.refused and not seen.missing,
        f"{sent} sent, {seen.refused} refused, {seen.missing} not visible",
    )


def _idle(bench: Bench, result: Result, running: Running) -> None:
    time.sleep(_QUIET_SECONDS)
    seconds = bench.sizes.idle_seconds
    before = proc.cpu_seconds(running.pids), proc.cpu_seconds([running.server_pid])
    time.sleep(seconds)
    after = proc.cpu_seconds(running.pids), proc.cpu_seconds([running.server_pid])
    result.add("idle, receiver and worker", (after[0] - before[0]) / seconds * 100, "% of a core", 2)
    result.add("idle, server", (after[1] - before[1]) / seconds * 100, "% of a core", 2)
