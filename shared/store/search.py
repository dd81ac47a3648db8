"""Finding orders: by an id, by what is the matter with them, by their status; and how many there are.

Indexes may be a moment behind their documents (see `shared.store.indexes`), and name orders that have just expired: whoever
shows an order reads its document, and leaves out what it does not say. Lists are in pages: `after` is the last order of the
page before.
"""

from enum import IntEnum
from typing import Any, Final, NamedTuple

import orjson

from shared.store import keys, listing, orders
from shared.store.calls import Call, Operation
from shared.store.indexes import ids_of
from shared.store.listing import Listed

#: Items are in very many orders, so they have no index: the documents of so many orders, the newest, are looked through.
SCANNED: Final = 1_000
_AT_ONCE: Final = 100


class Flag(IntEnum):
    """What an order may be flagged as; the bits of `indexes.flags_of`."""

    #: Not terminal.
    OPEN = 0
    #: Somebody must act.
    ATTENTION = 1
    #: A connected order that was named has not been heard of.
    INCOMPLETE = 2
    #: A connected order was reported final, and its lines say otherwise.
    DISAGREES = 3


class Counts(NamedTuple):
    """How many orders a tenant has; `idle`: open ones whose last event was received before a time."""

    orders: int
    open: int
    attention: int
    incomplete: int
    disagrees: int
    idle: int


def find(tenant: str, text: str, limit: int = 20) -> Operation[list[str]]:
    """References of the orders with this reference, Gelato order id or tracking code; if there is none, with this item.

    Of orders with an item those among the newest `SCANNED` are found, newest first.
    """
    text = text.strip()
    try:
        bucket, digest = keys.find(tenant, text)
    except UnicodeEncodeError:  # half a character
        return []
    if not text:
        return []
    (names,) = yield [Call("HGET", (bucket,), (digest,))]
    led = [keys.split_order_name(name.decode())[1] for name in (names or b"").split()]
    candidates = list(dict.fromkeys([text, *reversed(led)]))
    documents = yield from orders.documents(tenant, candidates)
    found = [
        reference
        for reference, raw in zip(candidates, documents, strict=True)
        if raw is not None and (reference == text or text in ids_of(orjson.loads(raw)))
    ]
    return found[:limit] if found else (yield from _with_item(tenant, text, limit))


def flagged(tenant: str, flag: Flag, after: Listed | None, limit: int) -> Operation[list[Listed]]:
    """Orders with a flag by their last change, newest first; fewer than `limit`: the last."""
    return listing.newest(keys.flagged(tenant, flag), after, limit)


def idle(tenant: str, before_ms: int, after: Listed | None, limit: int) -> Operation[list[Listed]]:
    """Open orders whose last event was received before a time (milliseconds), longest silent first.

    The time of each is that receipt. What repeats what was known (a snapshot again) is no event here.
    """
    return listing.oldest(keys.idle(tenant), before_ms, after, limit)


def narrowest(tenant: str, flags: list[Flag], status: str | None) -> Operation[str]:
    """The smallest of the sorted sets that hold all orders with these flags and this status; all orders without any.

    The orders of the statuses that are not in `keys.STATUSES` come together.
    """
    candidates = [keys.flagged(tenant, flag) for flag in flags]
    if status is not None:
        candidates.append(_status_key(tenant, status))
    if not candidates:
        return keys.index(tenant)
    sizes = yield [Call("ZCARD", (key,)) for key in candidates]
    return min(zip(sizes, candidates, strict=True))[1]


def counts(tenant: str, idle_before_ms: int) -> Operation[Counts]:
    """How many orders a tenant has, and of which kind."""
    sets = (keys.index(tenant), *(keys.flagged(tenant, flag) for flag in Flag))
    idle_call = Call("ZCOUNT", (keys.idle(tenant),), ("-inf", f"({idle_before_ms}"))
    answers = yield [*(Call("ZCARD", (key,)) for key in sets), idle_call]
    return Counts(*map(int, answers))


def _with_item(tenant: str, item: str, limit: int) -> Operation[list[str]]:
    quoted = orjson.dumps(item)
    found: list[str] = []
    after = None
    for _ in range(SCANNED // _AT_ONCE):
        page = yield from orders.newest(tenant, after, _AT_ONCE)
        documents = yield from orders.documents(tenant, [each.reference for each in page])
        for each, raw in zip(page, documents, strict=True):
            if raw is not None and quoted in raw and item in _items(raw):
                found.append(each.reference)
        if len(found) >= limit or len(page) < _AT_ONCE:
            break
        after = page[-1]
    return found[:limit]


def _items(raw: bytes) -> dict[str, Any]:
    items: dict[str, Any] = orjson.loads(raw)["items"]
    return items


def _status_key(tenant: str, status: str) -> str:
    return keys.by_status(tenant)[keys.STATUSES.index(status) if status in keys.STATUSES else -1]
