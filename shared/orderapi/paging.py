"""Paging through a search: `limit` and `offset`, page after page."""

from collections.abc import AsyncIterator, Mapping
from typing import Any, Final, NamedTuple

from shared.errors import InvalidJson, UnusableEvent
from shared.orderapi.answers import Answer
from shared.orderapi.client import OrderApi
from shared.orderapi.errors import Broken

#: The most that Gelato's search gives; asked for more, it answers 400.
PAGE: Final = 100


class Page(NamedTuple):
    """One page: its orders (personal data included), the answer they came in, and the offset to go on from."""

    orders: list[dict[str, Any]]
    answer: Answer
    following: int


async def pages(api: OrderApi, query: Mapping[str, Any], *, offset: int = 0, limit: int = PAGE) -> AsyncIterator[Page]:
    """The pages of a search from `offset` on, until one is not full. Resume with a page's `following`.

    Raises what `search` raises, and `Broken` for an answer that is none of a search. Orders that come while the pages are
    read may move others: one may be seen twice, and one may be missed; narrow the dates where that matters.
    """
    last: list[Any] = []
    while True:
        answer = await api.search({**query, "limit": limit, "offset": offset})
        if not answer.is_success:
            raise Broken(f"a search was answered with {answer.status}", answer.status)
        try:
            orders = answer.orders()
        except (InvalidJson, UnusableEvent) as error:
            raise Broken(f"a search was answered with something else: {error}") from None
        ids = [order.get("id") for order in orders]
        if ids == last:  # it knows no offset: it would give this page for ever
            return
        last = ids
        offset += len(orders)
        yield Page(orders, answer, offset)
        if len(orders) < limit:
            return
