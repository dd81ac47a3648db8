"""A second, deliberately naive implementation of the fold (docs/explanation/the-fold.md), to check the real one.

Written from the contract alone, one function for about one sentence of it. Everything is recomputed from the
whole set of events for every single answer; nothing is incremental and nothing is fast.
"""

import hashlib
import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any

SECOND = 1_000_000
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

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
FINAL = {"delivered", "returned", "canceled"}
ATTENTION = ["failed", "on_hold", "pending_approval", "pending_personalization", "not_connected"]
UNDER_WAY = ["draft", "created", "uploading", "digitizing", "passed", "in_production", "printed"]
RANKS = [
    *["draft", "not_connected", "created", "uploading", "digitizing", "passed", "in_production", "printed"],
    *["pending_personalization", "pending_approval", "on_hold", "failed", "canceled"],
    *["shipped", "in_transit", "delivered", "returned"],
]


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


@dataclass(frozen=True)
class Observation:
    """A status seen, with the clock of the event that said so."""

    status: str
    at: int
    lo: int
    hi: int


@dataclass(frozen=True)
class Parcel:
    """What one event says of one parcel of one line. The parcel's key is `(code, None)`, or `(None, url)`."""

    key: tuple[str | None, str | None]
    reference: str
    fields: dict[str, str | None]
    said_by: Timed


# --- reading values -------------------------------------------------------------------------------


def text(value: Any) -> str | None:
    """Text as it is, an integer as text; None for anything else and for empty text."""
    if isinstance(value, bool):
        return None
    if isinstance(value, int):
        return str(value)
    return value if isinstance(value, str) and value else None


def status_of(value: Any) -> str:
    """A status, normalised."""
    normal = re.sub(r"[\s-]", "_", (text(value) or "").strip().lower())
    return "canceled" if normal == "cancelled" else normal


def day(value: Any) -> str | None:
    """The date that the text begins with, None if it begins with none."""
    begin = (text(value) or "")[:10]
    if not re.fullmatch(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", begin):
        return None
    try:
        date.fromisoformat(begin)
    except ValueError:
        return None
    return begin


def microseconds(value: Any) -> int | None:
    """An ISO 8601 time in microseconds since the epoch (no offset: UTC); None if it is none."""
    if not isinstance(value, str):
        return None
    try:
        moment = datetime.fromisoformat(value)
    except ValueError:
        return None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return (moment - EPOCH) // timedelta(microseconds=1)


def iso(us: int) -> str:
    """ISO 8601 UTC, whole seconds (truncated down), ending in Z."""
    return (EPOCH + timedelta(seconds=us // SECOND)).strftime("%Y-%m-%dT%H:%M:%SZ").rjust(20, "0")


def canonical(event: dict[str, Any]) -> str:
    """The same text for JSON-equal contents, whatever the order of their keys."""
    return json.dumps(event, sort_keys=True)


def entries(value: Any) -> list[dict[str, Any]]:
    """The objects of a list; none if it is no list."""
    return [entry for entry in value if isinstance(entry, dict)] if isinstance(value, list) else []


# --- identity, duplicates, clock ------------------------------------------------------------------


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


# --- statuses -------------------------------------------------------------------------------------


def rank(status: str) -> tuple[int, str]:
    """Sorts statuses, lowest first: the unknown ones by name, then the known ones."""
    return (RANKS.index(status), "") if status in RANKS else (-1, status)


def current_status(observations: list[Observation]) -> str:
    """The current status by everything observed (at least one observation)."""
    seen = {observation.status for observation in observations}
    considered = seen & FINAL or seen
    lo = {status: max(o.lo for o in observations if o.status == status) for status in considered}
    hi = {status: max(o.hi for o in observations if o.status == status) for status in considered}
    greatest = max(lo.values())
    candidates = [status for status in considered if hi[status] > greatest or lo[status] == greatest]
    return max(candidates, key=rank)


def timeline(observations: list[Observation]) -> dict[str, str]:
    """Each status seen, with its least `at`."""
    return {
        status: iso(min(o.at for o in observations if o.status == status))
        for status in sorted({o.status for o in observations})
    }


def headline(bag: list[str]) -> str:
    """The one status of a bag of line statuses."""
    left = [status for status in bag if status != "canceled"]
    present = set(left)
    if not left:
        return "canceled"
    if present == {"returned"}:
        return "returned"
    if present == {"delivered"}:
        return "delivered"
    if present == {"delivered", "returned"}:
        return "partially_returned"
    if "delivered" in present:
        return "partially_delivered"
    if "returned" in present:
        return "partially_returned"
    if present == {"in_transit"}:
        return "in_transit"
    if present <= {"shipped", "in_transit"}:
        return "shipped"
    if present & {"shipped", "in_transit"}:
        return "partially_shipped"
    for status in ATTENTION:
        if status in present:
            return status
    for status in UNDER_WAY:
        if status in present:
            return status
    return min(present)


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


# --- the document ---------------------------------------------------------------------------------


class Model:
    """The whole set of events of one order, and every question that the document answers about it."""

    def __init__(self, received: Iterable[Received]) -> None:
        everything = list(received)
        self.events = len({content_key(one) for one in everything})
        self.all = [timed(one) for one in receipts_that_count(everything)]

    # which orders and lines there are

    def heard(self) -> set[str]:
        """The connected orders that any event is about."""
        return {one.order_id for one in self.all}

    def named(self) -> set[str] | None:
        """The connected orders that some `connectedOrderIds` named; None if nothing named any."""
        names: set[str] | None = None
        for one in self.all:
            listed = one.event.get("connectedOrderIds")
            if isinstance(listed, list):
                # An empty list names the order itself.
                names = (names or set()) | {name for name in map(text, listed or [one.order_id]) if name}
        return names

    def of(self, order_id: str, *kinds: str) -> list[Timed]:
        """The events about one connected order, of these kinds."""
        return [one for one in self.all if one.order_id == order_id and one.kind in kinds]

    def order_statuses(self, order_id: str) -> list[Timed]:
        """A snapshot is an orderStatus."""
        return self.of(order_id, "orderStatus", "snapshot")

    def lines(self, order_id: str) -> list[str]:
        """The references of the lines of one connected order."""
        references = {reference for one in self.order_statuses(order_id) for reference in listed_items(one)}
        for one in self.of(order_id, "itemStatus", "trackingCode"):
            reference = text(one.event["itemReferenceId"])
            if reference is not None:
                references.add(reference)
        return sorted(references)

    # observations

    def order_observations(self, order_id: str) -> list[Observation]:
        """What was observed of the connected order itself."""
        return [
            Observation(status_of(one.event["fulfillmentStatus"]), one.at, one.lo, one.hi)
            for one in self.order_statuses(order_id)
        ]

    def whole_order_observations(self, order_id: str) -> list[Observation]:
        """What was said for every line of the connected order at once."""
        return [
            Observation(status_of(one.event["fulfillmentStatus"]), one.at, one.lo, one.hi)
            for one in self.order_statuses(order_id)
            if speaks_for_the_whole_order(one)
        ]

    def own_observations(self, order_id: str, reference: str) -> list[Observation]:
        """What was observed of this very line."""
        own = []
        for one in self.order_statuses(order_id):
            listed = listed_items(one)
            if reference in listed:
                own.append(Observation(listed[reference], one.at, one.lo, one.hi))
        for one in self.of(order_id, "itemStatus"):
            if text(one.event["itemReferenceId"]) == reference:
                own.append(Observation(status_of(one.event["status"]), one.at, one.lo, one.hi))
        return own

    def line_observations(self, order_id: str, reference: str) -> list[Observation]:
        """What counts for a line: its own, and the whole order's if none of its own is final."""
        own = self.own_observations(order_id, reference)
        if any(observation.status in FINAL for observation in own):
            return own
        return own + self.whole_order_observations(order_id)

    # statuses

    def reported_status(self, order_id: str) -> str | None:
        """The current status of the connected order's own state; None before any."""
        observations = self.order_observations(order_id)
        return current_status(observations) if observations else None

    def line_status(self, order_id: str, reference: str) -> str:
        """The status that a line counts as."""
        observations = self.line_observations(order_id, reference)
        if observations:
            return current_status(observations)
        if any(parcel.reference == reference for parcel in self.parcels(order_id)):
            return "shipped"
        return self.reported_status(order_id) or "created"

    def bag(self, order_id: str) -> list[str]:
        """The line statuses of one connected order; one without lines counts as one line."""
        statuses = [self.line_status(order_id, reference) for reference in self.lines(order_id)]
        return statuses or [self.reported_status(order_id) or "created"]

    # parcels

    def parcels(self, order_id: str) -> list[Parcel]:
        """Every statement about a parcel of a line of one connected order."""
        found = []
        for one in self.of(order_id, "orderStatus"):
            for item in entries(one.event.get("items")):
                for fulfillment in entries(item.get("fulfillments")):
                    found += parcel_of(one, item.get("itemReferenceId"), fulfillment, fulfillment)
        for one in self.of(order_id, "trackingCode"):
            found += parcel_of(one, one.event["itemReferenceId"], one.event, one.event)
        for one in self.of(order_id, "snapshot"):
            shipment = shipment_of(one)
            for package in entries(shipment.get("packages")):
                tied = package.get("orderItemIds")
                tied_ids = {text(value) for value in tied} - {None} if isinstance(tied, list) else set()
                for item in entries(one.event.get("items")):
                    if text(item.get("id")) in tied_ids:
                        found += parcel_of(one, item.get("itemReferenceId"), package, shipment)
        return found

    def packages(self, order_id: str) -> list[dict[str, Any]]:
        """The parcels of one connected order, united over its lines by their key."""
        parcels = self.parcels(order_id)
        united: list[dict[str, Any]] = []
        for key in {parcel.key for parcel in parcels}:
            same = [parcel for parcel in parcels if parcel.key == key]
            fields = {
                name: last_writer((parcel.said_by, parcel.fields[name]) for parcel in same)
                for name in ("trackingUrl", "shipmentMethodName", "shipmentMethodUid")
            }
            references = sorted({parcel.reference for parcel in same})
            known: dict[str, Any] = {"orderId": order_id, "trackingCode": key[0], **fields}
            united.append(known | {"itemReferenceIds": references})
        return united

    def fulfillments(self, order_id: str, reference: str) -> list[dict[str, Any]]:
        """The parcels of one line."""
        keys = {parcel.key for parcel in self.parcels(order_id) if parcel.reference == reference}
        ordered = sorted(keys, key=lambda key: (key[0] or "", key[1] or ""))
        without_code = [{"trackingCode": None, "trackingUrl": url} for code, url in ordered if code is None]
        return without_code + [{"trackingCode": code} for code, _ in ordered if code is not None]

    # the other fields

    def line_comment(self, order_id: str, reference: str, status: str) -> str | None:
        """The line's comment for a status."""
        return last_writer(
            (one, one.event.get("comment"))
            for one in self.of(order_id, "itemStatus")
            if text(one.event["itemReferenceId"]) == reference and status_of(one.event["status"]) == status
        )

    def order_comment(self, order_id: str, status: str) -> str | None:
        """The connected order's own comment for a status."""
        return last_writer(
            (one, one.event.get("comment"))
            for one in self.of(order_id, "orderStatus")
            if status_of(one.event["fulfillmentStatus"]) == status
        )

    def facility(self, order_id: str, reference: str) -> dict[str, str | None]:
        """Where a line is made, field by field."""
        facility = {}
        for name, suffix in (
            ("country", "Country"),
            ("stateProvince", "StateProvince"),
            ("facilityId", "FacilityId"),
        ):
            said: list[tuple[Timed, Any]] = []
            for one in self.of(order_id, "itemStatus"):
                if text(one.event["itemReferenceId"]) == reference:
                    said.append((one, one.event.get("fulfillment" + suffix)))
            for one in self.of(order_id, "trackingCode"):
                if text(one.event["itemReferenceId"]) == reference:
                    usual = text(one.event.get("fulfillment" + suffix))
                    said.append((one, usual or one.event.get("production" + suffix)))
            for one in self.of(order_id, "orderStatus"):
                for item in entries(one.event.get("items")):
                    if text(item.get("itemReferenceId")) == reference:
                        for fulfillment in entries(item.get("fulfillments")):
                            said.append((one, fulfillment.get("fulfillment" + suffix)))
            facility[name] = last_writer(said)
        return facility

    def estimate(self, order_id: str) -> dict[str, str | None] | None:
        """The delivery estimate of one connected order."""
        both = {}
        for name in ("minDeliveryDate", "maxDeliveryDate"):
            said = [(one, day(one.event.get(name))) for one in self.of(order_id, "deliveryEstimate")]
            said += [(one, day(shipment_of(one).get(name))) for one in self.of(order_id, "snapshot")]
            both[name] = last_writer(said)
        return both if any(both.values()) else None

    def store_id(self, order_id: str) -> str | None:
        """The store of one connected order."""
        return last_writer((one, one.event.get("storeId")) for one in self.all if one.order_id == order_id)

    # the parts of the document

    def line_document(self, order_id: str, reference: str) -> dict[str, Any]:
        """One line, as the document shows it."""
        status = self.line_status(order_id, reference)
        times = timeline(self.line_observations(order_id, reference))
        return {
            "status": status,
            "since": times.get(status),
            "comment": self.line_comment(order_id, reference, status),
            "facility": self.facility(order_id, reference),
            "fulfillments": self.fulfillments(order_id, reference),
            "timeline": times,
        }

    def order_document(self, order_id: str) -> dict[str, Any]:
        """One connected order, as the document shows it."""
        status = headline(self.bag(order_id))
        reported = self.reported_status(order_id)
        return {
            "status": status,
            "reportedStatus": reported,
            "disagrees": reported in FINAL and reported != status,
            "storeId": self.store_id(order_id),
            "silent": order_id not in self.heard(),
            "deliveryEstimate": self.estimate(order_id),
            "timeline": timeline(self.order_observations(order_id)),
            "items": {line: self.line_document(order_id, line) for line in self.lines(order_id)},
        }

    def attention(self, order_id: str, order: dict[str, Any]) -> list[dict[str, Any]]:
        """The lines of a connected order that wait for somebody; the order itself if only it says so."""
        found: list[dict[str, Any]] = [
            {"orderId": order_id, "itemReferenceId": reference}
            | {name: line[name] for name in ("status", "comment", "since")}
            for reference, line in order["items"].items()
            if line["status"] in ATTENTION
        ]
        reported = order["reportedStatus"]
        if reported in ATTENTION and not found:
            found.append(
                {
                    "orderId": order_id,
                    "itemReferenceId": None,
                    "status": reported,
                    "comment": self.order_comment(order_id, reported),
                    "since": order["timeline"].get(reported),
                }
            )
        return found


def shipment_of(one: Timed) -> dict[str, Any]:
    """The `shipment` of a snapshot, empty if it has none."""
    shipment = one.event.get("shipment")
    return shipment if isinstance(shipment, dict) else {}


def parcel_of(one: Timed, reference: Any, parcel: dict[str, Any], method: dict[str, Any]) -> list[Parcel]:
    """The parcel of a line if it has a tracking code or else a URL; `method` holds how it is shipped."""
    code, url, line = text(parcel.get("trackingCode")), text(parcel.get("trackingUrl")), text(reference)
    if line is None or (code is None and url is None):
        return []
    fields = {name: text(method.get(name)) for name in ("shipmentMethodName", "shipmentMethodUid")}
    return [Parcel((code, None) if code else (None, url), line, {"trackingUrl": url, **fields}, one)]


def last_writer(said: Iterable[tuple[Timed, Any]]) -> str | None:
    """The value of the last writer by `(hi, lo, identity, value as JSON)`; null and empty text never win."""
    values = [(one, text(value)) for one, value in said]
    written = [
        (one.hi, one.lo, one.identity, json.dumps(value, ensure_ascii=False), value)
        for one, value in values
        if value is not None
    ]
    return max(written)[-1] if written else None


def document(tenant: str, reference: str, received: Iterable[Received]) -> dict[str, Any]:
    """The document of section 3 without `version` and `updatedAt`, from all events of the order."""
    model = Model(received)
    named = model.named()
    order_ids = sorted(model.heard() | (named or set()))
    orders = {order_id: model.order_document(order_id) for order_id in order_ids}
    bag = [status for order_id in order_ids for status in model.bag(order_id)]
    complete = None if named is None else named <= model.heard()

    items = {}
    for item in sorted({item for order in orders.values() for item in order["items"]}):
        holders = [order_id for order_id in order_ids if item in orders[order_id]["items"]]
        statuses = [orders[order_id]["items"][item]["status"] for order_id in holders]
        items[item] = {"status": headline(statuses), "orderIds": holders}

    estimates = [order["deliveryEstimate"] for order in orders.values() if order["deliveryEstimate"]]
    latest = {
        name: max((estimate[name] for estimate in estimates if estimate[name]), default=None)
        for name in ("minDeliveryDate", "maxDeliveryDate")
    }
    attention = [entry for order_id in order_ids for entry in model.attention(order_id, orders[order_id])]
    packages = [package for order_id in order_ids for package in model.packages(order_id)]

    return {
        "schema": 1,
        "tenant": tenant,
        "orderReferenceId": reference,
        "status": headline(bag),
        "terminal": all(status in FINAL for status in bag) and complete is not False,
        "complete": complete,
        "connectedOrderIds": order_ids,
        "counts": {status: bag.count(status) for status in sorted(set(bag))},
        "attention": sorted(attention, key=lambda entry: (entry["orderId"], entry["itemReferenceId"] or "")),
        "deliveryEstimate": latest if estimates else None,
        "items": items,
        "packages": sorted(
            packages, key=lambda one: (one["orderId"], one["trackingCode"] or "", one["trackingUrl"] or "")
        ),
        "orders": orders,
        "events": model.events,
        "firstEventAt": iso(min(one.at for one in model.all)),
        "lastEventAt": iso(max(one.at for one in model.all)),
    }
