"""`POST /webhooks/gelato`: what is accepted, and how it is read."""

from typing import Any

import pytest
from support.events import MAKERS, dumps, estimate, item_status, order_status, tracking_code, without
from support.processes import Receiver
from support.server import Server
from support.webhooks import folded

from shared.store import Store


class TestUsableEvents:
    @pytest.mark.parametrize(
        ("event", "identity"),
        [
            (order_status(), "orderStatus:os_1"),
            ({**without(order_status(), "object"), "event": "order_status_updated"}, "orderStatus:os_1"),
            (item_status(), "itemStatus:is_1"),
            ({**without(item_status(), "event"), "object": "itemStatus"}, "itemStatus:is_1"),
            (tracking_code(), "trackingCode:tc_1"),
            ({**without(tracking_code(), "event"), "object": "trackingCode"}, "trackingCode:tc_1"),
            (estimate(), "deliveryEstimate:de_1"),
            (item_status(object="orderStatus"), "itemStatus:is_1"),  # `event` goes before `object`
            (order_status(event=None), "orderStatus:os_1"),  # null is as good as absent
            (order_status(items=None, storeId=None, comment=None), "orderStatus:os_1"),
            (order_status(items=[]), "orderStatus:os_1"),
            (order_status(items=[{"itemReferenceId": 5, "fulfillmentStatus": "passed"}]), "orderStatus:os_1"),
            (item_status(itemReferenceId=17), "itemStatus:is_1"),
            (tracking_code(itemReferenceId=17, trackingCode=None), "trackingCode:tc_1"),
            (without(estimate(), "minDeliveryDate"), "deliveryEstimate:de_1"),
            (estimate(maxDeliveryDate=None), "deliveryEstimate:de_1"),
            (order_status(id=12345), "orderStatus:12345"),
            (order_status(id=10**200), f"orderStatus:{10**200}"),
            (order_status(fulfillmentStatus="x" * 64), "orderStatus:os_1"),
            (order_status(fulfillmentStatus=f"  {'x' * 64}  "), "orderStatus:os_1"),
            (order_status(fulfillmentStatus="teleported"), "orderStatus:os_1"),
            (order_status(unheardOf={"a": [1, {"b": None}]}), "orderStatus:os_1"),
            (order_status(id="i" * 255), "orderStatus:" + "i" * 255),
        ],
    )
    def test_each_is_accepted_and_folded(
        self, receiver: Receiver, store: Store, server: Server, event: dict[str, Any], identity: str
    ) -> None:
        body = dumps(event)
        answer = receiver.post(body)
        assert (answer.status_code, answer.json()) == (200, {"result": "accepted", "event": identity})
        assert receiver.post(body).json() == {"result": "duplicate", "event": identity}
        assert folded(store, "REF-1")["events"] == 1
        assert receiver.post(body).json() == {"result": "duplicate", "event": identity}

    @pytest.mark.parametrize("kind", list(MAKERS))
    @pytest.mark.parametrize("absent", [True, False])
    def test_an_id_may_be_absent_or_null(self, receiver: Receiver, kind: str, absent: bool) -> None:
        event = without(MAKERS[kind](), "id") if absent else MAKERS[kind](id=None)
        first = receiver.post(event).json()
        assert first["result"] == "accepted"
        assert first["event"].startswith(f"{kind}:-")
        assert len(first["event"]) > len(kind) + 10
        assert receiver.post(event).json() == {"result": "duplicate", "event": first["event"]}
        other = receiver.post({**event, "comment": "other content"}).json()
        assert other["result"] == "accepted"
        assert other["event"] != first["event"]

    @pytest.mark.parametrize(
        ("written", "read"),
        [
            ("Shipped", "shipped"),
            ("  in transit ", "in_transit"),
            ("IN-PRODUCTION", "in_production"),
            ("pending personalization", "pending_personalization"),
            ("Cancelled", "canceled"),
            (" CANCELLED\n", "canceled"),
            ("canceled", "canceled"),
            ("On Hold", "on_hold"),
            ("Brand New-Status", "brand_new_status"),
        ],
    )
    def test_statuses_are_normalised(
        self, receiver: Receiver, store: Store, server: Server, written: str, read: str
    ) -> None:
        receiver.post(order_status(fulfillmentStatus=written))
        receiver.post(item_status(orderReferenceId="REF-2", status=written))
        assert folded(store, "REF-1")["status"] == read
        assert folded(store, "REF-2")["items"]["mug"]["status"] == read

    @pytest.mark.parametrize(
        "reference",
        [
            "plain",
            "with space",
            "a/b/c",
            "a{b}c",
            "{x}",
            "}{",
            "line\nbreak\r\ntab\t",
            "nul\x00inside",
            "\u202eright-to-left\u200f",
            "quote\"s and 'others' and \\",
            "🥨" * 255,
            "ä" * 255,
            "%2F",
            "%",
            "a?b#c&d=e",
            ":;,*[]()",
            "..",
            ".",
            "-_.~",
            " ",
            "default/other",
            "{default/REF-1}",
            "{{half",
            "half}}",
            "\ufeffbom",
            "e\u0301 and \u00e9",
        ],
    )
    def test_a_reference_is_any_text(self, receiver: Receiver, store: Store, server: Server, reference: str) -> None:
        answer = receiver.post(order_status(orderReferenceId=reference))
        assert answer.json()["result"] == "accepted"
        found = folded(store, reference)
        assert found["orderReferenceId"] == reference
        assert found["tenant"] == "default"
        assert receiver.post(order_status(orderReferenceId=reference)).json()["result"] == "duplicate"

    @pytest.mark.parametrize("number", [0, -1, 7, 2**63 - 1, 2**64 + 1, int("9" * 255), -(10**253)])
    def test_integers_are_kept_as_strings(self, receiver: Receiver, store: Store, server: Server, number: int) -> None:
        event = order_status(orderReferenceId=number, orderId=number)
        event["items"] = [{"itemReferenceId": number, "fulfillmentStatus": "passed"}]
        assert receiver.post(dumps(event)).json()["result"] == "accepted"
        found = folded(store, str(number))
        assert found["orderReferenceId"] == str(number)
        assert found["connectedOrderIds"] == [str(number)]
        assert list(found["items"]) == [str(number)]

    def test_an_integer_and_its_text_are_one_order(self, receiver: Receiver, store: Store, server: Server) -> None:
        receiver.post(order_status(orderReferenceId=42))
        receiver.post(item_status(orderReferenceId="42"))
        assert folded(store, "42")["events"] == 2
