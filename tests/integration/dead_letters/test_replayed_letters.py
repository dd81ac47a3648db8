"""Replayed dead letters in the worker: they leave once they are folded, whoever dies when; documents stay right."""

import random
import time
from collections.abc import Callable, Iterator
from typing import Any

import orjson
import pytest
import structlog
from support.polling import eventually
from support.server import Server

from shared import facts, typed
from shared.events import Usable, read_webhook
from shared.snapshots import Sanitised, classify_snapshot
from shared.store import Store, dead_letters, due, intake, keys, letter_lists, orders, replays
from shared.store.dead_letters import DeadLetter, Letter, bury, letter_id
from shared.store.intake import Incoming, Result
from shared.store.replays import Replay
from worker import advance, replayed
from worker.advance import Policy
from worker.fold import fold_due
from worker.rebuild import rebuild

POLICY = Policy(tries=2, backoff_ms=1)


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    with structlog.testing.capture_logs():
        yield


class Bug:
    """A bug in the code, for events of the item `poison`, until it is mended."""

    mended = False


@pytest.fixture
def bug(monkeypatch: pytest.MonkeyPatch) -> Bug:
    found, right = Bug(), typed.read_facts

    def wrong(*arguments: Any) -> facts.Facts:
        said = right(*arguments)
        if not found.mended and any(line.reference == "poison" for line in said.lines):
            raise ValueError("a bug for tests")
        return said

    monkeypatch.setattr(typed, "read_facts", wrong)
    return found


def body(item: str, status: str = "passed", n: int = 1, **more: object) -> bytes:
    event = {"id": f"{item}-{n}", "event": "order_item_status_updated", "orderId": "A-1", "orderReferenceId": "A"}
    event |= {"itemReferenceId": item, "status": status, "created": f"2026-01-01T00:00:{n:02}Z"}
    return orjson.dumps(event | more)


def webhook(raw: bytes, received: int | None = None) -> Incoming:
    event = read_webhook(raw)
    assert isinstance(event, Usable)
    return Incoming("default", event, received or time.time_ns() // 1000)


def snapshot(received: int) -> Incoming:
    content = {
        "id": "A-1",
        "orderReferenceId": "A",
        "fulfillmentStatus": "passed",
        "items": [{"id": "1", "itemReferenceId": "poison", "fulfillmentStatus": "passed"}],
    }
    event = classify_snapshot(Sanitised(content, orjson.dumps(content, option=orjson.OPT_SORT_KEYS)), fetched=False)
    assert isinstance(event, Usable)
    return Incoming("default", event, received, "posted")


def accept(store: Store, *events: Incoming) -> None:
    assert all(each.result is Result.ACCEPTED for each in store.run(intake.accept(events, cluster=False)))


def fold_all(store: Store) -> None:
    def done() -> bool:
        fold_due(store, POLICY, lease_seconds=5.0)
        waiting = store.run(due.pending())
        return waiting.due + waiting.later == 0

    eventually(done, what="all to be folded")


def letters(store: Store) -> list[Letter]:
    assert store.run(letter_lists.in_step())
    return store.run(letter_lists.page()).letters


def replay(store: Store, letter: Letter) -> None:
    assert letter.payload is not None
    incoming = webhook(letter.payload, letter.received)
    (outcome,) = store.run(replays.send([Replay(incoming, letter.id)]))
    assert outcome.result is Result.ACCEPTED


def document(store: Store) -> dict[str, Any]:
    raw = store.run(orders.document("default", "A"))
    assert raw is not None
    found: dict[str, Any] = orjson.loads(raw)
    return found


def is_as_a_rebuild_makes_it(store: Store) -> bool:
    return rebuild(store, "default", "A", POLICY) is False


def note(server: Server) -> bytes | None:
    found: bytes | None = server.client.hget(keys.meta("default/A"), "d")
    return found


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
    assert is_as_a_rebuild_makes_it(store)


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
    assert is_as_a_rebuild_makes_it(store)


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
    assert is_as_a_rebuild_makes_it(store)


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
    assert is_as_a_rebuild_makes_it(store)


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
    assert is_as_a_rebuild_makes_it(store)


def test_a_parked_snapshot_that_is_posted_again_takes_its_letter_with_it(store: Store, bug: Bug) -> None:
    accept(store, webhook(body("mug")), snapshot(1_767_225_700_000_000))
    fold_all(store)
    (letter,) = letters(store)
    assert letter.came_as == "posted"
    bug.mended = True
    accept(store, snapshot(1_767_225_800_000_000))
    fold_all(store)
    assert letters(store) == []
    assert is_as_a_rebuild_makes_it(store)


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
    assert is_as_a_rebuild_makes_it(store)


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
    assert is_as_a_rebuild_makes_it(store)


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
    assert is_as_a_rebuild_makes_it(store)
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
