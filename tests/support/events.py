"""Webhooks and snapshots as Gelato sends them, and as the store is given them."""

import json
import time
from collections.abc import Callable
from typing import Any

import orjson

from shared.events import Usable, read_webhook
from shared.snapshots import classify_snapshot, sanitise
from shared.store.intake import Incoming


def order_status(**fields: Any) -> dict[str, Any]:
    """An order status; `fields` are added, or replace its own."""
    return {
        "object": "orderStatus",
        "id": "os_1",
        "orderId": "order-1",
        "orderReferenceId": "REF-1",
        "fulfillmentStatus": "passed",
        **fields,
    }


def item_status(**fields: Any) -> dict[str, Any]:
    """An item status, as `order_status`."""
    return {
        "event": "order_item_status_updated",
        "id": "is_1",
        "orderId": "order-1",
        "orderReferenceId": "REF-1",
        "itemReferenceId": "mug",
        "status": "printed",
        **fields,
    }


def tracking_code(**fields: Any) -> dict[str, Any]:
    """A tracking code, as `order_status`."""
    return {
        "event": "order_item_tracking_code_updated",
        "id": "tc_1",
        "orderId": "order-1",
        "orderReferenceId": "REF-1",
        "itemReferenceId": "mug",
        "trackingCode": "code123",
        **fields,
    }


def estimate(**fields: Any) -> dict[str, Any]:
    """A delivery estimate, as `order_status`."""
    return {
        "event": "order_delivery_estimate_updated",
        "id": "de_1",
        "orderId": "order-1",
        "orderReferenceId": "REF-1",
        "minDeliveryDate": "2026-12-01",
        "maxDeliveryDate": "2026-12-03",
        **fields,
    }


MAKERS: dict[str, Callable[..., dict[str, Any]]] = {
    "orderStatus": order_status,
    "itemStatus": item_status,
    "trackingCode": tracking_code,
    "deliveryEstimate": estimate,
}


def without(event: dict[str, Any], field: str) -> dict[str, Any]:
    """The event but for one of its fields."""
    return {name: value for name, value in event.items() if name != field}


def dumps(value: Any) -> bytes:
    """JSON with integers of any length, which orjson does not write."""
    return json.dumps(value, ensure_ascii=False).encode()


def now_us() -> int:
    """The time, microseconds."""
    return time.time_ns() // 1000


def incoming(event: dict[str, Any] | bytes, *, tenant: str = "default", received: int | None = None) -> Incoming:
    """A webhook as the store is given it, received now unless said otherwise (microseconds)."""
    usable = read_webhook(event if isinstance(event, bytes) else orjson.dumps(event))
    assert isinstance(usable, Usable)
    return Incoming(tenant, usable, received or now_us())


def webhook(
    reference: str, n: int = 1, *, tenant: str = "default", received: int | None = None, **more: Any
) -> Incoming:
    """An item status of an order whose identity and line are `n`."""
    event = {
        "id": f"is_{n}",
        "object": "itemStatus",
        "orderId": f"{reference}-1",
        "orderReferenceId": reference,
        "itemReferenceId": f"item-{n}",
        "status": "passed",
        "created": f"2026-01-01T{n // 3600 % 24:02}:{n // 60 % 60:02}:{n % 60:02}Z",
    }
    return incoming({**event, **more}, tenant=tenant, received=received)


def snapshot(reference: str, status: str = "passed", *, came_as: str = "posted", **more: Any) -> Incoming:
    """A response of the order API, posted or fetched now."""
    content = {
        "id": f"{reference}-1",
        "orderReferenceId": reference,
        "fulfillmentStatus": status,
        "updatedAt": "2026-01-01T00:00:00Z",
        "items": [{"itemReferenceId": "item-1", "fulfillmentStatus": status}],
    }
    usable = classify_snapshot(sanitise({**content, **more}), fetched=came_as == "fetched")
    assert isinstance(usable, Usable)
    return Incoming("default", usable, now_us(), came_as)
