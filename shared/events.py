"""Gelato's webhooks: which ones there are, and what makes one usable.

Two generations of names are in use (`object: orderStatus`, `event: order_status_updated`); both mean one kind here.
What an event *says* is in `shared.facts`.
"""

import hashlib
from datetime import date
from typing import Any, Final, NamedTuple

import msgspec

from shared import statuses
from shared.canonical import parse
from shared.errors import UnusableEvent

ORDER_STATUS: Final = "orderStatus"
ITEM_STATUS: Final = "itemStatus"
TRACKING_CODE: Final = "trackingCode"
DELIVERY_ESTIMATE: Final = "deliveryEstimate"
SNAPSHOT: Final = "snapshot"
#: The kinds of webhooks.
KINDS: Final = (ORDER_STATUS, ITEM_STATUS, TRACKING_CODE, DELIVERY_ESTIMATE)

KIND_OF_NAME: Final = {
    "orderStatus": ORDER_STATUS,
    "order_status_updated": ORDER_STATUS,
    "itemStatus": ITEM_STATUS,
    "order_item_status_updated": ITEM_STATUS,
    "trackingCode": TRACKING_CODE,
    "order_item_tracking_code_updated": TRACKING_CODE,
    "deliveryEstimate": DELIVERY_ESTIMATE,
    "order_delivery_estimate_updated": DELIVERY_ESTIMATE,
}
#: Sent by Gelato, documented, and not about an order: answered and forgotten.
NOT_ABOUT_AN_ORDER: Final = frozenset(
    {
        "store_product_created",
        "store_product_updated",
        "store_product_deleted",
        "store_product_template_created",
        "store_product_template_updated",
        "store_product_template_deleted",
        "catalog_product_stock_availability_updated",
    }
)
#: The dashboard's *Send test* button posts the documentation's examples, which name these orders.
EXAMPLE_ORDER_IDS: Final = frozenset({"a6a1f9ce-2bdd-4a9e-9f8d-0009df0e24d9", "e82885f8-f92a-4326-b2c7-77d010f6996f"})
MAX_TEXT: Final = 255
MAX_OPTIONAL_TEXT: Final = 2048


class Usable(msgspec.Struct, frozen=True):
    """An event that can be stored and folded."""

    kind: str
    identity: str
    order_id: str
    reference: str
    content: dict[str, Any]
    #: The canonical JSON text, as stored.
    text: bytes
    #: 16 bytes; equal for equal content.
    digest: bytes


class Ignored(NamedTuple):
    """A documented event that is not about an order."""

    name: str


class ExampleEvent(NamedTuple):
    """A test notification: an example of the documentation, posted by the dashboard's *Send test* button."""

    identity: str


def read_webhook(body: bytes) -> Usable | Ignored | ExampleEvent:
    """Classify the body of a webhook.

    Raises `InvalidJson` (not JSON) and `UnusableEvent` (JSON, but a field is missing or of a wrong type, or the event's
    name is unknown); both become dead letters.
    """
    content, text = parse(body)
    return classify_webhook(content, text)


def classify_webhook(content: Any, text: bytes) -> Usable | Ignored | ExampleEvent:
    """As `read_webhook`, for JSON that was read already; `text` is its canonical form."""
    if not isinstance(content, dict):
        raise UnusableEvent("invalid-event", "body: must be a JSON object")
    try:
        usual = _usual(content)
    except TypeError:  # a list or an object where a name is expected
        usual = None
    if usual is not None:
        known, event_id, order_id, reference = usual
        return Usable(known, f"{known}:{event_id}", order_id, reference, content, text, content_digest(b"W", text))
    kind = _kind(content)
    if kind is None:
        return Ignored(str(content.get("event") or content.get("object")))
    reference = required_text(content, "orderReferenceId")
    order_id = required_text(content, "orderId", reference)
    _CHECKS[kind](content, reference)
    digest = content_digest(b"W", text)
    identity = f"{kind}:{_event_id(content, reference) or '-' + digest.hex()}"
    if is_placeholder(reference) or order_id in EXAMPLE_ORDER_IDS:
        return ExampleEvent(identity)
    return Usable(kind, identity, order_id, reference, content, text, digest)


def content_digest(source: bytes, text: bytes) -> bytes:
    """16 bytes that stand for one content; `source` keeps webhooks, snapshots and fetched snapshots apart."""
    return hashlib.blake2b(text, digest_size=16, key=source).digest()


def identity_digest(identity: str) -> bytes:
    """8 bytes that stand for an identity in the duplicate check. Only the content's digest decides what is dropped."""
    return hashlib.blake2b(identity.encode(), digest_size=8).digest()


def is_placeholder(reference: str) -> bool:
    """Whether a reference is one of the documentation's `{{...}}` placeholders."""
    return reference.startswith("{{") and reference.endswith("}}")


def required_text(content: dict[str, Any], field: str, reference: str | None = None, where: str = "") -> str:
    """A reference or id: a string or an integer, kept as a string of 1 to 255 characters."""
    value = content.get(field)
    if type(value) is int:
        value = str(value)
    elif not isinstance(value, str):
        problem = "missing" if value is None else "must be a string or an integer"
        raise UnusableEvent("invalid-event", f"{where}{field}: {problem}", reference)
    if not 0 < len(value) <= MAX_TEXT:
        raise UnusableEvent("invalid-event", f"{where}{field}: must have 1 to {MAX_TEXT} characters", reference)
    return value


def required_status(content: dict[str, Any], field: str, reference: str | None = None, where: str = "") -> str:
    """A status, normalised: a string of 1 to 64 characters."""
    value = content.get(field)
    if not isinstance(value, str):
        problem = "missing" if value is None else "must be a string"
        raise UnusableEvent("invalid-event", f"{where}{field}: {problem}", reference)
    status = statuses.normalise(value)
    if not 0 < len(status) <= statuses.MAX_STATUS_LENGTH:
        limit = statuses.MAX_STATUS_LENGTH
        raise UnusableEvent("invalid-event", f"{where}{field}: must have 1 to {limit} characters", reference)
    return status


def optional_text(value: Any) -> str | None:
    """A text that may be absent; an integer counts as text, empty text and any other type as absent.

    Cut after `MAX_OPTIONAL_TEXT` characters: a comment of a megabyte would be carried by every later fold of its order.
    The raw event keeps all of it.
    """
    if isinstance(value, str):
        return value[:MAX_OPTIONAL_TEXT] or None
    return str(value) if type(value) is int else None


def check_items(content: dict[str, Any], reference: str | None) -> None:
    """The `items` of an order status or a snapshot: absent, null, or a list of entries with reference and status."""
    items = content.get("items")
    if items is None:
        return
    if not isinstance(items, list):
        raise UnusableEvent("invalid-event", "items: must be a list", reference)
    for item in items:
        if not isinstance(item, dict):
            raise UnusableEvent("invalid-event", "items[]: must be a JSON object", reference)
        required_text(item, "itemReferenceId", reference, "items[].")
        required_status(item, "fulfillmentStatus", reference, "items[].")


def calendar_date(value: Any) -> str | None:
    """The date that a text begins with, as `YYYY-MM-DD`; None for anything else."""
    if not isinstance(value, str) or len(value) < 10:
        return None
    try:
        return date.fromisoformat(value[:10]).isoformat() if value[4] == value[7] == "-" else None
    except ValueError:
        return None


def _usual(content: dict[str, Any]) -> tuple[str, str, str, str] | None:
    """Kind, event id, order id and reference of a status event in which everything is as it usually is; None otherwise.

    The checks below find out what is wrong, and with what. Most events need none of them: this takes a third of the time.
    """
    get = content.get
    name: Any = get("event")
    kind = KIND_OF_NAME.get(get("object") if name is None else name)  # type: ignore[arg-type]
    event_id, order_id, reference = get("id"), get("orderId"), get("orderReferenceId")
    if (
        not (type(event_id) is type(order_id) is type(reference) is str)
        or not (0 < len(event_id) <= MAX_TEXT and 0 < len(order_id) <= MAX_TEXT and 0 < len(reference) <= MAX_TEXT)
        or reference[0] == "{"
        or order_id in EXAMPLE_ORDER_IDS
    ):
        return None
    if kind == ITEM_STATUS:
        item = get("itemReferenceId")
        fine = type(item) is str and 0 < len(item) <= MAX_TEXT and get("status") in statuses.RANK
    elif kind == ORDER_STATUS:
        fine = get("fulfillmentStatus") in statuses.RANK and _are_usual(get("items"))
    else:
        fine = False
    return (kind, event_id, order_id, reference) if fine and kind is not None else None


def _are_usual(items: Any) -> bool:
    if type(items) is not list:
        return items is None
    for item in items:
        if type(item) is not dict:
            return False
        reference, status = item.get("itemReferenceId"), item.get("fulfillmentStatus")
        if type(reference) is not str or not 0 < len(reference) <= MAX_TEXT or status not in statuses.RANK:
            return False
    return True


def _kind(content: dict[str, Any]) -> str | None:
    """The event's kind; None for an event that is not about an order."""
    for field in ("event", "object"):
        name = content.get(field)
        if name is None:
            continue
        if not isinstance(name, str):
            raise UnusableEvent("invalid-event", f"{field}: must be a string", _reference_if_any(content))
        kind = KIND_OF_NAME.get(name)
        if kind is None and name not in NOT_ABOUT_AN_ORDER:
            raise UnusableEvent("unknown-event", f"{field}: unknown name {name[:64]!r}", _reference_if_any(content))
        return kind
    raise UnusableEvent("invalid-event", "event: missing", _reference_if_any(content))


def _reference_if_any(content: dict[str, Any]) -> str | None:
    reference = optional_text(content.get("orderReferenceId"))
    return reference if reference is not None and len(reference) <= MAX_TEXT else None


def _event_id(content: dict[str, Any], reference: str) -> str | None:
    return None if content.get("id") is None else required_text(content, "id", reference)


def _check_order_status(content: dict[str, Any], reference: str) -> None:
    required_status(content, "fulfillmentStatus", reference)
    check_items(content, reference)


def _check_item_status(content: dict[str, Any], reference: str) -> None:
    required_text(content, "itemReferenceId", reference)
    required_status(content, "status", reference)


def _check_tracking_code(content: dict[str, Any], reference: str) -> None:
    required_text(content, "itemReferenceId", reference)


def _check_delivery_estimate(content: dict[str, Any], reference: str) -> None:
    given = [content.get(field) for field in ("minDeliveryDate", "maxDeliveryDate")]
    if all(calendar_date(value) is None for value in given):
        problem = "missing" if given == [None, None] else "must be a date (YYYY-MM-DD)"
        raise UnusableEvent("invalid-event", f"minDeliveryDate: {problem}", reference)


_CHECKS: Final = {
    ORDER_STATUS: _check_order_status,
    ITEM_STATUS: _check_item_status,
    TRACKING_CODE: _check_tracking_code,
    DELIVERY_ESTIMATE: _check_delivery_estimate,
}
