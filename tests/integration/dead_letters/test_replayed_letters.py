"""Replayed dead letters in the worker: they leave once they are folded, and not before."""

import pytest
from support.folding.faulty import Bug
from support.folding.replayed import (
    accept,
    as_rebuilt,
    body,
    document,
    fold_all,
    letters,
    note,
    replay,
    snapshot,
    webhook,
)
from support.server import Server

from shared.store import Store, due, letter_lists, replays
from shared.store.dead_letters import DeadLetter, bury, letter_id
from shared.store.intake import Result
from shared.store.replays import Replay
from worker.advance import Policy
from worker.fold import fold_due

pytestmark = pytest.mark.usefixtures("quiet")


def test_a_parked_event_is_folded_when_it_is_replayed_and_its_letter_leaves(
    store: Store, server: Server, bug: Bug
) -> None:
    accept(store, webhook(body("mug")), webhook(body("poison")))
    fold_all(store)
    (letter,) = letters(store)
    bug.mended = True
    replay(store, letter)
    assert letters(store) == [letter]  # not before it is folded
    fold_all(store)
    assert letters(store) == []
    assert note(server) is None
    assert (sorted(document(store)["items"]), document(store)["events"]) == (["mug", "poison"], 2)
    assert as_rebuilt(store)


def test_an_event_that_is_parked_again_stays_one_letter_with_its_new_fate(
    store: Store, server: Server, bug: Bug
) -> None:
    accept(store, webhook(body("mug")), webhook(body("poison")))
    fold_all(store)
    (before,) = letters(store)
    for _ in range(3):
        replay(store, before)
        fold_all(store)
    (after,) = letters(store)
    assert (after.id, after.count, after.received, after.reason) == (before.id, 1, before.received, "fold-error")
    assert after.last_seen > before.last_seen
    assert note(server) is None
    bug.mended = True
    replay(store, after)
    fold_all(store)
    assert letters(store) == []
    assert document(store)["events"] == 2
    assert as_rebuilt(store)


def test_a_parked_event_that_is_replayed_is_parked_again_at_its_first_failure(store: Store, bug: Bug) -> None:
    slow = Policy(tries=5, backoff_ms=3_600_000)
    accept(store, webhook(body("mug")), webhook(body("poison")))
    fold_all(store)
    replay(store, letters(store)[0])
    fold_due(store, slow, lease_seconds=5.0)
    waiting = store.run(due.pending())
    assert (waiting.due, waiting.later) == (0, 0)
    assert len(letters(store)) == 1


def test_a_body_that_was_never_an_event_keeps_its_letter_when_its_fold_raises(
    store: Store, server: Server, bug: Bug
) -> None:
    raw = b" " + body("poison")  # its canonical text is another
    letter = DeadLetter(letter_id("default", raw), "default", "unknown-event", "event", raw, 1_767_225_600_000_000)
    store.run(bury(letter))
    replay(store, letters(store)[0])
    fold_all(store)
    (found,) = letters(store)
    assert (found.id, found.reason, found.reference, found.payload) == (letter.id, "fold-error", "A", raw)
    assert found.traceback is not None
    assert store.run(letter_lists.page(letter_lists.Selection(tenant="default", order="A"))).letters == [found]
    bug.mended = True
    replay(store, found)
    fold_all(store)
    assert letters(store) == []
    assert document(store)["events"] == 1
    assert document(store)["firstEventAt"] == "2026-01-01T00:00:01Z"
    assert as_rebuilt(store)


def test_letters_of_equal_content_all_leave_and_the_event_counts_once(store: Store, bug: Bug) -> None:
    accept(store, webhook(body("poison")))
    fold_all(store)
    for spaces in (b" ", b"  "):
        raw = spaces + body("poison")
        store.run(bury(DeadLetter(letter_id("default", raw), "default", "unknown-event", "event", raw, 5)))
    bug.mended = True
    assert len(letters(store)) == 3
    found = next(each for each in letters(store) if each.reason == "unknown-event")
    replay(store, found)
    fold_all(store)
    # The parked event is folded: its own letter must not be left over.
    assert {each.reason for each in letters(store)} == {"unknown-event"}
    (other,) = letters(store)
    replay(store, other)
    replay(store, other)
    fold_all(store)
    assert letters(store) == []
    assert document(store)["events"] == 1
    assert as_rebuilt(store)


def test_known_content_whose_fold_raises_leaves_what_was_folded_as_it_is(store: Store, bug: Bug) -> None:
    bug.mended = True
    accept(store, webhook(body("mug")), snapshot(1_767_225_700_000_000))
    fold_all(store)
    before = document(store)
    bug.mended = False
    accept(store, snapshot(1_767_225_800_000_000))
    fold_all(store)
    assert document(store) == before
    assert [each.reason for each in letters(store)] == ["fold-error"]
    bug.mended = True
    accept(store, snapshot(1_767_225_900_000_000))
    fold_all(store)
    assert document(store)["events"] == 2
    assert as_rebuilt(store)


def test_a_full_order_takes_no_replay_and_keeps_the_letter(store: Store) -> None:
    accept(store, webhook(body("mug")), webhook(body("cap")))
    raw = body("bag")
    store.run(bury(DeadLetter(letter_id("default", raw), "default", "order-limit", "order", raw, 5, "A")))
    (letter,) = letters(store)
    sent = Replay(webhook(raw, 5), letter.id)
    assert store.run(replays.send([sent], max_events=2))[0].result is Result.ORDER_FULL
    assert len(letters(store)) == 1
    assert store.run(replays.send([sent], max_events=3))[0].result is Result.ACCEPTED
    fold_all(store)
    assert letters(store) == []
    assert document(store)["events"] == 3
    assert as_rebuilt(store)
