"""Reconciliation as tests see it: an order API that knows more than was said here, and one slice of a round."""

import asyncio
import time
from collections.abc import Callable
from typing import Any

from shared.orderapi import OrderApis
from shared.secret import Secret
from shared.settings import Settings
from shared.store import AsyncStore, Store, keys, reconciling
from shared.store.reconciling import Counts
from shared.tenants import Api, Tenant, Tenants
from support.events import webhook
from support.gelato.upstream import KEY, Upstream
from support.orders import accept, fold
from support.server import Server
from worker.reconcile import Reconciliation

TENANT = "default"
NOTHING = Counts()


def known(upstream: Upstream, *more: Tenant, key: str = KEY, reference: str | None = None) -> Tenants:
    """The default tenant, who has this order API, and others."""
    mine = Tenant(TENANT, customer_reference=reference, api=Api(Secret(key), {"url": upstream.url}))
    return Tenants({each.name: each for each in (mine, *more)})


def reconcile(
    server: Server,
    tenants: Tenants,
    *,
    after: str = "",
    minutes: float = 15.0,
    stopped: Callable[[], bool] = lambda: False,
    tenant: str = TENANT,
    seconds: float = 10.0,
) -> Counts:
    """A slice of a round, now."""
    settings = Settings(
        api_timeout_seconds=2.0, api_requests_per_second=2_000.0, reconcile_after=after, reconcile_minutes=minutes
    )

    async def work() -> Counts:
        store = AsyncStore.from_url(server.url)
        try:
            await store.run(reconciling.hurry(tenant))
            async with OrderApis(store, settings) as apis:
                return await Reconciliation(store, apis, settings, tenants, stopped).turns(seconds)
        finally:
            await store.close()

    return asyncio.run(work())


def asked(upstream: Upstream) -> tuple[list[dict[str, Any]], list[str]]:
    """The searches, and the ids of the gets."""
    searches = [each.json() for each in upstream.asked if each.path.endswith("search")]
    return searches, [each.path.rpartition("/")[2] for each in upstream.asked if each.method == "GET"]


def order(upstream: Upstream, reference: str, status: str = "created", **more: Any) -> dict[str, Any]:
    """An order at the API, of which nothing was said here."""
    made = upstream.add(reference, **more)
    advance(made, status)
    return made


def advance(made: dict[str, Any], status: str) -> None:
    """An order at the API goes on, and nothing is said of it."""
    made["fulfillmentStatus"] = status
    made["updatedAt"] = time.strftime("%Y-%m-%dT%H:%M:%S+00:00", time.gmtime())
    for item in made["items"]:
        item["fulfillmentStatus"] = status


def told(store: Store, made: dict[str, Any], status: str, **more: Any) -> None:
    """A webhook says that an order has a status."""
    items = [{"itemReferenceId": each["itemReferenceId"], "fulfillmentStatus": status} for each in made["items"]]
    content = {
        "object": "orderStatus",
        "id": f"os_{made['id']}_{status}",
        "orderId": made["id"],
        "orderReferenceId": made["orderReferenceId"],
        "fulfillmentStatus": status,
        "created": made["updatedAt"],
        "items": items,
        **more,
    }
    accept(store, webhook(made["orderReferenceId"], **content))
    fold(store)


def outage(store: Store, seconds_ago: float, length: float = 60.0) -> None:
    """No receiver was ready until so many seconds ago."""
    now = store.run(reconciling.now_ms())
    ended = now - int(seconds_ago * 1000)
    store.client.zadd(keys.OUTAGES, {f"{ended - int(length * 1000)}-{ended}": ended})


def counts(store: Store) -> Counts:
    """What was counted in all rounds."""
    return store.run(reconciling.counts([TENANT]))[TENANT]
