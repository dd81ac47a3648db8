"""One order over HTTP: its document, whether a reader has it already, and any reference that an order can have."""

from urllib.parse import quote

import pytest
from support.events import order_status
from support.orders import fold
from support.processes import OPS_TOKEN, Receiver
from support.raw_http import raw_get
from support.server import Server

from shared.store import Store

UNKNOWN = {"error": "unknown-order"}
ODD_REFERENCES = [
    "a/b/c",
    "a b",
    "{x}",
    "line\nbreak",
    "nul\x00inside",
    "\u202ertl\u200f",
    "quo\"te's",
    "🥨" * 255,
    "%2F",
    "100%",
    "a?b#c&d=e",
    "+",
    ";,",
    "..",
    ".",
    "x/events",
    "events",
    "changes",
    "a//b/",
    "/",
    "%3A:",
    " ",
    "0",
    "\\",
]


class TestOneDocument:
    def test_it_is_what_downstream_reads(self, receiver: Receiver, store: Store, server: Server) -> None:
        receiver.post(order_status())
        fold(store)
        answer = receiver.get("/orders/REF-1")
        assert answer.status_code == 200
        assert answer.headers["content-type"] == "application/json"
        assert answer.content == server.client.get("gelato:order:{default/REF-1}")
        assert receiver.get("/tenants/default/orders/REF-1").content == answer.content
        assert receiver.get("/orders", params={"reference": "REF-1"}).content == answer.content
        assert receiver.get("/tenants/default/orders", params={"reference": "REF-1"}).content == answer.content

    def test_an_unknown_order(self, receiver: Receiver) -> None:
        for path in ("/orders/none", "/tenants/default/orders/none", "/orders?reference=none", "/orders?reference="):
            answer = receiver.get(path)
            assert (answer.status_code, answer.json()) == (404, UNKNOWN)

    @pytest.mark.parametrize("path", ["/orders/%FF", "/orders/%C3%28", "/orders/%ED%A0%80"])
    def test_what_cannot_be_a_reference_is_unknown(self, receiver: Receiver, path: str) -> None:
        answer = raw_get(receiver, path)
        assert (answer.status_code, answer.json()) == (404, UNKNOWN)

    @pytest.mark.parametrize("path", ["/orders", "/orders/events", "/orders/changes", "/tenants/default/orders/events"])
    def test_what_cannot_be_a_reference_is_none_in_a_query_either(
        self, receiver: Receiver, store: Store, path: str
    ) -> None:
        receiver.post(order_status(orderReferenceId="\ufffd"))
        fold(store)
        for escaped in ("%FF", "%C3%28", ""):
            answer = raw_get(receiver, f"{path}?reference={escaped}")
            assert (answer.status_code, answer.json()) == (404, UNKNOWN)

    @pytest.mark.parametrize("path", ["/orders", "/orders/events", "/orders/changes"])
    def test_two_references_are_not_chosen_among(self, receiver: Receiver, store: Store, path: str) -> None:
        receiver.post(order_status(orderReferenceId="REF-1"))
        fold(store)
        answer = raw_get(receiver, f"{path}?reference=REF-1&%72eference=REF-2")
        assert (answer.status_code, answer.json()["error"]) == (400, "invalid-query")

    def test_orders_that_are_called_like_a_route_have_their_routes(self, receiver: Receiver, store: Store) -> None:
        for name in ("events", "changes"):
            receiver.post(order_status(orderReferenceId=name))
            fold(store)
            for path in (f"/orders/{name}", f"/orders/{name}?limit=1", f"/orders?reference={name}"):
                assert raw_get(receiver, path).json()["orderReferenceId"] == name
            assert len(raw_get(receiver, f"/orders/{name}/events").json()["events"]) == 1

    def test_an_order_that_is_not_folded_yet_is_unknown(self, receiver: Receiver) -> None:
        receiver.post(order_status())
        assert receiver.get("/orders/REF-1").status_code == 404

    def test_a_reader_that_has_it_is_told_so(self, receiver: Receiver, store: Store) -> None:
        receiver.post(order_status())
        fold(store)
        etag = receiver.get("/orders/REF-1").headers["etag"]
        assert etag.startswith('"')
        assert etag.endswith('"')
        for header in (etag, f"W/{etag}", f'"other", {etag}', "*"):
            answer = receiver.get("/orders/REF-1", headers={"If-None-Match": header})
            assert (answer.status_code, answer.content) == (304, b"")
            assert answer.headers["etag"] == etag
        for header in ('"other"', "", etag.strip('"')):
            assert receiver.get("/orders/REF-1", headers={"If-None-Match": header}).status_code == 200
        receiver.post(order_status(fulfillmentStatus="shipped"))
        fold(store)
        answer = receiver.get("/orders/REF-1", headers={"If-None-Match": etag})
        assert answer.status_code == 200
        assert answer.headers["etag"] != etag

    def test_a_duplicate_keeps_the_etag(self, receiver: Receiver, store: Store) -> None:
        receiver.post(order_status())
        fold(store)
        etag = receiver.get("/orders/REF-1").headers["etag"]
        receiver.post(order_status())
        fold(store)
        assert receiver.get("/orders/REF-1").headers["etag"] == etag

    @pytest.mark.parametrize("reference", ODD_REFERENCES)
    def test_any_reference_can_be_asked_for(self, receiver: Receiver, store: Store, reference: str) -> None:
        receiver.post(order_status(orderReferenceId=reference))
        fold(store)
        escaped = quote(reference, safe="").replace(".", "%2E")
        for path in (
            f"/orders/{escaped}",
            f"/tenants/default/orders/{escaped}",
            f"/orders?reference={escaped}",
            f"/orders/{escaped.replace('%2F', '%2f')}",
        ):
            answer = raw_get(receiver, path)
            assert answer.status_code == 200, path
            assert answer.json()["orderReferenceId"] == reference
        for path in (
            f"/orders/{escaped}/events",
            f"/orders/events?reference={escaped}",
            f"/tenants/default/orders/events?reference={escaped}",
        ):
            (entry,) = raw_get(receiver, path).json()["events"]
            assert entry["event"]["orderReferenceId"] == reference
        (summary,) = receiver.get("/orders").json()["orders"]
        assert summary["orderReferenceId"] == reference

    @pytest.mark.parametrize(
        "path", ["/orders/REF-1", "/orders", "/orders/REF-1/events", "/healthz", "/readyz", "/orders/none", "/nowhere"]
    )
    def test_head_is_get_without_a_body(self, receiver: Receiver, store: Store, path: str) -> None:
        receiver.post(order_status())
        fold(store)
        get = receiver.get(path)
        head = receiver.client.head(path, headers={"Authorization": f"Bearer {OPS_TOKEN}"})
        assert (head.status_code, head.content) == (get.status_code, b"")
        assert head.headers["content-type"] == get.headers["content-type"]
        assert head.headers.get("etag") == get.headers.get("etag")
