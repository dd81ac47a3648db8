"""What must hold of an order whatever became of the workers that folded it."""

from typing import Any

from shared.store import Store, keys, orders
from shared.store.intake import Incoming
from support import events
from support.orders import found_document
from support.server import Server

#: What tells how a document came about, and not what it says.
HISTORY = ("version", "updatedAt", "orderReferenceId")


def webhook(reference: str, n: int, status: str = "passed", item: str | None = None) -> Incoming:
    return events.webhook(
        reference,
        n,
        received=1_790_000_000_000_000 + n,
        orderId=f"order-{n % 3}",
        itemReferenceId=item or f"item-{n % 5}",
        status=status,
    )


def saying(found: dict[str, Any] | None) -> dict[str, Any]:
    assert found is not None
    return {name: value for name, value in found.items() if name not in HISTORY}


def versions(server: Server, reference: str) -> list[int]:
    """The versions of an order in the stream, each where it comes first."""
    entries = server.client.xrange(keys.CHANGES)
    ours = [fields for _, fields in entries if fields[b"orderReferenceId"] == reference.encode()]
    return list(dict.fromkeys(int(fields[b"version"]) for fields in ours))


def assert_all_is_well(server: Server, store: Store, *references: str) -> None:
    for shard in range(keys.SHARDS):
        for key in (keys.due(shard), keys.marks(shard), keys.leases(shard)):
            assert server.client.exists(key) == 0, key
    assert server.client.zcard(keys.DEAD_LETTERS) == 0
    indexed = {listed.reference for listed in store.run(orders.newest("default", None, 1_000))}
    for reference in references:
        found = found_document(store, reference)
        assert found is not None
        assert versions(server, reference) == list(range(1, found["version"] + 1))
        assert server.client.hget(keys.meta(f"default/{reference}"), "n") is None
        assert reference in indexed
