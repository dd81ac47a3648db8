"""`POST /webhooks/gelato`: what is quarantined, refused, ignored, or no webhook at all."""

import os
from typing import Any

import orjson
import pytest
from support.events import MAKERS, estimate, item_status, order_status, tracking_code, without
from support.polling import eventually
from support.processes import SECRET, Receiver, fixture
from support.server import Server
from support.webhooks import ACME_NEW, ACME_OLD, BEARER, letter, stored_keys

UNUSABLE: list[tuple[Any, str]] = [
    *[(without(make(), field), field) for make in MAKERS.values() for field in ("orderId", "orderReferenceId")],
    *[(make(**{field: None}), field) for make in MAKERS.values() for field in ("orderId", "orderReferenceId")],
    *[
        (order_status(**{field: value}), field)
        for field in ("orderId", "orderReferenceId", "id")
        for value in ("", "x" * 256, "🥨" * 256, True, False, 1.5, [], {}, ["a"], {"a": 1})
    ],
    (without(order_status(), "fulfillmentStatus"), "fulfillmentStatus"),
    *[
        (order_status(fulfillmentStatus=value), "fulfillmentStatus")
        for value in (None, "", "  ", "x" * 65, 5, [], True)
    ],
    *[(order_status(items=value), "items") for value in ({}, "x", 5, True, [5], [None], [[]], ["mug"])],
    (order_status(items=[{"fulfillmentStatus": "passed"}]), "itemReferenceId"),
    (order_status(items=[{"itemReferenceId": None, "fulfillmentStatus": "passed"}]), "itemReferenceId"),
    (order_status(items=[{"itemReferenceId": "", "fulfillmentStatus": "passed"}]), "itemReferenceId"),
    (order_status(items=[{"itemReferenceId": 1.5, "fulfillmentStatus": "passed"}]), "itemReferenceId"),
    (order_status(items=[{"itemReferenceId": "mug"}]), "fulfillmentStatus"),
    (order_status(items=[{"itemReferenceId": "mug", "fulfillmentStatus": 3}]), "fulfillmentStatus"),
    (order_status(items=[{"itemReferenceId": "mug", "fulfillmentStatus": ""}]), "fulfillmentStatus"),
    (without(item_status(), "itemReferenceId"), "itemReferenceId"),
    (without(item_status(), "status"), "status"),
    (item_status(status=None), "status"),
    (item_status(status=["printed"]), "status"),
    (item_status(itemReferenceId="x" * 256), "itemReferenceId"),
    (without(tracking_code(), "itemReferenceId"), "itemReferenceId"),
    (tracking_code(itemReferenceId=True), "itemReferenceId"),
    (estimate(minDeliveryDate=None, maxDeliveryDate=None), "DeliveryDate"),
    (estimate(minDeliveryDate="soon", maxDeliveryDate=5), "DeliveryDate"),
    (without(order_status(), "object"), "event"),
    (order_status(object=None), "event"),
    (order_status(event=5), "event"),
    (order_status(event=["order_status_updated"]), "event"),
    (order_status(object={}), "object"),
    ([], "body"),
    ([order_status()], "body"),
    ("text", "body"),
    (5, "body"),
    (None, "body"),
    (True, "body"),
    ({}, "event"),
]


class TestUnusableEvents:
    @pytest.mark.parametrize(("event", "field"), UNUSABLE)
    def test_each_is_quarantined_and_its_field_named(
        self, receiver: Receiver, server: Server, event: Any, field: str
    ) -> None:
        answer = receiver.post(event)
        content = answer.json()
        assert answer.status_code == 202
        assert sorted(content) == ["deadLetter", "detail", "reason", "result"]
        assert (content["result"], content["reason"]) == ("quarantined", "invalid-event")
        assert field in content["detail"]
        kept = letter(server, content["deadLetter"])
        assert kept[b"payload"] == orjson.dumps(event)
        assert kept[b"reason"] == b"invalid-event"
        assert not [key for key in stored_keys(server) if b"dead-letter" not in key]

    @pytest.mark.parametrize("name", ["order_status_update", "", "ORDER_STATUS_UPDATED", "{{x}}", "x" * 5000])
    @pytest.mark.parametrize("field", ["event", "object"])
    def test_an_unknown_name_is_quarantined(self, receiver: Receiver, server: Server, field: str, name: str) -> None:
        event = {**without(order_status(), "object"), field: name}
        answer = receiver.post(event)
        assert answer.status_code == 202
        assert answer.json()["reason"] == "unknown-event"
        assert field in answer.json()["detail"]
        assert letter(server, answer.json()["deadLetter"])[b"orderReferenceId"] == b"REF-1"

    @pytest.mark.parametrize(
        "event",
        [
            order_status(fulfillmentStatus=5),
            order_status(orderId=None),
            item_status(status=None),
            order_status(items={}),
            {"orderReferenceId": "REF-1"},
            order_status(event=5),
            order_status(event="nonsense"),
        ],
    )
    def test_the_reference_is_kept_with_the_letter_when_it_is_known(
        self, receiver: Receiver, server: Server, event: dict[str, Any]
    ) -> None:
        kept = letter(server, receiver.post(event).json()["deadLetter"])
        assert kept[b"orderReferenceId"] == b"REF-1"

    def test_the_same_body_again_raises_the_count_of_its_letter(self, receiver: Receiver, server: Server) -> None:
        body = b'{ "object":"orderStatus",   "id": 1.50 }'
        ids = {receiver.post(body).json()["deadLetter"] for _ in range(3)}
        other = receiver.post(body + b" ").json()["deadLetter"]
        assert len(ids) == 1
        kept = letter(server, ids.pop())
        assert kept[b"count"] == b"3"
        assert kept[b"payload"] == body
        assert int(kept[b"lastSeenAt"]) > int(kept[b"receivedAt"])
        assert letter(server, other)[b"count"] == b"1"
        assert letter(server, other)[b"payload"] == body + b" "
        assert server.client.zcard("gelato:dead-letters") == 2

    def test_the_same_body_for_two_tenants_is_two_letters(self, receiver: Receiver, server: Server) -> None:
        first = receiver.post(b"{}").json()["deadLetter"]
        second = receiver.client.post("/webhooks/gelato/acme", content=b"{}", headers={"Signature": ACME_NEW}).json()
        assert first != second["deadLetter"]
        assert letter(server, first)[b"tenant"] == b"default"
        assert letter(server, second["deadLetter"])[b"tenant"] == b"acme"

    def test_a_bad_event_does_not_keep_the_good_one_out(self, receiver: Receiver) -> None:
        assert receiver.post(order_status(fulfillmentStatus=None)).status_code == 202
        assert receiver.post(order_status()).json()["result"] == "accepted"


class TestNotJson:
    @pytest.mark.parametrize(
        "body",
        [
            b"",
            b" ",
            b"{",
            b"}",
            b"{'a': 1}",
            b'{"a":1,}',
            b'{"a":1} x',
            b'{"a":1}{"a":1}',
            b"undefined",
            b"a=1&b=2",
            b"\x00",
            b'{"a":"\xff\xfe"}',
            b"\xff\xfe{\x00}\x00",
            b'{"a":"\x01"}',
            b'{"a":"\xed\xa0\x80"}',
            b"\x1f\x8b\x08gzip",
        ],
    )
    def test_it_is_refused_and_kept_byte_for_byte(self, receiver: Receiver, server: Server, body: bytes) -> None:
        answer = receiver.post(body)
        content = answer.json()
        assert answer.status_code == 400
        assert sorted(content) == ["deadLetter", "detail", "error"]
        assert content["error"] == "invalid-json"
        assert isinstance(content["detail"], str)
        kept = letter(server, content["deadLetter"])
        assert kept[b"payload"] == body
        assert kept[b"reason"] == b"invalid-json"
        assert kept[b"count"] == b"1"
        assert receiver.post(body).json()["deadLetter"] == content["deadLetter"]
        assert letter(server, content["deadLetter"])[b"count"] == b"2"


class TestIgnoredAndTests:
    @pytest.mark.parametrize("field", ["event", "object"])
    @pytest.mark.parametrize(
        "name",
        [
            "store_product_created",
            "store_product_updated",
            "store_product_deleted",
            "store_product_template_created",
            "store_product_template_updated",
            "store_product_template_deleted",
            "catalog_product_stock_availability_updated",
        ],
    )
    def test_an_event_that_is_not_about_an_order_is_ignored(
        self, receiver: Receiver, server: Server, name: str, field: str
    ) -> None:
        answer = receiver.post({field: name, "id": "x", "orderReferenceId": 5.5})
        assert (answer.status_code, answer.json()) == (200, {"result": "ignored", "event": name})
        assert stored_keys(server) == []

    def test_the_documentations_stock_event_is_ignored(self, receiver: Receiver) -> None:
        name = "catalog_product_stock_availability_updated"
        assert receiver.post(fixture(f"docs-{name}.json")).json() == {"result": "ignored", "event": name}

    @pytest.mark.parametrize(
        "body",
        [
            *(
                fixture(f"docs-{name}.json")
                for name in (
                    "order_status_updated",
                    "order_item_status_updated",
                    "order_item_tracking_code_updated",
                    "order_delivery_estimate_updated",
                )
            ),
            *(orjson.dumps(make(orderReferenceId="{{MyOrderId}}")) for make in MAKERS.values()),
            orjson.dumps(order_status(orderId="a6a1f9ce-2bdd-4a9e-9f8d-0009df0e24d9")),
            orjson.dumps(item_status(orderId="e82885f8-f92a-4326-b2c7-77d010f6996f")),
        ],
    )
    def test_a_test_notification_touches_nothing_and_is_logged(
        self, receiver: Receiver, server: Server, body: bytes
    ) -> None:
        before = sum(line.get("result") == "test" for line in receiver.said())
        answer = receiver.post(body)
        assert (answer.status_code, answer.json()) == (200, {"result": "test"})
        assert stored_keys(server) == []
        eventually(
            lambda: sum(line.get("result") == "test" for line in receiver.said()) == before + 1, what="its log line"
        )


class TestMethodsAndPaths:
    @pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "PATCH", "OPTIONS", "HEAD"])
    def test_only_post_is_a_webhook(self, receiver: Receiver, method: str) -> None:
        answer = receiver.client.request(method, "/webhooks/gelato", headers={"X-Webhook-Secret": SECRET})
        assert answer.status_code == 405
        assert answer.headers["allow"] == "POST"
        assert answer.headers["content-type"] == "application/json"

    @pytest.mark.parametrize("path", ["/webhooks/gelato/a/b", "/webhooks", "/webhooks/other"])
    def test_other_paths_are_not_found(self, receiver: Receiver, path: str) -> None:
        answer = receiver.client.post(path, content=b"{}", headers={"X-Webhook-Secret": SECRET})
        assert answer.status_code == 404
        assert answer.json()["error"]

    def test_nothing_secret_and_no_payload_is_in_the_log(self, receiver: Receiver) -> None:
        marked = f"marked-{os.urandom(4).hex()}"
        for body in (
            orjson.dumps(order_status(comment=marked)),
            orjson.dumps(order_status(comment=marked, fulfillmentStatus=5)),
            f'{{"{marked}'.encode(),
            orjson.dumps({"event": "nope", "x": marked}),
        ):
            receiver.post(body)
        receiver.post(b"{}", secret=marked)
        receiver.post(order_status(orderReferenceId=f"END-{marked[:2]}"))
        eventually(lambda: b"END-ma" in receiver.log.read_bytes(), what="the last line")
        said = receiver.log.read_bytes()
        for text in (marked, SECRET, ACME_OLD, ACME_NEW, BEARER):
            assert text.encode() not in said
