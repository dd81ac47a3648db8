"""Orders that cannot be folded, or no further, and errors that are nobody's fault."""

import time
from typing import Any

import pytest
from rq.timeouts import JobTimeoutException, UnixSignalDeathPenalty
from support.folding.faulty import FAST, POISON, Bug, webhook
from support.orders import accept, document, fold_all, fold_once, letters, nothing_waits
from support.polling import eventually
from support.server import Server

from shared import facts, rollup, typed
from shared.store import Store, keys, orders
from worker import fold as worker_fold
from worker.rebuild import rebuild

pytestmark = pytest.mark.usefixtures("quiet")


def test_many_poison_events_of_one_order_are_all_parked_and_the_rest_is_folded(
    store: Store, server: Server, reading: Bug
) -> None:
    accept(store, *(webhook("A", POISON if n % 2 else "mug", n=n) for n in range(40)))
    fold_all(store, FAST)
    assert document(store, "A")["events"] == 20
    assert len(letters(server)) == 20
    assert not rebuild(store, "default", "A", FAST)
    assert document(store, "A")["version"] == 1


def test_an_event_beyond_the_orders_limits_is_parked_at_once(store: Store, server: Server) -> None:
    policy = FAST._replace(limits=rollup.Limits(lines=2))
    beyond = webhook("A", "third")
    accept(store, webhook("A", "first"), webhook("A", "second"), beyond, webhook("A", "first", "printed", 2))
    tally = fold_once(store, policy)
    assert (tally.events, tally.parked) == (3, 1)
    assert nothing_waits(store)
    (letter,) = letters(server)
    assert letter["reason"] == b"order-limit"
    assert b"2 lines" in letter["detail"]
    assert letter["payload"] == beyond.event.text
    assert (letter["orderReferenceId"], letter["attempts"]) == (b"A", b"1")
    assert "traceback" not in letter
    assert sorted(document(store, "A")["items"]) == ["first", "second"]
    assert not rebuild(store, "default", "A", policy)


def test_an_order_that_cannot_be_folded_at_all_is_tried_again_and_blocks_nobody(
    store: Store, server: Server, building: Bug, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker_fold, "_TROUBLED_MS", 30)
    building.mended = True
    accept(store, webhook("A", POISON), webhook("B", "mug"))
    fold_all(store, FAST)
    building.mended = False  # now the state itself raises, whatever comes
    accept(store, webhook("A", "cap"), webhook("B", "cap"))
    assert fold_once(store, FAST).failed == 1
    holding_it = (keys.log("default/A"), keys.meta("default/A"))
    assert [server.client.pexpiretime(key) for key in holding_it] == [-1, -1], "it is kept for what waits"
    assert sorted(document(store, "B")["items"]) == ["cap", "mug"]
    for _ in range(5):  # more often than an event is tried
        eventually(lambda: fold_once(store, FAST).failed == 1, what="another try")
    assert letters(server) == []
    assert document(store, "A")["version"] == 1
    building.mended = True
    fold_all(store, FAST)
    assert sorted(document(store, "A")["items"]) == ["cap", POISON]
    assert len({server.client.pexpiretime(key) for key in keys.of_order("default/A")} - {-1}) == 1


def test_a_stored_state_that_cannot_be_read_blocks_nobody(
    store: Store, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker_fold, "_TROUBLED_MS", 30)
    accept(store, webhook("A", "mug"), webhook("B", "mug"))
    fold_all(store, FAST)
    whole = server.client.get(keys.state("default/A"))
    assert isinstance(whole, bytes)
    server.client.set(keys.state("default/A"), whole[:10], keepttl=True)
    accept(store, webhook("A", "cap"), webhook("B", "cap"))
    fold_once(store, FAST)
    assert sorted(document(store, "B")["items"]) == ["cap", "mug"]
    # By itself (from the log), or when it was mended: either is fine, to lose the event is not.
    if not nothing_waits(store):
        server.client.set(keys.state("default/A"), whole, keepttl=True)
    fold_all(store, FAST)
    assert sorted(document(store, "A")["items"]) == ["cap", "mug"]
    assert letters(server) == []


def test_a_state_of_another_version_is_made_again_from_the_log(store: Store, server: Server) -> None:
    accept(store, webhook("A", "mug"), webhook("A", "cap"))
    fold_all(store, FAST)
    before = document(store, "A")
    server.client.set(keys.state("default/A"), b"0m" + b"other", keepttl=True)
    accept(store, webhook("A", "pen"))
    fold_all(store, FAST)
    after = document(store, "A")
    assert after["events"] == 3
    assert after["version"] > before["version"]


def test_rqs_timeout_in_the_middle_of_a_fold_parks_nothing(
    store: Store, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    right = typed.read_facts
    hang = [True]

    def slow(*arguments: Any) -> facts.Facts:
        said = right(*arguments)
        while hang[0] and said.lines[0].reference == POISON:
            time.monotonic()
        return said

    def fold_for_ever() -> None:
        while True:
            fold_once(store, FAST._replace(tries=1), lease_seconds=0.05)

    monkeypatch.setattr(typed, "read_facts", slow)
    accept(store, webhook("A", "mug"), webhook("A", POISON), webhook("B", "mug"))
    for _ in range(2):  # really RQ's, by SIGALRM; more often than the event may be tried
        with pytest.raises(JobTimeoutException), UnixSignalDeathPenalty(1, JobTimeoutException):
            fold_for_ever()
    hang[0] = False
    fold_all(store, FAST._replace(tries=1))
    assert letters(server) == []
    assert sorted(document(store, "A")["items"]) == ["mug", POISON]
    assert document(store, "A")["events"] == 2
    assert document(store, "B")["events"] == 1


@pytest.mark.parametrize("error", [JobTimeoutException(), MemoryError()])
def test_an_error_that_is_not_the_events_fault_ends_the_shift_and_costs_no_try(
    store: Store, server: Server, reading: Bug, error: Exception
) -> None:
    reading.error = error
    accept(store, webhook("A", POISON), webhook("A", "mug"))
    with pytest.raises(type(error)):
        fold_once(store, FAST._replace(tries=1), lease_seconds=0.02)
    assert store.run(orders.document("default", "A")) is None
    reading.mended = True
    fold_all(store, FAST._replace(tries=1))
    assert letters(server) == []
    assert document(store, "A")["events"] == 2
