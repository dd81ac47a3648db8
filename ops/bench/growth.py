"""Growth: cost per event by stored orders, by an order's history, by its lines; and what one large order does to others.

Cost is processor time of receiver, worker and server together per event, from POST to document, at a steady rate, less what
the three use while idle: wall time would tell of the rate that was chosen.
"""

import contextlib
import itertools
import math
import time
from collections.abc import Callable, Sequence
from typing import Final

from ops.bench import lives, subjects
from ops.bench.backlog import fill, fold_all
from ops.bench.bench import Bench
from ops.bench.latency import note
from ops.bench.lives import Event
from ops.bench.processes import Stage
from ops.bench.results import Result
from ops.bench.steady import Post, Seen, drive, percentile, schedule
from ops.bench.subjects import Running
from shared.settings import DEFAULT_TENANT
from shared.store import keys
from shared.store import orders as stored_orders

_UNIT: Final = "us of CPU/event"
_RATE: Final = 500
_LARGE_RATE: Final = 50
_HAMMERED_LINES: Final = 1_000
_OTHERS_RATE: Final = 200
_HAMMER_RATE: Final = 200
#: The append-only file is not rewritten while growth is measured: that costs a core for seconds, at any moment.
_OPTIONS: Final = {"auto-aof-rewrite-percentage": "0"}


def growth(bench: Bench) -> Result:
    """The benchmark."""
    sizes = bench.sizes
    result = Result(
        "growth",
        {
            "storedOrders": list(sizes.stored_orders),
            "histories": list(sizes.histories),
            "lines": list(sizes.lines),
            "ratePerSecond": _RATE,
            "ratePerSecondByLines": _LARGE_RATE,
            "secondsMeasured": sizes.growth_seconds,
            "hammer": f"{_HAMMER_RATE} item statuses a second to one order of {_HAMMERED_LINES} lines, beside "
            f"{_OTHERS_RATE} events a second to others",
            "appendfsync": "everysec, no rewrites of the append-only file",
        },
    )
    _by_stored_orders(bench, result)
    _by_history(bench, result)
    _by_lines(bench, result)
    _beside_a_large_order(bench, result)
    _beyond_the_bound(bench, result)
    return result


def _by_stored_orders(bench: Bench, result: Result) -> None:
    sizes = bench.sizes.stored_orders
    count = int(_RATE * bench.sizes.growth_seconds)
    with contextlib.ExitStack() as stack:
        stages = {size: stack.enter_context(Stage(bench.scratch, options=_OPTIONS)) for size in sizes}
        for size, stage in stages.items():
            bench.step(f"storing {size} orders", len(sizes))
            fill(stage.store, lives.short("S", size))
            fold_all(stage)

        def measure(size: int) -> Callable[[], None]:
            def run() -> None:
                stage = stages[size]
                events = list(itertools.islice(lives.interleaved("N", math.ceil(count / 20 / 200) * 200), count))
                _measure(bench, result, stage, f"{size} orders stored", events, _RATE)
                for reference in {event.reference for event in events}:
                    stage.store.run(stored_orders.erase(DEFAULT_TENANT, reference))

            return run

        bench.rounds([(f"{size} orders stored", measure(size)) for size in sizes])
    _flat(result, "stored orders", [f"{size} orders stored" for size in sizes])


def _by_history(bench: Bench, result: Result) -> None:
    histories = bench.sizes.histories
    count = int(_RATE * bench.sizes.growth_seconds)
    orders = max(1, count // 25)
    with contextlib.ExitStack() as stack:
        stages = {}
        grown = dict.fromkeys(histories, 0)
        for history in histories:
            bench.step(f"{orders} orders of {history} events", len(histories))
            stage = stages[history] = stack.enter_context(Stage(bench.scratch, options=_OPTIONS))
            references = [f"H{n}" for n in range(orders)]
            fill(stage.store, lives.opening(references, 3))
            # In pieces, as they come in life, and no more at once than one load carries.
            for first in range(0, history - 1, 200):
                fill(stage.store, lives.endless(references, 3, orders * min(200, history - 1 - first), first=first))
                fold_all(stage, 1)
            grown[history] = history - 1

        def measure(history: int) -> Callable[[], None]:
            def run() -> None:
                references = [f"H{n}" for n in range(orders)]
                events = list(lives.endless(references, 3, count, first=grown[history], seed=grown[history]))
                known = dict.fromkeys(references, grown[history] + 1)
                name = f"{history} events in the order"
                _measure(bench, result, stages[history], name, events, _RATE, known)
                grown[history] += count // orders

            return run

        bench.rounds([(f"{history} events in the order", measure(history)) for history in histories])
    _flat(result, "events in one order", [f"{history} events in the order" for history in histories])


def _by_lines(bench: Bench, result: Result) -> None:
    sizes = bench.sizes.lines
    count = int(_LARGE_RATE * bench.sizes.growth_seconds)
    references = [f"X{n}" for n in range(max(1, min(25, count)))]
    count -= count % len(references)
    with contextlib.ExitStack() as stack:
        stages = {}
        grown = dict.fromkeys(sizes, 0)
        for lines in sizes:
            stage = stages[lines] = stack.enter_context(Stage(bench.scratch, options=_OPTIONS))
            fill(stage.store, lives.opening(references, lines))
            fold_all(stage, 1)

        def measure(lines: int) -> Callable[[], None]:
            def run() -> None:
                events = list(lives.endless(references, lines, count, first=grown[lines], seed=grown[lines]))
                known = dict.fromkeys(references, grown[lines] + 1)
                _measure(bench, result, stages[lines], f"{lines} lines", events, _LARGE_RATE, known)
                grown[lines] += count // len(references)

            return run

        bench.rounds([(f"{lines} lines", measure(lines)) for lines in sizes])
    for small, large in itertools.pairwise(sizes):
        # From one size to the next ten times larger one, at most ten times the cost.
        ratio = result.ratio(f"{large} lines", f"{small} lines")
        result.target(f"cost of {large} lines / {small} lines", ratio, large / small, at_least=False)


def _beside_a_large_order(bench: Bench, result: Result) -> None:
    seconds = bench.sizes.growth_seconds

    def others(tag: str, offset: float = 0.0) -> list[Post]:
        count = int(_OTHERS_RATE * (seconds + 1))
        events = itertools.islice(lives.interleaved(tag, math.ceil(count / 20 / 200) * 200), count)
        posts = schedule(events, _OTHERS_RATE, warm_seconds=1.0)
        return [post._replace(at=post.at + offset) for post in posts]

    def hammer(references: Sequence[str], lines: int) -> list[Post]:
        events = lives.endless(references, lines, int(_HAMMER_RATE * (seconds + 1)))
        return schedule(events, _HAMMER_RATE, measured=False)

    small = [f"C{n}" for n in range(200)]

    def measure(name: str, beside: Callable[[], list[Post]]) -> Callable[[], None]:
        def run() -> None:
            with Stage(bench.scratch) as stage:
                fill(stage.store, lives.opening(["BIG"], _HAMMERED_LINES))
                fill(stage.store, lives.opening(small, 3))
                fold_all(stage, 1)
                running = subjects.ours(stage)
                posts = others("O") + beside()
                seen = drive(running.subject, posts, dict.fromkeys(("BIG", *small), 1))
                note(result, name, seen, len(posts))

        return run

    alone, ordinary, hammered = "others alone", "others beside ordinary orders", "others beside the large order"
    bench.rounds(
        [
            (alone, measure(alone, list)),
            (ordinary, measure(ordinary, lambda: hammer(small, 3))),
            (hammered, measure(hammered, lambda: hammer(["BIG"], _HAMMERED_LINES))),
        ]
    )
    ratio = result.ratio(f"{hammered}, visible p99", f"{alone}, visible p99")
    result.target(
        f"p99 of others while one order of {_HAMMERED_LINES} lines is hammered / alone", ratio, 2.0, at_least=False
    )


def _beyond_the_bound(bench: Bench, result: Result) -> None:
    """An order of more lines than an order may have has a clear answer."""
    with Stage(bench.scratch) as stage:
        fill(stage.store, lives.opening(["HUGE"], 2_001))
        fill(stage.store, lives.endless(["HUGE"], 3, 1))
        fold_all(stage, 1)
        client = stage.store.client
        reasons = [
            client.hget(keys.dead_letter(letter.decode()), "reason")
            for letter in client.zrange(keys.DEAD_LETTERS, 0, -1)
        ]
        document = client.get(keys.document_key(DEFAULT_TENANT, "HUGE"))
        result.check(
            "growth: an order of 2,001 lines is a dead letter (order-limit), and its other events are folded",
            reasons == [b"order-limit"] and document is not None,
            f"dead letters: {reasons}; document: {document is not None}",
        )


def _measure(
    bench: Bench,
    result: Result,
    stage: Stage,
    name: str,
    events: Sequence[Event],
    rate: int,
    known: dict[str, int] | None = None,
) -> None:
    running = subjects.ours(stage)
    try:
        time.sleep(bench.sizes.growth_quiet_seconds)
        idle_seconds = bench.sizes.growth_idle_seconds
        idle = _cpu_while(running, lambda: time.sleep(idle_seconds)) / idle_seconds
        start = time.perf_counter()
        seen: list[Seen] = []
        spent = _cpu_while(running, lambda: seen.append(drive(running.subject, schedule(events, rate), known)))
        spent -= idle * (time.perf_counter() - start)
        result.add(name, spent / len(events) * 1e6, _UNIT)
        _check_all_shown(result, name, seen[0], len(events))
        result.add(f"{name}, visible p99", percentile(seen[0].visible, 0.99) * 1000, "ms", 2)
    finally:
        stage.stop()


def _check_all_shown(result: Result, name: str, seen: Seen, sent: int) -> None:
    result.check(
        f"growth, {name}: every event shows in a document",
        not seen.refused and not seen.missing,
        f"{sent} sent, {seen.refused} refused, {seen.missing} not visible",
    )


def _cpu_while(running: Running, do: Callable[[], None]) -> float:
    before = running.cpu_seconds()
    do()
    return running.cpu_seconds() - before


def _flat(result: Result, what: str, names: Sequence[str]) -> None:
    figures = [result.median(name) for name in names]
    worst = max(figures) / figures[0] if figures and figures[0] else math.nan
    result.target(f"cost per event by {what}, worst / first", worst, 1.25, at_least=False)
