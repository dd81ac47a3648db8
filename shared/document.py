"""From the state of an order to the document that downstream reads. Pure. See docs/explanation/the-fold.md."""

from typing import Final

from shared import statuses
from shared.clock import SECOND, format_second, format_time
from shared.rollup import Connected, Line, Parcel, Register, Seen, State, current, later, line_observations
from shared.schema import (
    SCHEMA,
    Attention,
    ConnectedDocument,
    DeliveryEstimate,
    Document,
    Fulfillment,
    ItemDocument,
    LineDocument,
    Package,
)

_UNDATED_VERSION: Final = b'"version":0,"events":'
_UNDATED_TIME: Final = b'"updatedAt":"1970-01-01T00:00:00Z"'


def build(tenant: str, reference: str, state: State, version: int, updated_us: int) -> Document:
    """The document of a state. `updated_us`: when this version was made, in microseconds."""
    bag: list[str] = []
    attention: list[Attention] = []
    items: dict[str, list[tuple[str, str]]] = {}
    packages: list[Package] = []
    orders: dict[str, ConnectedDocument] = {}
    for order_id in sorted(state.orders):
        connected = state.orders[order_id]
        document = orders[order_id] = _connected(connected)
        lines = document["items"]
        if not lines:  # it counts as one line
            bag.append(document["status"])
        for reference_id, line in lines.items():
            status = line["status"]
            bag.append(status)
            items.setdefault(reference_id, []).append((order_id, status))
        attention += _attention(order_id, connected, document)
        packages += _packages(order_id, connected)
    complete = all(state.orders[order_id].heard for order_id in state.named) if state.named else None
    result: Document = {
        "schema": SCHEMA,
        "tenant": tenant,
        "orderReferenceId": reference,
        "status": statuses.headline(bag),
        "terminal": complete is not False and statuses.FINAL.issuperset(bag),
        "complete": complete,
        "connectedOrderIds": list(orders),
        "counts": {status: bag.count(status) for status in sorted(set(bag))},
        "attention": attention,
        "deliveryEstimate": _latest_estimate(state),
        "items": {reference_id: _item(items[reference_id]) for reference_id in sorted(items)},
        "packages": packages,
        "orders": orders,
        "version": version,
        "events": state.events,
        "firstEventAt": None if state.first_at is None else format_time(state.first_at),
        "lastEventAt": None if state.last_at is None else format_time(state.last_at),
        "updatedAt": format_time(updated_us),
    }
    if state.closed is not None and state.closed >= state.last_received:
        result["terminal"] = True
        result["closedAt"] = format_time(state.closed)
    return result


def dated(text: bytes, version: int, updated_at: str) -> bytes:
    """The JSON of a document that was built with version 0 and the epoch as its time, with those put in.

    Saves writing all of it a second time. The two stand behind everything that an event could put into a document.
    """
    before, _, after = text.rpartition(_UNDATED_VERSION)
    dates, _, rest = after.rpartition(_UNDATED_TIME)
    return b'%b"version":%d,"events":%b"updatedAt":"%b"%b' % (before, version, dates, updated_at.encode(), rest)


# Nearly all of a fold's time is spent from here on: so these say in one expression what a helper could say in its name.


def _connected(connected: Connected) -> ConnectedDocument:
    reported = current(connected.seen)
    lines = {reference: _line(connected, connected.lines[reference], reported) for reference in sorted(connected.lines)}
    status = statuses.headline([line["status"] for line in lines.values()]) if lines else reported or "created"
    store_id, min_date, max_date = connected.store_id, connected.min_date, connected.max_date
    return {
        "status": status,
        "reportedStatus": reported,
        "disagrees": reported in statuses.FINAL and reported != status,
        "storeId": None if store_id is None else store_id.value,
        "silent": not connected.heard,
        "deliveryEstimate": None if min_date is max_date is None else _estimate(_value(min_date), _value(max_date)),
        "timeline": _timeline(connected.seen),
        "items": lines,
    }


def _line(connected: Connected, line: Line, reported: str | None) -> LineDocument:
    seen = line_observations(connected, line) if connected.whole else line.seen
    status = current(seen)
    since = None
    comment = None
    if status is None:
        status = "shipped" if line.parcels else reported or "created"
    else:
        since = format_second(seen[status].at // SECOND)
        comment = line.comments.get(status) if line.comments else None
    country, state_province, facility_id = line.country, line.state_province, line.facility_id
    return {
        "status": status,
        "since": since,
        "comment": None if comment is None else comment.value,
        "facility": {
            "country": None if country is None else country.value,
            "stateProvince": None if state_province is None else state_province.value,
            "facilityId": None if facility_id is None else facility_id.value,
        },
        "fulfillments": _fulfillments(line.parcels) if line.parcels else [],
        "timeline": _timeline(seen),
    }


def _timeline(seen: dict[str, Seen]) -> dict[str, str]:
    """Each status seen with its least `at`, in order of time, so that a person can read it from top to bottom."""
    if len(seen) < 2:
        return {status: format_second(each.at // SECOND) for status, each in seen.items()}
    rank = statuses.RANK
    ordered = sorted([(each.at, rank.get(status, -1), status) for status, each in seen.items()])
    return {status: format_second(at // SECOND) for at, _, status in ordered}


def _fulfillments(parcels: dict[str, Parcel]) -> list[Fulfillment]:
    if len(parcels) == 1:
        ((key, parcel),) = parcels.items()
        return [{"trackingCode": key[1:]} if parcel.code else {"trackingCode": None, "trackingUrl": key[1:]}]
    # Sorted by (code or "", URL or ""): those without a code come first.
    by_url = sorted(key[1:] for key, parcel in parcels.items() if not parcel.code)
    by_code = sorted(key[1:] for key, parcel in parcels.items() if parcel.code)
    without: list[Fulfillment] = [{"trackingCode": None, "trackingUrl": url} for url in by_url]
    return without + [{"trackingCode": code} for code in by_code]


def _packages(order_id: str, connected: Connected) -> list[Package]:
    """The parcels of a connected order; two items in one parcel are one package."""
    united: dict[str, tuple[Parcel, list[str]]] = {}
    with_parcels = [reference for reference, line in connected.lines.items() if line.parcels]
    if not with_parcels:
        return []
    for reference in sorted(with_parcels):
        for key, parcel in connected.lines[reference].parcels.items():
            known = united.get(key)
            if known is None:
                united[key] = (Parcel(parcel.code, parcel.url, parcel.method_name, parcel.method_uid), [reference])
                continue
            package, references = known
            package.url = _later_of(package.url, parcel.url)
            package.method_name = _later_of(package.method_name, parcel.method_name)
            package.method_uid = _later_of(package.method_uid, parcel.method_uid)
            references.append(reference)
    packages: list[Package] = [
        {
            "orderId": order_id,
            "trackingCode": key[1:] if parcel.code else None,
            "trackingUrl": _value(parcel.url),
            "shipmentMethodName": _value(parcel.method_name),
            "shipmentMethodUid": _value(parcel.method_uid),
            "itemReferenceIds": references,
        }
        for key, (parcel, references) in united.items()
    ]
    if len(packages) > 1:
        packages.sort(key=lambda package: (package["trackingCode"] or "", package["trackingUrl"] or ""))
    return packages


def _attention(order_id: str, connected: Connected, document: ConnectedDocument) -> list[Attention]:
    needy = statuses.NEEDS_ATTENTION_SET
    reported = document["reportedStatus"]
    lines: list[Attention] = [
        {
            "orderId": order_id,
            "itemReferenceId": reference,
            "status": line["status"],
            "comment": line["comment"],
            "since": line["since"],
        }
        for reference, line in document["items"].items()
        if line["status"] in needy
    ]
    if lines or reported not in needy:
        return lines
    order: Attention = {
        "orderId": order_id,
        "itemReferenceId": None,
        "status": reported,
        "comment": _value(connected.comments.get(reported)),
        "since": document["timeline"][reported],
    }
    return [order]


def _item(lines: list[tuple[str, str]]) -> ItemDocument:
    if len(lines) == 1:
        ((order_id, status),) = lines
        return {"status": status, "orderIds": [order_id]}
    return {
        "status": statuses.headline([status for _, status in lines]),
        "orderIds": [order_id for order_id, _ in lines],
    }


def _estimate(min_date: str | None, max_date: str | None) -> DeliveryEstimate | None:
    if min_date is None and max_date is None:
        return None
    return {"minDeliveryDate": min_date, "maxDeliveryDate": max_date}


def _latest_estimate(state: State) -> DeliveryEstimate | None:
    """The order arrives when its last connected order does: the latest min and the latest max."""
    mins = [order.min_date.value for order in state.orders.values() if order.min_date is not None]
    maxs = [order.max_date.value for order in state.orders.values() if order.max_date is not None]
    return _estimate(max(mins, default=None), max(maxs, default=None))


def _later_of(one: Register | None, other: Register | None) -> Register | None:
    if one is None or other is None:
        return one or other
    return other if later(one, other.hi, other.lo, other.identity, other.value) else one


def _value(register: Register | None) -> str | None:
    return None if register is None else register.value
