"""`POST /webhooks/gelato`: every row of the contract's table, against a real receiver and a real server."""

import http.client
import json
import os
import signal
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import orjson
import pytest
from support.polling import eventually
from support.processes import SECRET, Receiver, environment, fixture
from support.server import Server

from shared.settings import Settings
from shared.store import Store
from worker.shift import shift

ACME_OLD, ACME_NEW = "acmes-old-secret", "acmes-new-secret"
BEARER = "the-secret-of-bearer"
TENANTS = f"""
[acme]
secrets = ["{ACME_OLD}", "{ACME_NEW}"]
header = "Signature"

[bearer]
secret = "{BEARER}"
header = "Authorization"

[closed]
read_tokens = ["closed-reads"]
"""
MIB = 1_048_576


def order_status(**more: Any) -> dict[str, Any]:
    return {
        "object": "orderStatus",
        "id": "os_1",
        "orderId": "order-1",
        "orderReferenceId": "REF-1",
        "fulfillmentStatus": "passed",
        **more,
    }


def item_status(**more: Any) -> dict[str, Any]:
    return {
        "event": "order_item_status_updated",
        "id": "is_1",
        "orderId": "order-1",
        "orderReferenceId": "REF-1",
        "itemReferenceId": "mug",
        "status": "printed",
        **more,
    }


def tracking_code(**more: Any) -> dict[str, Any]:
    return {
        "event": "order_item_tracking_code_updated",
        "id": "tc_1",
        "orderId": "order-1",
        "orderReferenceId": "REF-1",
        "itemReferenceId": "mug",
        "trackingCode": "code123",
        **more,
    }


def estimate(**more: Any) -> dict[str, Any]:
    return {
        "event": "order_delivery_estimate_updated",
        "id": "de_1",
        "orderId": "order-1",
        "orderReferenceId": "REF-1",
        "minDeliveryDate": "2026-12-01",
        "maxDeliveryDate": "2026-12-03",
        **more,
    }


MAKERS: dict[str, Callable[..., dict[str, Any]]] = {
    "orderStatus": order_status,
    "itemStatus": item_status,
    "trackingCode": tracking_code,
    "deliveryEstimate": estimate,
}


@pytest.fixture(scope="module")
def process(session_server: Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Receiver]:
    home = tmp_path_factory.mktemp("webhooks")
    tenants = home / "tenants.toml"
    tenants.write_text(TENANTS)
    env = environment(session_server.url, home / "var", GELATO_TENANTS_FILE=str(tenants))
    receiver = Receiver(env, home / "receiver.log").start()
    yield receiver
    receiver.stop()


@pytest.fixture
def receiver(process: Receiver, server: Server) -> Receiver:
    """One receiver for this module, on a server that is empty for each test."""
    return process


def without(event: dict[str, Any], field: str) -> dict[str, Any]:
    return {name: value for name, value in event.items() if name != field}


def document(store: Store, server: Server, reference: str, tenant: str = "default") -> dict[str, Any]:
    shift(store, Settings(), seconds=0)
    raw = server.client.get(f"gelato:order:{{{tenant}/{quote(reference, safe='')}}}")
    assert raw is not None, f"no document for {reference!r}"
    found: dict[str, Any] = orjson.loads(raw)
    return found


def letter(server: Server, letter_id: str) -> dict[bytes, bytes]:
    found: dict[bytes, bytes] = server.client.hgetall(f"gelato:dead-letter:{{{letter_id}}}")
    return found


def stored_keys(server: Server) -> list[bytes]:
    """All keys; a kick of an earlier test may still be on its way to RQ, whose keys are not ours."""
    return sorted(key for key in server.client.keys("*") if key.startswith(b"gelato:"))


def raw_exchange(receiver: Receiver, request: bytes, *, seconds: float = 5.0) -> bytes:
    """Send bytes and read until the first answer's end or the close."""
    with socket.create_connection(("127.0.0.1", receiver.port), timeout=seconds) as connection:
        connection.sendall(request)
        received = b""
        while b"\r\n\r\n" not in received or b"}" not in received:
            part = connection.recv(65536)
            if not part:
                break
            received += part
        return received


class TestTheSecret:
    @pytest.mark.parametrize(
        "headers", [{}, {"X-Webhook-Secret": "wrong"}, {"X-Webhook-Secret": ""}, {"Secret": SECRET}]
    )
    @pytest.mark.parametrize("path", ["/webhooks/gelato", "/webhooks/gelato/default", "/webhooks/gelato/nobody"])
    def test_without_it_nothing_is_stored(
        self, receiver: Receiver, server: Server, path: str, headers: dict[str, str]
    ) -> None:
        answer = receiver.client.post(path, content=orjson.dumps(order_status()), headers=headers)
        assert (answer.status_code, answer.json()) == (401, {"error": "unauthorized"})
        assert answer.headers["content-type"] == "application/json"
        assert stored_keys(server) == []

    @pytest.mark.parametrize("tenant", ["nobody", "Default", "closed", "default%2F", "..", "%00", "x" * 3000, "%FF"])
    def test_a_right_secret_for_a_tenant_that_has_none_is_wrong(
        self, receiver: Receiver, server: Server, tenant: str
    ) -> None:
        answer = raw_exchange(
            receiver,
            f"POST /webhooks/gelato/{tenant} HTTP/1.1\r\nHost: x\r\nX-Webhook-Secret: {SECRET}\r\n"
            "Content-Length: 2\r\n\r\n{}".encode(),
        )
        assert answer.startswith(b"HTTP/1.1 401 ")
        assert answer.endswith(b'{"error":"unauthorized"}')
        assert stored_keys(server) == []

    def test_the_header_name_is_not_case_sensitive_and_the_secret_is(self, receiver: Receiver) -> None:
        def status(name: str, value: str) -> int:
            body = orjson.dumps(order_status())
            return receiver.client.post("/webhooks/gelato", content=body, headers={name: value}).status_code

        assert status("x-WEBHOOK-secret", SECRET) == 200
        assert status("X-Webhook-Secret", SECRET.upper()) == 401
        assert status("X-Webhook-Secret", SECRET[:-1]) == 401
        assert status("X-Webhook-Secret", SECRET + "x") == 401

    def test_default_is_a_tenant_by_its_name_too(self, receiver: Receiver) -> None:
        assert receiver.post(order_status()).json()["result"] == "accepted"
        assert receiver.post(order_status(), tenant="default").json()["result"] == "duplicate"

    @pytest.mark.parametrize("secret", [ACME_OLD, ACME_NEW])
    def test_both_secrets_open_during_rotation(self, receiver: Receiver, secret: str) -> None:
        answer = receiver.client.post(
            "/webhooks/gelato/acme", content=orjson.dumps(order_status()), headers={"Signature": secret}
        )
        assert answer.json()["result"] == "accepted"

    @pytest.mark.parametrize("headers", [{"X-Webhook-Secret": ACME_OLD}, {"Signature": SECRET}, {"Signature": BEARER}])
    def test_another_tenants_secret_or_header_does_not_open(self, receiver: Receiver, headers: dict[str, str]) -> None:
        body = orjson.dumps(order_status())
        assert receiver.client.post("/webhooks/gelato/acme", content=body, headers=headers).status_code == 401

    def test_a_tenants_secret_does_not_open_the_default_tenant(self, receiver: Receiver) -> None:
        assert receiver.post(order_status(), secret=ACME_OLD).status_code == 401

    @pytest.mark.parametrize("value", [f"Bearer {BEARER}", f"bearer {BEARER}", BEARER])
    def test_it_may_come_as_a_bearer_token(self, receiver: Receiver, value: str) -> None:
        body = orjson.dumps(order_status())
        answer = receiver.client.post("/webhooks/gelato/bearer", content=body, headers={"Authorization": value})
        assert answer.status_code == 200

    def test_two_tenants_may_use_the_same_reference(self, receiver: Receiver, store: Store, server: Server) -> None:
        receiver.post(order_status(fulfillmentStatus="passed"))
        receiver.client.post(
            "/webhooks/gelato/acme",
            content=orjson.dumps(order_status(fulfillmentStatus="shipped")),
            headers={"Signature": ACME_NEW},
        )
        assert document(store, server, "REF-1")["status"] == "passed"
        assert document(store, server, "REF-1", "acme")["status"] == "shipped"
        assert document(store, server, "REF-1", "acme")["tenant"] == "acme"

    def test_a_header_named_by_the_environment_and_two_secrets_in_it(self, env: dict[str, str], tmp_path: Path) -> None:
        env |= {"GELATO_WEBHOOK_HEADER": "signature", "GELATO_WEBHOOK_SECRET": "old-one, new-one"}
        receiver = Receiver(env, tmp_path / "other.log").start()
        try:
            for n, secret in enumerate(("old-one", "new-one")):
                body = orjson.dumps(order_status(id=n))
                answer = receiver.client.post("/webhooks/gelato", content=body, headers={"Signature": secret})
                assert answer.json()["result"] == "accepted"
            assert receiver.post(order_status(), secret="old-one").status_code == 401
        finally:
            receiver.stop()

    def test_a_tenants_file_is_read_again_on_sighup(self, env: dict[str, str], tmp_path: Path) -> None:
        tenants = tmp_path / "tenants.toml"
        tenants.write_text('[acme]\nsecret = "first"\n')
        receiver = Receiver({**env, "GELATO_TENANTS_FILE": str(tenants)}, tmp_path / "other.log").start()

        def status(secret: str) -> int:
            return receiver.post(order_status(), tenant="acme", secret=secret).status_code

        try:
            assert (status("first"), status("second")) == (200, 401)
            tenants.write_text('[acme]\nsecret = "second"\n')
            receiver.send(signal.SIGHUP)
            eventually(lambda: status("second") == 200, what="the new secret")
            assert status("first") == 401
            tenants.write_text("[acme\n")
            receiver.send(signal.SIGHUP)
            eventually(lambda: any("not reloaded" in line["event"] for line in receiver.said()), what="a word about it")
            assert status("second") == 200
        finally:
            receiver.stop()


class TestTheOrderOfTheChecks:
    def test_the_secret_is_checked_before_the_body_is_read(self, receiver: Receiver) -> None:
        answer = raw_exchange(
            receiver,
            b"POST /webhooks/gelato HTTP/1.1\r\nHost: x\r\nContent-Length: 500\r\nX-Webhook-Secret: no\r\n\r\n",
        )
        assert answer.startswith(b"HTTP/1.1 401 ")

    def test_the_secret_is_checked_before_the_size(self, receiver: Receiver) -> None:
        assert receiver.post(b"x" * (2 * MIB), secret="wrong").status_code == 401

    def test_a_length_over_the_limit_is_refused_before_the_body_comes(self, receiver: Receiver, server: Server) -> None:
        answer = raw_exchange(
            receiver,
            f"POST /webhooks/gelato HTTP/1.1\r\nHost: x\r\nX-Webhook-Secret: {SECRET}\r\n"
            f"Content-Length: {MIB + 1}\r\n\r\n".encode(),
        )
        assert answer.startswith(b"HTTP/1.1 413 ")
        assert answer.endswith(b'{"error":"too-large","limit":1048576}')
        assert stored_keys(server) == []

    def test_a_body_without_a_length_is_cut_off_while_reading(self, receiver: Receiver, server: Server) -> None:
        head = (
            f"POST /webhooks/gelato HTTP/1.1\r\nHost: x\r\nX-Webhook-Secret: {SECRET}\r\n"
            "Transfer-Encoding: chunked\r\n\r\n"
        ).encode()
        # No last chunk: the answer comes although the body never ends.
        answer = raw_exchange(receiver, head + (b"10000\r\n" + b"x" * 65536 + b"\r\n") * 17)
        assert answer.startswith(b"HTTP/1.1 413 ")
        assert answer.endswith(b'{"error":"too-large","limit":1048576}')
        assert stored_keys(server) == []

    def test_the_size_is_checked_before_the_json(self, receiver: Receiver, server: Server) -> None:
        answer = receiver.post(b"{" * (MIB + 1))
        assert (answer.status_code, answer.json()) == (413, {"error": "too-large", "limit": MIB})
        assert stored_keys(server) == []

    def test_a_body_of_exactly_the_limit_is_taken(self, receiver: Receiver) -> None:
        empty = len(orjson.dumps(order_status(comment="")))
        body = orjson.dumps(order_status(comment="x" * (MIB - empty)))
        assert len(body) == MIB
        assert receiver.post(body).json()["result"] == "accepted"
        assert receiver.post(body + b" ").status_code == 413

    def test_the_limit_is_a_setting(self, env: dict[str, str], tmp_path: Path) -> None:
        receiver = Receiver({**env, "GELATO_MAX_BODY_BYTES": "300"}, tmp_path / "other.log").start()
        try:
            assert receiver.post(order_status()).status_code == 200
            answer = receiver.post(order_status(comment="x" * 300))
            assert (answer.status_code, answer.json()) == (413, {"error": "too-large", "limit": 300})
        finally:
            receiver.stop()

    def test_an_unusable_event_is_quarantined_though_it_looks_like_a_test(self, receiver: Receiver) -> None:
        assert receiver.post(order_status(orderReferenceId="{{x}}", fulfillmentStatus=5)).status_code == 202


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
        assert document(store, server, "REF-1")["events"] == 1
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
        assert document(store, server, "REF-1")["status"] == read
        assert document(store, server, "REF-2")["items"]["mug"]["status"] == read

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
        found = document(store, server, reference)
        assert found["orderReferenceId"] == reference
        assert found["tenant"] == "default"
        assert receiver.post(order_status(orderReferenceId=reference)).json()["result"] == "duplicate"

    @pytest.mark.parametrize("number", [0, -1, 7, 2**63 - 1, 2**64 + 1, int("9" * 255), -(10**253)])
    def test_integers_are_kept_as_strings(self, receiver: Receiver, store: Store, server: Server, number: int) -> None:
        event = order_status(orderReferenceId=number, orderId=number)
        event["items"] = [{"itemReferenceId": number, "fulfillmentStatus": "passed"}]
        assert receiver.post(dumps(event)).json()["result"] == "accepted"
        found = document(store, server, str(number))
        assert found["orderReferenceId"] == str(number)
        assert found["connectedOrderIds"] == [str(number)]
        assert list(found["items"]) == [str(number)]

    def test_an_integer_and_its_text_are_one_order(self, receiver: Receiver, store: Store, server: Server) -> None:
        receiver.post(order_status(orderReferenceId=42))
        receiver.post(item_status(orderReferenceId="42"))
        assert document(store, server, "42")["events"] == 2


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


SAME = (
    b'{"object":"orderStatus","id":"os_1","orderId":"o","orderReferenceId":"REF-1","fulfillmentStatus":"passed","n":%b}'
)


class TestDuplicates:
    @pytest.mark.parametrize(
        ("one", "another"),
        [
            (b"1", b"1.0"),
            (b"1", b"1e0"),
            (b"100", b"1E+2"),
            (b"100", b"0.1e3"),
            (b"0", b"-0"),
            (b"0", b"-0.0"),
            (b"0.5", b"5e-1"),
            (b"0.10", b"0.1"),
            (b"12345678901234567890123", b"12345678901234567890123.0"),
            (b"9007199254740993", b"9007199254740993.0"),
            (b'"a"', b'"\\u0061"'),
            (b'"/"', b'"\\/"'),
            (b'{"a":1,"b":2}', b'{"b":2,"a":1}'),
            (b"[1,2]", b" [ 1 ,\n2 ] "),
            (b'{"a":{"y":[{"q":1,"p":2}],"x":1}}', b'{"a":{"x":1.0,"y":[{"p":2,"q":1}]}}'),
            (b'"\xf0\x9f\xa5\xa8"', b'"\\ud83e\\udd68"'),
        ],
    )
    def test_equal_content_is_one_event(self, receiver: Receiver, one: bytes, another: bytes) -> None:
        assert receiver.post(SAME % one).json()["result"] == "accepted"
        assert receiver.post(SAME % another).json() == {"result": "duplicate", "event": "orderStatus:os_1"}
        assert receiver.post(b"\n\t " + SAME % one + b" ").json()["result"] == "duplicate"

    @pytest.mark.parametrize(
        ("one", "another"),
        [
            (b"1", b"2"),
            (b"1", b'"1"'),
            (b"1", b"true"),
            (b"0", b"false"),
            (b"0", b"null"),
            (b"[1,2]", b"[2,1]"),
            (b"[]", b"{}"),
            (b"12345678901234567890123", b"12345678901234567890124"),
            (b"18446744073709551616", b"18446744073709551617"),
            (b"9007199254740993", b"9007199254740992.0"),
            (b"0.1", b"0.10000000000000001"),
            (b'"a"', b'"A"'),
            (b'"\xc3\xa9"', b'"e\xcc\x81"'),
        ],
    )
    def test_other_content_under_the_same_id_is_folded_too(
        self, receiver: Receiver, store: Store, server: Server, one: bytes, another: bytes
    ) -> None:
        assert receiver.post(SAME % one).json()["result"] == "accepted"
        assert receiver.post(SAME % another).json() == {"result": "accepted", "event": "orderStatus:os_1"}
        assert document(store, server, "REF-1")["events"] == 2

    def test_an_id_collision_is_logged(self, receiver: Receiver) -> None:
        receiver.post(order_status(orderReferenceId="COLLIDES"))
        receiver.post(order_status(orderReferenceId="COLLIDES", fulfillmentStatus="shipped"))
        mine = eventually(
            lambda: [line for line in receiver.said() if line.get("order") == "COLLIDES" and line.get("id_collision")],
            what="the log to name it",
        )
        assert len(mine) == 1

    def test_the_same_id_for_two_kinds_is_two_events(self, receiver: Receiver, store: Store, server: Server) -> None:
        for make in MAKERS.values():
            assert receiver.post(make(id="same")).json()["result"] == "accepted"
        assert document(store, server, "REF-1")["events"] == 4

    def test_the_same_event_for_two_orders_is_two_events(self, receiver: Receiver) -> None:
        assert receiver.post(order_status()).json()["result"] == "accepted"
        assert receiver.post(order_status(orderReferenceId="REF-2")).json()["result"] == "accepted"

    def test_of_repeated_keys_the_last_counts_both_times(
        self, receiver: Receiver, store: Store, server: Server
    ) -> None:
        twice = SAME[:-1] % b"1" + b',"fulfillmentStatus":"shipped"}'
        assert receiver.post(twice).json()["result"] == "accepted"
        assert (
            receiver.post(order_status(orderId="o", fulfillmentStatus="shipped", n=1)).json()["result"] == "duplicate"
        )
        assert document(store, server, "REF-1")["status"] == "shipped"

    def test_a_duplicate_of_an_event_not_folded_yet_marks_its_order_due_again(
        self, receiver: Receiver, store: Store, server: Server
    ) -> None:
        receiver.post(order_status())
        for shard in range(8):  # what a cluster that lost the second step looks like
            server.client.delete(f"gelato:due:{{{shard}}}", f"gelato:marks:{{{shard}}}")
        shift(store, Settings(), seconds=0)
        assert server.client.get("gelato:order:{default/REF-1}") is None
        assert receiver.post(order_status()).json()["result"] == "duplicate"
        assert document(store, server, "REF-1")["events"] == 1

    def test_a_duplicate_of_a_folded_event_changes_nothing(
        self, receiver: Receiver, store: Store, server: Server
    ) -> None:
        receiver.post(order_status())
        before = document(store, server, "REF-1")
        assert receiver.post(order_status()).json()["result"] == "duplicate"
        assert not [key for key in stored_keys(server) if key.startswith(b"gelato:due:")]
        assert document(store, server, "REF-1") == before

    def test_a_number_of_any_exponent_is_an_event_like_any_other(self, receiver: Receiver) -> None:
        """JSON allows any exponent, and these are zero, or as good as zero, as every reader of JSON has it."""
        for number in (b"1e-99999999999999999999", b"0e99999999999999999999", b"0E-99999999999999999999"):
            answer = receiver.post(SAME % number)
            assert answer.status_code == 200, number

    def test_two_requests_at_the_same_moment_store_one_event(
        self, receiver: Receiver, store: Store, server: Server
    ) -> None:
        body = orjson.dumps(order_status())
        request = (
            f"POST /webhooks/gelato HTTP/1.1\r\nHost: x\r\nConnection: close\r\nX-Webhook-Secret: {SECRET}\r\n"
            f"Content-Length: {len(body)}\r\n\r\n"
        ).encode() + body
        connections = [socket.create_connection(("127.0.0.1", receiver.port), timeout=5) for _ in range(20)]
        for connection in connections:
            connection.sendall(request)
        answers = [b"".join(iter(lambda c=connection: c.recv(65536), b"")) for connection in connections]
        for connection in connections:
            connection.close()
        assert sum(b'"accepted"' in answer for answer in answers) == 1
        assert sum(b'"duplicate"' in answer for answer in answers) == 19
        assert document(store, server, "REF-1")["events"] == 1


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


def dumps(value: Any) -> bytes:
    """JSON with integers of any length, which orjson does not write."""
    return json.dumps(value, ensure_ascii=False).encode()


def test_an_empty_tenant_is_no_tenant(receiver: Receiver) -> None:
    answer = receiver.client.post("/webhooks/gelato/", content=b"{}", headers={"X-Webhook-Secret": SECRET})
    assert (answer.status_code, answer.json()) == (401, {"error": "unauthorized"})


@pytest.mark.parametrize("megabytes", [2, 6])
def test_a_plain_client_that_sends_all_of_a_large_body_first_hears_the_answer(
    receiver: Receiver, megabytes: int
) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", receiver.port, timeout=10)
    connection.request("POST", "/webhooks/gelato", b" " * (megabytes << 20), {"X-Webhook-Secret": SECRET})
    answer = connection.getresponse()
    assert (answer.status, answer.read()) == (413, b'{"error":"too-large","limit":1048576}')
    connection.close()
