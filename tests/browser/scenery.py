"""Orders and dead letters as an operator may find them: what the browser tests and the screenshots look at."""

import math
import os
import time
from bisect import bisect_left
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from support.processes import Receiver

from shared.metrics import ACKNOWLEDGEMENT_BOUNDS, DOCUMENT_BOUNDS
from shared.store import Store, activity
from shared.store.letter_index import Cause

SPLIT = "83831IAKD2"
SPLIT_EVENTS = 32
TRACKING_CODE = "00340c3c81"
#: References that want to be more than text.
HOSTILE = [
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "a/b?c#d&e=%2F",
    "line\nbreak",
    "nul\x00inside",
    "\u202ertl\u200f",
    "..",
    "x{{ 7 * 7 }}",
    "\N{PRETZEL}" * 255,
]
#: The group of the dead letters of an event that nobody knows.
UNKNOWN_EVENTS = Cause("default", "unknown-event", "event: unknown name 'order_packed'").group
ORDERS = 11
_WAY = ("created", "uploading", "passed", "in_production", "printed", "shipped", "in_transit", "delivered")
_NUMBER = iter(range(10**9))


def order_status(
    reference: str, order_id: str, status: str, minutes_ago: float, *items: str, **more: Any
) -> dict[str, Any]:
    """An order status, whose id carries its time."""
    return {
        "object": "orderStatus",
        "id": _id("os", minutes_ago),
        "orderId": order_id,
        "orderReferenceId": reference,
        "storeId": None,
        "fulfillmentStatus": status,
        "items": [{"itemReferenceId": item, "fulfillmentStatus": status} for item in items],
        **more,
    }


def item_status(
    reference: str, order_id: str, item: str, status: str, minutes_ago: float, **more: Any
) -> dict[str, Any]:
    """An item status."""
    return {
        "object": "itemStatus",
        "id": _id("is", minutes_ago),
        "orderId": order_id,
        "orderReferenceId": reference,
        "itemReferenceId": item,
        "status": status,
        "created": (datetime.now(UTC) - timedelta(minutes=minutes_ago)).isoformat(timespec="seconds"),
        "fulfillmentCountry": "US",
        "fulfillmentStateProvince": "NY",
        "fulfillmentFacilityId": "a-facility",
        **more,
    }


def tracking(reference: str, order_id: str, item: str, code: str, url: str, minutes_ago: float) -> dict[str, Any]:
    """A parcel of an item."""
    return {
        "event": "order_item_tracking_code_updated",
        "id": _id("tc", minutes_ago),
        "orderId": order_id,
        "orderReferenceId": reference,
        "itemReferenceId": item,
        "trackingCode": code,
        "trackingUrl": url,
        "shipmentMethodName": "DHL Global Mail",
        "shipmentMethodUid": "dhl_global_mail",
        "created": (datetime.now(UTC) - timedelta(minutes=minutes_ago)).isoformat(timespec="seconds"),
    }


def lifecycle(reference: str, order_id: str, items: tuple[str, ...], until: str, age_minutes: float) -> Iterator[Any]:
    """All that is heard of a connected order on its usual way."""
    way = _WAY[: _WAY.index(until) + 1]
    for n, status in enumerate(way):
        minutes_ago = age_minutes * (1 - n / len(_WAY))
        for item in items:
            yield item_status(reference, order_id, item, status, minutes_ago)
        if status == "shipped":
            for item in items:
                code = f"00340{order_id[:4]}{len(items)}"
                yield tracking(reference, order_id, item, code, f"https://carrier.example/track/{code}", minutes_ago)
        yield order_status(reference, order_id, status, minutes_ago - 0.1, *items)


def paint(receiver: Receiver, *, hostile: bool) -> None:
    """Post it all."""
    for event in [*_events(), *(_hostile_events() if hostile else ())]:
        answer = receiver.post(event)
        assert answer.status_code in (200, 202, 400), answer.text
    for n in range(3):
        receiver.post(b'{"object": "orderStatus", "id": "os_%d", "orderId' % n)


def visible(reference: str) -> str:
    """A reference as the console writes it: what cannot be seen is shown as a symbol."""
    symbols = {"\n": "\u240a", "\x00": "\u2400", "\u202e": "⟨U+202E⟩", "\u200f": "⟨U+200F⟩"}
    return "".join(symbols.get(character, character) for character in reference)


def css_text(text: str) -> str:
    """A text in quotes, for a CSS selector."""
    text = text.replace("\x00", "\ufffd")  # what a browser makes of it
    return '"' + "".join(f"\\{ord(character):x} " for character in text) + '"'


def _events() -> Iterator[Any]:
    yield from lifecycle(SPLIT, "c3c8f7f5-a0e8-4014-a3fb-38a5375d2af8", ("poster-13x18",), "in_transit", 4000)
    mug = "2b8b2b0d-1383-44ac-a650-17619b30a0dc"
    yield from lifecycle(SPLIT, mug, ("phone-case", "mug-15-oz"), "printed", 3000)
    yield item_status(SPLIT, mug, "mug-15-oz", "on_hold", 42, comment="The mug is out of stock in this facility")
    yield {
        "event": "order_delivery_estimate_updated",
        "id": "de_1",
        "orderId": mug,
        "orderReferenceId": SPLIT,
        "minDeliveryDate": "2026-11-26",
        "maxDeliveryDate": "2026-11-28",
        "created": (datetime.now(UTC) - timedelta(minutes=30)).isoformat(timespec="seconds"),
    }
    for n, until in enumerate(("delivered", "shipped", "in_production", "printed", "passed", "created", "delivered")):
        yield from lifecycle(
            f"SHOP-{20310 + n}", f"{n:08x}-77aa-4c1f-9d00-000000000000", ("t-shirt-m",), until, 900 + n
        )
    yield from lifecycle("SHOP-20400", "feed0000-77aa-4c1f-9d00-000000000000", ("canvas",), "passed", 50)
    failed = item_status(
        "SHOP-20400",
        "feed0000-77aa-4c1f-9d00-000000000000",
        "canvas",
        "failed",
        12,
        comment="Image resolution is too low",
    )
    yield failed
    yield order_status("SHOP-20401", "aaaa0000-0000-4000-8000-000000000001", "canceled", 70, "frame")
    yield order_status(
        "SHOP-20402",
        "aaaa0000-0000-4000-8000-000000000002",
        "shipped",
        65,
        "frame",
        connectedOrderIds=["aaaa0000-0000-4000-8000-000000000002", "aaaa0000-0000-4000-8000-000000000003"],
    )
    for n in range(14):
        yield {"event": "order_packed", "id": f"op_{n}", "orderId": f"o-{n}", "orderReferenceId": f"SHOP-{21000 + n}"}
    for n in range(5):
        yield {"object": "itemStatus", "id": f"x_{n}", "orderId": f"o-{n}", "orderReferenceId": f"SHOP-{22000 + n}"}


def pictures() -> Path | None:
    """Where pictures go, if they are asked for: they show no hostile orders."""
    directory = os.environ.get("SCREENSHOTS")
    return Path(directory) if directory else None


def _hostile_events() -> Iterator[Any]:
    for n, reference in enumerate(HOSTILE):
        yield order_status(reference, f'{n}"><script>alert(3)</script>', "passed", 8, "<img src=x onerror=alert(2)>")


def hour(store: Store) -> None:
    """An hour of a service at work, for the plots."""
    for key in store.client.scan_iter("gelato:activity*"):
        store.client.delete(key)  # what a busy machine took to paint the scenery
    now = int(time.time())
    store.run(activity.add({now - 1300: {activity.BURIED: 3}, now - 700: {activity.BURIED: 19}}))
    for ago in range(10, 3600, 10):
        tide = 20 + 9 * math.sin(ago / 400) + 4 * math.sin(ago / 90) + 1.5 * math.sin(ago * 1.7)
        slow = 3 if 1500 < ago < 1620 else 1
        buckets = [0.0] * (len(ACKNOWLEDGEMENT_BOUNDS) + 1)
        buckets[bisect_left(ACKNOWLEDGEMENT_BOUNDS, 0.004 * slow)] = 190
        buckets[bisect_left(ACKNOWLEDGEMENT_BOUNDS, 0.009 * slow + 0.004 * math.sin(ago) ** 2)] = 10
        lags = [0.0] * (len(DOCUMENT_BOUNDS) + 1)
        lags[bisect_left(DOCUMENT_BOUNDS, 0.02)] = 180
        lags[bisect_left(DOCUMENT_BOUNDS, 0.06 * slow)] = 20
        happened = {activity.ACCEPTED: int(tide * 10), activity.DUPLICATE: int(tide)}
        happened |= activity.fields_of(activity.ACKNOWLEDGEMENT, ACKNOWLEDGEMENT_BOUNDS, buckets)
        happened |= activity.fields_of(activity.DOCUMENT, DOCUMENT_BOUNDS, lags)
        store.run(activity.add({now - ago: happened}))


def _id(prefix: str, minutes_ago: float) -> str:
    moment = datetime.now(UTC) - timedelta(minutes=minutes_ago)
    return f"{prefix}_{int(moment.timestamp()):08x}{next(_NUMBER) % 0xFFFFF:05x}"
