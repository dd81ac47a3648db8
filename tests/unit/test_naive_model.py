"""The naive model against examples worked out by hand; the lifelike histories for what they must contain."""

import json
import random
from collections import Counter
from itertools import pairwise
from typing import Any

import pytest
from lifelike import lifelike_order
from naive_model import (
    ATTENTION,
    FINAL,
    RANKS,
    Model,
    Received,
    clock,
    document,
    headline,
    iso,
    microseconds,
    rank,
    status_of,
    text,
)

SECOND = 1_000_000
HOUR = 3_600 * SECOND
NOON = microseconds("2026-11-22T12:00:00Z") or 0
POSTER_ORDER = "c3c8f7f5-a0e8-4014-a3fb-38a5375d2af8"
MUG_ORDER = "2b8b2b0d-1383-44ac-a650-17619b30a0dc"
FACILITY = {"country": "US", "stateProvince": "NY", "facilityId": "21315db8-e694-4ded-a72a-98f60814c6e8"}
PARTIAL = {"partially_delivered", "partially_returned", "partially_shipped"}


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


# --- examples worked out by hand ----------------------------------------------------------------


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


# --- the lifelike histories ---------------------------------------------------------------------


def phenomena(history: list[Received]) -> set[str]:
    """What a history contains, by name."""
    folded = document("default", "83831IAKD2", history)
    model = Model(history)
    seen = {f"headline {folded['status']}", f"complete {folded['complete']}"}
    seen |= {f"counts {status}" for status in folded["counts"]}
    seen |= {name for name in ("terminal", "attention", "packages", "deliveryEstimate") if folded[name]}
    seen.add(f"{len(folded['orders'])} connected orders")
    if any(len(item["orderIds"]) > 1 for item in folded["items"].values()):
        seen.add("reference in two connected orders")
    for order_id, order in folded["orders"].items():
        seen |= {name for name in ("disagrees", "silent") if order[name]}
        seen.add(f"{len(order['items'])} items")
        seen |= of_observations(model, order_id, order)
    seen |= of_parcels(model, folded) | of_ids(history)
    for one in history:
        seen |= of_webhook(one) if one.source == "webhook" else of_snapshot(one)
    return seen


def of_observations(model: Model, order_id: str, order: dict[str, Any]) -> set[str]:
    seen = set()
    if any(entry["itemReferenceId"] is None for entry in model.attention(order_id, order)):
        seen.add("attention of an order")
    stores = {one.event.get("storeId") for one in model.all if one.order_id == order_id} - {None, ""}
    if len(stores) > 1:
        seen.add("store changes")
    for reference, shown in order["items"].items():
        own = model.own_observations(order_id, reference)
        counting = model.line_observations(order_id, reference)
        if model.whole_order_observations(order_id):
            seen.add("whole order counts" if len(counting) > len(own) else "whole order does not count")
        if not counting:
            seen.add("line without observations")
            continue
        considered = [one for one in counting if one.status in FINAL] or counting
        latest = max(considered, key=lambda one: one.at).status
        if latest != shown["status"]:
            seen.add("interval rule decides otherwise than the latest time")
        times = sorted((one.at, one.status) for one in own)
        for (before, first), (after, second) in pairwise(times):
            if first != second and after - before < SECOND:
                seen.add("closer than 1 s")
            elif first != second and after - before < 30 * SECOND:
                seen.add("closer than 30 s")
        on_hold = [at for at, status in times if status == "on_hold"]
        if on_hold and any(status == "passed" and at > on_hold[0] for at, status in times):
            seen.add("on hold and back")
        delivered = [at for at, status in times if status == "delivered"]
        if delivered and times[-1][1] == "in_transit":
            seen.add("in transit after delivered")
        said = [one for one in model.of(order_id, "itemStatus") if text(one.event["itemReferenceId"]) == reference]
        failed = {one.event["comment"] for one in said if status_of(one.event["status"]) == "failed"}
        if failed & {"", None} and failed - {"", None}:
            seen.add("failed with and without comment")
        if len(failed - {"", None}) > 1:
            seen.add("failed with changed comment")
    return seen


def of_parcels(model: Model, folded: dict[str, Any]) -> set[str]:
    seen = set()
    for order_id, order in folded["orders"].items():
        if any(len(shown["fulfillments"]) > 1 for shown in order["items"].values()):
            seen.add("several parcels for an item")
        by_key: dict[Any, list[dict[str, str | None]]] = {}
        for parcel in sorted(model.parcels(order_id), key=lambda parcel: parcel.said_by.at):
            by_key.setdefault(parcel.key, []).append(parcel.fields)
        for fields in by_key.values():
            for name in ("trackingUrl", "shipmentMethodName", "shipmentMethodUid"):
                values = [said[name] for said in fields]
                seen |= {"parcel field later"} if values[0] is None and any(values) else set()
                seen |= {"parcel field changes"} if len(set(values) - {None}) > 1 else set()
    for package in folded["packages"]:
        seen |= {"shared parcel"} if len(package["itemReferenceIds"]) > 1 else set()
        seen |= {"parcel by URL only"} if package["trackingCode"] is None else set()
    return seen


def of_ids(history: list[Received]) -> set[str]:
    """Duplicates, collisions, and what comes first."""
    seen = set()
    contents: dict[Any, set[str]] = {}
    copies: Counter[str] = Counter()
    made_last: dict[str, int] = {}
    for one in history:
        content = json.dumps(one.event, sort_keys=True)
        copies[one.source + content] += 1
        if one.source == "webhook":
            contents.setdefault(one.event.get("id"), set()).add(content)
            kind = one.event.get("event") or one.event["object"]
            order_id = one.event["orderId"]
            if order_id not in made_last:
                seen.add(f"first of its order: {kind}")
            if clock(one)[0] < made_last.get(order_id, 0):
                seen.add("out of order")
            made_last[order_id] = max(made_last.get(order_id, 0), clock(one)[0])
        elif copies["snapshot" + content] and copies["fetched" + content]:
            seen.add("same snapshot posted and fetched")
    if any(len(same) > 1 for identifier, same in contents.items() if identifier is not None):
        seen.add("id shared by different events")
    seen |= {"duplicate " + key.partition("{")[0] for key, count in copies.items() if count > 1}
    return seen


def of_webhook(one: Received) -> set[str]:
    event, seen = one.event, set()
    kind = event.get("event") or event["object"]
    seen.add(f"kind {kind}")
    at, lo, hi = clock(one)
    rule = {SECOND: "made lately", 30 * SECOND: "received"}[hi - lo]
    seen.add(f"clock: {'created' if at == lo else rule}")
    if one.received_us - at > HOUR:
        seen.add("late by hours")
    if at > one.received_us:
        seen.add("made after its receipt")
    seen.add(f"id {type(event['id']).__name__ if 'id' in event else 'absent'}")
    if kind != "orderStatus" and "order_status" not in kind:
        created: Any = event.get("created")
        seen.add("created " + ("missing" if created is None else "there"))
        parsed = microseconds(created)
        if parsed is None:
            seen |= {"created broken"} if created is not None else set()
        else:
            ending = created[10:]
            offset = "Z" if "Z" in ending else "+00:00" if "+00:00" in ending else "other"
            seen.add(f"offset {offset if offset != 'other' or set('+-') & set(ending) else 'none'}")
            seen |= {"created in the far future"} if parsed > one.received_us + 24 * HOUR - SECOND else set()
    for name in ("fulfillmentStatus", "status"):
        raw = event.get(name)
        if raw is not None and raw != status_of(raw):
            seen.add(f"spelt oddly {status_of(raw)}")
        if raw is not None and status_of(raw) not in RANKS:
            seen.add("unknown status")
    if isinstance(event.get("connectedOrderIds"), list):
        seen.add("webhook with connectedOrderIds")
    if type(event.get("itemReferenceId")) is int:
        seen.add("integer reference")
    store_id = event.get("storeId")
    seen.add(f"store {type(store_id).__name__}")
    if "productionCountry" in event:
        seen.add("production names")
    if "fulfillmentStatus" in event:
        seen |= of_order_status(event)
    return seen


def of_order_status(event: dict[str, Any]) -> set[str]:
    seen = set()
    status = status_of(event["fulfillmentStatus"])
    listed = event.get("items", "absent")
    form = listed if listed == "absent" else repr(listed) if not listed else "listed"
    if status in FINAL:
        seen.add(f"{status} with items {form}")
    if isinstance(listed, list) and listed:
        references = [text(item["itemReferenceId"]) for item in listed]
        statuses = [status_of(item["fulfillmentStatus"]) for item in listed]
        if len(references) > len(set(references)):
            seen.add("reference listed twice")
        if any(rank(one) < rank(status) for one in statuses):
            seen.add("items lag behind")
        if status in FINAL and set(statuses) != {status}:
            seen.add("final order status with lines that disagree")
        if status != "canceled" and "canceled" in statuses:
            seen.add("one line canceled")
    return seen


def of_snapshot(one: Received) -> set[str]:
    seen = set()
    for name in ("items", "updatedAt", "connectedOrderIds", "shipment"):
        value = one.event.get(name, "absent")
        seen.add(f"{one.source} {name} {'absent' if value == 'absent' else 'empty' if not value else 'there'}")
    return seen


@pytest.fixture(scope="module")
def found() -> Counter[str]:
    """In how many of 1,000 histories each phenomenon occurs."""
    counter: Counter[str] = Counter()
    for seed in range(1_000):
        counter.update(phenomena(lifelike_order(random.Random(seed))))
    return counter


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


def test_lifelike_histories_contain_everything_that_happens(found: Counter[str]) -> None:
    assert sorted(name for name in NEEDED if not found[name]) == []


def test_statuses_close_together_are_frequent(found: Counter[str]) -> None:
    assert found["closer than 1 s"] > 500
    assert found["closer than 30 s"] > 500
    assert found["interval rule decides otherwise than the latest time"] > 100


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
