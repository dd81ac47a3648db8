"""Workers that die between any two steps of a fold, and workers that are killed."""

import contextlib
import random
import signal
import time
from collections.abc import Callable
from typing import Any

import orjson
import pytest
from support.folding.mortal import Died, ways
from support.folding.wellness import assert_all_is_well, saying, webhook
from support.orders import accept, fold_all, fold_once, found_document
from support.polling import eventually
from support.processes import Process
from support.server import Server

from shared.store import Store, due, orders
from shared.store.intake import Incoming
from worker.advance import Policy
from worker.rebuild import rebuild

LIVES = {
    "an open order": [[("passed", None)] * 3, [("printed", None)] * 2],
    "an order that ends": [[("printed", "mug")] * 2, [("delivered", "mug")] * 3],
    "a long log": [[("passed", None)] * 20, [("printed", None)] * 40],
}


@ways
@pytest.mark.parametrize("life", LIVES)
def test_a_worker_may_die_before_any_step(
    store: Store, server: Server, mortal: Any, life: str, *, one_call: bool
) -> None:
    def batches(reference: str) -> list[list[Incoming]]:
        numbers = iter(range(1_000))
        return [[webhook(reference, next(numbers), *what) for what in batch] for batch in LIVES[life]]

    undisturbed = mortal(one_call=one_call)
    for batch in batches("undisturbed"):
        accept(store, *batch)
        undisturbed.steps = 0
        fold_once(undisturbed)
    steps = undisturbed.steps
    assert steps >= (2 if one_call else 5)  # take, commit, announce, note, release; and the packing
    for n in range(steps + 1):
        reference = f"dies-before-{n}"
        first, second = batches(reference)
        seen = [0]
        for batch in (first, second):
            dying = mortal(one_call=one_call)
            accept(store, *batch)
            dying.left = n
            try:
                fold_once(dying, lease_seconds=0.02)
            except Died:
                assert n < steps
            fold_all(store)
            found = found_document(store, reference)
            assert found is not None
            seen.append(found["version"])
        assert saying(found_document(store, reference)) == saying(found_document(store, "undisturbed")), n
        assert seen == sorted(seen)
        assert_all_is_well(server, store, reference)


@pytest.mark.parametrize(("one_call", "n"), [*((True, n) for n in range(3)), *((False, n) for n in range(6))])
def test_the_next_event_may_come_while_the_dead_workers_lease_holds(
    store: Store, server: Server, mortal: Any, n: int, *, one_call: bool
) -> None:
    accept(store, *(webhook(name, m) for name in ("A", "B") for m in range(3)))
    dying = mortal(one_call=one_call)
    dying.left = n
    with contextlib.suppress(Died):
        fold_once(dying, lease_seconds=0.2)
    accept(store, *(webhook("A", m, "printed") for m in range(3, 6)))
    fold_all(store)
    found = found_document(store, "A")
    assert found is not None
    assert found["events"] == 6
    assert saying(found_document(store, "B"))["events"] == 3
    assert_all_is_well(server, store, "A", "B")


@pytest.mark.parametrize("seed", range(3))
def test_any_history_of_deaths_ends_well(store: Store, server: Server, mortal: Any, seed: int) -> None:
    chance = random.Random(seed)
    references = ["A", "B", "C"]
    sent: dict[str, list[Incoming]] = {reference: [] for reference in references}
    highest = dict.fromkeys(references, 0)
    for n in range(120):
        reference = chance.choice(references)
        event = webhook(reference, n, chance.choice(["passed", "printed", "shipped", "delivered"]))
        accept(store, event, *chance.sample(sent[reference], min(len(sent[reference]), 2)))
        sent[reference].append(event)
        dying = mortal(one_call=chance.random() < 0.5)
        dying.left = chance.randrange(3 if dying.one_call else 8)
        with contextlib.suppress(Died):
            fold_once(dying, lease_seconds=0.005)
        for each in references:
            found = found_document(store, each)
            if found is not None:
                assert found["version"] >= highest[each]
                highest[each] = found["version"]
    fold_all(store)
    for reference in references:
        calm = f"calm-{reference}"
        events = [webhook(calm, *of_event(each)) for each in sent[reference]]
        accept(store, *events)
        fold_all(store)
        assert saying(found_document(store, reference)) == saying(found_document(store, calm))
    assert_all_is_well(server, store, *references)


def of_event(incoming: Incoming) -> tuple[int, str]:
    content = incoming.event.content
    return int(content["id"].removeprefix("is_")), content["status"]


def test_2000_events_survive_workers_that_are_killed_at_random(
    store: Store, server: Server, start: Callable[..., Process]
) -> None:
    chance = random.Random(1)
    references = [f"R{n}" for n in range(50)]
    events = [webhook(each, n, "printed" if n % 3 else "passed") for n in range(40) for each in references]
    assert len(events) == 2_000
    workers = [start("worker", GELATO_LEASE_SECONDS="0.5") for _ in range(2)]

    def folded() -> int:
        raws = store.run(orders.documents("default", references))
        return sum(orjson.loads(raw)["events"] for raw in raws if raw is not None)

    highest = dict.fromkeys(references, 0)

    def no_version_falls() -> None:
        for raw in store.run(orders.documents("default", references)):
            if raw is not None:
                found = orjson.loads(raw)
                assert found["version"] >= highest[found["orderReferenceId"]]
                highest[found["orderReferenceId"]] = found["version"]

    killed = 0
    for at in range(0, len(events), 20):
        accept(store, *events[at : at + 20])
        no_version_falls()
        if at % 200 == 180:
            # Wait until somebody works, then kill in the midst of it.
            eventually(lambda at=at: folded() > at * 0.5, seconds=30, what="events to be folded")
            victim = chance.randrange(len(workers))
            accept(store, *events[at : at + 20])
            workers[victim].send(signal.SIGKILL)
            workers[victim].kill()
            workers[victim] = start("worker", GELATO_LEASE_SECONDS="0.5")
            killed += 1
    assert killed == 10
    eventually(lambda: folded() == 2_000, seconds=30, what="all events to be folded")

    def quiet() -> bool:
        waiting = store.run(due.pending())
        return waiting.due + waiting.later == 0

    eventually(quiet, what="nothing to be due")
    no_version_falls()
    began = time.monotonic()
    assert not any(rebuild(store, "default", reference, Policy()) for reference in references)
    assert time.monotonic() - began < 30
    assert_all_is_well(server, store, *references)
