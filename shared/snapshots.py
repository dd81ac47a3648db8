"""Responses of Gelato's order API: what is kept of them, and what makes one usable.

A create, update or get response is one snapshot of one connected order; a search response holds several. They carry
names, addresses, e-mail and prices. None of that is kept: `sanitise` copies only ids, references, statuses, tracking and
dates, field by field, before anything is stored (not even a dead letter sees the rest).
"""

from typing import Any, NamedTuple

from shared import canonical
from shared.clock import parse_time
from shared.errors import UnusableEvent
from shared.events import (
    EXAMPLE_ORDER_IDS,
    SNAPSHOT,
    ExampleEvent,
    Usable,
    calendar_date,
    check_items,
    content_digest,
    is_placeholder,
    optional_text,
    required_status,
    required_text,
)

_TOP = ("id", "orderReferenceId", "fulfillmentStatus", "storeId")
_TIMES = ("createdAt", "updatedAt")
_ITEM = ("id", "itemReferenceId", "fulfillmentStatus")
_SHIPMENT = ("shipmentMethodName", "shipmentMethodUid")
_DATES = ("minDeliveryDate", "maxDeliveryDate")
_PACKAGE = ("trackingCode", "trackingUrl")


class Sanitised(NamedTuple):
    """One snapshot, without anything personal. `text` is its canonical form; `content` may still be unusable."""

    content: dict[str, Any]
    text: bytes


def split(value: Any) -> list[Sanitised]:
    """The snapshots in a response: one, or those of a search response (`{"orders": [...]}`), sanitised.

    Raises `UnusableEvent` where the response is neither.
    """
    if not isinstance(value, dict):
        raise UnusableEvent("invalid-event", "body: must be a JSON object")
    if not is_search(value):
        return [sanitise(value)]
    orders = value["orders"]
    if not isinstance(orders, list):
        raise UnusableEvent("invalid-event", "orders: must be a list")
    return [sanitise(order if isinstance(order, dict) else {}) for order in orders]


def is_search(value: dict[str, Any]) -> bool:
    """Whether a response is that of a search."""
    return value.get("orders") is not None and "orderReferenceId" not in value


def sanitise(response: dict[str, Any]) -> Sanitised:
    """Copy what this project keeps of a response: scalars of known names, and nothing else."""
    kept = _scalars(response, _TOP)
    # Any text could stand where a time should; only a time is kept.
    kept |= {name: response[name] for name in _TIMES if parse_time(response.get(name)) is not None}
    items = response.get("items")
    if items is not None:
        kept["items"] = [_scalars(item, _ITEM) for item in items] if isinstance(items, list) else False
    connected = response.get("connectedOrderIds")
    if isinstance(connected, list):
        kept["connectedOrderIds"] = [order_id for order_id in connected if _is_scalar(order_id)]
    shipment = response.get("shipment")
    if isinstance(shipment, dict):
        dates = {name: calendar_date(shipment.get(name)) for name in _DATES}
        kept["shipment"] = _scalars(shipment, _SHIPMENT) | {name: date for name, date in dates.items() if date}
        packages = shipment.get("packages")
        if isinstance(packages, list):
            kept["shipment"]["packages"] = [_package(package) for package in packages if isinstance(package, dict)]
    return Sanitised(kept, canonical.dumps(kept))


def classify_snapshot(snapshot: Sanitised, *, fetched: bool) -> Usable | ExampleEvent:
    """Check one snapshot; `fetched` says that this service asked for it itself. Raises `UnusableEvent`."""
    content, text = snapshot
    reference = required_text(content, "orderReferenceId")
    order_id = required_text(content, "id", reference)
    required_status(content, "fulfillmentStatus", reference)
    check_items(content, reference)
    identity = snapshot_identity(order_id, content)
    if is_placeholder(reference) or order_id in EXAMPLE_ORDER_IDS:
        return ExampleEvent(identity)
    return Usable(SNAPSHOT, identity, order_id, reference, content, text, content_digest(source(fetched), text))


def snapshot_identity(order_id: str, content: dict[str, Any]) -> str:
    """`snapshot:<orderId>:<updatedAt>`; nothing after the second colon where the response has no `updatedAt`."""
    return f"{SNAPSHOT}:{order_id}:{optional_text(content.get('updatedAt')) or ''}"


def source(fetched: bool) -> bytes:
    """What keeps the digests of posted and fetched snapshots apart: they are stamped by different clocks."""
    return b"F" if fetched else b"S"


def _scalars(value: Any, names: tuple[str, ...]) -> dict[str, Any]:
    if not isinstance(value, dict):
        return {}
    # A wrong type is kept as `false`, so that the check can still tell "missing" from "wrong", without its content.
    return {name: (value[name] if _is_scalar(value[name]) else False) for name in names if value.get(name) is not None}


def _package(package: dict[str, Any]) -> dict[str, Any]:
    kept = _scalars(package, _PACKAGE)
    ids = package.get("orderItemIds")
    if isinstance(ids, list):
        kept["orderItemIds"] = [item_id for item_id in ids if _is_scalar(item_id)]
    return kept


def _is_scalar(value: Any) -> bool:
    return isinstance(value, str) or type(value) is int
