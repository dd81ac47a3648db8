"""The lifelike histories: what they must contain, and that all of it is usable."""

import json
import random
from collections import Counter
from typing import Any

import pytest
from lifelike import lifelike_order
from lifelike.phenomena import phenomena
from naive_model.model import Model
from naive_model.statuses import FINAL, RANKS, status_of
from naive_model.values import text

PARTIAL = {"partially_delivered", "partially_returned", "partially_shipped"}


NEEDED = {
    *(f"headline {status}" for status in {*RANKS, *PARTIAL, "quality_check"}),
    *(f"counts {status}" for status in [*RANKS, "zebra_striped", "awaiting_carrier"]),
    *(f"complete {answer}" for answer in (None, True, False)),
    *(f"{number} connected orders" for number in range(1, 5)),
    *(f"{number} items" for number in range(1, 6)),
    *(f"kind {kind}" for kind in ("orderStatus", "itemStatus", "trackingCode")),
    *(f"kind order_{kind}_updated" for kind in ("status", "item_status", "item_tracking_code")),
    "kind order_delivery_estimate_updated",
    *(
        "terminal",
        "attention",
        "attention of an order",
        "packages",
        "deliveryEstimate",
        "disagrees",
        "silent",
    ),
    *("clock: created", "clock: made lately", "clock: received", "made after its receipt", "late by hours"),
    *("id str", "id int", "id absent", "id NoneType", "id shared by different events"),
    *("created missing", "created broken", "created in the far future"),
    *("offset Z", "offset +00:00", "offset other", "offset none"),
    *("out of order", "duplicate webhook", "duplicate snapshot", "duplicate fetched"),
    *("closer than 1 s", "closer than 30 s", "interval rule decides otherwise than the latest time"),
    *("on hold and back", "in transit after delivered", "items lag behind", "line without observations"),
    *("failed with and without comment", "failed with changed comment", "unknown status"),
    *("spelt oddly in_transit", "spelt oddly canceled", "spelt oddly on_hold"),
    *("several parcels for an item", "shared parcel", "parcel by URL only"),
    *("parcel field later", "parcel field changes", "production names", "integer reference"),
    *("first of its order: trackingCode", "first of its order: order_item_tracking_code_updated"),
    "first of its order: order_delivery_estimate_updated",
    *(f"{status} with items {form}" for status in FINAL for form in ("absent", "None", "[]", "listed")),
    *("whole order counts", "whole order does not count", "one line canceled", "reference listed twice"),
    "final order status with lines that disagree",
    *("store NoneType", "store str", "store int", "store changes", "reference in two connected orders"),
    *("webhook with connectedOrderIds", "same snapshot posted and fetched"),
    *(f"{way} items {form}" for way in ("snapshot", "fetched") for form in ("absent", "empty", "there")),
    *(f"{way} updatedAt {form}" for way in ("snapshot", "fetched") for form in ("absent", "there")),
    *(f"{way} connectedOrderIds {form}" for way in ("snapshot", "fetched") for form in ("absent", "empty", "there")),
}


#: Within so many histories everything happens; most of it within the first hundred.
_MOST = 1_000


@pytest.fixture(scope="module")
def found() -> Counter[str]:
    """In how many of the first histories each phenomenon occurs, `histories` of them in all: until nothing is missing."""
    counter: Counter[str] = Counter()
    while counter["histories"] < _MOST and not counter.keys() >= NEEDED:
        counter.update({"histories", *phenomena(lifelike_order(random.Random(counter["histories"])))})
    return counter


def test_lifelike_histories_contain_everything_that_happens(found: Counter[str]) -> None:
    assert sorted(name for name in NEEDED if not found[name]) == []


def test_statuses_close_together_are_frequent(found: Counter[str]) -> None:
    assert found["closer than 1 s"] > found["histories"] * 0.5
    assert found["closer than 30 s"] > found["histories"] * 0.5
    assert found["interval rule decides otherwise than the latest time"] > found["histories"] * 0.1


def usable_text(value: Any) -> bool:
    return isinstance(value, str | int) and not isinstance(value, bool) and 0 < len(str(value)) <= 255


def test_every_lifelike_event_is_usable_and_in_order_of_receipt() -> None:
    for seed in range(500):
        history = lifelike_order(random.Random(seed), reference="4711")
        assert history == lifelike_order(random.Random(seed), reference="4711")
        assert [one.received_us for one in history] == sorted(one.received_us for one in history)
        for one in history:
            event = json.loads(json.dumps(one.event))
            assert event == one.event
            assert text(event["orderReferenceId"]) == "4711"
            assert usable_text(event["id" if one.source != "webhook" else "orderId"])
            assert event.get("id") is None or usable_text(event["id"])
            kind = Model([one]).all[0].kind
            spelt = [event.get("status" if kind == "itemStatus" else "fulfillmentStatus", "none needed")]
            for item in event.get("items") or []:
                assert usable_text(item["itemReferenceId"])
                spelt.append(item["fulfillmentStatus"])
            assert all(0 < len(status_of(status)) <= 64 for status in spelt)
            if kind in ("itemStatus", "trackingCode"):
                assert usable_text(event["itemReferenceId"])
            if kind == "deliveryEstimate":
                assert event.get("minDeliveryDate") or event.get("maxDeliveryDate")
            elif kind != "trackingCode":
                assert spelt[0] != "none needed"
