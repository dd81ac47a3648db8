"""The due set, against a real server: marks, leases, releases, delays, all by the server's clock."""

import threading
import time
import uuid
from datetime import UTC, datetime

import pytest
from support.polling import eventually
from support.server import Server

from shared.store import Store, due, keys
from shared.store.due import Claim, Release

LONG_MS = 60_000


def claim(store: Store, *, most: int = 100, lease_ms: int = LONG_MS, due_for_ms: int = 0) -> Claim:
    return store.run(due.claim(most, lease_ms, uuid.uuid4().hex, cluster=False, due_for_ms=due_for_ms))


def claim_some(store: Store, *, lease_ms: int = LONG_MS) -> Claim:
    """The first claim that gets anything."""

    def try_it() -> Claim | None:
        claimed = claim(store, lease_ms=lease_ms)
        return claimed if claimed.orders else None

    return eventually(try_it, what="a claim that gets something")


def names(claimed: Claim) -> list[str]:
    return sorted(order.name for order in claimed.orders)


def release(store: Store, claimed: Claim, delay_ms: int | None = None) -> None:
    store.run(due.release(claimed.id, [Release(order, delay_ms) for order in claimed.orders]))


def assert_nothing_is_left(server: Server) -> None:
    for shard in range(keys.SHARDS):
        for key in (keys.due(shard), keys.marks(shard), keys.leases(shard)):
            assert server.client.exists(key) == 0, key


def server_ms(server: Server) -> int:
    seconds, microseconds = server.client.time()
    return int(seconds) * 1000 + int(microseconds) // 1000


def test_a_marked_order_is_claimed_once_and_released_without_a_trace(store: Store, server: Server) -> None:
    store.run(due.mark(["default/A"]))
    claimed = claim(store)
    assert names(claimed) == ["default/A"]
    assert not claimed.orders[0].lease_expired
    assert names(claim(store)) == []
    release(store, claimed)
    assert names(claim(store)) == []
    assert_nothing_is_left(server)


def test_two_claimers_never_share_an_order_while_a_lease_holds(server: Server) -> None:
    marked = [f"default/{n}" for n in range(600)]
    got: list[list[str]] = [[] for _ in range(4)]
    stores = [Store.from_url(server.url) for _ in got]
    stores[0].run(due.mark(marked))
    together = threading.Barrier(len(got))

    def take(n: int) -> None:
        together.wait(10)
        while claimed := claim(stores[n], most=7).orders:
            got[n].extend(order.name for order in claimed)

    threads = [threading.Thread(target=take, args=(n,)) for n in range(len(got))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    for store in stores:
        store.close()
    assert sorted(name for mine in got for name in mine) == sorted(marked)


def test_a_claim_is_no_larger_than_asked_and_says_how_much_is_left(store: Store) -> None:
    store.run(due.mark([f"default/{n}" for n in range(50)]))
    claimed = claim(store, most=20)
    assert len(claimed.orders) == 20
    assert claimed.waiting == 30
    assert len(claim(store, most=100).orders) == 30


def test_orders_longest_due_are_claimed_first(store: Store, server: Server) -> None:
    early, late = (
        "default/early",
        next(name for n in range(100) if keys.shard_of(name := f"default/late-{n}") == keys.shard_of("default/early")),
    )
    store.run(due.mark([early]))
    marked = server_ms(server)
    eventually(lambda: server_ms(server) > marked, what="the next millisecond")
    store.run(due.mark([late]))
    assert [names(claim(store, most=1)) for _ in range(2)] == [[early], [late]]


def test_an_expired_lease_is_claimed_again_and_told(store: Store) -> None:
    store.run(due.mark(["default/A"]))
    assert names(claim(store, lease_ms=30)) == ["default/A"]
    again = claim_some(store)
    assert names(again) == ["default/A"]
    assert again.orders[0].lease_expired


def test_a_claim_that_lost_its_lease_releases_nothing(store: Store, server: Server) -> None:
    store.run(due.mark(["default/A"]))
    slow = claim(store, lease_ms=20)
    holder = claim_some(store)
    release(store, slow)
    release(store, slow, delay_ms=0)
    assert names(claim(store)) == []  # the holder's lease still holds
    assert server.client.hget(keys.leases(keys.shard_of("default/A")), "default/A") == holder.id.encode()
    release(store, holder)
    release(store, slow, delay_ms=0)
    assert_nothing_is_left(server)


def test_an_event_between_claim_and_release_keeps_the_order_due(store: Store, server: Server) -> None:
    store.run(due.mark(["default/A", "default/B"]))
    claimed = claim(store)
    store.run(due.mark(["default/A"]))
    assert names(claim(store)) == []  # the lease holds nevertheless
    release(store, claimed)
    again = claim(store)
    assert names(again) == ["default/A"]
    release(store, again)
    assert_nothing_is_left(server)


def test_an_event_between_claim_and_release_outdoes_a_delay(store: Store) -> None:
    store.run(due.mark(["default/A"]))
    claimed = claim(store)
    store.run(due.mark(["default/A"]))
    release(store, claimed, delay_ms=LONG_MS)
    assert names(claim(store)) == ["default/A"]


def test_a_delayed_order_is_due_after_its_delay_and_not_before(store: Store, server: Server) -> None:
    store.run(due.mark(["default/A"]))
    released = server_ms(server)
    release(store, claim(store), delay_ms=200)
    again = claim_some(store)
    assert again.now_us // 1000 - released >= 200
    assert not again.orders[0].lease_expired
    release(store, again)
    assert_nothing_is_left(server)


def test_an_event_during_a_delay_makes_its_order_due_at_once(store: Store, server: Server) -> None:
    store.run(due.mark(["default/A"]))
    release(store, claim(store), delay_ms=LONG_MS)
    assert names(claim(store)) == []
    store.run(due.mark(["default/A"]))
    again = claim(store)
    assert names(again) == ["default/A"]
    release(store, again)
    assert_nothing_is_left(server)


def test_only_orders_that_have_been_due_for_long_are_claimed_when_asked_so(store: Store) -> None:
    store.run(due.mark(["default/A"]))
    assert names(claim(store, due_for_ms=300)) == []

    def overdue() -> Claim | None:
        claimed = claim(store, due_for_ms=300)
        return claimed if claimed.orders else None

    assert names(eventually(overdue)) == ["default/A"]


@pytest.mark.parametrize("wrong_by_seconds", [-86_400, 86_400])
def test_the_servers_clock_counts_and_not_the_clients(
    store: Store, server: Server, monkeypatch: pytest.MonkeyPatch, wrong_by_seconds: int
) -> None:
    right = time.time
    for name, unit in (("time", 1), ("time_ns", 1_000_000_000)):
        clock = getattr(time, name)
        monkeypatch.setattr(time, name, lambda clock=clock, unit=unit: clock() + wrong_by_seconds * unit)
    store.run(due.mark(["default/A"]))
    claimed = claim(store, lease_ms=LONG_MS)
    assert names(claimed) == ["default/A"]
    assert abs(claimed.now_us / 1e6 - right()) < 5
    score = server.client.zscore(keys.due(keys.shard_of("default/A")), "default/A")
    assert score is not None
    assert abs(score - LONG_MS - server_ms(server)) < 5_000
    assert names(claim(store)) == []


def test_what_waits_is_counted_by_now_and_later(store: Store) -> None:
    assert store.run(due.pending()) == (0, 0, 0)
    store.run(due.mark([f"default/{n}" for n in range(10)]))
    claim(store, most=4)
    waiting = store.run(due.pending())
    assert (waiting.due, waiting.later) == (6, 4)
    assert waiting.oldest_ms < 5_000


def test_one_token_wakes_one_shift(store: Store, server: Server) -> None:
    store.run(due.mark(["default/A", "default/B"]))
    store.run(due.mark(["default/C"]))
    assert server.client.llen(keys.WAKE) == 1
    assert store.run(due.wait_for_work(5.0)) == b""
    assert store.run(due.wait_for_work(0.05)) is None


def test_a_shift_lives_until_it_ends_or_is_silent_for_long(store: Store, server: Server) -> None:
    assert store.run(due.beat("one", LONG_MS)) == 1
    assert store.run(due.beat("two", 50)) == 2
    eventually(lambda: store.run(due.live_shifts()) == 1, what="the silent shift to count as dead")
    assert store.run(due.beat("one", 0)) == 0
    assert server.client.exists(keys.SHIFTS) == 0


def test_the_names_of_the_due_set_are_escaped(store: Store, server: Server) -> None:
    name = keys.order_name("default", "ä/{x} y\n")
    store.run(due.mark([name]))
    claimed = claim(store)
    assert names(claimed) == [name]
    assert keys.split_order_name(claimed.orders[0].name) == ("default", "ä/{x} y\n")
    assert datetime.fromtimestamp(claimed.now_us / 1e6, UTC).year >= 2024
    release(store, claimed)
    assert_nothing_is_left(server)


def test_an_order_that_is_put_off_waits_whatever_comes_and_its_lease_did_not_run_out(store: Store) -> None:
    store.run(due.mark(["default/A"]))
    first = claim(store)
    store.run(due.release(first.id, [Release(first.orders[0], 200, held=True)]))
    store.run(due.mark(["default/A"]))
    assert claim(store).orders == []
    again = eventually(lambda: claim(store).orders, what="the order's next turn")
    assert [(order.name, order.lease_expired) for order in again] == [("default/A", False)]
