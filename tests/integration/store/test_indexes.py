"""The indexes follow the documents, heal, and nothing stays in them."""

from collections.abc import Callable
from typing import Any

import pytest
from support.events import now_us
from support.folding.indexed import (
    SOON_MS,
    counts,
    find,
    flagged,
    found_keys,
    fresh,
    item_status,
    of_status,
    snapshot,
    status_counts,
    tracking,
    webhook,
)
from support.folding.mortal import Died, Mortal
from support.orders import accept, fold, fold_all, fold_once
from support.server import Server

from shared.store import Store, folding, indexes, keys, listing, orders, search
from shared.store.folding import Announcement
from shared.store.search import Counts, Flag
from worker.advance import Policy
from worker.rebuild import rebuild


class TestFlags:
    def test_they_follow_the_document(self, store: Store) -> None:
        fresh(store, item_status("A"))
        assert (flagged(store, Flag.OPEN), flagged(store, Flag.ATTENTION)) == (["A"], [])
        fresh(store, item_status("A", "on_hold", n=2))
        assert flagged(store, Flag.ATTENTION) == ["A"]
        assert of_status(store, "on_hold") == ["A"]
        fresh(store, item_status("A", "delivered", n=3))
        assert (flagged(store, Flag.OPEN), flagged(store, Flag.ATTENTION)) == ([], [])
        assert status_counts(store) == {"delivered": 1}
        assert counts(store) == Counts(orders=1, open=0, attention=0, incomplete=0, disagrees=0, idle=0)

    def test_incomplete_until_the_sibling_is_heard(self, store: Store) -> None:
        fresh(store, snapshot("A", "passed", ["gelato-A", "gelato-B"]))
        assert flagged(store, Flag.INCOMPLETE) == ["A"]
        fresh(store, item_status("A", orderId="gelato-B"))
        assert flagged(store, Flag.INCOMPLETE) == []

    def test_disagreeing(self, store: Store) -> None:
        fresh(store, item_status("A", "printed", n=1))
        fresh(store, item_status("A", "printed", n=30, itemReferenceId="pen"))
        listed = [{"itemReferenceId": "mug", "fulfillmentStatus": "delivered"}]
        fresh(store, webhook("orderStatus", "A", 2, None, "default", fulfillmentStatus="delivered", items=listed))
        assert flagged(store, Flag.DISAGREES) == ["A"]
        fresh(store, item_status("A", "delivered", n=40, itemReferenceId="pen"))
        assert flagged(store, Flag.DISAGREES) == []

    def test_an_operators_close_ends_it(self, store: Store) -> None:
        fresh(store, item_status("A"))
        assert store.run(orders.close("default", "A", now_us()))
        fold(store)
        assert counts(store).open == counts(store).idle == 0
        fresh(store, item_status("A", "printed", n=2))
        assert counts(store).open == counts(store).idle == 1

    def test_unknown_statuses_come_together(self, store: Store) -> None:
        fresh(store, item_status("A", "beamed_up"), item_status("B", "teleported"), item_status("C"))
        assert sorted(of_status(store, "beamed_up")) == ["A", "B"]
        assert status_counts(store) == {"passed": 1, "other": 2}

    def test_pages_have_each_order_once_though_many_have_one_time(self, store: Store) -> None:
        accept(store, *(item_status(f"order {n}/é", "on_hold") for n in range(60)))
        fold(store)
        on_hold = store.run(search.narrowest("default", [], "on_hold"))
        for pages in (
            lambda after: search.flagged("default", Flag.ATTENTION, after, 7),
            lambda after: listing.newest(on_hold, after, 7),
            lambda after: search.idle("default", SOON_MS, after, 7),
        ):
            seen, after = [], None
            while page := store.run(pages(after)):
                seen += [each.reference for each in page]
                after = page[-1]
            assert len(seen) == 60
            assert set(seen) == {f"order {n}/é" for n in range(60)}


class TestIdle:
    def test_the_longest_silent_comes_first(self, store: Store) -> None:
        now = now_us()
        for n, hours in enumerate((1, 50, 3)):
            accept(store, item_status(f"order-{n}", received=now - hours * 3_600_000_000))
        accept(store, item_status("ended", "delivered", received=now - 90 * 3_600_000_000))
        fold(store)
        listed = store.run(search.idle("default", now // 1000 - 2 * 3_600_000, None, 10))
        assert [each.reference for each in listed] == ["order-1", "order-2"]
        assert listed[0].changed_ms == now // 1000 - 50 * 3_600_000
        assert counts(store, before_ms=now // 1000 - 2 * 3_600_000).idle == 2

    def test_an_event_ends_the_silence(self, store: Store) -> None:
        now = now_us()
        accept(store, item_status("A", received=now - 9_000_000))
        fold(store)
        accept(store, item_status("A", "printed", n=2, received=now))
        fold(store)
        assert store.run(search.idle("default", now // 1000, None, 10)) == []
        assert counts(store, before_ms=now // 1000 + 1).idle == 1


class TestHealing:
    def all_of(self, server: Server) -> dict[str, Any]:
        """The indexes as they are, but for times."""
        held: dict[str, Any] = {}
        for key in sorted(found_keys(server)):
            kind = server.client.type(key)
            held[key] = server.client.hgetall(key) if kind == b"hash" else sorted(server.client.zrange(key, 0, -1))
        return held

    def some(self, store: Store) -> None:
        fresh(store, item_status("A", "on_hold"), tracking("B", "code-b"), snapshot("C", "passed", ["gelato-C", "x"]))
        fresh(store, item_status("A", "delivered", n=2), item_status("D", "beamed_up"))

    def test_a_change_whose_worker_died_is_indexed_by_whoever_comes_next(
        self, store: Store, mortal: Callable[[], Mortal]
    ) -> None:
        fresh(store, item_status("A", "on_hold"))
        accept(store, item_status("A", "delivered", n=2), tracking("A", "code", n=3))
        dying = mortal()
        dying.left = 2  # take, commit
        with pytest.raises(Died):
            fold_once(dying, lease_seconds=0.001)
        assert (flagged(store, Flag.ATTENTION), find(store, "code")) == (["A"], [])
        fold_all(store)
        assert (flagged(store, Flag.ATTENTION), find(store, "code")) == ([], ["A"])
        assert status_counts(store) == {"delivered": 1}

    @pytest.mark.parametrize("healer", ["rebuild", "sweep"])
    def test_a_store_without_indexes_gets_them(self, store: Store, server: Server, healer: str) -> None:
        self.some(store)
        expected = self.all_of(server)
        assert len(expected) > 8
        for key in found_keys(server) - {keys.index("default")}:
            server.client.delete(key)
        if healer == "rebuild":
            for reference in "ABCD":
                assert rebuild(store, "default", reference, Policy()) is False
        else:
            assert store.run(indexes.check_some("default", 0)) == 0
        assert self.all_of(server) == expected

    def test_wrong_entries_are_mended_and_right_ones_stay(self, store: Store, server: Server) -> None:
        self.some(store)
        expected = self.all_of(server)
        server.client.zadd(keys.flagged("default", Flag.ATTENTION), {"A": 1})
        server.client.zrem(keys.flagged("default", Flag.OPEN), "C")
        server.client.zadd(keys.by_status("default")[3], {"B": 1})
        assert store.run(indexes.check("default", list("ABCD"))) == 3
        assert self.all_of(server) == expected
        assert store.run(indexes.check("default", list("ABCD"))) == 0

    def test_an_order_that_changes_while_it_is_looked_at_is_left_to_its_worker(
        self, store: Store, server: Server
    ) -> None:
        self.some(store)
        looking = indexes.check("default", ["B"])
        results: Any = None
        step = next(looking)
        while True:
            if any(getattr(call, "command", None) == "GET" for call in step):
                results = store._step(step)
                fresh(store, item_status("B", "delivered", n=9))
            else:
                results = store._step(step)
            try:
                step = looking.send(results)
            except StopIteration:
                break
        assert of_status(store, "delivered") == ["B", "A"]
        assert "B" not in flagged(store, Flag.OPEN)

    def test_a_change_that_an_older_version_left_waiting_is_told(self, store: Store, server: Server) -> None:
        fresh(store, item_status("A"))
        accept(store, item_status("B"))
        old = b'{"version":2,"status":"printed","previous":"passed","terminal":false,"at_us":1793000000000000}'
        server.client.hset(keys.meta("default/A"), "n", old)
        accept(store, item_status("A", n=2))
        fold_all(store)
        told = [entry[1][b"status"] for entry in server.client.xrange(keys.CHANGES)]
        assert told == [b"passed", b"printed", b"passed", b"passed"]
        assert of_status(store, "passed") == ["B", "A"]

    def test_an_old_change_that_is_told_after_a_newer_one_leaves_nothing_wrong(self, store: Store) -> None:
        fresh(store, item_status("A", "on_hold"))
        (loaded,) = store.run(folding.load(["default/A"]))
        late = Announcement(1, "on_hold", None, False, 1, flags=3, received_ms=1).encoded()
        fresh(store, item_status("A", "delivered", n=2))
        store.run(folding.announce([folding.Change("default/A", loaded.generation, late)]))
        assert counts(store) == Counts(1, 0, 0, 0, 0, 0)
        assert status_counts(store) == {"delivered": 1}


class TestGoing:
    def gone(self, server: Server, reference: str) -> None:
        server.client.delete(*keys.of_order(f"default/{reference}"))

    def tidy(self, store: Store) -> None:
        store.run(indexes.check_some("default", 0))
        taken = {keys.find("default", text)[0] for text in ("gelato-A", "code-a", "gelato-B", "code-b")}
        for n in (int(key[len("gelato:find:{") : -1]) for key in taken):
            assert store.run(indexes.tidy_ids(n, 0)) == ((n + 1) % keys.BUCKETS, 0)

    def test_no_entry_of_an_order_stays_after_it_expired(self, store: Store, server: Server) -> None:
        fresh(store, tracking("A", "code-a"), tracking("B", "code-b"), item_status("A", "on_hold", n=2))
        self.gone(server, "A")
        assert find(store, "code-a") == []
        self.tidy(store)
        assert find(store, "code-b") == ["B"]
        assert counts(store) == Counts(1, 1, 0, 0, 0, 1)
        self.gone(server, "B")
        self.tidy(store)
        assert found_keys(server) == set()

    def test_an_erased_order_leaves_nothing_at_once(self, store: Store, server: Server) -> None:
        fresh(store, snapshot("A", "on_hold", ["gelato-A", "x"]), tracking("A", "code"), tracking("B", "code"))
        store.run(orders.erase("default", "A"))
        assert find(store, "code") == ["B"]
        assert counts(store) == Counts(1, 1, 0, 0, 0, 1)
        store.run(orders.erase("default", "B"))
        assert found_keys(server) == set()

    def test_erasing_a_tenant_leaves_no_index(self, store: Store, server: Server, start: Callable[..., Any]) -> None:
        fresh(store, *(tracking(f"order-{n}", f"code-{n}") for n in range(20)))
        process = start("orders", "erase", "--whole-tenant", "--yes")
        assert process.process.wait(20) == 0
        assert found_keys(server) == set()
