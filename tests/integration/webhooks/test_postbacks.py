"""The how-to for GelatoConnect's postbacks: its templates, rendered as GelatoConnect would, and posted to the endpoint."""

import copy
import re
from typing import Any

import pytest
from jinja2.sandbox import SandboxedEnvironment
from support.orders import document, fold
from support.processes import ROOT, SECRET, Receiver

from shared.store import Store

HOW_TO = (ROOT / "docs" / "how-to" / "postbacks.md").read_text()
#: "Package status updated", as GelatoConnect's help centre shows it.
PACKAGE: dict[str, Any] = {
    "customer": {"id": "c-1", "name": "Personal Prints", "referenceId": "acme-prints"},
    "order": {"id": "gc-order-1", "referenceId": 'TEST "ORDER"', "metadata": {"isRush": "False"}},
    "package": {
        "id": "PK-1",
        "items": [
            {"id": "i-1", "quantity": 1, "referenceId": "poster", "metadata": {"sku": "poster"}},
            {"id": "i-2", "quantity": 2, "referenceId": "mug", "metadata": {"sku": "mug"}},
        ],
        "status": "shipped",
        "weight": 9,
    },
    "shipment": {
        "fulfillmentLocation": {"country": "US", "stateProvince": "Wyoming"},
        "method": {"id": "ups_surepost", "name": "UPS Surepost"},
        "tracking": {"code": "1Z999", "url": "https://track.example.com/1Z999"},
    },
}


def rendered(name: str, payload: dict[str, Any]) -> bytes:
    match = re.search(rf"<!-- template: {name} -->\n```jinja\n(.*?)```", HOW_TO, re.DOTALL)
    assert match is not None
    return SandboxedEnvironment().from_string(match[1]).render(payload).encode()


def post(receiver: Receiver, name: str, payload: dict[str, Any]) -> Any:
    answer = receiver.client.post(
        "/webhooks/gelato", content=rendered(name, payload), headers={"X-Webhook-Secret": SECRET}
    )
    assert answer.status_code == 200, answer.text
    return answer.json()


def package(number: int, status: str, *items: str) -> dict[str, Any]:
    payload = copy.deepcopy(PACKAGE)
    payload["package"] |= {"id": f"PK-{number}", "status": status, "items": [{"referenceId": item} for item in items]}
    payload["shipment"]["tracking"] = {"code": f"T-{number}", "url": f"https://track.example.com/T-{number}"}
    return payload


def test_a_package_ships_its_items(receiver: Receiver, store: Store) -> None:
    assert post(receiver, "package", PACKAGE) == {"result": "accepted", "event": "orderStatus:package:PK-1:shipped"}
    assert post(receiver, "package", PACKAGE)["result"] == "duplicate"
    fold(store)
    found = document(store, 'TEST "ORDER"')
    assert (found["status"], found["connectedOrderIds"]) == ("shipped", ["gc-order-1"])
    assert found["packages"] == [
        {
            "orderId": "gc-order-1",
            "trackingCode": "1Z999",
            "trackingUrl": "https://track.example.com/1Z999",
            "shipmentMethodName": "UPS Surepost",
            "shipmentMethodUid": "ups_surepost",
            "itemReferenceIds": ["mug", "poster"],
        }
    ]
    assert found["orders"]["gc-order-1"]["items"]["mug"]["facility"]["stateProvince"] == "Wyoming"


def test_one_of_two_packages_delivers_its_own_items_alone(receiver: Receiver, store: Store) -> None:
    for payload in (
        package(1, "shipped", "poster"),
        package(2, "shipped", "mug", "case"),
        package(1, "delivered", "poster"),
    ):
        post(receiver, "package", payload)
    fold(store)
    found = document(store, 'TEST "ORDER"')
    assert found["status"] == "partially_delivered"
    assert {name: item["status"] for name, item in found["items"].items()} == {
        "case": "shipped",
        "mug": "shipped",
        "poster": "delivered",
    }
    assert found["orders"]["gc-order-1"]["disagrees"] is False
    assert found["terminal"] is False


@pytest.mark.parametrize(
    ("word", "status"),
    [("received", "created"), ("error", "failed"), ("cancelled", "canceled"), ("printed", "printed")],
)
def test_an_orders_own_events_speak_for_it(receiver: Receiver, store: Store, word: str, status: str) -> None:
    payload = {"customer": PACKAGE["customer"], "order": {**PACKAGE["order"], "status": word}}
    assert post(receiver, "order", payload)["result"] == "accepted"
    fold(store)
    assert document(store, 'TEST "ORDER"')["status"] == status


def test_the_templates_copy_nothing_personal() -> None:
    payload = {**PACKAGE, "order": {**PACKAGE["order"], "status": "shipped", "address": "Personal Avenue"}}
    for name in ("package", "order"):
        assert b"Personal" not in rendered(name, payload)
