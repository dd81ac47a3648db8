"""What tests do to orders without any process: store events, fold them, look at what came of it."""

from typing import Any

import orjson

from shared.store import Store, due, intake, keys, orders
from shared.store.intake import Incoming
from support.polling import eventually
from support.server import Server
from worker.advance import Policy
from worker.fold import fold_due
from worker.tally import Tally

LEASE_SECONDS = 15.0


def accept(store: Store, *events: Incoming) -> None:
    """Store events; none may be refused."""
    outcomes = store.run(intake.accept(events, cluster=store.cluster))
    assert all(outcome.result is not None for outcome in outcomes), outcomes


def fold_once(store: Store, policy: Policy = Policy(), *, lease_seconds: float = LEASE_SECONDS) -> Tally:  # noqa: B008
    """Fold one batch of what is due now."""
    return fold_due(store, policy, lease_seconds=lease_seconds)


def fold(store: Store, policy: Policy = Policy()) -> None:  # noqa: B008
    """Fold until nothing is due now."""
    while fold_once(store, policy).orders:
        pass


def fold_all(store: Store, policy: Policy = Policy()) -> None:  # noqa: B008
    """Fold, again and again, until nothing is due, delayed or under a lease."""

    def done() -> bool:
        fold_once(store, policy)
        return nothing_waits(store)

    eventually(done, what="all orders to be done with")


def nothing_waits(store: Store) -> bool:
    """Whether nothing is due, delayed or under a lease."""
    waiting = store.run(due.pending())
    return waiting.due + waiting.later == 0


def found_document(store: Store, reference: str, tenant: str = "default") -> dict[str, Any] | None:
    """A document as downstream reads it; None for an unknown order."""
    raw = store.run(orders.document(tenant, reference))
    return None if raw is None else dict(orjson.loads(raw))


def document(store: Store, reference: str, tenant: str = "default") -> dict[str, Any]:
    """A document as downstream reads it; it must be there."""
    found = found_document(store, reference, tenant)
    assert found is not None, f"no document of {reference!r}"
    return found


def due_names(server: Server) -> set[str]:
    """The names of the orders in the due set."""
    return {name.decode() for shard in range(keys.SHARDS) for name in server.client.zrange(keys.due(shard), 0, -1)}


def letters(server: Server) -> list[dict[str, bytes]]:
    """All dead letters as stored."""
    ids = server.client.zrange(keys.DEAD_LETTERS, 0, -1)
    found = [server.client.hgetall(keys.dead_letter(each.decode())) for each in ids]
    return [{name.decode(): value for name, value in letter.items()} for letter in found]
