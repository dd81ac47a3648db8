"""Lifelike events, whole lives of orders: two connected orders, three items, from created to delivered."""

import random
import time
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Final, NamedTuple

import orjson

_HOUR: Final = 3600
#: A life ended this long before now: later than Gelato's ids are believed, so `created` decides where there is one.
_AGO_SECONDS: Final = 3 * 24 * _HOUR
_ITEM_STATUSES: Final = ("passed", "printed", "shipped", "delivered")


class Event(NamedTuple):
    """One event: its order, and its body as Gelato would post it."""

    reference: str
    body: bytes


class Life:
    """One order's life: `events(24)` or `events(20)`, oldest first, all different, the last one makes it terminal."""

    def __init__(self, reference: str, rng: random.Random) -> None:
        self.reference = reference
        self._rng = rng
        self._start = int(time.time()) - _AGO_SECONDS
        self._orders = (_uuid(rng), _uuid(rng))
        self._items = ((0, f"poster-{rng.randrange(10**6)}"), (0, f"mug-{rng.randrange(10**6)}"), (1, "phone-case"))
        self._facilities = (_uuid(rng), _uuid(rng))
        self._parcels = tuple(f"{rng.randrange(10**12):012d}" for _ in range(2))
        self._number = 0

    def events(self, count: int = 20) -> list[Event]:
        """20 events (what every order has) or 24 (order statuses of each step too)."""
        moments: list[dict[str, Any]] = [self._order_status(n, "passed", 0) for n in (0, 1)]
        for step, status in enumerate(_ITEM_STATUSES, start=1):
            if status == "shipped":
                moments += [self._tracking_code(item, step) for item in range(3)]
                if count == 24:
                    moments += [self._order_status(n, status, step) for n in (0, 1)]
            if status == "printed":
                moments += [self._estimate(n, step) for n in ((0, 1) if count == 24 else (0,))]
            moments += [self._item_status(item, status, step) for item in range(3)]
        if count == 24:
            moments.append(self._order_status(0, "in_transit", 4))
        moments += [self._order_status(n, "delivered", 5) for n in (0, 1)]
        return [Event(self.reference, orjson.dumps(moment)) for moment in moments]

    def _common(self, prefix: str, event: str, order: int, at: int) -> dict[str, Any]:
        self._number += 1
        micro = self._rng.randrange(10**6)
        return {
            "id": f"{prefix}_{self._start + at + self._number:08x}{micro:05x}",
            "event": event,
            "orderId": self._orders[order],
            "orderReferenceId": self.reference,
            "storeId": None,
        }

    def _order_status(self, order: int, status: str, step: int) -> dict[str, Any]:
        with_parcels = status in ("shipped", "in_transit", "delivered")
        items = [
            {
                "itemReferenceId": reference,
                "fulfillmentStatus": status,
                "fulfillments": [{**self._parcel(order), **self._place(order)}] if with_parcels else [],
            }
            for of, reference in self._items
            if of == order
        ]
        return {
            **self._common("os", "order_status_updated", order, step * _HOUR),
            "fulfillmentStatus": status,
            "comment": "",
            "connectedOrderIds": list(self._orders),
            "items": items,
        }

    def _item_status(self, item: int, status: str, step: int) -> dict[str, Any]:
        order, reference = self._items[item]
        return {
            **self._common("is", "order_item_status_updated", order, step * _HOUR),
            "itemReferenceId": reference,
            "status": status,
            "comment": "",
            "created": self._created(step),
            **self._place(order),
        }

    def _tracking_code(self, item: int, step: int) -> dict[str, Any]:
        order, reference = self._items[item]
        return {
            **self._common("tc", "order_item_tracking_code_updated", order, step * _HOUR),
            "itemReferenceId": reference,
            "created": self._created(step),
            **self._parcel(order),
            **self._place(order),
        }

    def _estimate(self, order: int, step: int) -> dict[str, Any]:
        low, high = (time.strftime("%Y-%m-%d", time.gmtime(self._start + days * 86_400)) for days in (6, 9))
        common = self._common("os", "order_delivery_estimate_updated", order, step * _HOUR)
        return {**common, "minDeliveryDate": low, "maxDeliveryDate": high, "created": self._created(step)}

    def _created(self, step: int) -> str:
        return time.strftime("%Y-%m-%dT%H:%M:%S+00:00", time.gmtime(self._start + step * _HOUR + self._number))

    def _place(self, order: int) -> dict[str, str]:
        return {
            "fulfillmentCountry": "US",
            "fulfillmentStateProvince": "NY",
            "fulfillmentFacilityId": self._facilities[order],
        }

    def _parcel(self, order: int) -> dict[str, str]:
        code = self._parcels[order]
        return {
            "trackingCode": code,
            "trackingUrl": f"https://tracking.example/parcels/{code}",
            "shipmentMethodName": "DHL Global Mail Parcel",
            "shipmentMethodUid": "dhl_global_mail_parcel",
        }


def interleaved(prefix: str, orders: int, *, events: int = 20, at_once: int = 200, seed: int = 1) -> Iterator[Event]:
    """The lives of some orders, `at_once` under way at a time, as they would come in."""
    rng = random.Random(seed)
    for first in range(0, orders, at_once):
        lives = [Life(f"{prefix}{n}", rng).events(events) for n in range(first, min(first + at_once, orders))]
        for step in range(events):
            yield from (life[step] for life in lives)


def short(prefix: str, orders: int, *, seed: int = 1) -> Iterator[Event]:
    """The first and the last events of many orders: finished orders, cheaply made."""
    rng = random.Random(seed)
    for n in range(orders):
        events = Life(f"{prefix}{n}", rng).events()
        yield from (*events[:2], *events[-2:])


def endless(references: Sequence[str], items: int, count: int, *, first: int = 0, seed: int = 1) -> Iterator[Event]:
    """Item statuses without end, `count` in all, to each order in turn: an order's size stays, its history grows.

    Each order is one connected order of `items` items. `first`: how many events an order has had already.
    """
    rng = random.Random(seed)
    start = int(time.time()) - 20 * _AGO_SECONDS
    for n in range(count):
        number = first + n // len(references)
        reference = references[n % len(references)]
        made = time.strftime("%Y-%m-%dT%H:%M:%S+00:00", time.gmtime(start + number * 60))
        body = {
            "id": f"is_{start + number:08x}{rng.randrange(10**6):05x}",
            "event": "order_item_status_updated",
            "orderId": order_id(reference),
            "orderReferenceId": reference,
            "storeId": None,
            "itemReferenceId": f"item-{rng.randrange(items)}",
            "status": ("passed", "in_production", "printed")[number % 3],
            "comment": "",
            "created": made,
            "fulfillmentCountry": "US",
            "fulfillmentStateProvince": "NY",
            "fulfillmentFacilityId": "21315db8-e694-4ded-a72a-98f60814c6e8",
        }
        yield Event(reference, orjson.dumps(body))


def opening(references: Iterable[str], items: int) -> Iterator[Event]:
    """The first event of orders that have so many items: an order status that lists them all."""
    start = int(time.time()) - 21 * _AGO_SECONDS
    for reference in references:
        entries = [{"itemReferenceId": f"item-{n}", "fulfillmentStatus": "passed"} for n in range(items)]
        body = {
            "id": f"os_{start:08x}00000",
            "event": "order_status_updated",
            "orderId": order_id(reference),
            "orderReferenceId": reference,
            "fulfillmentStatus": "passed",
            "items": entries,
        }
        yield Event(reference, orjson.dumps(body))


def order_id(reference: str) -> str:
    """The connected order of an order that has only one."""
    return f"2b8b2b0d-1383-44ac-a650-{reference}"


def _uuid(rng: random.Random) -> str:
    text = f"{rng.getrandbits(128):032x}"
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"
