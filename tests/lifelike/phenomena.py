"""What a history contains, by name: what happens to orders, and what goes wrong with what is said of them."""

import json
from collections import Counter
from itertools import pairwise
from typing import Any

from naive_model.events import Received, clock
from naive_model.model import Model
from naive_model.order import document
from naive_model.statuses import FINAL, RANKS, rank, status_of
from naive_model.values import microseconds, text

from lifelike.orders import HOUR, SECOND


def phenomena(history: list[Received]) -> set[str]:
    """All that happens in a history."""
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
