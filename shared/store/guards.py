"""What the Sentinels say of the primary that a store is connected to."""

import asyncio
from typing import Any, NamedTuple

from redis.exceptions import RedisError

from shared.store.client import AsyncStore
from shared.store.connect import sentinels

Address = tuple[str, int]


class View(NamedTuple):
    """What one Sentinel says: who is the primary, whether it is well, the replicas it knows (connected or not)."""

    primary: Address
    well: bool
    replicas: int
    #: A primary that does not answer for so long is taken for dead, milliseconds.
    down_after_ms: int


def are_there(store: AsyncStore) -> bool:
    """Whether the store is watched by Sentinels."""
    return bool(sentinels(store.client))


def primary(store: AsyncStore) -> Address | None:
    """The primary that the store is connected to; None before the first connection."""
    address: Address | None = store.client.connection_pool.master_address
    return address


async def views(store: AsyncStore) -> list[View | None]:
    """What each Sentinel of the URL says; None for one that does not answer."""
    service = store.client.connection_pool.service_name
    return list(await asyncio.gather(*(_view(each, service) for each in sentinels(store.client))))


async def _view(sentinel: Any, service: str) -> View | None:
    try:
        state = await sentinel.sentinel_master(service, return_responses=True)
    except (RedisError, OSError):
        return None
    well = state["is_master"] and not (state["is_sdown"] or state["is_odown"] or state["is_disconnected"])
    return View((state["ip"], state["port"]), well, state["num-slaves"], state["down-after-milliseconds"])
