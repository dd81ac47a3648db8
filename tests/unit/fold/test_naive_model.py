"""The naive model against examples worked out by hand."""

import random
from typing import Any

import pytest
from lifelike import lifelike_order
from naive_model.events import Received, clock
from naive_model.order import document
from naive_model.statuses import ATTENTION, RANKS, headline
from naive_model.values import SECOND, iso, microseconds

NOON = microseconds("2026-11-22T12:00:00Z") or 0


def webhook(after_s: float = 0, **event: Any) -> Received:
    """A webhook of connected order `A`, received so many seconds after noon."""
    event = {"orderId": "A", "orderReferenceId": "r"} | event
    return Received(event, NOON + round(after_s * SECOND), "webhook")


def item_status(status: str, after_s: float = 0, /, reference: str = "mug", **fields: Any) -> Received:
    return webhook(after_s, object="itemStatus", itemReferenceId=reference, status=status, **fields)


def order_status(status: str, after_s: float = 0, /, **fields: Any) -> Received:
    return webhook(after_s, object="orderStatus", fulfillmentStatus=status, **fields)


def items(**statuses: str) -> list[dict[str, Any]]:
    return [{"itemReferenceId": name, "fulfillmentStatus": status} for name, status in statuses.items()]


def snapshot(status: str, after_s: float = 0, /, source: str = "snapshot", **fields: Any) -> Received:
    event = {"id": "A", "orderReferenceId": "r", "fulfillmentStatus": status} | fields
    return Received(event, NOON + round(after_s * SECOND), source)


def fold(*received: Received) -> dict[str, Any]:
    return document("default", "r", received)


def line(folded: dict[str, Any], reference: str = "mug") -> Any:
    return folded["orders"]["A"]["items"][reference]


@pytest.mark.parametrize(
    ("received", "at", "lo", "hi"),
    [
        (item_status("passed", 400, created="2026-11-22T12:00:00"), 0, 0, 1),
        (item_status("passed", 400, created="2026-11-22T14:00:00+02:00"), 0, 0, 1),
        (item_status("passed", 0, created="2026-11-22T12:05:00Z"), 300, 300, 301),
        (item_status("passed", 0, created="2026-11-22T12:05:01Z"), 0, -30, 0),
        (item_status("passed", 0, created="soon"), 0, -30, 0),
        (item_status("passed", 0, id=5, created=None), 0, -30, 0),
        (item_status("passed", 9, id=f"os_{NOON // SECOND:08x}7a120"), 0.5, -0.5, 0.5),
        (item_status("passed", 9, id=f"os_{NOON // SECOND:08x}7a120".upper()), 9, -21, 9),
        (item_status("passed", 7 * 86_400, id=f"os_{NOON // SECOND:08x}00000"), 0, -1, 0),
        (
            item_status("passed", 7 * 86_400 + 1, id=f"os_{NOON // SECOND:08x}00000"),
            604_801,
            604_771,
            604_801,
        ),
        (snapshot("passed", 60, updatedAt="2026-11-22T12:00:10Z"), 10, 10, 60),
        (snapshot("passed", 60, source="fetched", updatedAt="2026-11-22T12:00:10Z"), 10, 55, 60),
        (snapshot("passed", 60, createdAt="2026-11-22T12:00:10Z"), 60, 10, 60),
        (snapshot("passed", 60), 60, -NOON / SECOND, 60),
    ],
)
def test_the_clock_of_an_event(received: Received, at: float, lo: float, hi: float) -> None:
    assert clock(received) == tuple(NOON + round(after * SECOND) for after in (at, lo, hi))


def test_the_uniqid_of_the_facts_decodes_to_its_microsecond() -> None:
    event = {"id": "is_5b6403bd3cf1f", "object": "orderStatus"}
    at, _, _ = clock(Received(event, microseconds("2018-08-03T08:00:00Z") or 0, "webhook"))
    assert at == microseconds("2018-08-03T07:26:53.249631+00:00")


def test_of_statuses_closer_than_their_intervals_the_higher_rank_is_current() -> None:
    early_printed = item_status("printed", created="2026-11-22T12:00:00Z")
    assert line(fold(early_printed, item_status("passed", created="2026-11-22T12:00:01Z")))["status"] == "passed"
    within_a_second = item_status("passed", 0.5, id=f"is_{NOON // SECOND:08x}7a120")
    assert line(fold(early_printed, within_a_second))["status"] == "printed"
    assert line(fold(item_status("on_hold"), item_status("passed", 29)))["status"] == "on_hold"
    assert line(fold(item_status("on_hold"), item_status("passed", 30)))["status"] == "passed"
    assert line(fold(item_status("aaa"), item_status("bbb", -1), item_status("draft", -2)))["status"] == "draft"


def test_a_late_scan_does_not_take_a_delivery_back() -> None:
    folded = fold(item_status("delivered"), item_status("In Transit", 3_600), item_status("shipped", -60))
    assert folded["status"] == "delivered"
    assert line(folded)["timeline"].keys() == {"shipped", "in_transit", "delivered"}


def test_the_whole_order_counts_only_for_lines_without_a_final_observation_of_their_own() -> None:
    folded = fold(
        item_status("delivered", reference="mug"),
        order_status("cancelled", 60, items=items(case="passed", mug="delivered")),
        item_status("printed", 7_200, reference="late"),
    )
    assert {name: one["status"] for name, one in folded["items"].items()} == {
        "mug": "delivered",
        "case": "canceled",
        "late": "canceled",
    }
    assert line(folded, "mug")["timeline"].keys() == {"delivered"}
    assert folded["status"] == "delivered"
    assert folded["terminal"]
    assert folded["orders"]["A"]["disagrees"]


@pytest.mark.parametrize("fields", [{}, {"items": None}, {"items": []}])
def test_a_final_order_status_without_items_speaks_for_every_line(fields: dict[str, Any]) -> None:
    assert fold(item_status("printed"), order_status("delivered", -60, **fields))["status"] == "delivered"
    listed = fold(item_status("printed"), order_status("delivered", -60, items=items(other="delivered")))
    assert line(listed)["status"] == "printed"


def test_a_snapshot_without_items_observes_its_connected_order_only() -> None:
    folded = fold(item_status("printed"), snapshot("canceled", 60))
    assert line(folded)["status"] == "printed"
    assert folded["orders"]["A"]["reportedStatus"] == "canceled"
    assert folded["orders"]["A"]["disagrees"]
    assert fold(item_status("printed"), snapshot("canceled", 60, items=[]))["status"] == "canceled"


def test_of_a_reference_listed_twice_the_lowest_rank_counts_leaving_out_canceled() -> None:
    def twice(*statuses: str) -> Any:
        return line(fold(order_status("shipped", items=[items(mug=status)[0] for status in statuses])))["status"]

    assert twice("shipped", "printed") == "printed"
    assert twice("shipped", "canceled") == "shipped"
    assert twice("canceled", "canceled") == "canceled"


def test_what_a_line_or_order_without_observations_counts_as() -> None:
    parcel = webhook(object="trackingCode", itemReferenceId="mug", trackingCode="c")
    nothing = webhook(object="trackingCode", itemReferenceId="mug", trackingCode="", trackingUrl=None)
    assert fold(parcel, order_status("passed"))["status"] == "shipped"
    assert fold(nothing, order_status("passed"))["status"] == "passed"
    assert fold(nothing)["status"] == "created"
    assert fold(order_status("printed"))["counts"] == {"printed": 1}
    folded = fold(webhook(event="order_delivery_estimate_updated", minDeliveryDate="2022-11-03T00:00"))
    assert folded["counts"] == {"created": 1}
    assert folded["orders"]["A"]["reportedStatus"] is None
    assert folded["deliveryEstimate"] == {"minDeliveryDate": "2022-11-03", "maxDeliveryDate": None}


def test_siblings_are_silent_until_heard_of() -> None:
    delivered = order_status("delivered")
    folded = fold(delivered, snapshot("delivered", connectedOrderIds=["A", "B"]))
    assert (folded["complete"], folded["terminal"]) == (False, False)
    assert folded["connectedOrderIds"] == ["A", "B"]
    assert folded["orders"]["B"]["silent"]
    assert folded["counts"] == {"created": 1, "delivered": 1}
    assert fold(delivered)["complete"] is None
    assert fold(delivered)["terminal"]
    assert fold(delivered, snapshot("delivered", connectedOrderIds=[]))["complete"] is True


def test_parcels_are_united_and_their_fields_written_last() -> None:
    said: dict[str, Any] = {"object": "trackingCode", "shipmentMethodName": ""}
    case = {"itemReferenceId": "case", "fulfillmentStatus": "shipped", "fulfillments": [{"trackingUrl": "u"}]}
    packages = [{"trackingCode": 7, "orderItemIds": ["i-1", "nobody"]}]
    folded = fold(
        webhook(0, itemReferenceId="mug", trackingCode="7", trackingUrl="old", **said),
        webhook(1, itemReferenceId="case", trackingCode=7, trackingUrl="new", **said),
        order_status("shipped", 2, items=[case]),
        snapshot(
            "shipped",
            -5,
            items=[{"id": "i-1", "itemReferenceId": "cup", "fulfillmentStatus": "shipped"}],
            shipment={"shipmentMethodName": "Post", "packages": packages},
        ),
    )
    common = {"orderId": "A", "shipmentMethodUid": None}
    assert folded["packages"] == [
        common
        | {
            "trackingCode": None,
            "trackingUrl": "u",
            "shipmentMethodName": None,
            "itemReferenceIds": ["case"],
        },
        common
        | {"trackingCode": "7", "trackingUrl": "new", "shipmentMethodName": "Post"}
        | {"itemReferenceIds": ["case", "cup", "mug"]},
    ]
    assert line(folded, "case")["fulfillments"] == [
        {"trackingCode": None, "trackingUrl": "u"},
        {"trackingCode": "7"},
    ]


def test_attention_shows_lines_and_orders_whatever_the_headline() -> None:
    folded = fold(
        item_status("failed", comment="paper jam"),
        item_status("failed", 60, comment=""),
        item_status("shipped", reference="case"),
        order_status("on hold", orderId="B", comment="out of stock", items=items(cup="passed")),
    )
    assert folded["status"] == "partially_shipped"
    noon = {"since": "2026-11-22T12:00:00Z"}
    assert folded["attention"] == [
        {"orderId": "A", "itemReferenceId": "mug", "status": "failed", "comment": "paper jam"} | noon,
        {"orderId": "B", "itemReferenceId": None, "status": "on_hold", "comment": "out of stock"} | noon,
    ]


@pytest.mark.parametrize(
    ("bag", "expected"),
    [
        ("canceled canceled", "canceled"),
        ("canceled returned", "returned"),
        ("delivered canceled", "delivered"),
        ("delivered returned", "partially_returned"),
        ("delivered returned printed", "partially_delivered"),
        ("returned shipped", "partially_returned"),
        ("in_transit in_transit", "in_transit"),
        ("in_transit shipped", "shipped"),
        ("in_transit failed", "partially_shipped"),
        ("passed not_connected on_hold", "on_hold"),
        ("passed draft zebra", "draft"),
        ("zebra apple", "apple"),
    ],
)
def test_the_headline_of_a_bag(bag: str, expected: str) -> None:
    assert headline(bag.split()) == expected


def test_a_webhook_counts_with_its_first_receipt_and_a_snapshot_with_all() -> None:
    again = item_status("on_hold", 3_600)
    folded = fold(again, item_status("on_hold"), item_status("passed", 60))
    assert folded["events"] == 2
    assert line(folded)["status"] == "passed"
    posted: dict[str, Any] = {"items": items(mug="on_hold")}
    folded = fold(snapshot("on_hold", 0, **posted), item_status("passed", 60), snapshot("on_hold", 90, **posted))
    assert folded["events"] == 2
    assert line(folded)["status"] == "on_hold"
    assert (folded["firstEventAt"], folded["lastEventAt"]) == ("2026-11-22T12:00:00Z", "2026-11-22T12:01:30Z")


def test_the_model_does_not_depend_on_order_or_repetition() -> None:
    for seed in range(100):
        rng = random.Random(seed)
        history = lifelike_order(rng)
        shuffled = history + rng.sample(history, len(history) // 2)
        rng.shuffle(shuffled)
        assert document("default", "r", shuffled) == document("default", "r", history)


def test_times_are_truncated_to_whole_seconds() -> None:
    assert iso(NOON + 999_999) == "2026-11-22T12:00:00Z"
    assert iso(-1) == "1969-12-31T23:59:59Z"
    assert set(ATTENTION) < set(RANKS)
