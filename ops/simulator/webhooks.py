"""What Gelato says about a life: each moment becomes one or more webhooks, of either generation of names.

Whatever is left unsaid in one event is said in another of the same moment, so that the webhooks together tell
the whole truth. Dates are true; where an id carries no clock, it is only used where no clock can matter
(`_clockless`).
"""

import random
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone
from typing import Any, Literal

from ops.simulator.ids import Ids
from ops.simulator.lifecycle import SECOND_US, Life, Moment, Parcel

Kind = Literal["orderStatus", "itemStatus", "trackingCode", "deliveryEstimate"]
Facility = Mapping[str, str | None]
"""`Country`, `StateProvince`, `FacilityId`."""
NEW_NAMES: dict[Kind, str] = {
    "orderStatus": "order_status_updated",
    "itemStatus": "order_item_status_updated",
    "trackingCode": "order_item_tracking_code_updated",
    "deliveryEstimate": "order_delivery_estimate_updated",
}
SPREAD_US = 3 * SECOND_US
"""All events of a moment are made within this time of it."""


@dataclass(frozen=True)
class Webhook:
    """One event as Gelato would post it. `made_us`: its simulated true time, microseconds since 1970."""

    kind: Kind
    made_us: int
    payload: dict[str, Any]


class Herald:
    """Announces the lives of one order's connected orders.

    `rng` decides what is said how, `names` only how ids read, so that two runs with one seed say the same
    things.
    """

    def __init__(self, rng: random.Random, names: random.Random, ids: Ids, reference: str | int) -> None:
        self._rng, self._names, self._ids = rng, names, ids
        self._reference = reference
        self._store_id = f"store-{names.getrandbits(32):08x}" if rng.random() < 0.3 else None
        self._new_share = rng.choice((0.0, 0.2, 1.0))
        self._webhooks: list[Webhook] = []

    def webhooks(self) -> list[Webhook]:
        """All that was announced, in true order.

        In some orders two events of different kinds share their id.
        """
        if self._rng.random() < 0.3:
            self._share_an_id()
        return sorted(self._webhooks, key=lambda webhook: webhook.made_us)

    def announce(self, life: Life, facility: Facility | None = None) -> None:
        """Says everything about one connected order, made in this facility (by default in some)."""
        self._order_id = life.order_id
        self._facility = facility or {
            "Country": self._rng.choice(("US", "DE", "BR", "JP")),
            "StateProvince": self._rng.choice(("NY", "SP", "", None)),
            "FacilityId": f"facility-{self._names.getrandbits(32):08x}",
        }
        clockless = self._clockless(life)
        reported: str | None = None
        for moment in life.moments:
            self._clock_on_order_status = moment not in clockless
            self._moment(moment, reported)
            reported = moment.reported

    def _clockless(self, life: Life) -> list[Moment]:
        """The moments whose order status gets an id without a clock, so that it counts from 30 s before its
        receipt.

        Such an event looks newer than everything dated. That is harmless in two cases. For the last moment:
        nothing is newer. For all moments, in whatever order they are received, if one final status is all
        that each line and the order ever reach (`Life.ends_once`): then nothing else is considered. In any
        other case, an early `created` received last would win.
        """
        last = life.moments[-1]
        choice = self._rng.random()
        if choice < 0.2 and life.ends_once():
            return list(life.moments)
        if choice < 0.4 and not last.late_scans:
            return [last]
        return []

    def _moment(self, moment: Moment, reported_before: str | None) -> None:
        rng = self._rng
        unsaid = []
        for item in (*moment.changed, *moment.late_scans):
            status = "in_transit" if item in moment.late_scans else moment.statuses[item]
            comment = moment.comments.get(item)
            if comment or item in moment.late_scans or rng.random() < 0.9:
                self._item_status(moment, item, status, comment)
            else:
                unsaid.append(item)
        untold_parcel = False
        for item, parcel in moment.fresh:
            if rng.random() < 0.6:
                self._tracking_code(moment, item, parcel)
            else:
                untold_parcel = True
        if moment.estimate:
            self._estimate(moment, *moment.estimate)
        if moment.late_scans and moment.reported == "delivered" and rng.random() < 0.5:
            scanned = {**moment.statuses, **dict.fromkeys(moment.late_scans, "in_transit")}
            self._order_status(moment, "in_transit", scanned)
        first, news = reported_before is None, moment.reported != reported_before
        if not (news or unsaid or untold_parcel or rng.random() < 0.15):
            return
        # Without items, a final order status speaks for all lines that have no final status of their own.
        speaks = moment.reported in ("delivered", "canceled")
        bare = not first and not untold_parcel and rng.random() < (0.3 if speaks and news else 0.1)
        if bare and all(speaks and news and moment.statuses[item] == moment.reported for item in unsaid):
            self._order_status(moment, moment.reported, None)
        else:
            self._order_status(moment, moment.reported, dict(moment.statuses))

    def _order_status(self, moment: Moment, status: str, lines: dict[str, str] | None) -> None:
        at_us = self._at(moment)
        event_id = self._ids.clocked("os", at_us)
        if not self._clock_on_order_status:
            event_id = self._ids.clockless(self._names)
        payload: dict[str, Any] = {"comment": "", "fulfillmentStatus": self._spelled(status)}
        if lines is not None:
            payload["items"] = [e for item, state in lines.items() for e in self._entries(moment, item, state)]
        elif (form := self._rng.randrange(3)) < 2:
            payload["items"] = ([], None)[form]
        self._add("orderStatus", at_us, event_id, payload)

    def _entries(self, moment: Moment, item: str, status: str) -> list[dict[str, Any]]:
        """The entry of one line with its parcels; sometimes two entries, each with some of the parcels."""
        parcels: list[dict[str, Any]] = [
            {**self._parcel(parcel), **self._place("fulfillment")} for parcel in moment.parcels.get(item, ())
        ]
        if not parcels and status in ("shipped", "in_transit", "delivered") and self._rng.random() < 0.5:
            parcels = [{"trackingCode": "", "trackingUrl": "", **self._place("fulfillment")}]
        halves = [parcels]
        if len(parcels) > 1 and self._rng.random() < 0.2:
            halves = [parcels[:1], parcels[1:]]
        return [
            {
                "itemReferenceId": self._item(item),
                "fulfillmentStatus": self._spelled(status),
                "fulfillments": half,
            }
            for half in halves
        ]

    def _item_status(self, moment: Moment, item: str, status: str, comment: str | None) -> None:
        at_us = self._at(moment)
        payload = {
            "itemReferenceId": self._item(item),
            "status": self._spelled(status),
            "comment": comment or self._rng.choice(("", None)),
            "created": self._created(at_us),
            **self._place("fulfillment"),
        }
        self._add("itemStatus", at_us, self._dated_id("is", at_us), payload)

    def _tracking_code(self, moment: Moment, item: str, parcel: Parcel) -> None:
        at_us = self._at(moment)
        payload = {
            "itemReferenceId": self._item(item),
            "created": self._created(at_us),
            **self._parcel(parcel),
            **self._place(self._rng.choice(("production", "fulfillment"))),
        }
        self._add("trackingCode", at_us, self._dated_id("tc", at_us), payload)

    def _estimate(self, moment: Moment, low: str | None, high: str) -> None:
        at_us = self._at(moment)
        payload = {"minDeliveryDate": low, "maxDeliveryDate": high, "created": self._created(at_us)}
        self._add("deliveryEstimate", at_us, self._dated_id("os", at_us), payload)

    def _add(self, kind: Kind, at_us: int, event_id: str, fields: dict[str, Any]) -> None:
        # No older name of the delivery estimate was ever seen.
        new = kind == "deliveryEstimate" or self._rng.random() < self._new_share
        payload = {
            "id": event_id,
            **({"event": NEW_NAMES[kind]} if new else {"object": kind}),
            "orderId": self._order_id,
            "orderReferenceId": self._reference,
            "storeId": self._store_id,
            **fields,
        }
        self._webhooks.append(Webhook(kind, at_us, payload))

    def _share_an_id(self) -> None:
        """Gives an item status the id of an order status, as the seed's `os_3193599927`.

        Its `created` dates it.
        """
        orders = [w for w in self._webhooks if w.kind == "orderStatus"]
        items = [w for w in self._webhooks if w.kind == "itemStatus"]
        if items:
            self._rng.choice(items).payload["id"] = self._rng.choice(orders).payload["id"]

    def _dated_id(self, prefix: str, at_us: int) -> str:
        """For events with `created`, which decides before the id does: any id will do."""
        if self._rng.random() < 0.2:
            return self._ids.clockless(self._names)
        return self._ids.clocked(prefix, at_us)

    def _at(self, moment: Moment) -> int:
        return moment.at_us + self._rng.randrange(SPREAD_US)

    def _created(self, at_us: int) -> str:
        """Whole seconds with an offset, cut off (not rounded), as Gelato does."""
        zone = timezone(timedelta(hours=2)) if self._rng.random() < 0.1 else UTC
        return datetime.fromtimestamp(at_us // SECOND_US, zone).isoformat()

    def _item(self, item: str) -> str | int:
        """Merchants send numbers too; Gelato mostly echoes strings."""
        return int(item) if item.isdecimal() and self._rng.random() < 0.5 else item

    def _spelled(self, status: str) -> str:
        if status == "canceled" and self._rng.random() < 0.3:
            return "cancelled"
        return status.replace("_", " ").title() if self._rng.random() < 0.02 else status

    def _place(self, prefix: str) -> dict[str, str | None]:
        return {prefix + name: value for name, value in self._facility.items()}

    @staticmethod
    def _parcel(parcel: Parcel) -> dict[str, str]:
        return {
            "trackingCode": parcel.code,
            "trackingUrl": parcel.url,
            "shipmentMethodName": parcel.method_name,
            "shipmentMethodUid": parcel.method_uid,
        }
