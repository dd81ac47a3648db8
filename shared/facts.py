"""What one event says: the observations and values that the fold joins into an order's state.

An event is read once into `Facts`; joining facts (`shared.rollup`) cannot fail, so that whatever an odd event may break
breaks here, before any state has been touched. See docs/explanation/the-fold.md.
"""

from typing import Any, Final

import msgspec

from shared import statuses
from shared.canonical import parse
from shared.clock import Stamp, event_stamp, snapshot_stamp
from shared.errors import UnusableEvent
from shared.events import (
    DELIVERY_ESTIMATE,
    ITEM_STATUS,
    MAX_TEXT,
    ORDER_STATUS,
    SNAPSHOT,
    TRACKING_CODE,
    ExampleEvent,
    Usable,
    calendar_date,
    classify_webhook,
    optional_text,
)
from shared.snapshots import Sanitised, classify_snapshot


class ParcelFacts(msgspec.Struct, frozen=True, gc=False):
    """One parcel of one line; `key` is its tracking code, else its URL."""

    key: str
    code: str | None
    url: str | None
    method_name: str | None
    method_uid: str | None


class LineFacts(msgspec.Struct, frozen=True, gc=False):
    """What an event says of one line. `facility` is country, state or province, facility id."""

    reference: str
    status: str | None = None
    comment: str | None = None
    facilities: tuple[tuple[str | None, str | None, str | None], ...] = ()
    parcels: tuple[ParcelFacts, ...] = ()


class Facts(msgspec.Struct, frozen=True, gc=False):
    """What an event says of one connected order."""

    order_id: str
    identity: str
    stamp: Stamp
    received: int
    #: The connected order's own status, and whether it also stands for every line of the order.
    status: str | None = None
    speaks_for_all: bool = False
    comment: str | None = None
    store_id: str | None = None
    min_date: str | None = None
    max_date: str | None = None
    #: Every sibling, where the event names them.
    connected: tuple[str, ...] = ()
    lines: tuple[LineFacts, ...] = ()


#: How an event came in. A snapshot that this service asked for itself has a narrower clock than one posted by others.
WEBHOOK: Final = "webhook"
POSTED: Final = "posted"
FETCHED: Final = "fetched"


def read_facts(text: bytes, came_as: str, received: int) -> Facts:
    """Read a stored event: its canonical JSON, how it came in, and its time of receipt (microseconds).

    Raises `UnusableEvent` where this version cannot use it (it was stored by a version that could).
    """
    content, canonical = parse(text)
    if came_as == WEBHOOK:
        event = classify_webhook(content, canonical)
    elif isinstance(content, dict):
        event = classify_snapshot(Sanitised(content, canonical), fetched=came_as == FETCHED)
    else:
        raise UnusableEvent("invalid-event", "body: must be a JSON object")
    if isinstance(event, Usable):
        if event.kind == SNAPSHOT:
            return _snapshot(event, received, fetched=came_as == FETCHED)
        return _READERS[event.kind](event, received)
    name = "a test notification" if isinstance(event, ExampleEvent) else event.name
    raise UnusableEvent("invalid-event", f"body: {name} says nothing about an order")


def _order_status(event: Usable, received: int) -> Facts:
    content = event.content
    status = statuses.normalise(content["fulfillmentStatus"])
    items: list[dict[str, Any]] = content.get("items") or []
    listed: dict[str, list[str]] = {}
    fulfillments: dict[str, list[dict[str, Any]]] = {}
    for item in items:
        reference = str(item["itemReferenceId"])
        listed.setdefault(reference, []).append(statuses.normalise(item["fulfillmentStatus"]))
        given = item.get("fulfillments")
        if isinstance(given, list):
            entries = fulfillments.setdefault(reference, [])
            entries.extend(entry for entry in given if isinstance(entry, dict))
    lines = tuple(
        LineFacts(
            reference,
            status=seen[0] if len(seen) == 1 else statuses.lowest_listed(seen),
            facilities=tuple(map(_fulfillment_facility, fulfillments.get(reference, ()))),
            parcels=tuple(filter(None, map(_parcel, fulfillments.get(reference, ())))),
        )
        for reference, seen in listed.items()
    )
    return Facts(
        event.order_id,
        event.identity,
        event_stamp(content.get("created"), _id_text(content), received),
        received,
        status=status,
        speaks_for_all=_speaks_for_all(status, lists_items=bool(items)),
        comment=optional_text(content.get("comment")),
        store_id=optional_text(content.get("storeId")),
        connected=_connected(event.order_id, content),
        lines=lines,
    )


def _item_status(event: Usable, received: int) -> Facts:
    content = event.content
    line = LineFacts(
        str(content["itemReferenceId"]),
        status=statuses.normalise(content["status"]),
        comment=optional_text(content.get("comment")),
        facilities=(_fulfillment_facility(content),),
    )
    return _about_a_line(event, received, line)


def _tracking_code(event: Usable, received: int) -> Facts:
    content = event.content
    parcel = _parcel(content)
    line = LineFacts(
        str(content["itemReferenceId"]),
        facilities=(_fulfillment_facility(content), _production_facility(content)),
        parcels=(parcel,) if parcel else (),
    )
    return _about_a_line(event, received, line)


def _about_a_line(event: Usable, received: int, line: LineFacts) -> Facts:
    content = event.content
    return Facts(
        event.order_id,
        event.identity,
        event_stamp(content.get("created"), _id_text(content), received),
        received,
        store_id=optional_text(content.get("storeId")),
        connected=_connected(event.order_id, content),
        lines=(line,),
    )


def _delivery_estimate(event: Usable, received: int) -> Facts:
    content = event.content
    return Facts(
        event.order_id,
        event.identity,
        event_stamp(content.get("created"), _id_text(content), received),
        received,
        store_id=optional_text(content.get("storeId")),
        min_date=calendar_date(content.get("minDeliveryDate")),
        max_date=calendar_date(content.get("maxDeliveryDate")),
        connected=_connected(event.order_id, content),
    )


def _snapshot(event: Usable, received: int, *, fetched: bool) -> Facts:
    content = event.content
    status = statuses.normalise(content["fulfillmentStatus"])
    items: list[dict[str, Any]] | None = content.get("items")
    shipment: dict[str, Any] = content.get("shipment") or {}
    references = {optional_text(item.get("id")): str(item["itemReferenceId"]) for item in items or ()}
    parcels = _snapshot_parcels(shipment, references)
    listed: dict[str, list[str]] = {}
    for item in items or ():
        listed.setdefault(str(item["itemReferenceId"]), []).append(statuses.normalise(item["fulfillmentStatus"]))
    return Facts(
        event.order_id,
        event.identity,
        snapshot_stamp(content.get("updatedAt"), content.get("createdAt"), received, fetched),
        received,
        status=status,
        # A search result has no `items` at all: it knows nothing of the lines, so it does not speak for them.
        speaks_for_all=items is not None and _speaks_for_all(status, lists_items=bool(items)),
        store_id=optional_text(content.get("storeId")),
        min_date=calendar_date(shipment.get("minDeliveryDate")),
        max_date=calendar_date(shipment.get("maxDeliveryDate")),
        connected=_connected(event.order_id, content),
        lines=tuple(
            LineFacts(reference, status=statuses.lowest_listed(seen), parcels=tuple(parcels.get(reference, ())))
            for reference, seen in listed.items()
        ),
    )


_READERS: Final = {
    ORDER_STATUS: _order_status,
    ITEM_STATUS: _item_status,
    TRACKING_CODE: _tracking_code,
    DELIVERY_ESTIMATE: _delivery_estimate,
}


def _speaks_for_all(status: str, *, lists_items: bool) -> bool:
    return status == "canceled" or (status in statuses.FINAL and not lists_items)


def _id_text(content: dict[str, Any]) -> str | None:
    event_id = content.get("id")
    return event_id if isinstance(event_id, str) else None


def _connected(order_id: str, content: dict[str, Any]) -> tuple[str, ...]:
    """The siblings that an event names: an empty list says that there is no split, so it names the order itself."""
    named = content.get("connectedOrderIds")
    if not isinstance(named, list):
        return ()
    if not named:
        return (order_id,)
    ids = map(optional_text, named)
    return tuple(sibling for sibling in ids if sibling is not None and len(sibling) <= MAX_TEXT)


def _fulfillment_facility(entry: dict[str, Any]) -> tuple[str | None, str | None, str | None]:
    return (
        optional_text(entry.get("fulfillmentCountry")),
        optional_text(entry.get("fulfillmentStateProvince")),
        optional_text(entry.get("fulfillmentFacilityId")),
    )


def _production_facility(entry: dict[str, Any]) -> tuple[str | None, str | None, str | None]:
    """Gelato's table says `fulfillment...`, its example `production...`: both occur. The former wins where both are."""
    named = _fulfillment_facility(entry)
    produced = (
        optional_text(entry.get("productionCountry")),
        optional_text(entry.get("productionStateProvince")),
        optional_text(entry.get("productionFacilityId")),
    )
    country, state, facility = (p if f is None else None for f, p in zip(named, produced, strict=True))
    return (country, state, facility)


def _parcel(entry: dict[str, Any]) -> ParcelFacts | None:
    code = optional_text(entry.get("trackingCode"))
    url = optional_text(entry.get("trackingUrl"))
    key = code or url
    if key is None:
        return None
    name, uid = optional_text(entry.get("shipmentMethodName")), optional_text(entry.get("shipmentMethodUid"))
    return ParcelFacts(key, code, url, name, uid)


def _snapshot_parcels(shipment: dict[str, Any], references: dict[str | None, str]) -> dict[str, list[ParcelFacts]]:
    """Parcels by item reference. A package names its items by the API's item ids, which only this response resolves."""
    parcels: dict[str, list[ParcelFacts]] = {}
    for package in shipment.get("packages") or ():
        parcel = _parcel({**shipment, **package})
        if parcel is None:
            continue
        for item_id in package.get("orderItemIds") or ():
            reference = references.get(optional_text(item_id))
            if reference is not None:
                parcels.setdefault(reference, []).append(parcel)
    return parcels
