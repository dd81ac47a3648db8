"""An erased order stays erased, whoever was at work on it; and what comes for it afterwards is a new order."""

from collections.abc import Callable

import pytest
from support.contents import traces
from support.events import webhook
from support.mortal import Died, Mortal
from support.orders import accept, document, fold, fold_all, fold_once
from support.polling import eventually
from support.server import Server

from shared.store import Store, keys, orders, scripts
from worker.advance import Policy
from worker.rebuild import rebuild

Mortals = Callable[[], Mortal]


def erase(store: Store, reference: str) -> None:
    store.run(orders.erase("default", reference))


def die(_: object) -> None:
    raise Died


def items(store: Store, reference: str) -> list[str]:
    return sorted(document(store, reference)["items"])


@pytest.mark.parametrize("how", ["fold", "rebuild"])
def test_what_was_folded_of_an_erased_order_is_not_written_to_the_one_that_comes_after_it(
    store: Store, mortal: Mortals, how: str
) -> None:
    slow = mortal()
    accept(store, webhook("A", itemReferenceId="erased"))

    def come_between(_: object) -> None:
        erase(store, "A")
        accept(store, webhook("A", itemReferenceId="new"))

    slow.before[scripts.COMMIT] = come_between
    if how == "fold":
        assert fold_once(slow).conflicts == 1
    else:
        rebuild(slow, "default", "A", Policy())
    fold_all(store)
    assert items(store, "A") == ["new"]


def test_what_was_packed_of_an_erased_order_is_not_put_into_the_log_of_the_one_that_comes_after_it(
    store: Store, server: Server, mortal: Mortals
) -> None:
    slow = mortal()
    first = [webhook("A", n, status="delivered", itemReferenceId="mug", comment="erased") for n in range(2)]
    accept(store, *first)

    def come_between(_: object) -> None:
        erase(store, "A")
        accept(store, *(webhook("A", n, status="passed", comment="new") for n in range(2)))
        fold(store)

    slow.before[scripts.PACK] = come_between
    fold_once(slow)
    assert traces(server, "erased") == []
    assert len(store.run(orders.log("default", "A"))) == 2
    assert rebuild(store, "default", "A", Policy()) is False


def test_a_change_that_is_announced_after_its_order_was_erased_is_taken_back(
    store: Store, server: Server, mortal: Mortals
) -> None:
    slow = mortal()
    accept(store, webhook("gone"), webhook("kept"))
    slow.before[scripts.INDEX] = lambda _: erase(store, "gone")
    fold_once(slow)
    assert traces(server, "gone") == []
    assert [each.reference for each in store.run(orders.newest("default", None, 10))] == ["kept"]
    assert server.client.xlen(keys.CHANGES) == 1


def test_a_late_announcement_does_not_take_the_next_order_of_that_name_out_of_the_index(
    store: Store, server: Server, mortal: Mortals
) -> None:
    slow = mortal()
    accept(store, webhook("A", itemReferenceId="erased"))

    def come_between(_: object) -> None:
        erase(store, "A")
        accept(store, webhook("A", itemReferenceId="new"))
        fold(store)

    slow.before[scripts.ANNOUNCED] = come_between
    fold_once(slow)
    assert items(store, "A") == ["new"]
    assert [each.reference for each in store.run(orders.newest("default", None, 10))] == ["A"]
    assert [fields[b"version"] for _, fields in server.client.xrange(keys.CHANGES)] == [b"1"]


def test_a_change_that_waited_and_is_announced_after_the_erasure_is_taken_back(
    store: Store, server: Server, mortal: Mortals
) -> None:
    accept(store, webhook("gone"))
    dying = mortal()
    dying.before[scripts.INDEX] = die
    with pytest.raises(Died):
        fold_once(dying, lease_seconds=0.01)
    late = mortal()
    late.before[scripts.INDEX] = lambda _: erase(store, "gone")
    eventually(lambda: fold_once(late).orders == 1, what="the lease to end")
    assert traces(server, "gone") == []
