"""Workers that fold, pack, rebuild or tell of one order at the same time: no event is lost."""

import threading
from collections.abc import Callable
from typing import Any

import pytest
from support.folding.mortal import Died, Mortal, ways
from support.folding.wellness import assert_all_is_well, saying, webhook
from support.orders import accept, fold_all, fold_once, found_document
from support.polling import eventually
from support.server import Server

from shared.store import Store, keys, orders, scripts
from shared.store.calls import Call, Step
from shared.store.intake import Incoming
from worker.advance import Policy
from worker.rebuild import rebuild
from worker.tally import Tally


def of_event(incoming: Incoming) -> tuple[int, str]:
    content = incoming.event.content
    return int(content["id"].removeprefix("is_")), content["status"]


@ways
def test_of_two_workers_that_fold_the_same_order_one_wins_and_no_event_is_lost(
    store: Store, server: Server, mortal: Any, *, one_call: bool
) -> None:
    accept(store, *(webhook("A", n) for n in range(3)))
    slow, fast = mortal(one_call=one_call), mortal(one_call=one_call)
    committing = scripts.FINISH if one_call else scripts.COMMIT
    loaded, meet = threading.Event(), threading.Barrier(2)

    def wait_for_the_other(_: Step) -> None:
        loaded.set()
        meet.wait(10)

    slow.before[committing] = wait_for_the_other
    fast.before[committing] = lambda _: meet.wait(10) and None
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
    dying.left = 2  # take, commit
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
    slow = Stalled(server.url, one_call=False)
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
