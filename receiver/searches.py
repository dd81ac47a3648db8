"""Searching: a tenant is given its own orders among those found, each to the letter, and can count no others.

Where tenants share an account of the order API, a search finds all tenants' orders, and `limit` and `offset` would count the
hidden ones too. So there the pages are made here: from the first result on, of the tenant's orders alone.
"""

from typing import Any, Final, NamedTuple

import msgspec

from receiver import ownership
from receiver.routes import Refused
from receiver.service import Service
from shared.errors import InvalidJson, UnusableEvent
from shared.orderapi import PAGE, Answer, Broken, OrderApi
from shared.tenants import Tenant

#: Gelato's own default.
_LIMIT: Final = 50
#: Beyond so many results that are looked through for one page, the caller is to narrow the search.
_MOST_CALLS: Final = 20


class _Found(NamedTuple):
    """A search's answer: the tenant's orders as they were written, how many there are in all, and whether that is all."""

    answer: Answer
    ours: list[bytes]
    orders: int
    plain: bool


async def search(service: Service, tenant: Tenant, api: OrderApi, query: dict[str, Any]) -> Answer:
    """The answer to a search, with the tenant's orders alone. Raises `OrderApiError`, `Refused`, `StoreUnavailable`."""
    if ownership.shares_account(service, tenant):
        return await _paged(service, tenant, api, query)
    answer = await api.search(query)
    if not answer.is_success:
        return answer
    found = await _only_ours(service, tenant, answer)
    # Counts beside the orders may count others' too.
    return answer if found.plain and len(found.ours) == found.orders else _with(answer, found.ours)


async def _paged(service: Service, tenant: Tenant, api: OrderApi, query: dict[str, Any]) -> Answer:
    limit = _number(query, "limit", _LIMIT, 1, PAGE)
    offset = _number(query, "offset", 0, 0, _MOST_CALLS * PAGE)
    ours: list[bytes] = []
    for n in range(_MOST_CALLS):
        answer = await api.search({**query, "limit": PAGE, "offset": n * PAGE})
        if not answer.is_success:
            return answer
        found = await _only_ours(service, tenant, answer)
        ours += found.ours
        if len(ours) >= offset + limit or found.orders < PAGE:
            return _with(answer, ours[offset : offset + limit])
    raise Refused(400, {"error": "invalid-query", "detail": "finds too many orders: narrow it by dates or references"})


async def _only_ours(service: Service, tenant: Tenant, answer: Answer) -> _Found:
    try:
        verdicts = await ownership.owned(service, tenant, answer.orders())
        content = msgspec.json.decode(answer.body, type=dict[str, msgspec.Raw])
        found = msgspec.json.decode(content["orders"], type=list[msgspec.Raw])
        ours = [bytes(raw) for raw, our in zip(found, verdicts, strict=True) if our]
    except (InvalidJson, UnusableEvent, msgspec.DecodeError, KeyError, ValueError):
        raise Broken("the order API answers a search with something else", answer.status) from None
    return _Found(answer, ours, len(found), plain=len(content) == 1)


def _with(answer: Answer, orders: list[bytes]) -> Answer:
    return Answer(answer.status, b'{"orders":[' + b",".join(orders) + b"]}", answer.content_type, answer.received)


def _number(query: dict[str, Any], name: str, default: int, least: int, most: int) -> int:
    value = query.get(name)
    if value is None:
        return default
    if type(value) is not int or not least <= value <= most:
        raise Refused(400, {"error": "invalid-query", "detail": f"{name}: must be a number from {least} to {most}"})
    return value
