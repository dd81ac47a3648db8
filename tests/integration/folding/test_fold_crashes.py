"""Workers that die between any two steps of a fold, workers that meet, workers that are killed."""

import contextlib
import random
import signal
import threading
import time
from collections.abc import Callable
from typing import Any

import orjson
import pytest
from support import events
from support.mortal import Died, Mortal
from support.orders import accept, fold_all, fold_once, found_document
from support.polling import eventually
from support.processes import Process
from support.server import Server

from shared.store import Store, due, keys, orders, scripts
from shared.store.calls import Call, Step
from shared.store.intake import Incoming
from worker.advance import Policy
from worker.fold import Tally
from worker.rebuild import rebuild

#: What tells how a document came about, and not what it says.
HISTORY = ("version", "updatedAt", "orderReferenceId")


def webhook(reference: str, n: int, status: str = "passed", item: str | None = None) -> Incoming:
    return events.webhook(
        reference,
        n,
        received=1_790_000_000_000_000 + n,
        orderId=f"order-{n % 3}",
        itemReferenceId=item or f"item-{n % 5}",
        status=status,
    )


def saying(found: dict[str, Any] | None) -> dict[str, Any]:
    assert found is not None
    return {name: value for name, value in found.items() if name not in HISTORY}


def versions(server: Server, reference: str) -> list[int]:
    """The versions of an order in the stream, each where it comes first."""
    entries = server.client.xrange(keys.CHANGES)
    ours = [fields for _, fields in entries if fields[b"orderReferenceId"] == reference.encode()]
    return list(dict.fromkeys(int(fields[b"version"]) for fields in ours))


def assert_all_is_well(server: Server, store: Store, *references: str) -> None:
    for shard in range(keys.SHARDS):
        for key in (keys.due(shard), keys.marks(shard), keys.leases(shard)):
            assert server.client.exists(key) == 0, key
    assert server.client.zcard(keys.DEAD_LETTERS) == 0
    indexed = {listed.reference for listed in store.run(orders.newest("default", None, 1_000))}
    for reference in references:
        found = found_document(store, reference)
        assert found is not None
        assert versions(server, reference) == list(range(1, found["version"] + 1))
        assert server.client.hget(keys.meta(f"default/{reference}"), "n") is None
        assert reference in indexed


LIVES = {
    "an open order": [[("passed", None)] * 3, [("printed", None)] * 2],
    "an order that ends": [[("printed", "mug")] * 2, [("delivered", "mug")] * 3],
    "a long log": [[("passed", None)] * 20, [("printed", None)] * 40],
}


@pytest.mark.parametrize("life", LIVES)
def test_a_worker_may_die_before_any_step(store: Store, server: Server, mortal: Any, life: str) -> None:
    def batches(reference: str) -> list[list[Incoming]]:
        numbers = iter(range(1_000))
        return [[webhook(reference, next(numbers), *what) for what in batch] for batch in LIVES[life]]

    undisturbed = mortal()
    for batch in batches("undisturbed"):
        accept(store, *batch)
        undisturbed.steps = 0
        fold_once(undisturbed)
    steps = undisturbed.steps
    assert steps >= 4  # take, commit, announce, note and release; and the packing
    for n in range(steps + 1):
        reference = f"dies-before-{n}"
        first, second = batches(reference)
        seen = [0]
        for batch in (first, second):
            dying = mortal()
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


@pytest.mark.parametrize("n", range(8))
def test_the_next_event_may_come_while_the_dead_workers_lease_holds(
    store: Store, server: Server, mortal: Any, n: int
) -> None:
    accept(store, *(webhook(name, m) for name in ("A", "B") for m in range(3)))
    dying = mortal()
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
        dying = mortal()
        dying.left = chance.randrange(10)
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


def test_of_two_workers_that_fold_the_same_order_one_wins_and_no_event_is_lost(
    store: Store, server: Server, mortal: Any
) -> None:
    accept(store, *(webhook("A", n) for n in range(3)))
    slow, fast = mortal(), mortal()
    loaded, meet = threading.Event(), threading.Barrier(2)

    def wait_for_the_other(_: Step) -> None:
        loaded.set()
        meet.wait(10)

    slow.before[scripts.COMMIT] = wait_for_the_other
    fast.before[scripts.COMMIT] = lambda _: meet.wait(10) and None
    tallies: list[Tally] = []
    first = threading.Thread(target=lambda: tallies.append(fold_once(slow, lease_seconds=0.02)))
    first.start()
    assert loaded.wait(10)
    accept(store, webhook("A", 3))  # the second sees what the first has not

    def folded_something() -> Tally | None:
        tally = fold_once(fast)
        return tally if tally.orders else None

    tallies.append(eventually(folded_something, what="the lease of the slow one to end"))
    first.join(10)
    assert sum(tally.conflicts for tally in tallies) == 1
    fold_all(store)
    assert saying(found_document(store, "A"))["events"] == 4
    assert_all_is_well(server, store, "A")


def test_many_workers_fold_the_same_orders_at_once_without_losing_an_event(server: Server, store: Store) -> None:
    references = [f"R{n}" for n in range(5)]
    finished = threading.Event()
    conflicts: list[int] = []

    def work() -> None:
        mine = Store.from_url(server.url)
        while not finished.is_set():
            conflicts.append(fold_once(mine, lease_seconds=0.001).conflicts)  # leases that hardly hold at all
        mine.close()

    workers = [threading.Thread(target=work) for _ in range(3)]
    for worker in workers:
        worker.start()
    try:
        for n in range(60):
            accept(store, *(webhook(reference, n, "printed" if n % 2 else "passed") for reference in references))
        eventually(lambda: all(saying(found_document(store, each))["events"] == 60 for each in references), seconds=10)
    finally:
        finished.set()
        for worker in workers:
            worker.join(10)
    fold_all(store)
    assert_all_is_well(server, store, *references)
    assert not any(rebuild(store, "default", reference, Policy()) for reference in references)


def test_no_event_is_lost_when_one_worker_packs_while_another_folds(store: Store, server: Server, mortal: Any) -> None:
    # The packer has given up its lease; the other has loaded the log as it was before the packing.
    packer, other = mortal(), mortal()
    accept(store, *(webhook("A", n, "delivered", "mug") for n in range(10)))  # ended: worth packing

    def meanwhile(packing: Step) -> None:
        accept(store, webhook("A", 10, "passed", "cap"))  # open again: not worth packing
        other.before[scripts.COMMIT] = lambda _: packer.carry_out(packing)
        fold_once(other)

    packer.before[scripts.PACK] = meanwhile
    fold_once(packer)
    fold_all(store)
    accept(store, *(webhook("A", n, "printed", "cap") for n in range(11, 15)))
    fold_all(store)
    assert saying(found_document(store, "A"))["events"] == 15
    meta, log = keys.meta("default/A"), keys.log("default/A")
    assert int(server.client.hget(meta, "c") or 0) == server.client.llen(log)
    assert not rebuild(store, "default", "A", Policy())


def test_two_workers_that_pack_the_same_log_do_not_cut_off_what_came_meanwhile(store: Store, mortal: Any) -> None:
    packer, other = mortal(), mortal()
    accept(store, *(webhook("A", n) for n in range(40)))

    def meanwhile(packing: Step) -> None:
        accept(store, webhook("A", 40))
        other.before[scripts.COMMIT] = lambda _: packer.carry_out(packing)
        other.before[scripts.PACK] = lambda _: accept(store, webhook("A", 41))
        fold_once(other)
        accept(store, webhook("A", 41))  # where the other one had nothing to pack

    packer.before[scripts.PACK] = meanwhile
    fold_once(packer)
    fold_all(store)
    texts = {record.text for record in store.run(orders.log("default", "A")) if record.is_event}
    assert {webhook("A", n).event.text for n in range(42)} == texts
    assert saying(found_document(store, "A"))["events"] == 42


def test_no_event_is_lost_when_a_worker_packs_during_a_rebuild(store: Store, server: Server, mortal: Any) -> None:
    packer, operator = mortal(), mortal()
    accept(store, *(webhook("A", n) for n in range(40)))

    def meanwhile(packing: Step) -> None:
        operator.before[scripts.COMMIT] = lambda _: packer.carry_out(packing)
        rebuild(operator, "default", "A", Policy())

    packer.before[scripts.PACK] = meanwhile
    fold_once(packer)
    accept(store, *(webhook("A", n) for n in range(40, 50)))
    fold_all(store)
    assert saying(found_document(store, "A"))["events"] == 50


def test_a_rebuild_tells_of_the_change_that_a_dead_worker_could_not(store: Store, server: Server, mortal: Any) -> None:
    accept(store, webhook("A", 1))
    dying = mortal()
    dying.left = 3  # claim, load, commit
    with pytest.raises(Died):
        fold_once(dying, lease_seconds=0.02)
    accept(store, webhook("A", 2, "printed"))
    assert rebuild(store, "default", "A", Policy())  # with the event that nobody has folded yet
    fold_all(store)
    assert_all_is_well(server, store, "A")


class Stalled(Mortal):
    """A worker that stalls once, before it announces."""

    meanwhile: Callable[[], None] | None = None

    def _step(self, step: Step) -> list[Any]:
        if self.meanwhile and any(isinstance(call, Call) and call.command == "XADD" for call in step):
            meanwhile, self.meanwhile = self.meanwhile, None
            meanwhile()
        return super()._step(step)


def test_a_worker_that_announces_late_does_not_take_the_index_back(store: Store, server: Server) -> None:
    accept(store, webhook("A", 1))
    slow = Stalled(server.url)
    newer: list[float | None] = []

    def another_folds() -> None:
        accept(store, webhook("A", 2, "printed"))

        def folded() -> bool:
            fold_once(store)
            found = found_document(store, "A")
            return found is not None and found["version"] == 2

        eventually(folded, what="the other worker to fold")
        newer.append(server.client.zscore(keys.index("default"), "A"))

    slow.meanwhile = another_folds
    fold_once(slow, lease_seconds=0.02)
    slow.close()
    told = server.client.zscore(keys.index("default"), "A")
    assert told is not None
    assert newer[0] is not None
    assert told >= newer[0]


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
