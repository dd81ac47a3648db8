"""Search as Gelato's order API has it: filters that all must fit, newest first, in pages."""

from collections.abc import Callable
from itertools import islice
from typing import Any, Final

from ops.sandbox.answers import ADDRESS
from ops.sandbox.book import Book, Connected, Order
from shared.clock import parse_time

DEFAULT_LIMIT: Final = 50
LARGEST_LIMIT: Final = 100
_LISTS: Final = (
    "ids",
    "orderReferenceIds",
    "fulfillmentStatuses",
    "financialStatuses",
    "orderTypes",
    "channels",
    "countries",
    "currencies",
    "storeIds",
)


class BadSearch(Exception):
    """A search that Gelato would refuse; the text names the field."""


def search(book: Book, seen: Callable[[Order], bool], body: Any) -> list[Connected]:
    """The connected orders that fit, of those that the caller may see.

    `startDate` and `endDate` are held against the time at which the connected order was created. Raises BadSearch.
    """
    if not isinstance(body, dict):
        raise BadSearch("body: must be a JSON object")
    wanted = {name: _texts(name, body[name]) for name in _LISTS if body.get(name) is not None}
    if body.get("orderReferenceId") is not None:
        wanted["orderReferenceIds"] = wanted.get("orderReferenceIds", set()) | {str(body["orderReferenceId"])}
    start, end = (_time(name, body.get(name)) for name in ("startDate", "endDate"))
    limit = _number("limit", body.get("limit"), DEFAULT_LIMIT, LARGEST_LIMIT)
    offset = _number("offset", body.get("offset"), 0, 10**9)

    def fits(part: Connected) -> bool:
        if not seen(part.order):
            return False
        if (start is not None and part.created_us < start) or (end is not None and part.created_us > end):
            return False
        return all(_value(part, name) in values for name, values in wanted.items())

    return list(islice(filter(fits, book.newest_first()), offset, offset + limit))


def _value(part: Connected, name: str) -> str:
    body = part.order.body
    return {
        "ids": part.id,
        "orderReferenceIds": str(part.order.reference),
        "fulfillmentStatuses": part.moment.reported,
        "financialStatuses": "paid",
        "orderTypes": "order",
        "channels": "api",
        "countries": str((body.get("shippingAddress") or {}).get("country", ADDRESS["country"])),
        "currencies": str(body.get("currency") or "USD"),
        "storeIds": "",
    }[name]


def _texts(name: str, value: Any) -> set[str]:
    if not isinstance(value, list) or not all(isinstance(each, str | int) for each in value):
        raise BadSearch(f"{name}: must be a list of texts")
    return {str(each) for each in value}


def _time(name: str, value: Any) -> int | None:
    if value is None:
        return None
    parsed = parse_time(value)
    if parsed is None:
        raise BadSearch(f"{name}: must be a time in ISO 8601")
    return parsed


def _number(name: str, value: Any, default: int, most: int) -> int:
    if value is None:
        return default
    if type(value) is not int or not 0 <= value <= most:
        raise BadSearch(f"{name}: must be a whole number from 0 to {most}")
    return value
