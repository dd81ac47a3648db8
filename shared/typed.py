"""The short way from a stored webhook to its facts: one typed pass over the text, for what Gelato usually sends.

Reading an event with all the care that unknown text needs takes four times as long as joining it, and what the log holds was
looked at with that care when it came. So the fold first reads it here, by a decoder that knows the usual types. Whatever is
not as usual (a number where text is expected, a name that means nothing, a length out of bounds) is none of this room's
business: the answer is None, and `shared.facts` reads it again from the beginning. Both must say the same of everything that
both can read; a property test holds them together.
"""

from typing import Final

import msgspec

from shared import facts, statuses
from shared.clock import event_stamp
from shared.events import (
    DELIVERY_ESTIMATE,
    EXAMPLE_ORDER_IDS,
    ITEM_STATUS,
    KIND_OF_NAME,
    MAX_OPTIONAL_TEXT,
    MAX_TEXT,
    ORDER_STATUS,
    calendar_date,
    is_placeholder,
)
from shared.facts import Facts, LineFacts, ParcelFacts


class _Place(msgspec.Struct, kw_only=True, gc=False, rename="camel"):
    fulfillment_country: str | None = None
    fulfillment_state_province: str | None = None
    fulfillment_facility_id: str | None = None
    tracking_code: str | None = None
    tracking_url: str | None = None
    shipment_method_name: str | None = None
    shipment_method_uid: str | None = None


class _Item(msgspec.Struct, kw_only=True, gc=False, rename="camel"):
    item_reference_id: str
    fulfillment_status: str
    fulfillments: list[_Place] | None = None


class _Webhook(_Place, kw_only=True, gc=False, rename="camel"):
    order_id: str
    order_reference_id: str
    event: str | None = None
    object: str | None = None
    id: str | None = None
    fulfillment_status: str | None = None
    status: str | None = None
    item_reference_id: str | None = None
    items: list[_Item] | None = None
    comment: str | None = None
    created: str | None = None
    store_id: str | None = None
    connected_order_ids: list[str] | None = None
    min_delivery_date: str | None = None
    max_delivery_date: str | None = None
    production_country: str | None = None
    production_state_province: str | None = None
    production_facility_id: str | None = None


_DECODE: Final = msgspec.json.Decoder(_Webhook).decode
_NO_PLACE: Final = (None, None, None)


def read_facts(text: bytes, came_as: str, received: int) -> Facts:
    """As `shared.facts.read_facts`, sooner where the event is as usual."""
    said = read_webhook(text, received) if came_as == facts.WEBHOOK else None
    return facts.read_facts(text, came_as, received) if said is None else said


def read_webhook(text: bytes, received: int) -> Facts | None:
    """What a stored webhook says, if it is as usual; None if `shared.facts` has to look. `received` in microseconds."""
    try:
        event = _DECODE(text)
    except msgspec.DecodeError:  # or `ValidationError`, which is one
        return None
    kind = KIND_OF_NAME.get(event.event or event.object or "")
    order_id, reference, event_id = event.order_id, event.order_reference_id, event.id
    if (
        kind is None
        or event.event == ""
        or not event_id
        or not 0 < len(order_id) <= MAX_TEXT
        or not 0 < len(reference) <= MAX_TEXT
        or len(event_id) > MAX_TEXT
        or order_id in EXAMPLE_ORDER_IDS
        or is_placeholder(reference)
    ):
        return None
    status: str | None = None
    comment: str | None = None
    speaks = False
    dates: tuple[str | None, str | None] = (None, None)
    lines: tuple[LineFacts, ...] = ()
    if kind == ORDER_STATUS:
        status = _status(event.fulfillment_status)
        listed = _listed(event.items) if event.items else ()
        if status is None or listed is None:
            return None
        lines = listed
        speaks = status == "canceled" or (status in statuses.FINAL and not lines)
        comment = _text(event.comment)
    elif kind == DELIVERY_ESTIMATE:
        dates = calendar_date(event.min_delivery_date), calendar_date(event.max_delivery_date)
        if dates == (None, None):
            return None
    else:
        line = _line(event, kind)
        if line is None:
            return None
        lines = (line,)
    siblings = event.connected_order_ids
    return Facts(
        order_id,
        f"{kind}:{event_id}",
        event_stamp(event.created, event_id, received),
        received,
        status,
        speaks,
        comment,
        _text(event.store_id),
        *dates,
        () if siblings is None else _siblings(order_id, siblings),
        lines,
    )


def _line(event: _Webhook, kind: str) -> LineFacts | None:
    """What an item status or a tracking code says of its line."""
    reference = event.item_reference_id
    if not reference or len(reference) > MAX_TEXT:
        return None
    if kind == ITEM_STATUS:
        status = _status(event.status)
        return None if status is None else LineFacts(reference, status, _text(event.comment), (_place(event),))
    named = _place(event)
    produced = (
        _text(event.production_country) if named[0] is None else None,
        _text(event.production_state_province) if named[1] is None else None,
        _text(event.production_facility_id) if named[2] is None else None,
    )
    parcel = _parcel(event)
    return LineFacts(reference, None, None, (named, produced), () if parcel is None else (parcel,))


def _listed(items: list[_Item]) -> tuple[LineFacts, ...] | None:
    """The lines of an order status; None where one is listed twice, or is unusable."""
    lines = []
    seen = set()
    for item in items:
        reference = item.item_reference_id
        status = _status(item.fulfillment_status)
        if status is None or not 0 < len(reference) <= MAX_TEXT or reference in seen:
            return None
        seen.add(reference)
        entries = item.fulfillments
        if not entries:
            lines.append(LineFacts(reference, status))
            continue
        parcels = tuple(parcel for parcel in map(_parcel, entries) if parcel is not None)
        lines.append(LineFacts(reference, status, None, tuple(map(_place, entries)), parcels))
    return tuple(lines)


def _place(entry: _Place) -> tuple[str | None, str | None, str | None]:
    country, province, facility = (
        entry.fulfillment_country,
        entry.fulfillment_state_province,
        entry.fulfillment_facility_id,
    )
    if not country and not province and not facility:
        return _NO_PLACE
    return _text(country), _text(province), _text(facility)


def _parcel(entry: _Place) -> ParcelFacts | None:
    if not entry.tracking_code and not entry.tracking_url:
        return None
    code, url = _text(entry.tracking_code), _text(entry.tracking_url)
    key = code or url or ""
    return ParcelFacts(key, code, url, _text(entry.shipment_method_name), _text(entry.shipment_method_uid))


def _siblings(order_id: str, named: list[str]) -> tuple[str, ...]:
    return (
        tuple(text for text in map(_text, named) if text is not None and len(text) <= MAX_TEXT)
        if named
        else (order_id,)
    )


def _status(text: str | None) -> str | None:
    """A status, normalised; None for one that nobody could have."""
    if text is None:
        return None
    if text in statuses.RANK:
        return text
    status = statuses.normalise(text)
    return status if 0 < len(status) <= statuses.MAX_STATUS_LENGTH else None


def _text(text: str | None) -> str | None:
    """As `shared.events.optional_text`."""
    return text[:MAX_OPTIONAL_TEXT] if text else None
