"""The document of one order."""

from collections.abc import Iterable
from typing import Any

from naive_model.events import Received
from naive_model.model import Model
from naive_model.statuses import FINAL, headline
from naive_model.values import iso


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
