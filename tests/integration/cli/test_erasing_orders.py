"""`orders erase`: what is erased leaves no trace."""

from typing import Any

from support.commands import Gelato, one_line
from support.contents import traces
from support.orders import document, fold
from support.seed import accept_all, item
from support.server import Server

from shared.store import Store, keys, orders, submissions
from shared.store.calls import Operation
from shared.store.dead_letters import DeadLetter, bury
from shared.store.submissions import Times


def letter(tenant: str, reference: str) -> DeadLetter:
    """A dead letter of an order."""
    return DeadLetter(f"{tenant}-{reference}"[:32], tenant, "invalid-event", "status", b"{}", 1, reference)


def submitted(store: Store, *references: str) -> None:
    """Orders of the intermediary, each with a first event."""
    for reference in references:
        accept_all(store, item(reference, orderId=f"id-of-{reference}"))
        name = submissions.submit_name("default", f"key-of-{reference}")
        store.run(submissions.begin(name, b"digest", "a-claim", Times(30, 30, 30)))
        store.run(submissions.done(name, "a-claim", f"id-of-{reference}"))
        store.run(submissions.remember("default", [f"id-of-{reference}"], name, 30))
        store.run(submissions.note("default", reference, "a-claim", 1))
    fold(store)


def cut_off(operation: Operation[int], steps: int) -> Operation[bool]:
    """The first steps of an operation; whether that was all of it."""
    answer: Any = None
    for _ in range(steps):
        try:
            step = operation.send(answer)
        except StopIteration:
            return True
        answer = yield step
    return False


def test_an_erased_order_leaves_no_trace(gelato: Gelato, store: Store, server: Server) -> None:
    for reference in ("gone-1", "kept-1"):
        accept_all(store, *(item(reference, status) for status in ("created", "passed", "printed")))
        fold(store)
        accept_all(store, item(reference, "shipped"))  # not yet folded
        store.run(bury(letter("default", reference)))
    assert len(traces(server, "gone-1")) >= 6
    before = traces(server, "kept-1")
    answer = gelato("orders", "erase", "gone-1", "--yes")
    assert answer.returncode == 0, answer.stderr
    assert "1 orders, 2 changes, 1 dead letters" in answer.stdout
    assert traces(server, "gone-1") == []
    assert traces(server, "kept-1") == before
    fold(store)
    assert traces(server, "gone-1") == []
    assert document(store, "kept-1")["status"] == "shipped"


def test_an_erased_tenant_leaves_no_trace_and_others_stay(gelato: Gelato, store: Store, server: Server) -> None:
    for tenant in ("t", "t2"):
        for n in range(3):
            accept_all(store, item(f"{tenant}-order-{n}"), tenant=tenant)
        fold(store)
        accept_all(store, item(f"{tenant}-order-unfolded"), tenant=tenant)
        store.run(bury(letter(tenant, f"{tenant}-order-0")))
        store.run(bury(letter(tenant, f"{tenant}-order-without-any-event")))
    answer = gelato("orders", "erase", "--whole-tenant", "--tenant", "t", "--yes")
    assert answer.returncode == 0, answer.stderr
    assert traces(server, "t-order") == []
    assert traces(server, "{t/") == []
    assert traces(server, "{t}") == []
    fold(store)
    assert document(store, "t2-order-unfolded", "t2")["events"] == 1
    assert document(store, "t2-order-0", "t2")["events"] == 1
    assert len(traces(server, "t2-order-without-any-event")) >= 1


def test_erase_asks_first_and_wants_one_reference_or_the_whole_tenant(
    gelato: Gelato, store: Store, server: Server
) -> None:
    accept_all(store, item("mine"))
    fold(store)
    unasked = gelato("orders", "erase", "mine")  # nobody is there to say yes
    assert (unasked.returncode, "--yes" in unasked.stderr) == (2, True)
    assert document(store, "mine")["events"] == 1
    one_line(gelato("orders", "erase", "--yes"), 2)
    one_line(gelato("orders", "erase", "mine", "--whole-tenant", "--yes"), 2)
    assert document(store, "mine")["events"] == 1
    assert gelato("orders", "erase", "X", "--yes").returncode == 1


def test_what_is_known_of_an_erased_orders_submit_goes_with_it(gelato: Gelato, store: Store, server: Server) -> None:
    submitted(store, "gone-1", "kept-1")
    before = traces(server, "kept-1")
    assert len(traces(server, "gone-1")) == len(before)
    assert gelato("orders", "erase", "gone-1", "--yes").returncode == 0
    assert traces(server, "gone-1") == []
    assert traces(server, "kept-1") == before


def test_an_order_whose_erasing_was_cut_off_is_found_by_the_next(store: Store, server: Server) -> None:
    def left() -> list[str]:
        return [key for key in traces(server, "gone-1") if key != keys.CHANGES]  # these are looked for afterwards

    steps, done = 0, False
    while not done:
        submitted(store, "gone-1")
        steps += 1
        done = store.run(cut_off(orders.erase("default", "gone-1"), steps))
        if left():
            assert store.run(orders.some_references("default")) == ["gone-1"], steps
            store.run(orders.erase("default", "gone-1"))
        assert left() == []
    assert steps > 3


def test_an_order_that_cannot_be_erased_keeps_none_before_it(gelato: Gelato, store: Store, server: Server) -> None:
    for n in range(5):
        accept_all(store, item(f"order-{n}"))
        fold(store)
    broken = keys.document("default/order-3")
    whole = server.client.get(broken)
    server.client.delete(broken)
    server.client.lpush(broken, "no document")
    refused = gelato("orders", "erase", "--whole-tenant", "--yes")
    assert (refused.returncode, "wrong kind of value" in refused.stderr) == (1, True)
    assert store.run(orders.some_references("default")) == ["order-3", "order-4"]
    server.client.delete(broken)
    server.client.set(broken, whole or b"")
    assert gelato("orders", "erase", "--whole-tenant", "--yes").returncode == 0
    assert traces(server, "order-") == []
