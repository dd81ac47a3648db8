"""A shift that waits is handed what comes, claimed and loaded; whatever becomes of it, nothing waits for long."""

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from support import events
from support.folding.mortal import Mortal
from support.orders import accept, document, due_names, fold_all, fold_once, found_document, nothing_waits
from support.polling import eventually
from support.server import Server

from shared.store import Store, due, keys
from shared.store.intake import Incoming
from worker import fold as fold_module
from worker.advance import Policy
from worker.rounds import Rounds


class Shift:
    """A shift's rounds, one call at a time; `patience` seconds of waiting."""

    def __init__(self, store: Store) -> None:
        self.patience = 5.0
        self.rounds = Rounds(store, Policy(), lease_seconds=15, patience=lambda: self.patience)

    def wait(self, server: Server) -> None:
        """Find nothing, and block."""
        assert self.rounds.fold_next().orders == 0
        eventually(lambda: server.client.info("clients")["blocked_clients"] == 1, what="the shift to block")


@pytest.fixture
def shift(store: Store, server: Server) -> Iterator[Shift]:
    made = Shift(store)
    made.wait(server)
    yield made
    made.rounds.close()


def held(store: Store) -> int:
    return store.run(due.leases(0)).held


def never_claims(monkeypatch: pytest.MonkeyPatch) -> None:
    def take(**_: Any) -> Any:
        raise AssertionError("a shift that was handed its work claims none")

    monkeypatch.setattr(fold_module, "take", take)


def while_it_folds(monkeypatch: pytest.MonkeyPatch, store: Store, *late: Incoming) -> None:
    """Have some events come, one by one, while the next batch is folded."""
    plain, coming = fold_module.fold, list(late)

    def fold(*arguments: Any) -> Any:
        ending = plain(*arguments)
        while coming:
            accept(store, coming.pop(0))
        return ending

    monkeypatch.setattr(fold_module, "fold", fold)


def test_an_event_is_handed_to_a_shift_that_waits(
    store: Store, server: Server, shift: Shift, monkeypatch: pytest.MonkeyPatch
) -> None:
    never_claims(monkeypatch)
    for n in range(5):
        accept(store, events.webhook("A", n))
        assert held(store) == 1
        assert server.client.llen(keys.WAKE) == 0
        assert shift.rounds.fold_next().events == 1
        assert nothing_waits(store)
    assert document(store, "A")["events"] == 5


def test_what_comes_together_is_handed_over_together(
    store: Store, shift: Shift, monkeypatch: pytest.MonkeyPatch
) -> None:
    never_claims(monkeypatch)
    accept(store, events.webhook("A", 1), events.webhook("B", 1), events.webhook("A", 2), events.snapshot("A"))
    tally = shift.rounds.fold_next()
    assert (tally.orders, tally.events, tally.conflicts) == (2, 4, 0)
    assert (document(store, "A")["events"], document(store, "B")["events"]) == (3, 1)
    assert nothing_waits(store)


def test_an_event_that_waits_unfolded_is_handed_over_with_its_duplicate(
    store: Store, server: Server, shift: Shift
) -> None:
    first = events.webhook("A", 1)
    shift.rounds.close()
    accept(store, first)
    for shard in range(keys.SHARDS):
        server.client.delete(keys.due(shard))  # its mark is lost
    server.client.delete(keys.WAKE)
    again = Shift(store)
    again.wait(server)
    accept(store, first)
    assert again.rounds.fold_next().events == 1
    again.rounds.close()
    assert document(store, "A")["events"] == 1


def test_more_than_a_shift_is_handed_at_once_is_due_for_others(store: Store, server: Server, shift: Shift) -> None:
    accept(store, *[events.webhook(f"R{n}", 1) for n in range(40)])
    assert 0 < held(store) < 40
    assert server.client.llen(keys.WAKE) == 1  # somebody else is woken for the rest
    assert len(due_names(server)) == 40
    total = 0
    while total < 40:
        total += shift.rounds.fold_next().events
    assert total == 40
    assert nothing_waits(store)


def test_a_large_order_is_not_handed_over(store: Store, shift: Shift) -> None:
    shift.rounds.close()
    items = [{"itemReferenceId": f"item-{n}", "fulfillmentStatus": "passed"} for n in range(600)]
    accept(store, events.incoming(events.order_status(orderReferenceId="LARGE", items=items)))
    fold_all(store)
    again = Shift(store)
    assert again.rounds.fold_next().orders == 0
    accept(store, events.webhook("LARGE", 1), events.webhook("SMALL", 1))
    assert held(store) == 1
    assert again.rounds.fold_next().orders == 1
    assert found_document(store, "SMALL")
    while document(store, "LARGE")["events"] < 2:
        again.rounds.fold_next()
    again.rounds.close()


def test_what_a_dead_shift_was_handed_is_due_again_soon(store: Store, server: Server, shift: Shift) -> None:
    shift.rounds.close()  # nobody has told the server that it waits no longer
    accept(store, events.webhook("A", 1))
    assert fold_once(store).orders == 0
    assert eventually(lambda: fold_once(store).events == 1, seconds=5, what="the order to be due again")
    assert document(store, "A")["events"] == 1
    assert nothing_waits(store)
    accept(store, events.webhook("A", 2))  # and it is handed nothing more
    assert fold_once(store).events == 1


def test_a_shift_that_has_said_nothing_for_long_is_handed_nothing(store: Store, server: Server, shift: Shift) -> None:
    ((claim_id, since),) = server.client.zrange(keys.WAITING, 0, -1, withscores=True)
    server.client.zadd(keys.WAITING, {claim_id: since - 2_000})
    accept(store, events.webhook("A", 1))
    assert held(store) == 0
    assert shift.rounds.fold_next().events == 1  # it was woken all the same


def test_an_order_that_somebody_holds_is_not_handed_over(store: Store, server: Server, shift: Shift) -> None:
    accept(store, events.webhook("A", 1))  # handed over
    other = Shift(store)
    assert other.rounds.fold_next().orders == 0  # it waits too
    accept(store, events.webhook("A", 2))
    assert held(store) == 1
    assert server.client.zcard(keys.WAITING) == 1  # the other one still waits
    assert shift.rounds.fold_next().events == 1
    assert shift.rounds.fold_next().events == 1
    other.rounds.close()
    assert document(store, "A")["events"] == 2
    assert nothing_waits(store)


def test_what_comes_while_a_shift_folds_is_taken_with_the_call_that_finishes(
    store: Store, server: Server, shift: Shift, monkeypatch: pytest.MonkeyPatch
) -> None:
    never_claims(monkeypatch)
    while_it_folds(monkeypatch, store, events.webhook("B", 1), events.webhook("C", 1))
    accept(store, events.webhook("A", 1))
    assert shift.rounds.fold_next().events == 1
    assert shift.rounds.fold_next().events == 2
    assert nothing_waits(store)
    assert server.client.llen(keys.WAKE) == 0


def test_an_order_that_gets_an_event_while_it_is_folded_goes_on_at_once(
    store: Store, shift: Shift, monkeypatch: pytest.MonkeyPatch
) -> None:
    never_claims(monkeypatch)
    while_it_folds(monkeypatch, store, events.webhook("A", 2))
    accept(store, events.webhook("A", 1))
    assert shift.rounds.fold_next().events == 1
    assert shift.rounds.fold_next().events == 1
    assert document(store, "A")["events"] == 2
    assert nothing_waits(store)


def test_a_shift_that_ends_folds_what_it_was_handed(store: Store, server: Server, shift: Shift) -> None:
    accept(store, events.webhook("A", 1))
    assert shift.rounds.finish().events == 1
    assert nothing_waits(store)
    assert server.client.zcard(keys.WAITING) == 0


def test_a_shift_that_ends_waits_no_longer_at_once(store: Store, server: Server, shift: Shift) -> None:
    began = time.monotonic()
    assert shift.rounds.finish().orders == 0
    assert time.monotonic() - began < shift.patience / 2
    assert server.client.zcard(keys.WAITING) == 0
    accept(store, events.webhook("A", 1))
    assert fold_once(store).events == 1


def test_what_is_handed_over_after_a_wait_was_over_is_not_lost(store: Store, server: Server, shift: Shift) -> None:
    for ends in (False, True):
        late = Shift(store)
        late.patience = 0.02
        assert late.rounds.fold_next().orders == 0
        eventually(lambda: server.client.info("clients")["blocked_clients"] == 1, what="its wait to be over")
        accept(store, events.webhook("A", 1 + ends))
        assert held(store) == 1
        tally = late.rounds.finish() if ends else late.rounds.fold_next()
        assert tally.events == 1
        late.rounds.close()
    assert document(store, "A")["events"] == 2


def test_a_shift_that_ends_when_it_was_woken_wakes_another(store: Store, server: Server, shift: Shift) -> None:
    server.client.rpush(keys.WAKE, "1")
    assert shift.rounds.finish().orders == 0
    assert server.client.llen(keys.WAKE) == 1


def test_an_event_wakes_a_shift_where_handing_over_fails(store: Store, server: Server, shift: Shift) -> None:
    server.client.set(keys.state("default/A"), "x")
    server.client.delete(keys.state("default/A"))
    server.client.rpush(keys.state("default/A"), "no text")
    accept(store, events.webhook("A", 1), events.webhook("B", 1))
    server.client.delete(keys.state("default/A"))
    folded = eventually(lambda: found_document(store, "A") or not shift.rounds.fold_next(), seconds=20, what="A")
    assert folded
    assert found_document(store, "B")


def test_nothing_of_waiting_is_written_to_disk(tmp_path: Path) -> None:
    server = Server(tmp_path, "--appendonly", "yes", "--appendfsync", "always")
    server.start()
    store = Store.from_url(server.url)
    shift = Shift(store)
    shift.wait(server)
    accept(store, events.webhook("A", 1, comment="the event itself"))
    assert shift.rounds.fold_next().events == 1
    accept(store, events.webhook("A", 2, comment="handed over when the server dies"))
    server.kill()
    written = b"".join(each.read_bytes() for each in (tmp_path / "appendonlydir").glob("*.aof"))
    assert written.count(b"the event itself") >= 2  # its log, its document
    assert written.count(b"handed over when the server dies") == 1  # its log
    assert keys.WAITING.encode() not in written
    server.start()
    assert server.client.zcard(keys.WAITING) == 0
    assert eventually(lambda: fold_once(store).events == 1, seconds=5, what="the order to be due again")
    assert document(store, "A")["events"] == 2
    shift.rounds.close()
    store.close()
    server.stop()


def test_step_by_step_nobody_is_handed_anything(
    store: Store, server: Server, mortal: Callable[..., Mortal], shift: Shift
) -> None:
    shift.rounds.finish()
    slow = Shift(mortal(one_call=False))
    assert slow.rounds.fold_next().orders == 0
    server.client.delete(keys.WAITING)
    accept(store, events.webhook("A", 1))
    assert held(store) == 0
    assert slow.rounds.fold_next().events == 1
    slow.rounds.close()
    assert nothing_waits(store)
