"""Taking events in, against a real server: what is stored, what is told, and what is marked as due."""

import asyncio
from collections.abc import Iterable
from typing import Any

import orjson
import pytest
from msgspec.structs import replace
from support.events import now_us, snapshot, webhook
from support.orders import document, due_names, fold
from support.polling import eventually
from support.server import Server

from shared.events import Usable, read_webhook
from shared.store import AsyncStore, Store, due, intake, keys, orders
from shared.store.calls import Step
from shared.store.intake import Incoming, Outcome, Result

ACCEPTED, DUPLICATE = Outcome(Result.ACCEPTED), Outcome(Result.DUPLICATE)
COLLIDED, FULL = Outcome(Result.ACCEPTED, collision=True), Outcome(Result.ORDER_FULL)


def accept(
    store: Store,
    *events: Incoming,
    most: int = intake.MAX_EVENTS_PER_ORDER,
    most_bytes: int = intake.MAX_BYTES_PER_ORDER,
) -> list[Outcome]:
    return store.run(intake.accept(events, cluster=False, max_events=most, max_bytes=most_bytes))


def lose_marks(server: Server) -> None:
    for shard in range(keys.SHARDS):
        server.client.delete(keys.due(shard), keys.marks(shard))
    server.client.delete(keys.WAKE)


def test_new_events_are_accepted_and_their_orders_are_due(store: Store, server: Server) -> None:
    batch = [webhook("A", 1), webhook("A", 2), webhook("B", 1), webhook("A", 1, tenant="other")]
    assert accept(store, *batch) == [ACCEPTED] * 4
    assert due_names(server) == {"default/A", "default/B", "other/A"}
    assert server.client.llen(keys.WAKE) == 1  # one token wakes one shift, however much has come
    log = store.run(orders.log("default", "A"))
    assert [(record.letter, record.received, record.text) for record in log] == [
        ("W", each.received, each.event.text) for each in batch[:2]
    ]


def test_the_same_content_is_a_duplicate_in_its_own_batch_and_later(store: Store) -> None:
    first = webhook("A", 1)
    turned = read_webhook(orjson.dumps(dict(reversed(orjson.loads(first.event.text).items()))))
    assert isinstance(turned, Usable)
    again = Incoming("default", turned, now_us())
    assert accept(store, first, again) == [ACCEPTED, DUPLICATE]
    fold(store)
    assert accept(store, again, webhook("A", 2)) == [DUPLICATE, ACCEPTED]
    fold(store)
    assert document(store, "A")["events"] == 2


def test_a_duplicate_keeps_the_time_of_receipt_that_was_stored_first(store: Store) -> None:
    first = webhook("A", 1)
    accept(store, first)
    accept(store, replace(first, received=first.received + 5_000_000))
    assert [record.received for record in store.run(orders.log("default", "A"))] == [first.received]


def test_other_content_under_the_same_identity_is_stored_and_told(store: Store) -> None:
    outcomes = accept(store, webhook("A", 1), webhook("A", 1, status="shipped"), webhook("A", 1, status="shipped"))
    assert outcomes == [ACCEPTED, COLLIDED, DUPLICATE]
    assert accept(store, webhook("A", 1), webhook("A", 1, status="printed")) == [DUPLICATE, COLLIDED]
    fold(store)
    found = document(store, "A")
    assert found["events"] == 3
    assert set(found["orders"]["A-1"]["items"]["item-1"]["timeline"]) == {"passed", "printed", "shipped"}


def test_a_snapshot_received_again_is_folded_again_and_counted_once(store: Store) -> None:
    first = snapshot("A")
    assert accept(store, first) == [ACCEPTED]
    fold(store)
    # An event without a clock of its own, received in between, is certainly newer than the first receipt only.
    later = replace(first, received=first.received + 60_000_000)
    assert accept(store, later, replace(later, received=later.received + 1)) == [ACCEPTED, ACCEPTED]
    assert [record.letter for record in store.run(orders.log("default", "A"))][-2:] == ["s", "s"]
    fold(store)
    assert document(store, "A")["events"] == 1


@pytest.mark.parametrize("which", [keys.log, keys.meta])
def test_a_bad_order_fails_alone(store: Store, server: Server, which: Any) -> None:
    server.client.set(which("default/bad"), "not what belongs here")
    outcomes = accept(store, webhook("A", 1), webhook("bad", 1), webhook("B", 1), webhook("bad", 2), webhook("A", 2))
    assert [outcome.result for outcome in outcomes] == [Result.ACCEPTED, None, Result.ACCEPTED, None, Result.ACCEPTED]
    assert all("WRONGTYPE" in outcome.refusal for outcome in outcomes if outcome.result is None)
    assert due_names(server) == {"default/A", "default/B"}
    fold(store)
    assert (document(store, "A")["events"], document(store, "B")["events"]) == (2, 1)


def test_an_order_has_a_bound_that_does_not_concern_others(store: Store) -> None:
    outcomes = accept(store, *(webhook("A", n) for n in range(7)), webhook("A", 0), webhook("B", 1), most=5)
    assert outcomes == [ACCEPTED] * 5 + [FULL, FULL, DUPLICATE, ACCEPTED]
    fold(store)
    assert accept(store, webhook("A", 6), webhook("A", 4), webhook("B", 2), most=5) == [FULL, DUPLICATE, ACCEPTED]
    fold(store)
    assert document(store, "A")["events"] == 5


@pytest.mark.parametrize("identities", [1, 4, 200])
def test_the_bound_holds_for_whatever_mix_of_identities_and_contents(store: Store, identities: int) -> None:
    for n in range(0, 200, 10):  # folded, and packed, in between
        accept(store, *(webhook("A", m % identities, comment=str(m)) for m in range(n, n + 10)), most=40)
        fold(store)
    assert 35 <= document(store, "A")["events"] <= 40
    assert len(store.run(orders.log("default", "A"))) <= 40


def test_the_mark_goes_with_the_fold_and_comes_with_news_only(store: Store, server: Server) -> None:
    accept(store, webhook("A", 1))
    fold(store)
    assert due_names(server) == set()
    assert accept(store, webhook("A", 1)) == [DUPLICATE]
    assert due_names(server) == set()
    assert accept(store, webhook("A", 2)) == [ACCEPTED]
    assert due_names(server) == {"default/A"}


def test_a_duplicate_of_an_unfolded_event_is_marked_again_even_if_its_mark_was_lost(
    store: Store, server: Server
) -> None:
    accept(store, webhook("A", 1), webhook("B", 1))
    lose_marks(server)
    assert accept(store, webhook("A", 1)) == [DUPLICATE]
    assert due_names(server) == {"default/A"}
    fold(store)
    assert document(store, "A")["events"] == 1


def test_in_a_cluster_the_marks_follow_in_a_second_step(store: Store, server: Server) -> None:
    # The operation as a cluster is asked: the first step alone stores, and its repetition marks.
    def first_step(events: Iterable[Incoming]) -> Any:
        yield next(intake.accept(list(events), cluster=True))

    store.run(first_step([webhook("A", 1)]))
    assert due_names(server) == set()
    assert store.run(intake.accept([webhook("A", 1)], cluster=True)) == [DUPLICATE]
    assert due_names(server) == {"default/A"}


class Forgetful(Store):
    """A store whose server forgets all scripts before each step."""

    def _step(self, step: Step) -> list[Any]:
        self.client.script_flush()
        return super()._step(step)


def test_a_server_that_forgets_its_scripts_is_told_them_again(server: Server) -> None:
    store = Forgetful(Store.from_url(server.url).client, cluster=False)
    try:
        assert accept(store, webhook("A", 1), webhook("B", 1)) == [ACCEPTED, ACCEPTED]
        assert accept(store, webhook("A", 2)) == [ACCEPTED]
        store.run(due.mark(["default/B", "default/A"]))
        fold(store)
        assert (document(store, "A")["events"], document(store, "B")["events"]) == (2, 1)
    finally:
        store.close()


def test_asyncio_is_answered_the_same_also_after_a_script_flush(server: Server) -> None:
    async def take_in() -> list[list[Outcome]]:
        store = AsyncStore.from_url(server.url)
        try:
            one = await store.run(intake.accept([webhook("A", 1)], cluster=False))
            await store.client.script_flush()
            two = await store.run(intake.accept([webhook("A", 1), webhook("A", 2)], cluster=False))
            return [one, two]
        finally:
            await store.close()

    assert asyncio.run(take_in()) == [[ACCEPTED], [DUPLICATE, ACCEPTED]]


def test_an_event_that_comes_shortly_before_its_order_goes_is_not_lost(store: Store, server: Server) -> None:
    for n in range(4):
        accept(store, webhook("A", n))
        fold(store)
    before = document(store, "A")
    for key in keys.of_order("default/A"):
        server.client.pexpire(key, 700)
    assert accept(store, webhook("A", 9)) == [ACCEPTED]
    eventually(lambda: server.client.get(keys.document("default/A")) is None, what="the document to expire")
    assert server.client.exists(keys.state("default/A")) == 0
    fold(store)
    after = document(store, "A")
    assert after["events"] == 5
    assert sorted(after["items"]) == ["item-0", "item-1", "item-2", "item-3", "item-9"]
    assert after["version"] > before["version"]
    ends = {server.client.pexpiretime(key) for key in keys.of_order("default/A")}
    assert len(ends) == 1
    assert ends.pop() > now_us() // 1000 + 86_400_000


@pytest.mark.parametrize(("days", "kept"), [(91, False), (89, True)])
def test_an_order_is_kept_for_what_waits_if_it_goes_within_ninety_days(
    store: Store, server: Server, days: int, kept: bool
) -> None:
    accept(store, webhook("A", 1))
    fold(store)
    for key in (keys.log("default/A"), keys.meta("default/A")):
        server.client.pexpire(key, days * 86_400_000)
    accept(store, webhook("A", 2))
    for key in (keys.log("default/A"), keys.meta("default/A")):
        assert (server.client.pexpiretime(key) == -1) is kept


def test_an_event_that_is_folded_shortly_before_its_order_goes_gives_it_a_new_end(store: Store, server: Server) -> None:
    accept(store, webhook("A", 1))
    fold(store)
    for key in keys.of_order("default/A"):
        server.client.pexpire(key, 2_000)
    accept(store, webhook("A", 2))
    fold(store)
    assert all(server.client.pttl(key) > 86_400_000 for key in keys.of_order("default/A"))
    assert document(store, "A")["events"] == 2


def test_the_bytes_of_one_orders_events_are_bounded_and_other_orders_are_not(store: Store) -> None:
    large = [webhook("A", n, comment="x" * 1_000) for n in range(4)]
    assert accept(store, *large, webhook("B"), most_bytes=4_000) == [ACCEPTED] * 3 + [FULL, ACCEPTED]
    fold(store)
    assert accept(store, large[3], large[0], webhook("A", 5), most_bytes=4_000) == [FULL, DUPLICATE, ACCEPTED]


def test_a_snapshot_that_comes_again_and_again_does_not_fill_its_order_once_it_is_packed(store: Store) -> None:
    first = snapshot("A", "delivered", came_as="fetched")
    bound = 10 * len(first.event.text)
    accept(store, first, most_bytes=bound)
    fold(store)
    for n in range(1, 40):
        assert accept(store, replace(first, received=first.received + n), most_bytes=bound) == [ACCEPTED], n
        fold(store)
    again = [replace(first, received=first.received + 100 + n) for n in range(20)]
    assert FULL in accept(store, *again, most_bytes=bound)
