"""All that can be asked about one order, answered from the whole set of its events each time."""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from naive_model.events import (
    Received,
    Timed,
    content_key,
    listed_items,
    receipts_that_count,
    shipment_of,
    speaks_for_the_whole_order,
    timed,
)
from naive_model.statuses import ATTENTION, FINAL, Observation, current_status, headline, status_of, timeline
from naive_model.values import day, entries, text


@dataclass(frozen=True)
class Parcel:
    """What one event says of one parcel of one line. The parcel's key is `(code, None)`, or `(None, url)`."""

    key: tuple[str | None, str | None]
    reference: str
    fields: dict[str, str | None]
    said_by: Timed


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
