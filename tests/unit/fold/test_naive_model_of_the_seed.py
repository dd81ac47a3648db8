"""The naive model of the seed's split order: the whole document, worked out by hand."""

from typing import Any

from naive_model.events import Received
from naive_model.order import document
from naive_model.values import SECOND, microseconds

POSTER_ORDER = "c3c8f7f5-a0e8-4014-a3fb-38a5375d2af8"
MUG_ORDER = "2b8b2b0d-1383-44ac-a650-17619b30a0dc"
FACILITY = {"country": "US", "stateProvince": "NY", "facilityId": "21315db8-e694-4ded-a72a-98f60814c6e8"}


def seed_webhooks() -> list[dict[str, Any]]:
    """The five webhooks of the seed's split order."""

    def order(order_id: str, event_id: str, references: list[str]) -> dict[str, Any]:
        listed = [
            {"itemReferenceId": reference, "fulfillmentStatus": "passed", "fulfillments": []}
            for reference in references
        ]
        return {
            "orderId": order_id,
            "storeId": None,
            "items": listed,
            "orderReferenceId": "83831IAKD2",
            "comment": "",
            "fulfillmentStatus": "passed",
            "object": "orderStatus",
            "id": event_id,
        }

    def item(order_id: str, event_id: str, reference: str) -> dict[str, Any]:
        return {
            "id": event_id,
            "object": "itemStatus",
            "itemReferenceId": reference,
            "orderReferenceId": "83831IAKD2",
            "orderId": order_id,
            "storeId": None,
            "fulfillmentCountry": "US",
            "fulfillmentStateProvince": "NY",
            "fulfillmentFacilityId": "21315db8-e694-4ded-a72a-98f60814c6e8",
            "status": "passed",
            "comment": "",
            "created": "2018-08-03T07:26:52+00:00",
        }

    return [
        order(POSTER_ORDER, "os_3193599927", ["poster-13x18"]),
        order(MUG_ORDER, "os_3193599928", ["phone-case", "mug-15-oz"]),
        item(POSTER_ORDER, "os_3193599925", "poster-13x18"),
        item(MUG_ORDER, "os_3193599926", "phone-case"),
        item(MUG_ORDER, "os_3193599927", "mug-15-oz"),
    ]


def test_the_seeds_five_webhooks_make_the_document_worked_out_by_hand() -> None:
    received_us = microseconds("2018-08-03T07:27:00Z") or 0
    received = [Received(event, received_us + n * SECOND, "webhook") for n, event in enumerate(seed_webhooks())]

    def passed_line() -> dict[str, Any]:
        return {
            "status": "passed",
            "since": "2018-08-03T07:26:52Z",
            "comment": None,
            "facility": FACILITY,
            "fulfillments": [],
            "timeline": {"passed": "2018-08-03T07:26:52Z"},
        }

    def passed_order(at: str, *references: str) -> dict[str, Any]:
        return {
            "status": "passed",
            "reportedStatus": "passed",
            "disagrees": False,
            "storeId": None,
            "silent": False,
            "deliveryEstimate": None,
            "timeline": {"passed": at},
            "items": {reference: passed_line() for reference in references},
        }

    assert document("default", "83831IAKD2", [*received, received[4]]) == {
        "schema": 1,
        "tenant": "default",
        "orderReferenceId": "83831IAKD2",
        "status": "passed",
        "terminal": False,
        "complete": None,
        "connectedOrderIds": [MUG_ORDER, POSTER_ORDER],
        "counts": {"passed": 3},
        "attention": [],
        "deliveryEstimate": None,
        "items": {
            "mug-15-oz": {"status": "passed", "orderIds": [MUG_ORDER]},
            "phone-case": {"status": "passed", "orderIds": [MUG_ORDER]},
            "poster-13x18": {"status": "passed", "orderIds": [POSTER_ORDER]},
        },
        "packages": [],
        "orders": {
            POSTER_ORDER: passed_order("2018-08-03T07:27:00Z", "poster-13x18"),
            MUG_ORDER: passed_order("2018-08-03T07:27:01Z", "mug-15-oz", "phone-case"),
        },
        "events": 5,
        "firstEventAt": "2018-08-03T07:26:52Z",
        "lastEventAt": "2018-08-03T07:27:01Z",
    }
