"""Events and snapshots: which are the same, when each was made, and what it says of lines."""

import hashlib
import re
from dataclasses import dataclass
from typing import Any

from naive_model.statuses import FINAL, rank, status_of
from naive_model.values import SECOND, canonical, entries, microseconds, text

KINDS = {
    "orderStatus": "orderStatus",
    "order_status_updated": "orderStatus",
    "itemStatus": "itemStatus",
    "order_item_status_updated": "itemStatus",
    "trackingCode": "trackingCode",
    "order_item_tracking_code_updated": "trackingCode",
    "deliveryEstimate": "deliveryEstimate",
    "order_delivery_estimate_updated": "deliveryEstimate",
}


@dataclass(frozen=True)
class Received:
    """An event and the time it was received, in microseconds since the epoch.

    `source` is "webhook", "snapshot" (posted) or "fetched" (a snapshot this service fetched itself).
    """

    event: dict[str, Any]
    received_us: int
    source: str


@dataclass(frozen=True)
class Timed:
    """A distinct event at one time of receipt, with its clock: `at`, and the interval `[lo, hi]`."""

    event: dict[str, Any]
    kind: str  # one of the four kinds, or "snapshot"
    order_id: str
    identity: str
    at: int
    lo: int
    hi: int


def identity_of(one: Received) -> str:
    """`<kind>:<id>`, or `snapshot:<orderId>:<updatedAt>`."""
    event = one.event
    if one.source != "webhook":
        return f"snapshot:{text(event['id'])}:{text(event.get('updatedAt')) or ''}"
    identifier = text(event.get("id")) or "-" + hashlib.sha256(canonical(event).encode()).hexdigest()
    return f"{kind_of(one)}:{identifier}"


def kind_of(one: Received) -> str:
    """One of the four kinds, by `event`, else by `object`; "snapshot" for a snapshot."""
    if one.source != "webhook":
        return "snapshot"
    return KINDS[one.event.get("event") or one.event["object"]]


def content_key(one: Received) -> tuple[str, str, str]:
    """What makes two events the same one."""
    return (one.source, identity_of(one), canonical(one.event))


def receipts_that_count(received: list[Received]) -> list[Received]:
    """Of the same webhook its first receipt only; of a snapshot every receipt."""
    first: dict[tuple[str, str, str], int] = {}
    for one in received:
        key = content_key(one)
        first[key] = min(first.get(key, one.received_us), one.received_us)
    return [one for one in received if one.source != "webhook" or one.received_us == first[content_key(one)]]


def clock(one: Received) -> tuple[int, int, int]:
    """`at`, `lo`, `hi` of an event."""
    event, receipt = one.event, one.received_us
    if one.source != "webhook":
        return snapshot_clock(one)
    # 1. `created` parses as ISO 8601 and is at most 300 s after receipt
    created = microseconds(event.get("created"))
    if created is not None and created <= receipt + 300 * SECOND:
        return created, created, created + SECOND
    # 2. the id is letters, `_`, 13 lower-case hex digits, from 7 days before receipt to 300 s after
    identifier = event["id"] if isinstance(event.get("id"), str) else ""
    match = re.fullmatch(r"[A-Za-z]+_([0-9a-f]{8})([0-9a-f]{5})", identifier)
    if match:
        made = int(match[1], 16) * SECOND + int(match[2], 16)
        if receipt - 7 * 86_400 * SECOND <= made <= receipt + 300 * SECOND:
            return made, made - SECOND, made
    # 3. neither
    return receipt, receipt - 30 * SECOND, receipt


def snapshot_clock(one: Received) -> tuple[int, int, int]:
    """`at`, `lo`, `hi` of a snapshot (rule 4)."""
    hi = one.received_us
    updated = microseconds(one.event.get("updatedAt"))
    created = microseconds(one.event.get("createdAt"))
    at = hi if updated is None else updated
    if one.source == "fetched":
        lo = hi - 5 * SECOND
    elif updated is not None:
        lo = min(updated, hi)
    elif created is not None:
        lo = min(created, hi)
    else:
        lo = 0
    return at, lo, hi


def timed(one: Received) -> Timed:
    """The event with its clock."""
    order_id = text(one.event["id" if one.source != "webhook" else "orderId"])
    if order_id is None:
        raise ValueError(f"no usable order id in {one.event}")
    at, lo, hi = clock(one)
    return Timed(one.event, kind_of(one), order_id, identity_of(one), at, lo, hi)


def listed_items(one: Timed) -> dict[str, str]:
    """What an orderStatus or snapshot says of each line it lists: reference to status."""
    said: dict[str, list[str]] = {}
    for item in entries(one.event.get("items")):
        reference = text(item.get("itemReferenceId"))
        if reference is not None:
            said.setdefault(reference, []).append(status_of(item.get("fulfillmentStatus")))
    counts = {}
    for reference, statuses in said.items():
        not_canceled = [status for status in statuses if status != "canceled"]
        counts[reference] = min(not_canceled or statuses, key=rank)
    return counts


def speaks_for_the_whole_order(one: Timed) -> bool:
    """Whether an orderStatus or snapshot observes every line of its order."""
    if one.kind == "snapshot" and one.event.get("items") is None:
        return False
    status = status_of(one.event["fulfillmentStatus"])
    return status == "canceled" or (status in FINAL and not one.event.get("items"))


def shipment_of(one: Timed) -> dict[str, Any]:
    """The `shipment` of a snapshot, empty if it has none."""
    shipment = one.event.get("shipment")
    return shipment if isinstance(shipment, dict) else {}
