"""How long orders are kept, what goes with them, what erasing leaves, and what packing and rebuilding must not change."""

from collections.abc import Callable
from typing import Any

import orjson
import pytest
from msgspec.structs import replace
from support import events
from support.contents import traces
from support.events import now_us
from support.orders import accept, document, fold
from support.polling import eventually
from support.processes import Process, Receiver
from support.server import Server

from shared.history import described
from shared.store import Store, due, keys, orders
from shared.store.intake import Incoming
from worker import pack
from worker.advance import Policy
from worker.fold import fold_due
from worker.rebuild import rebuild

DAY_MS = 86_400_000
POLICY = Policy(retention_days=10, open_retention_days=30)


def webhook(reference: str, n: int = 1, status: str = "passed", item: str = "mug", **more: Any) -> Incoming:
    return events.webhook(reference, n, orderId="connected-1", itemReferenceId=item, status=status, **more)


def snapshot(reference: str, status: str = "passed") -> Incoming:
    lines = [{"itemReferenceId": "mug", "fulfillmentStatus": status}]
    return events.snapshot(reference, status, id="connected-1", items=lines)


def raw(store: Store, reference: str) -> bytes:
    found = store.run(orders.document("default", reference))
    assert found is not None
    return found


def end_ms(server: Server, reference: str) -> int:
    """When all keys of the order go: at once."""
    ends = {server.client.pexpiretime(key) for key in keys.of_order(f"default/{reference}")}
    assert len(ends) == 1, ends
    return int(ends.pop())


def texts(store: Store, reference: str) -> list[bytes]:
    return sorted(record.text for record in store.run(orders.log("default", reference)) if record.is_event)


def log_length(server: Server, reference: str) -> int:
    return int(server.client.llen(keys.log(f"default/{reference}")))


def test_an_open_order_is_kept_longer_than_one_that_has_ended(store: Store, server: Server) -> None:
    started, ended = webhook("open"), webhook("ended", status="delivered")
    accept(store, started, ended)
    fold(store, POLICY)
    assert end_ms(server, "open") == started.received // 1000 + 30 * DAY_MS
    assert end_ms(server, "ended") == ended.received // 1000 + 10 * DAY_MS


def test_the_end_counts_from_the_last_event(store: Store, server: Server) -> None:
    accept(store, replace(webhook("A", 1), received=now_us() - 5 * DAY_MS * 1000))
    fold(store, POLICY)
    last = webhook("A", 2, "printed")
    accept(store, last)
    fold(store, POLICY)
    assert end_ms(server, "A") == last.received // 1000 + 30 * DAY_MS
    accept(store, replace(webhook("A", 3, "in_production"), received=last.received - 2 * DAY_MS * 1000))
    fold(store, POLICY)
    assert end_ms(server, "A") == last.received // 1000 + 30 * DAY_MS


def test_an_order_whose_time_was_over_before_it_came_is_kept_for_a_look(store: Store, server: Server) -> None:
    accept(store, replace(webhook("A", status="delivered"), received=now_us() - 100 * DAY_MS * 1000))
    fold(store, POLICY)
    assert 3_500_000 < end_ms(server, "A") - now_us() // 1000 <= 3_600_000


def test_a_closed_order_goes_as_one_that_has_ended_until_another_event_comes(store: Store, server: Server) -> None:
    accept(store, webhook("A", 1))
    fold(store, POLICY)
    assert store.run(orders.close("default", "A", now_us()))
    fold(store, POLICY)
    closed = document(store, "A")
    assert closed["terminal"] is True
    assert closed["status"] == "passed"
    assert "closedAt" in closed
    assert end_ms(server, "A") <= now_us() // 1000 + 10 * DAY_MS
    assert not rebuild(store, "default", "A", POLICY)
    accept(store, webhook("A", 2, "printed"))
    fold(store, POLICY)
    again = document(store, "A")
    assert again["terminal"] is False
    assert "closedAt" not in again
    assert end_ms(server, "A") > now_us() // 1000 + 20 * DAY_MS
    assert not rebuild(store, "default", "A", POLICY)


def test_nothing_is_closed_that_is_not_known(store: Store, server: Server) -> None:
    assert store.run(orders.close("default", "unknown", now_us())) is False
    assert server.client.dbsize() == 0


def test_all_keys_still_end_together_after_packing_and_rebuilding(store: Store, server: Server) -> None:
    accept(store, *(webhook("A", n) for n in range(40)))
    fold(store, POLICY)
    end = end_ms(server, "A")
    assert log_length(server, "A") == 1
    rebuild(store, "default", "A", POLICY)
    assert end_ms(server, "A") == end


def test_orders_that_are_gone_are_forgotten_by_the_list(store: Store, server: Server, receiver: Receiver) -> None:
    accept(store, webhook("gone"), webhook("here"))
    fold(store, POLICY)
    for key in keys.of_order("default/gone"):
        server.client.pexpire(key, 1)
    eventually(lambda: server.client.get(keys.document("default/gone")) is None)
    answer = receiver.get("/orders")
    assert answer.status_code == 200
    assert [each["orderReferenceId"] for each in answer.json()["orders"]] == ["here"]
    assert store.run(orders.count("default")) == 1
    assert rebuild(store, "default", "gone", POLICY) is None
    assert not any(server.client.exists(key) for key in keys.of_order("default/gone"))


def test_a_mark_of_an_order_that_is_gone_is_cleared(store: Store, server: Server) -> None:
    accept(store, webhook("A"))
    fold(store, POLICY)
    server.client.delete(*keys.of_order("default/A"))
    store.run(due.mark(["default/A"]))
    fold(store, POLICY)
    assert store.run(due.pending())[:2] == (0, 0)
    assert not any(server.client.exists(key) for key in keys.of_order("default/A"))


@pytest.mark.parametrize("state", ["folded", "packed", "not folded", "under a lease", "with a poison event"])
def test_erasing_an_order_leaves_no_trace(
    store: Store, server: Server, start: Callable[..., Process], state: str
) -> None:
    reference, neighbour = "Zoë/to-be-erased", "Zoë/to-be-kept"  # no text that a number may hold by chance
    accept(store, webhook(neighbour))
    accept(store, *(webhook(reference, n) for n in range(40 if state == "packed" else 3)))
    policy = POLICY
    if state == "with a poison event":  # beyond the limit of its order: a dead letter
        policy = POLICY._replace(limits=POLICY.limits._replace(lines=1))
        accept(store, webhook(reference, 99, item="another"))
    if state == "under a lease":
        store.run(due.claim(10, 60_000, "a-claim", cluster=False))
    elif state != "not folded":
        fold(store, policy)
    sought = ("to-be-erased", keys.order_name("default", reference))
    assert traces(server, *sought)
    process = start("orders", "erase", reference, "--yes")
    assert process.process is not None
    assert process.process.wait(20) == 0, process.log.read_text()
    assert traces(server, *sought) == []
    assert traces(server, "to-be-kept")


def test_rebuilding_everything_changes_nothing(store: Store, server: Server, start: Callable[..., Process]) -> None:
    for n in range(20):
        status = ["passed", "printed", "shipped", "delivered"][n % 4]
        accept(store, *(webhook(f"R{n}", m, status) for m in range(1 + n * 3)), snapshot(f"R{n}", status))
        fold(store, POLICY)
        accept(store, snapshot(f"R{n}", status), webhook(f"R{n}", 100, "in_production"))
        fold(store, POLICY)
    store.run(orders.close("default", "R0", now_us()))
    fold(store, POLICY)
    before = {n: raw(store, f"R{n}") for n in range(20)}
    told = server.client.xlen(keys.CHANGES)
    process = start("orders", "rebuild", "--all", "--json", GELATO_RETENTION_DAYS="10", GELATO_OPEN_RETENTION_DAYS="30")
    assert process.process is not None
    assert process.process.wait(20) == 0, process.log.read_text()
    (said,) = process.said()
    assert (said["rebuilt"], said["changed"]) == (20, [])
    assert {n: raw(store, f"R{n}") for n in range(20)} == before
    assert server.client.xlen(keys.CHANGES) == told
    assert store.run(due.pending())[:2] == (0, 0)


def test_a_rebuild_mends_a_document_that_somebody_spoilt(store: Store, server: Server) -> None:
    accept(store, webhook("A", 1), webhook("A", 2, "printed"))
    fold(store, POLICY)
    good = raw(store, "A")
    server.client.delete(keys.document("default/A"))
    assert rebuild(store, "default", "A", POLICY) is False
    rebuilt = document(store, "A")
    assert rebuilt | {"updatedAt": None} == orjson.loads(good) | {"updatedAt": None}
    end_ms(server, "A")


def test_the_log_of_an_order_that_has_ended_is_one_record_that_still_tells_all(store: Store, server: Server) -> None:
    events = [webhook("A", n, status) for n, status in enumerate(("passed", "printed", "shipped"))]
    accept(store, *events)
    fold(store, POLICY)
    assert log_length(server, "A") == 3
    last = webhook("A", 9, "delivered")
    accept(store, last)
    fold(store, POLICY)
    assert log_length(server, "A") == 1
    assert texts(store, "A") == sorted(each.event.text for each in [*events, last])
    log = store.run(orders.log("default", "A"))
    assert [record.received for record in log] == [each.received for each in [*events, last]]
    assert [entry["identity"] for entry in described(log)] == [each.event.identity for each in [*events, last]]
    before = raw(store, "A")
    assert rebuild(store, "default", "A", POLICY) is False
    assert raw(store, "A") == before


def test_later_events_of_a_packed_order_are_folded_counted_and_packed_too(store: Store, server: Server) -> None:
    accept(store, webhook("A", 1, "delivered"))
    fold(store, POLICY)
    accept(store, webhook("A", 2, "returned"), webhook("A", 1, "delivered"))
    fold(store, POLICY)
    assert log_length(server, "A") == 1
    accept(store, webhook("A", 3, "passed", item="late"))  # open again
    fold(store, POLICY)
    found = document(store, "A")
    assert (found["events"], found["terminal"]) == (3, False)
    assert log_length(server, "A") == 2
    accept(store, webhook("A", 4, "canceled", item="late"))
    fold(store, POLICY)
    assert document(store, "A")["events"] == 4
    assert log_length(server, "A") == 1
    assert rebuild(store, "default", "A", POLICY) is False


def test_the_log_of_a_long_open_order_is_packed_in_lots(store: Store, server: Server) -> None:
    longest = 0
    for n in range(pack.LOT * 5):
        accept(store, webhook("A", n))
        fold(store, POLICY)
        longest = max(longest, log_length(server, "A"))
    assert log_length(server, "A") == 5
    assert longest < pack.LOT + 5
    assert len(texts(store, "A")) == pack.LOT * 5
    before = raw(store, "A")
    assert document(store, "A")["events"] == pack.LOT * 5
    assert rebuild(store, "default", "A", POLICY) is False
    assert raw(store, "A") == before
    accept(store, webhook("A", 1_000, "delivered"))
    fold(store, POLICY)
    assert log_length(server, "A") == 1
    assert len(texts(store, "A")) == pack.LOT * 5 + 1


def test_packing_keeps_what_is_not_folded_yet(store: Store, server: Server) -> None:
    accept(store, *(webhook("A", n) for n in range(pack.LOT)))
    fold_due(store, POLICY, lease_seconds=15)
    accept(store, webhook("A", 500))
    assert log_length(server, "A") == 2
    fold(store, POLICY)
    assert document(store, "A")["events"] == pack.LOT + 1


def test_a_snapshot_that_is_asked_for_every_minute_does_not_fill_the_log(store: Store, server: Server) -> None:
    first = snapshot("A")
    for n in range(100):
        accept(store, replace(first, received=first.received + n * 60_000_000))
        fold(store, POLICY)
    assert document(store, "A")["events"] == 1
    assert document(store, "A")["version"] == 1
    assert len(store.run(orders.log("default", "A"))) < 2 * pack.LOT
    before = raw(store, "A")
    assert rebuild(store, "default", "A", POLICY) is False
    assert raw(store, "A") == before


def test_a_large_tenant_is_erased_to_the_last_order(server: Server, start: Callable[..., Process]) -> None:
    pipeline = server.client.pipeline(transaction=False)
    for n in range(30_000):
        pipeline.zadd(keys.index("acme"), {f"R{n}": n})
    pipeline.execute()
    process = start("orders", "erase", "--whole-tenant", "--tenant", "acme", "--yes")
    assert process.process is not None
    process.process.wait(60)
    assert server.client.zcard(keys.index("acme")) == 0


def test_a_round_of_reconciliation_that_has_come_to_an_erased_order_forgets_it(store: Store) -> None:
    for n, after in enumerate(("gone", "kept")):
        store.client.set(keys.reconcile_position("acme"), orjson.dumps({"stage": 3, "after": [after, 5], "day": n}))
        store.run(orders.erase("acme", "gone"))
        kept = orjson.loads(store.client.get(keys.reconcile_position("acme")))
        assert kept == {"stage": 3, "after": [after.removeprefix("gone"), 5], "day": n}
