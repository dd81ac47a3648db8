"""Finding orders by each of their names."""

import pytest
from support.folding.indexed import (
    find,
    fresh,
    item_status,
    snapshot,
    tracking,
)
from support.orders import accept, fold

from shared.store import Store, keys, listing, orders, search
from shared.store.listing import Listed
from shared.store.search import Flag

ODD = ["a b", "a/b", "%2F", "{x}", "🥨" * 50, "nul\x00inside", "<script>", "100%"]


class TestFinding:
    @pytest.mark.parametrize("reference", ODD)
    def test_an_order_is_found_by_each_of_its_names(self, store: Store, reference: str) -> None:
        fresh(store, item_status(reference, orderId="order/1 é"), tracking(reference, "code 1/é", orderId="order/1 é"))
        fresh(store, item_status("other"))
        for text in (reference, "order/1 é", "code 1/é", "  code 1/é \n"):
            assert find(store, text) == [reference]

    def test_nothing_is_found_by_half_a_name_or_none(self, store: Store) -> None:
        fresh(store, item_status("A", orderId="gelato-1"))
        for text in ("gelato-", "gelato-10", "", "  ", "a", "\ud800"):
            assert find(store, text) == []

    def test_another_tenants_orders_are_not_found(self, store: Store) -> None:
        fresh(store, item_status("A", orderId="shared", tenant="acme"))
        fresh(store, item_status("B", orderId="shared"))
        assert find(store, "shared") == ["B"]
        assert find(store, "shared", "acme") == ["A"]
        assert find(store, "A") == []

    def test_a_parcel_with_two_orders_leads_to_both_the_last_first(self, store: Store) -> None:
        fresh(store, tracking("A", "code"))
        fresh(store, tracking("B", "code"))
        fresh(store, tracking("A", "code", itemReferenceId="pen", n=2))
        assert find(store, "code") == ["B", "A"]

    def test_an_id_leads_to_a_bounded_number_of_orders(self, store: Store) -> None:
        for n in range(40):
            accept(store, tracking(f"order-{n:02}", "code"))
        fold(store)
        assert len(store.run(search.find("default", "code", 100))) == 32

    def test_an_item_finds_the_newest_orders_with_it(self, store: Store) -> None:
        for n in range(30):
            fresh(store, item_status(f"order-{n}", itemReferenceId="mug-15-oz" if n % 2 else "pen"))
        assert store.run(search.find("default", "mug-15-oz", 3)) == ["order-29", "order-27", "order-25"]
        assert len(store.run(search.find("default", "mug-15-oz", 100))) == 15
        assert find(store, "mug") == []

    def test_connected_orders_that_were_only_named_are_found(self, store: Store) -> None:
        fresh(store, snapshot("A", "passed", ["gelato-A", "silent-one"]))
        assert find(store, "silent-one") == ["A"]


def test_a_page_goes_on_behind_an_order_that_is_gone(store: Store) -> None:
    fresh(store, *(item_status(f"order-{n}") for n in range(5)))
    page = store.run(listing.newest(keys.index("default"), None, 5))
    store.run(orders.erase("default", page[2].reference))
    assert store.run(search.flagged("default", Flag.OPEN, Listed(*page[2]), 9)) == page[3:]
