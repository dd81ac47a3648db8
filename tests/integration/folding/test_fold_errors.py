"""Events whose fold raises: their order and all others go on, and what is left of them is a dead letter that tells all."""

import orjson
import pytest
from support.folding.faulty import FAST, POISON, SLOW, Bug, webhook
from support.orders import accept, document, fold_all, fold_once, letters
from support.server import Server

from shared.store import Store, keys, orders
from shared.store.dead_letters import letter_id
from worker.rebuild import rebuild

pytestmark = pytest.mark.usefixtures("quiet")


def test_the_other_events_of_its_order_are_folded_at_once(store: Store, server: Server, bug: Bug) -> None:
    accept(store, webhook("A", "mug"), webhook("A", POISON), webhook("A", "cap"))
    tally = fold_once(store, SLOW)
    found = document(store, "A")
    assert sorted(found["items"]) == ["cap", "mug"]
    assert (found["events"], found["version"]) == (2, 1)
    assert (tally.events, tally.failed, tally.parked) == (2, 1, 0)
    assert letters(server) == []


def test_after_its_tries_it_is_a_dead_letter_that_tells_all(store: Store, server: Server, bug: Bug) -> None:
    poison = webhook("A", POISON)
    accept(store, poison, webhook("A", "mug"))
    fold_all(store, FAST)
    (letter,) = letters(server)
    traceback = letter.pop("traceback").decode()
    assert "ValueError: a bug for tests" in traceback
    assert "in bite" in traceback
    assert letter.pop("detail") == b"ValueError: a bug for tests"
    assert orjson.loads(letter.pop("payload")) == poison.event.content
    assert letter == {
        "tenant": b"default",
        "reason": b"fold-error",
        "receivedAt": b"%d" % poison.received,
        "lastSeenAt": b"%d" % poison.received,
        "attempts": b"3",
        "count": b"1",
        "cameAs": b"webhook",
        "orderReferenceId": b"A",
    }
    assert server.client.zrange(keys.DEAD_LETTERS, 0, -1) == [letter_id("default", poison.event.text).encode()]
    assert sorted(document(store, "A")["items"]) == ["mug"]


def test_other_orders_of_its_batch_are_untouched(store: Store, server: Server, bug: Bug) -> None:
    accept(store, webhook("A", "mug"), webhook("B", POISON), webhook("C", "mug"))
    assert fold_once(store, SLOW).orders == 3
    assert [document(store, each)["version"] for each in ("A", "C")] == [1, 1]
    assert letters(server) == []


def test_an_order_of_which_nothing_could_be_folded_is_not_called_canceled(
    store: Store, server: Server, bug: Bug
) -> None:
    accept(store, webhook("A", POISON))
    fold_all(store, FAST)
    assert len(letters(server)) == 1
    raw = store.run(orders.document("default", "A"))
    assert raw is None or orjson.loads(raw)["status"] != "canceled"
    told = [fields for _, fields in server.client.xrange(keys.CHANGES)]
    assert not any(fields[b"status"] == b"canceled" or fields[b"terminal"] == b"true" for fields in told)


def test_a_rebuild_with_a_new_bug_loses_no_event(store: Store, server: Server, reading: Bug) -> None:
    reading.mended = True
    accept(store, webhook("A", POISON), webhook("A", "mug"))
    fold_all(store, FAST)
    reading.mended = False
    try:
        rebuild(store, "default", "A", FAST)
    except Exception:  # to refuse is fine
        assert document(store, "A")["events"] == 2
        return
    fold_all(store, FAST)
    assert document(store, "A")["events"] == 2 or letters(server)


def test_a_rebuild_skips_parked_events_and_changes_nothing(store: Store, server: Server, bug: Bug) -> None:
    accept(store, webhook("A", "mug"), webhook("A", POISON), webhook("A", "cap"))
    fold_all(store, FAST)
    accept(store, webhook("A", "pen"))
    fold_all(store, FAST)
    before = store.run(orders.document("default", "A"))
    for mended in (False, True):
        bug.mended = mended
        assert rebuild(store, "default", "A", FAST) is False
        assert store.run(orders.document("default", "A")) == before
    assert len(letters(server)) == 1
    assert server.client.xlen(keys.CHANGES) == document(store, "A")["version"]
