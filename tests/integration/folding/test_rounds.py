"""Batch after batch with two of them on their way: nothing is folded twice, nothing waits under a lease for nothing."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from support import events
from support.folding.mortal import Mortal
from support.orders import accept, fold_all, fold_once, found_document, nothing_waits
from support.polling import eventually
from support.server import Server

from shared.errors import StoreUnavailable
from shared.store import Store, due, keys, orders, scripts, stored
from shared.store.intake import Incoming
from worker import fold as fold_module
from worker.advance import Policy
from worker.rounds import Rounds
from worker.tally import Tally


def webhooks(reference: str, number: int, **fields: Any) -> list[Incoming]:
    return [events.webhook(reference, n, itemReferenceId=f"item-{n % 3}", **fields) for n in range(number)]


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Batches of three orders: a backlog in miniature."""
    plain = fold_module.take
    monkeypatch.setattr(fold_module, "take", lambda **options: plain(**{**options, "batch": 3}))


@pytest.fixture
def rounds(store: Store) -> Iterator[Rounds]:
    made = Rounds(store, Policy(), lease_seconds=15)
    yield made
    made.close()


def all_of(rounds: Rounds) -> Tally:
    total = Tally()
    while (tally := rounds.fold_next()).orders:
        total.add(tally)
    total.add(tally)
    return total


@pytest.mark.usefixtures("small")
def test_a_backlog_is_folded_once_and_wholly(store: Store, server: Server, rounds: Rounds) -> None:
    references = [f"R{n}" for n in range(25)]
    for reference in references:
        accept(store, *webhooks(reference, 5))
    total = all_of(rounds)
    assert (total.orders, total.events, total.changed, total.conflicts) == (25, 125, 25, 0)
    assert nothing_waits(store)
    assert all((found_document(store, each) or {})["events"] == 5 for each in references)
    told = [fields[b"orderReferenceId"].decode() for _, fields in server.client.xrange(keys.CHANGES)]
    assert sorted(told) == sorted(references)
    assert len(store.run(orders.newest("default", None, 100))) == 25


@pytest.mark.usefixtures("small")
def test_in_a_backlog_the_next_batch_is_claimed_before_this_one_is_folded(
    store: Store, rounds: Rounds, monkeypatch: pytest.MonkeyPatch
) -> None:
    for n in range(9):
        accept(store, *webhooks(f"R{n}", 1))
    plain = fold_module.fold
    waited: list[bool] = []

    def fold(*arguments: Any) -> Any:
        if not waited:  # this batch is under a lease, and the next one gets its own
            waited.append(eventually(lambda: store.run(due.leases(0)).held == 6, what="the next claim"))
        return plain(*arguments)

    monkeypatch.setattr(fold_module, "fold", fold)
    assert all_of(rounds).orders == 9
    assert waited
    assert nothing_waits(store)


@pytest.mark.usefixtures("small")
def test_whoever_ends_folds_what_it_has_claimed_and_claims_no_more(store: Store, rounds: Rounds) -> None:
    for n in range(9):
        accept(store, *webhooks(f"R{n}", 2))
    assert rounds.fold_next().orders == 3
    assert rounds.finish().orders == 3
    waiting = store.run(due.pending())
    assert (waiting.due, waiting.later) == (3, 0)  # none is under a lease
    assert rounds.finish().orders == 0


def test_an_order_that_got_an_event_while_it_was_folded_needs_nobody_else_to_wake_a_shift(
    store: Store, server: Server, mortal: Callable[..., Mortal]
) -> None:
    for one_call, script in ((True, scripts.FINISH), (False, scripts.RELEASE)):
        accept(store, *webhooks("A", 1, comment=f"{one_call}"))
        slow = mortal(one_call=one_call)
        slow.before[script] = lambda _, way=one_call: accept(store, events.webhook("A", 99, comment=f"late {way}"))
        server.client.delete(keys.WAKE)
        fold_once(slow)
        assert server.client.llen(keys.WAKE) == 1
        fold_once(store)
        assert nothing_waits(store)


def test_an_order_that_gets_events_while_it_is_folded_is_folded_again(store: Store, rounds: Rounds) -> None:
    accept(store, *webhooks("A", 1))
    plain = fold_module.fold
    late = [events.webhook("A", 99, status="printed")]

    def meanwhile(*arguments: Any) -> Any:
        ending = plain(*arguments)
        accept(store, *late)
        late.clear()
        return ending

    with pytest.MonkeyPatch.context() as between:
        between.setattr(fold_module, "fold", lambda *arguments: meanwhile(*arguments) if late else plain(*arguments))
        total = all_of(rounds)
    assert total.events == 2
    assert (found_document(store, "A") or {})["events"] == 2
    assert nothing_waits(store)


def test_an_order_that_somebody_else_has_written_is_due_again_at_once(store: Store, rounds: Rounds) -> None:
    accept(store, *webhooks("A", 1))
    plain = fold_module.fold
    first = [True]

    def overtaken(*arguments: Any) -> Any:
        ending = plain(*arguments)
        if first.pop() if first else False:
            store.client.hset(keys.meta("default/A"), "r", "77")
        return ending

    with pytest.MonkeyPatch.context() as between:
        between.setattr(fold_module, "fold", overtaken)
        total = all_of(rounds)
    assert (total.conflicts, total.events) == (1, 1)
    assert (found_document(store, "A") or {})["events"] == 1


def test_a_batch_that_could_be_written_in_part_only_is_finished_by_whoever_comes_next(
    store: Store, server: Server
) -> None:
    accept(store, *webhooks("A", 2))
    broken = keys.indexes("default")[0]
    server.client.set(broken, "not a sorted set")
    rounds = Rounds(store, Policy(), lease_seconds=0.05)
    with pytest.raises(StoreUnavailable, match="WRONGTYPE"):
        rounds.fold_next()
    rounds.close()
    assert server.client.hget(keys.meta("default/A"), "n") is not None  # it is still to be announced
    server.client.delete(broken)
    fold_all(store)
    assert [each.reference for each in store.run(orders.newest("default", None, 10))] == ["A"]
    assert server.client.hget(keys.meta("default/A"), "n") is None
    versions = [int(fields[b"version"]) for _, fields in server.client.xrange(keys.CHANGES)]
    assert set(versions) == {1}  # told at least once


def test_a_finished_order_is_compressed_after_its_last_events(store: Store, server: Server, rounds: Rounds) -> None:
    for n, status in enumerate(("passed", "shipped", "delivered"), start=1):
        accept(store, events.webhook("A", n, itemReferenceId="mug", status=status))
        assert rounds.fold_next().events == 1
    assert (found_document(store, "A") or {})["terminal"]
    state, log = keys.state("default/A"), keys.log("default/A")
    plain = server.client.get(state)
    assert server.client.llen(log) == 3
    rounds.finish()
    compressed = server.client.get(state)
    assert server.client.llen(log) == 1
    assert compressed != plain
    assert stored.encode(stored.decode(compressed), compress=False) == plain
    assert server.client.pexpiretime(state) == server.client.pexpiretime(log)
