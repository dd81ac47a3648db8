"""The list of orders over HTTP: its pages, filters and times; what is asked wrongly."""

import time
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from msgspec.structs import replace
from support.events import now_us, order_status
from support.orders import fold
from support.processes import OPS_TOKEN, READ_TOKEN, Receiver
from support.raw_http import raw_get
from support.server import Server

from shared import canonical
from shared.events import Usable, content_digest
from shared.store import Store, intake
from shared.store.intake import Incoming


def identifiers(receiver: Receiver, **query: Any) -> list[str]:
    """The references of all pages."""
    found: list[str] = []
    cursor: str | None = None
    for _ in range(1_000):
        more = {} if cursor is None else {"cursor": cursor}
        page = receiver.get("/orders", params={**query, **more}, timeout=2.0)
        assert page.status_code == 200
        found += [summary["orderReferenceId"] for summary in page.json()["orders"]]
        assert len(page.json()["orders"]) <= int(query.get("limit", 50))
        cursor = page.json()["cursor"]
        if cursor is None:
            return found
    pytest.fail("the pages do not end")


class TestTheList:
    def test_an_empty_one(self, receiver: Receiver) -> None:
        assert receiver.get("/orders").json() == {"orders": [], "cursor": None}

    def test_the_newest_change_comes_first(self, receiver: Receiver, store: Store) -> None:
        for reference in ("A", "B", "C", "A"):
            receiver.post(
                order_status(
                    orderReferenceId=reference,
                    id=f"os_{time.monotonic_ns()}",
                    fulfillmentStatus=f"s{time.monotonic_ns()}",
                )
            )
            time.sleep(0.003)  # another millisecond
            fold(store)
        assert identifiers(receiver) == ["A", "C", "B"]

    @pytest.mark.parametrize("limit", [1, 7, 99, 100, 500])
    @pytest.mark.parametrize("how", ["as folded", "in one millisecond", "in three milliseconds"])
    def test_pages_hold_every_order_once(
        self, receiver: Receiver, store: Store, server: Server, how: str, limit: int
    ) -> None:
        count = 40 if limit == 1 else 230
        references = [f"R/{n} ä" for n in range(count)]
        body = canonical.dumps(order_status())
        usable = [Usable("orderStatus", "orderStatus:os_1", "order-1", r, {}, b"", b"") for r in references]
        made = []
        for each in usable:
            text = body.replace(b"REF-1", each.reference.encode())
            made.append(Incoming("default", replace(each, text=text, digest=content_digest(b"W", text)), now_us()))
        store.run(intake.accept(made, cluster=False))
        fold(store)
        index = "gelato:index:{default}"
        if how != "as folded":
            step = 1 if how == "in one millisecond" else 3
            for n, name in enumerate(sorted(server.client.zrange(index, 0, -1))):
                server.client.zadd(index, {name: 1_800_000_000_000 + n % step})
        found = identifiers(receiver, limit=limit)
        assert sorted(found) == sorted(references)
        assert sorted(identifiers(receiver, limit=limit, status="passed")) == sorted(references)
        assert identifiers(receiver, limit=limit, status="shipped") == []

    def test_a_change_between_two_pages_hides_no_order(self, receiver: Receiver, store: Store) -> None:
        for n in range(10):
            receiver.post(order_status(orderReferenceId=f"R-{n}"))
        fold(store)
        first = receiver.get("/orders", params={"limit": 4}).json()
        receiver.post(order_status(orderReferenceId="R-new"))
        moved = first["orders"][0]["orderReferenceId"]
        receiver.post(order_status(orderReferenceId=moved, id="os_2", fulfillmentStatus="shipped"))
        fold(store)
        rest = receiver.get("/orders", params={"limit": 500, "cursor": first["cursor"]}).json()
        seen = [summary["orderReferenceId"] for page in (first, rest) for summary in page["orders"]]
        assert {f"R-{n}" for n in range(10)} <= set(seen)

    def test_each_filter(self, receiver: Receiver, store: Store) -> None:
        receiver.post(order_status(orderReferenceId="done", fulfillmentStatus="delivered"))
        receiver.post(order_status(orderReferenceId="held", fulfillmentStatus="on_hold"))
        receiver.post(
            order_status(
                orderReferenceId="going", fulfillmentStatus="printed", connectedOrderIds=["order-1", "order-2"]
            )
        )
        receiver.post(order_status(orderReferenceId="whole", fulfillmentStatus="printed", connectedOrderIds=[]))
        fold(store)

        def found(**query: Any) -> list[str]:
            return sorted(identifiers(receiver, **query))

        assert found(status="delivered") == ["done"]
        assert found(status="printed") == ["whole"]
        assert found(status="created") == ["going"], "its silent sibling is created"
        assert found(terminal="true") == ["done"]
        assert found(terminal="false") == ["going", "held", "whole"]
        assert found(complete="true") == ["whole"]
        assert found(complete="false") == ["going"]
        assert found(attention="true") == ["held"]
        assert found(attention="false") == ["done", "going", "whole"]
        assert found(terminal="false", attention="false", complete="true") == ["whole"]

    def test_updated_since(self, receiver: Receiver, store: Store, server: Server) -> None:
        receiver.post(order_status(orderReferenceId="old"))
        receiver.post(order_status(orderReferenceId="new"))
        fold(store)
        now = datetime.now(UTC)
        server.client.zadd("gelato:index:{default}", {"old": (now - timedelta(hours=1)).timestamp() * 1000 // 1})
        for since in (now - timedelta(minutes=30), (now - timedelta(minutes=30)).replace(tzinfo=None)):
            assert identifiers(receiver, updatedSince=since.isoformat()) == ["new"]
        assert identifiers(receiver, updatedSince=(now - timedelta(hours=2)).isoformat()) == ["new", "old"]
        assert identifiers(receiver, updatedSince=(now + timedelta(hours=1)).isoformat()) == []
        offset = (now - timedelta(minutes=30)).isoformat()
        unescaped = raw_get(receiver, f"/orders?updatedSince={offset}")  # its + arrives as a blank
        assert [summary["orderReferenceId"] for summary in unescaped.json()["orders"]] == ["new"]
        shown = receiver.get("/orders/new").json()["updatedAt"]
        assert "new" in identifiers(receiver, updatedSince=shown)

    @pytest.mark.parametrize(
        "query",
        [
            "limit=0",
            "limit=501",
            "limit=x",
            "limit=-1",
            "limit=",
            "limit=1.5",
            "limit=00000019999",
            "terminal=maybe",
            "complete=",
            "attention=2",
            "updatedSince=yesterday",
            "updatedSince=",
            "cursor=nonsense",
            "cursor=",
        ],
    )
    def test_a_query_that_makes_no_sense_is_refused(self, receiver: Receiver, query: str) -> None:
        answer = raw_get(receiver, f"/orders?{query}")
        assert answer.status_code == 400
        assert query.partition("=")[0] in answer.json()["detail"]

    def test_an_order_that_is_gone_is_not_listed(self, receiver: Receiver, store: Store, server: Server) -> None:
        receiver.post(order_status(orderReferenceId="gone"))
        receiver.post(order_status(orderReferenceId="here"))
        fold(store)
        server.client.delete(*(f"gelato:{key}:{{default/gone}}" for key in ("order", "state", "log", "meta")))
        assert identifiers(receiver) == ["here"]

    def test_a_tenants_list_is_that_tenants(self, receiver: Receiver, store: Store) -> None:
        receiver.post(order_status(orderReferenceId="OURS"))
        receiver.post(order_status(orderReferenceId="THEIRS"), tenant="acme", secret="acmes-secret")
        fold(store)
        for token, path, wanted in (
            (OPS_TOKEN, "/orders", "OURS"),
            (READ_TOKEN, "/orders", "OURS"),
            ("acme-reads", "/tenants/acme/orders", "THEIRS"),
            (OPS_TOKEN, "/tenants/acme/orders", "THEIRS"),
        ):
            assert [each["orderReferenceId"] for each in receiver.get(path, token).json()["orders"]] == [wanted]
