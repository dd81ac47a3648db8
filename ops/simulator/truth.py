"""What the simulator knows of an order, and what its rollup must therefore show.

The truth comes from the life that was played (`lifecycle`), never from the project's fold: a mistake in the
fold must not be able to excuse itself here.
"""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

FINAL = frozenset({"delivered", "returned", "canceled"})
# In the order in which the headline looks for them.
ATTENTION = ("failed", "on_hold", "pending_approval", "pending_personalization", "not_connected")
MAKING = ("draft", "created", "uploading", "digitizing", "passed", "in_production", "printed")

View = dict[str, Any]
"""The part of a rollup document that the simulator can vouch for, in a shape that is easy to compare."""


@dataclass(frozen=True)
class LineTruth:
    """One item of one connected order. `comment` is that of the current status, None without any."""

    item_reference: str
    status: str
    comment: str | None = None
    tracking_codes: frozenset[str] = frozenset()


@dataclass(frozen=True)
class ConnectedTruth:
    """One connected order.

    `estimate` is (earliest, latest) delivery as `YYYY-MM-DD`, None if none was sent.
    """

    order_id: str
    reported: str | None
    lines: tuple[LineTruth, ...]
    estimate: tuple[str, str] | None = None


@dataclass(frozen=True)
class OrderTruth:
    """One order; `events` is the number of distinct webhooks sent for it."""

    reference: str
    connected: tuple[ConnectedTruth, ...]
    events: int


def headline(statuses: Iterable[str]) -> str:
    """One status for a bag of line statuses: docs/explanation/the-fold.md, rule by rule."""
    lines = {status for status in statuses if status != "canceled"}
    if not lines:
        return "canceled"
    if lines == {"returned"}:
        return "returned"
    if lines == {"delivered"}:
        return "delivered"
    if lines == {"delivered", "returned"}:
        return "partially_returned"
    if "delivered" in lines:
        return "partially_delivered"
    if "returned" in lines:
        return "partially_returned"
    if lines == {"in_transit"}:
        return "in_transit"
    if lines <= {"shipped", "in_transit"}:
        return "shipped"
    if lines & {"shipped", "in_transit"}:
        return "partially_shipped"
    for status in (*ATTENTION, *MAKING):
        if status in lines:
            return status
    return min(lines)


def expected_view(truth: OrderTruth) -> View:
    """What the rollup of this order must show, but for times and versions."""
    lines = [(connected, line) for connected in truth.connected for line in connected.lines]
    by_item: dict[str, list[tuple[str, str]]] = {}
    packages: dict[str, set[str]] = {}
    attention: View = {}
    for connected, line in lines:
        by_item.setdefault(line.item_reference, []).append((connected.order_id, line.status))
        for code in line.tracking_codes:
            packages.setdefault(f"{connected.order_id} {code}", set()).add(line.item_reference)
        if line.status in ATTENTION:
            key = attention_key(connected.order_id, line.item_reference)
            attention[key] = {"status": line.status, "comment": line.comment}
    for connected in truth.connected:
        if connected.reported in ATTENTION and not any(line.status in ATTENTION for line in connected.lines):
            key = attention_key(connected.order_id, None)
            attention[key] = {"status": connected.reported, "comment": None}
    estimates = [connected.estimate for connected in truth.connected if connected.estimate]
    return {
        "orderReferenceId": truth.reference,
        "status": headline(line.status for _, line in lines),
        "terminal": all(line.status in FINAL for _, line in lines),
        "connectedOrderIds": sorted(connected.order_id for connected in truth.connected),
        "counts": dict(Counter(line.status for _, line in lines)),
        "attention": attention,
        "deliveryEstimate": _estimate(
            (max(low for low, _ in estimates), max(high for _, high in estimates)) if estimates else None
        ),
        "items": {
            reference: {
                "status": headline(status for _, status in places),
                "orderIds": sorted(order_id for order_id, _ in places),
            }
            for reference, places in by_item.items()
        },
        "packages": {key: sorted(items) for key, items in packages.items()},
        "orders": {connected.order_id: _connected_view(connected) for connected in truth.connected},
        "events": truth.events,
    }


def state_view(truth: OrderTruth) -> View:
    """What the rollup of this order must show however many webhooks were lost, once the order API was asked.

    That is Gelato's own state: all connected orders, all lines with their statuses, all parcels. Left out is what nobody
    asks the API for again once an order has come to its end (`reportedStatus`, `disagrees`, the estimates), what only
    webhooks say (comments), and how many events it took.
    """
    return {**reduce_to_state(expected_view(truth)), "complete": True}


def reduce_to_state(view: View) -> View:
    """The part of a view that `state_view` vouches for."""
    same = ("orderReferenceId", "status", "terminal", "connectedOrderIds", "counts", "items", "packages")
    return {
        **{name: view[name] for name in same},
        "orders": {
            order_id: {
                "status": order["status"],
                "items": {
                    reference: {name: line[name] for name in ("status", "trackingCodes")}
                    for reference, line in order["items"].items()
                },
            }
            for order_id, order in view["orders"].items()
        },
    }


def attention_key(order_id: str, item_reference: str | None) -> str:
    """The key of an attention line in a `View`."""
    return f"{order_id} {item_reference if item_reference is not None else '(the order itself)'}"


def _connected_view(connected: ConnectedTruth) -> View:
    status = headline(line.status for line in connected.lines)
    return {
        "status": status,
        "reportedStatus": connected.reported,
        "disagrees": connected.reported in FINAL and connected.reported != status,
        "deliveryEstimate": _estimate(connected.estimate),
        "items": {
            line.item_reference: {
                "status": line.status,
                "comment": line.comment if line.status in ATTENTION else None,
                "trackingCodes": sorted(line.tracking_codes),
            }
            for line in connected.lines
        },
    }


def _estimate(estimate: tuple[str, str] | None) -> View | None:
    return None if estimate is None else {"minDeliveryDate": estimate[0], "maxDeliveryDate": estimate[1]}
