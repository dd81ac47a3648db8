"""Replays that meet something: a worker's death, a discard, a rebuild, other events, each other. Documents stay right."""

import random
from collections.abc import Callable
from typing import Any

import orjson
import pytest
from support.folding.faulty import Bug
from support.folding.replayed import (
    POLICY,
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
from support.polling import eventually
from support.server import Server

from shared.store import Store, dead_letters, due, intake, orders, replays
from shared.store.dead_letters import DeadLetter, bury, letter_id
from shared.store.intake import Incoming
from worker import advance, replayed
from worker.advance import Policy
from worker.fold import fold_due
from worker.rebuild import rebuild

pytestmark = pytest.mark.usefixtures("quiet")


@pytest.mark.parametrize("dies_in", ["remove", "settle", "release"])
def test_a_worker_that_dies_after_its_commit_leaves_no_letter_for_ever(
    store: Store, server: Server, bug: Bug, monkeypatch: pytest.MonkeyPatch, dies_in: str
) -> None:
    accept(store, webhook(body("mug")), webhook(body("poison")))
    fold_all(store)
    bug.mended = True
    replay(store, letters(store)[0])

    class Dead(BaseException):
        pass

    def dies(*arguments: object) -> None:
        raise Dead

    with monkeypatch.context() as patch:
        module: Any = {"remove": dead_letters, "settle": replays, "release": due}[dies_in]
        patch.setattr(module, dies_in, dies)
        with pytest.raises(Dead):
            fold_due(store, POLICY, lease_seconds=0.05)
    assert sorted(document(store)["items"]) == ["mug", "poison"]
    fold_all(store)
    assert letters(store) == []
    assert note(server) is None
    assert document(store)["events"] == 2


def test_a_letter_discarded_while_its_replay_is_on_its_way_is_gone(store: Store, server: Server, bug: Bug) -> None:
    accept(store, webhook(body("poison")), webhook(body("mug")))
    fold_all(store)
    bug.mended = True
    (letter,) = letters(store)
    replay(store, letter)
    store.run(dead_letters.remove([letter.id]))
    fold_all(store)
    assert letters(store) == []
    assert note(server) is None


def test_a_replay_that_waits_for_its_next_try_keeps_its_letter_until_it_is_folded(
    store: Store, server: Server, bug: Bug
) -> None:
    raw = b" " + body("poison")
    store.run(bury(DeadLetter(letter_id("default", raw), "default", "unknown-event", "event", raw, 5)))
    replay(store, letters(store)[0])
    patient = Policy(tries=5, backoff_ms=20)
    fold_due(store, patient, lease_seconds=5.0)
    (letter,) = letters(store)
    assert letter.reason == "unknown-event"
    assert note(server) is not None
    bug.mended = True
    eventually(lambda: fold_due(store, patient, lease_seconds=5.0).events, what="its next try")
    assert letters(store) == []
    assert note(server) is None


def test_a_rebuild_between_a_replay_and_its_next_try_counts_the_event_once(
    store: Store, server: Server, bug: Bug, monkeypatch: pytest.MonkeyPatch
) -> None:
    accept(store, webhook(body("mug")), webhook(body("poison")))
    fold_all(store)
    replay(store, letters(store)[0])
    # As a worker of before would: the replay waits for another try.
    right: Callable[..., None] = advance._set_aside

    def deferring(result: Any, *rest: Any) -> None:
        parked, result.stored.parked = result.stored.parked, []
        right(result, *rest)
        result.stored.parked = parked

    with monkeypatch.context() as patch:
        patch.setattr(advance, "_set_aside", deferring)
        fold_due(store, Policy(tries=5, backoff_ms=100), lease_seconds=5.0)
    rebuild(store, "default", "A", POLICY)
    bug.mended = True
    fold_all(store)
    assert document(store)["events"] == 2
    assert letters(store) == []
    assert as_rebuilt(store)


def test_a_parked_snapshot_that_is_posted_again_takes_its_letter_with_it(store: Store, bug: Bug) -> None:
    accept(store, webhook(body("mug")), snapshot(1_767_225_700_000_000))
    fold_all(store)
    (letter,) = letters(store)
    assert letter.came_as == "posted"
    bug.mended = True
    accept(store, snapshot(1_767_225_800_000_000))
    fold_all(store)
    assert letters(store) == []
    assert as_rebuilt(store)


@pytest.mark.parametrize("seed", range(8))
def test_replays_of_anything_in_any_order_give_the_document_of_a_run_without_the_fault(
    store: Store, bug: Bug, seed: int
) -> None:
    chance = random.Random(seed)
    bodies = [body(chance.choice(["mug", "poison"]), chance.choice(["passed", "printed"]), n) for n in range(1, 9)]
    for n, raw in enumerate(bodies):
        received = 1_767_225_600_000_000 + n
        if chance.random() < 0.4:  # of an older version, for which it was unusable
            spaced = b" " * chance.randrange(1, 3) + raw
            store.run(bury(DeadLetter(letter_id("default", spaced), "default", "unknown-event", "x", spaced, received)))
        if chance.random() < 0.8:
            store.run(intake.accept([webhook(raw, received)], cluster=False))
    for _ in range(30):
        bug.mended = chance.random() < 0.3
        there = letters(store)
        for _ in range(chance.randrange(3)):
            if there:
                replay(store, chance.choice(there))
        if chance.random() < 0.6:
            fold_due(store, POLICY, lease_seconds=5.0)
        if chance.random() < 0.2 and bug.mended:
            rebuild(store, "default", "A", POLICY)
    bug.mended = True
    fold_all(store)
    while there := letters(store):
        for each in there:
            replay(store, each)
        fold_all(store)
    found = document(store)
    assert as_rebuilt(store)
    log = store.run(orders.log("default", "A"))
    contents = {record.digest: record for record in log if record.is_event}
    assert found["events"] == len(contents)
    control = [Incoming("control", webhook(record.text).event, record.received) for record in contents.values()]
    store.run(intake.accept(control, cluster=False))
    fold_all(store)
    raw_control = store.run(orders.document("control", "A"))
    assert raw_control is not None
    told = {"tenant": None, "version": None, "updatedAt": None}
    assert found | told == orjson.loads(raw_control) | told


def test_the_normal_way_asks_nothing_about_replays(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    def never(*arguments: object) -> None:
        raise AssertionError("asked for replays")

    monkeypatch.setattr(dead_letters, "remove", never)
    monkeypatch.setattr(replays, "settle", never)
    accept(store, webhook(body("mug")))
    fold_all(store)
    replayed.settle(store, [])
    assert document(store)["events"] == 1
