"""Orders in the indexes: small ones to put there, and what is found."""

from typing import Any

from shared.store import Store, keys, listing, search
from shared.store.calls import one
from shared.store.intake import Incoming
from shared.store.search import Counts, Flag
from support import events
from support.orders import accept, fold
from support.server import Server


def webhook(kind: str, reference: str, n: int, received: int | None, tenant: str, **fields: Any) -> Incoming:
    fields = {"orderId": f"gelato-{reference}", "created": f"2026-11-01T00:00:{n:02}Z", **fields}
    content = events.MAKERS[kind](orderReferenceId=reference, id=f"{kind}_{n}", **fields)
    return events.incoming(content, received=received, tenant=tenant)


def item_status(
    reference: str,
    status: str = "passed",
    *,
    n: int = 1,
    received: int | None = None,
    tenant: str = "default",
    **fields: Any,
) -> Incoming:
    return webhook("itemStatus", reference, n, received, tenant, status=status, **fields)


def tracking(
    reference: str, code: str, *, n: int = 1, received: int | None = None, tenant: str = "default", **fields: Any
) -> Incoming:
    return webhook("trackingCode", reference, n, received, tenant, trackingCode=code, **fields)


def snapshot(reference: str, status: str, connected: list[str]) -> Incoming:
    return events.snapshot(reference, status, id=f"gelato-{reference}", connectedOrderIds=connected)


SOON_MS = 1 << 45


def find(store: Store, text: str, tenant: str = "default") -> list[str]:
    return store.run(search.find(tenant, text, 20))


def flagged(store: Store, flag: Flag) -> list[str]:
    return [each.reference for each in store.run(search.flagged("default", flag, None, 100))]


def of_status(store: Store, status: str) -> list[str]:
    key = store.run(search.narrowest("default", [], status))
    return [each.reference for each in store.run(listing.newest(key, None, 100))]


def status_counts(store: Store) -> dict[str, int]:
    """How many orders stand under each status; the unknown ones together as `other`."""
    sets = zip(keys.STATUSES, keys.by_status("default"), strict=True)
    return {status: number for status, key in sets if (number := store.run(one("ZCARD", key)))}


def counts(store: Store, tenant: str = "default", before_ms: int = SOON_MS) -> Counts:
    return store.run(search.counts(tenant, before_ms))


def found_keys(server: Server) -> set[str]:
    """All keys of the indexes."""
    names = {key.decode() for key in server.client.scan_iter(count=1000)}
    return {key for key in names if key.startswith("gelato:find:") or key in keys.indexes("default")}


def fresh(store: Store, *incoming: Incoming) -> None:
    accept(store, *incoming)
    fold(store)
