"""A tenant's orders for the command line: those of a kind, one page of documents after the other."""

from collections.abc import Iterator, Sequence
from typing import Any, Final

import orjson

from shared.store import Store, indexes, listing, orders, search
from shared.store.listing import Listed
from shared.store.search import Flag

_AT_ONCE: Final = 500


def listed(
    store: Store, tenant: str, *, status: str | None, flags: Sequence[Flag], idle_before_ms: int | None
) -> Iterator[dict[str, Any]]:
    """Documents of the orders with this status and these flags, newest change first; idle ones longest silent first."""
    key = store.run(search.narrowest(tenant, list(flags), status))
    after: Listed | None = None
    while True:
        if idle_before_ms is not None:
            page = store.run(search.idle(tenant, idle_before_ms, after, _AT_ONCE))
        else:
            page = store.run(listing.newest(key, after, _AT_ONCE))
        for raw in store.run(orders.documents(tenant, [each.reference for each in page])):
            if raw is not None and _fits(document := orjson.loads(raw), status, flags):
                yield document
        if len(page) < _AT_ONCE:
            return
        after = page[-1]


def found(store: Store, tenant: str, text: str, limit: int) -> list[dict[str, Any]]:
    """Documents of the orders with this reference, Gelato order id, tracking code, or item."""
    references = store.run(search.find(tenant, text, limit))
    return [orjson.loads(raw) for raw in store.run(orders.documents(tenant, references)) if raw is not None]


def _fits(document: dict[str, Any], status: str | None, flags: Sequence[Flag]) -> bool:
    """An index may be a moment behind its documents."""
    has = indexes.flags_of(document)
    return status in (None, document["status"]) and all(has >> flag & 1 for flag in flags)
