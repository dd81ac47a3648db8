"""Replaying many dead letters while live events come in: what it does to them, how long it takes, what memory it costs."""

import itertools
import math
import time
from collections.abc import Iterator
from typing import Final

from ops.bench import lives, proc, subjects
from ops.bench.bench import Bench
from ops.bench.errors import BenchError
from ops.bench.processes import Stage
from ops.bench.results import Result
from ops.bench.steady import Seen, drive, percentile, schedule
from ops.bench.subjects import Running
from shared.letters import ask_for_replay
from shared.settings import DEFAULT_TENANT
from shared.store import Store, letter_lists, replay_runs
from shared.store.dead_letters import DeadLetter, bury_all, letter_id
from shared.store.letter_lists import Selection
from shared.store.replay_runs import DONE, Run

_AT_ONCE: Final = 200
_LOT: Final = 500
_EVENTS_PER_ORDER: Final = 20
_MOST_SECONDS: Final = 3_600.0
#: So often the replay is stopped to see how live events do without it.
_TURNS: Final = 10
_SHARES: Final = (("p50", 0.5), ("p99", 0.99))


def replaying(bench: Bench) -> Result:
    """The benchmark."""
    sizes = bench.sizes
    rate = sizes.rates[0]
    result = Result(
        "replay",
        {
            "letters": sizes.replayed_letters,
            "eventsPerOrder": _EVENTS_PER_ORDER,
            "liveRate": rate,
            "secondsMeasuredAlone": sizes.latency_seconds,
            "appendfsync": "everysec",
            "processes": "one receiver, one worker, the server, the load generator",
        },
    )
    bench.rounds([("replay", lambda: _once(bench, result))], runs=1)
    for what in ("answered", "visible"):
        ratio = result.ratio(f"while replaying, {what} p99", f"alone, {what} p99")
        result.target(f"live events, {what} p99: while replaying / alone", ratio, 2.0, at_least=False)
    return result


def _once(bench: Bench, result: Result) -> None:
    sizes = bench.sizes
    with Stage(bench.scratch) as stage:
        running = subjects.ours(stage)
        for letters in _lots(sizes.replayed_letters):
            stage.store.run(bury_all(letters))
        began = time.monotonic()
        if not stage.store.run(letter_lists.page()).letters or not stage.store.run(letter_lists.groups()):
            raise BenchError("there are no dead letters")
        result.add("a page and the groups", (time.monotonic() - began) * 1000, "ms", 1)
        before = proc.rss_bytes(running.pids[1])
        run = stage.store.run(ask_for_replay("bench", Selection(), sizes.replayed_letters))
        alone, beside, seconds = _in_turns(bench, running, stage.store, run)
        now = _state(stage.store, run)
        _note(result, "alone", alone)
        _note(result, "while replaying", beside)
        result.add("letters replayed", sizes.replayed_letters / seconds, "letters/s")
        result.add("the worker's memory grew by", (proc.rss_bytes(running.pids[1]) - before) / 2**20, "MiB", 1)
        result.check(
            "every letter is folded, and gone",
            now.counts.get("folded") == sizes.replayed_letters and not stage.store.run(letter_lists.count()),
            f"{now.counts}",
        )


def _in_turns(bench: Bench, running: Running, store: Store, run: Run) -> tuple[Seen, Seen, float]:
    """Live events while the replay is stopped and while it runs, in turns: what else the machine does hits both alike.

    Until the replay is done. The seconds are those in which it ran.
    """
    alone, beside, ran, number = Seen(), Seen(), 0.0, 0
    deadline = time.monotonic() + _MOST_SECONDS
    while _state(store, run).state != DONE:
        if time.monotonic() > deadline:
            raise BenchError("the replay does not end")
        number += 1
        if number <= _TURNS and store.run(replay_runs.stop(run.id)):
            _add(alone, _live(bench, running, f"alone-{number}"))
            store.run(replay_runs.resume(run.id))
        began = time.monotonic()
        _add(beside, _live(bench, running, f"beside-{number}"))
        ran += time.monotonic() - began
    return alone, beside, ran


def _add(to: Seen, part: Seen) -> None:
    to.answered += part.answered
    to.visible += part.visible
    to.refused += part.refused
    to.missing += part.missing


def _live(bench: Bench, running: Running, prefix: str) -> Seen:
    sizes = bench.sizes
    rate = sizes.rates[0]
    count = math.ceil(rate * (sizes.latency_warm_seconds + sizes.latency_seconds))
    orders = math.ceil(count / _EVENTS_PER_ORDER / _AT_ONCE) * _AT_ONCE
    events = list(itertools.islice(lives.interleaved(f"{prefix}-", orders, at_once=_AT_ONCE), count))
    return drive(running.subject, schedule(events, rate, warm_seconds=sizes.latency_warm_seconds))


def _note(result: Result, name: str, seen: Seen) -> None:
    for what, values in (("answered", seen.answered), ("visible", seen.visible)):
        for percent, share in _SHARES:
            result.add(f"{name}, {what} {percent}", percentile(values, share) * 1000, "ms", 2)
    result.check(
        f"{name}: every live event was answered with 2xx and shows in a document",
        not seen.refused and not seen.missing,
        f"{seen.refused} refused, {seen.missing} not visible",
    )


def _lots(count: int) -> Iterator[list[DeadLetter]]:
    """Letters of events that an older version did not know, in lots."""
    received = time.time_ns() // 1000
    orders = math.ceil(count / _EVENTS_PER_ORDER / _AT_ONCE) * _AT_ONCE
    events = itertools.islice(lives.interleaved("dead-", orders, at_once=_AT_ONCE), count)
    while lot := list(itertools.islice(events, _LOT)):
        letters = []
        for event in lot:
            body = b" " + event.body
            found = letter_id(DEFAULT_TENANT, body)
            received += 1
            letters.append(DeadLetter(found, DEFAULT_TENANT, "unknown-event", "event", body, received, event.reference))
        yield letters


def _state(store: Store, run: Run) -> Run:
    now = store.run(replay_runs.one(run.id))
    if now is None:
        raise BenchError("the replay is gone")
    return now
