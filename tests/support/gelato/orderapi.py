"""Calls of the order API as the service makes them."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

import orjson

from shared.orderapi import OrderApi, OrderApis
from shared.secret import Secret
from shared.settings import Settings
from shared.store import AsyncStore
from shared.tenants import Api, Tenant
from support.gelato.upstream import KEY
from support.server import Server

T = TypeVar("T")
BODY = orjson.dumps({"orderReferenceId": "REF-1", "items": [{"itemReferenceId": "mug", "quantity": 1}]})
QUICK = Settings(api_timeout_seconds=2.0)


def gelato(url: str, key: str = KEY) -> Tenant:
    """A customer of Gelato's own order API."""
    return Tenant("acme", api=Api(Secret(key), {"url": url}))


def connector(url: str) -> Tenant:
    """A customer of a print house, behind a connector."""
    urls = {"submit_url": f"{url}/connector/submit", "get_url": f"{url}/connector/orders"}
    urls["search_url"] = f"{url}/connector/search"
    return Tenant("acme", customer_reference="customer-a", api=Api(Secret(KEY), urls))


def ask(
    server: Server,
    tenant: Tenant,
    what: Callable[[OrderApi], Awaitable[T]],
    settings: Settings = QUICK,
    *,
    background: bool = False,
) -> T:
    """Run calls of a tenant's, in an event loop of their own."""

    async def run() -> T:
        store = AsyncStore.from_url(server.url)
        async with OrderApis(store, settings) as apis:
            try:
                return await what(apis.of(tenant, background=background))
            finally:
                await store.close()

    return asyncio.run(run())
