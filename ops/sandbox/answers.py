"""The answers of Gelato's order API: full of names, addresses and prices, all made up, so that forgetting can be tested."""

import uuid
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from ops.sandbox.book import Connected
from ops.simulator.lifecycle import Parcel

#: Where a submission has no address. Every word of it is a name that no order has for any other reason.
ADDRESS: Final[dict[str, Any]] = {
    "companyName": "Quillfeather & Sons",
    "firstName": "Thessaly",
    "lastName": "Marrowbone",
    "addressLine1": "17 Gooseberry Terrace",
    "addressLine2": "Attic floor",
    "city": "Little Wimpleton",
    "postCode": "ZQ9 4XK",
    "state": None,
    "country": "US",
    "email": "thessaly.marrowbone@quillfeather.example",
    "phone": "+1 555 0142 777",
}
_BILLING: Final = {
    "id": 533,
    "companyName": "Ostrich Ledger Company",
    "companyVatNumber": "NO914777555MVA",
    "recipientName": "Ingeborg Plankeby",
    "addressLine1": "Fjordgata 32A",
    "city": "Trollvik",
    "postCode": "1068",
    "country": "NO",
    "email": "ledger@plankeby.example",
    "phone": "+47 555 78 761",
    "currency": "EUR",
}
_PRICE: Final = 7.31


def full(part: Connected) -> dict[str, Any]:
    """The answer to create and get."""
    order, moment = part.order, part.moment
    body = order.body
    items = [item for item in body["items"] if str(item["itemReferenceId"]) in part.life.items]
    shipping = {**ADDRESS, **(body.get("shippingAddress") or {})}
    return {
        "id": part.id,
        "clientId": _named("client", order.customer.tenant),
        "orderType": "order",
        "orderReferenceId": order.reference,
        "customerReferenceId": _customer_reference(part),
        "fulfillmentStatus": moment.reported,
        "financialStatus": "paid",
        "currency": body.get("currency") or "USD",
        "channel": "api",
        "storeId": None,
        "createdAt": _time(part.created_us),
        "updatedAt": _time(part.updated_us),
        "orderedAt": _time(order.created_us),
        "connectedOrderIds": order.connected_ids(),
        "items": [_item(part, item) for item in items],
        "shipment": _shipment(part),
        "shippingAddress": {"id": _named(part.id, "address"), "orderId": part.id, **shipping, "isBusiness": False},
        "returnAddress": body.get("returnAddress"),
        "billingEntity": _BILLING,
        "receipts": [_receipt(part, items)],
        "metadata": body.get("metadata") or [],
        "paymentMethodType": "card",
        "refusalReason": None,
        "refusalReasonCode": None,
        "discounts": [],
        "iossNumber": None,
    }


def summary(part: Connected) -> dict[str, Any]:
    """One order of a search's answer: no items, but a name and a price."""
    order = part.order
    shipping = {**ADDRESS, **(order.body.get("shippingAddress") or {})}
    return {
        "id": part.id,
        "orderType": "order",
        "orderReferenceId": order.reference,
        "customerReferenceId": _customer_reference(part),
        "fulfillmentStatus": part.moment.reported,
        "financialStatus": "paid",
        "currency": order.body.get("currency") or "USD",
        "channel": "api",
        "storeId": None,
        "country": shipping["country"],
        "firstName": shipping["firstName"],
        "lastName": shipping["lastName"],
        "itemsCount": len(part.life.items),
        "totalInclVat": f"{_PRICE * len(part.life.items):.2f}",
        "connectedOrderIds": order.connected_ids(),
        "createdAt": _time(part.created_us),
        "updatedAt": _time(part.updated_us),
        "orderedAt": _time(order.created_us),
    }


def short(part: Connected) -> dict[str, Any]:
    """The least that a connector's Submit Order may answer."""
    return {
        "id": part.id,
        "orderReferenceId": part.order.reference,
        "createdAt": _time(part.created_us),
    }


def _item(part: Connected, item: dict[str, Any]) -> dict[str, Any]:
    reference = str(item["itemReferenceId"])
    return {
        "id": _item_id(part, reference),
        "itemReferenceId": item["itemReferenceId"],
        "productUid": item["productUid"],
        "files": item.get("files") or [],
        "quantity": item.get("quantity", 1),
        "fulfillmentStatus": part.moment.statuses[reference],
        "price": _PRICE,
        "metadata": [],
        "printJobs": [],
        "previews": [],
    }


def _shipment(part: Connected) -> dict[str, Any]:
    packages: dict[str, tuple[Parcel, list[str]]] = {}
    for reference, parcels in part.moment.parcels.items():
        for parcel in parcels:
            packages.setdefault(parcel.code, (parcel, []))[1].append(_item_id(part, reference))
    first = next((parcel for parcel, _ in packages.values()), None)
    low, high = _estimate(part)
    return {
        "id": _named(part.id, "shipment"),
        "shipmentMethodUid": first.method_uid if first else "fed_ex_smart_post",
        "shipmentMethodName": first.method_name if first else "SmartPost",
        "minDeliveryDate": low,
        "maxDeliveryDate": high,
        "totalWeight": 149,
        "price": 4.28,
        "fulfillmentCountry": part.hub.country,
        "fulfillmentStateProvince": part.hub.state_province,
        "fulfillmentFacilityId": part.hub.facility_id,
        "packagesCount": max(1, len(packages)),
        "packages": [
            {
                "id": _named(part.id, code),
                "orderItemIds": item_ids,
                "trackingCode": code,
                "trackingUrl": parcel.url,
            }
            for code, (parcel, item_ids) in packages.items()
        ],
    }


def _estimate(part: Connected) -> tuple[str, str]:
    """What webhooks have announced so far, else the promise that every order has from the start."""
    estimate = part.lived().truth().estimate
    if estimate is not None:
        return estimate
    day = datetime.fromtimestamp(part.created_us / 1_000_000, UTC).date()
    return (day + timedelta(days=5)).isoformat(), (day + timedelta(days=7)).isoformat()


def _receipt(part: Connected, items: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        "id": _named(part.id, "receipt"),
        "orderId": part.id,
        "currency": "USD",
        "items": [
            {
                "id": _named(part.id, f"receipt/{item['itemReferenceId']}"),
                "type": "product",
                "price": _PRICE,
                "vat": 0.49,
            }
            for item in items
        ],
        "receiptNumber": "005-0005435088",
        "billingEntity": _BILLING,
        "totalInclVat": round(_PRICE * len(items), 2),
    }


def _customer_reference(part: Connected) -> str | None:
    """The connector knows whose order it is; with the order API the merchant says it."""
    customer = part.order.customer
    if customer.via == "connector":
        return customer.reference
    said = part.order.body.get("customerReferenceId")
    return None if said is None else str(said)


def _item_id(part: Connected, reference: str) -> str:
    return _named(part.id, f"item/{reference}")


def _named(namespace: str, name: str) -> str:
    """An id that is the same each time."""
    return str(uuid.uuid5(uuid.NAMESPACE_URL, f"sandbox/{namespace}/{name}"))


def _time(at_us: int) -> str:
    """Whole seconds, cut off, as Gelato writes them."""
    return datetime.fromtimestamp(at_us // 1_000_000, UTC).isoformat()
