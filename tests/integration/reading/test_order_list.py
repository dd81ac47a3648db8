"""The list of orders over HTTP and on the command line, by filters and by search, beyond what one page looks at."""

from datetime import UTC, datetime, timedelta
from typing import Any

import orjson
import pytest
from support import events
from support.commands import Gelato
from support.events import now_us
from support.orders import accept, fold
from support.processes import READ_TOKEN, Receiver
from support.server import Server

from shared.store import Store, keys
from shared.store.intake import Incoming

HOUR_US = 3_600_000_000


def item(reference: str, status: str = "passed", *, hours: float = 0.0, **more: Any) -> Incoming:
    fields = {"orderId": f"gelato-{reference}", "status": status, **more}
    return events.webhook(reference, received=now_us() - int(hours * HOUR_US), **fields)


def listed(receiver: Receiver, **query: Any) -> list[str]:
    """The references on all pages."""
    found: list[str] = []
    cursor: str | None = None
    while True:
        page = receiver.get("/orders", READ_TOKEN, params={**query, **({"cursor": cursor} if cursor else {})})
        assert page.status_code == 200, page.text
        found += [each["orderReferenceId"] for each in page.json()["orders"]]
        cursor = page.json()["cursor"]
        if cursor is None:
            return found


def ago(hours: float) -> str:
    return (datetime.now(UTC) - timedelta(hours=hours)).isoformat()


@pytest.fixture
def many(store: Store, receiver: Receiver) -> None:
    """2,200 orders, of which the oldest few differ."""
    rare = [item("rare-1", "on_hold"), item("rare-2", "on_hold", orderId="shared"), item("rare/3 é", "teleported")]
    accept(store, *rare)
    accept(store, events.snapshot("half", id="gelato-half", connectedOrderIds=["gelato-half", "silent"]))
    fold(store)
    for lot in range(4):
        accept(store, *(item(f"order-{lot}-{n}", "delivered") for n in range(550)))
        fold(store)


@pytest.mark.usefixtures("many")
def test_rare_orders_come_on_the_first_page_however_many_others_are_newer(receiver: Receiver, gelato: Gelato) -> None:
    def first(**query: Any) -> list[str]:
        answer = receiver.get("/orders", params=query).json()
        return [each["orderReferenceId"] for each in answer["orders"]]

    assert sorted(first(attention="true")) == ["rare-1", "rare-2"]
    assert sorted(first(status="on_hold", terminal="false")) == ["rare-1", "rare-2"]
    assert first(status="teleported") == ["rare/3 é"]
    assert first(complete="false") == ["half"]
    assert first(complete="false", attention="true") == []
    assert sorted(first(terminal="false")) == ["half", "rare-1", "rare-2", "rare/3 é"]
    assert first(status="created", attention="false") == ["half"]
    assert first(q="shared") == ["rare-2"]
    assert first(q="gelato-order-3-77", status="delivered") == ["order-3-77"]
    assert first(q="gelato-order-3-77", status="passed") == []
    assert len(listed(receiver, terminal="true", limit=500)) == 2_200

    def told(*arguments: str) -> list[str]:
        return [each["orderReferenceId"] for each in orjson.loads(gelato("orders", *arguments, "--json").stdout)]

    assert sorted(told("list", "--attention")) == ["rare-1", "rare-2"]
    assert told("list", "--incomplete") == ["half"]
    assert told("list", "--disagrees") == []
    assert len(told("list", "--idle", "0")) == 4
    assert told("find", "silent") == ["half"]
    assert gelato("orders", "find", "nobody").returncode == 1


def test_filters_together_hold_and_pages_have_each_order_once(store: Store, receiver: Receiver) -> None:
    accept(store, *(item(f"order-{n}", "on_hold" if n % 2 else "passed") for n in range(90)))
    fold(store)
    expected = {f"order-{n}" for n in range(1, 90, 2)}
    pages = listed(receiver, status="on_hold", attention="true", terminal="false", limit=7)
    assert len(pages) == len(expected)
    assert set(pages) == expected
    assert len(listed(receiver, status="On-Hold", limit=50)) == len(expected)  # statuses are normalised
    assert listed(receiver, status="on_hold", attention="false") == []
    assert listed(receiver, status="on_hold", updatedSince=ago(-1)) == []
    assert set(listed(receiver, status="on_hold", updatedSince=ago(1), limit=10)) == expected


def test_idle_orders_come_longest_silent_first(store: Store, receiver: Receiver) -> None:
    accept(
        store,
        item("day", hours=24),
        item("week", "on_hold", hours=168),
        item("new"),
        item("done", "delivered", hours=99),
    )
    fold(store)
    assert listed(receiver, idleSince=ago(1)) == ["week", "day"]
    assert listed(receiver, idleSince=ago(1), limit=1) == ["week", "day"]
    assert listed(receiver, idleSince=ago(48)) == ["week"]
    assert listed(receiver, idleSince=ago(1), attention="false") == ["day"]
    assert receiver.get("/orders?idleSince=yesterday").status_code == 400


@pytest.mark.parametrize("text", ["a b", "{x}", "🥨" * 100, "%2F", "<script>", "nul\x00"])
def test_search_takes_any_text(store: Store, receiver: Receiver, text: str) -> None:
    accept(store, item(text), item("other", itemReferenceId=f"item {text}"))
    fold(store)
    assert listed(receiver, q=text) == [text]
    assert listed(receiver, q=f"gelato-{text}") == [text]
    assert listed(receiver, q=f"item {text}") == ["other"]
    assert listed(receiver, q="nobody") == listed(receiver, q="") == []


def test_an_entry_that_is_behind_its_document_is_not_listed(store: Store, receiver: Receiver, server: Server) -> None:
    accept(store, item("A"), item("B", "on_hold"))
    fold(store)
    server.client.zadd(keys.flagged("default", 1), {"A": 1, "gone": 2})
    assert listed(receiver, attention="true") == ["B"]
