"""Small orders on a cluster: their events, stored and folded."""

from typing import Any

import orjson

from shared.events import Usable, classify_webhook
from shared.settings import Settings
from shared.store import Store, intake
from shared.store.intake import Incoming, Result
from worker.shift import shift


def item_status(reference: str, number: int, status: str = "passed") -> dict[str, Any]:
    """An item status of an order; its identity and line are `number`."""
    return {
        "id": f"is_{reference}_{number}",
        "event": "order_item_status_updated",
        "orderReferenceId": reference,
        "orderId": f"gelato-{reference}",
        "itemReferenceId": f"item-{number}",
        "status": status,
        "created": "2026-11-01T00:00:00Z",
    }


def incoming(reference: str, number: int, status: str = "passed") -> Incoming:
    """The same as the store is given it."""
    content = item_status(reference, number, status)
    event = classify_webhook(content, orjson.dumps(content))
    assert isinstance(event, Usable)
    return Incoming("default", event, 1_793_000_000_000_000 + number)


def accept(store: Store, *events: Incoming) -> list[Result | None]:
    """Store events; what became of each."""
    return [outcome.result for outcome in store.run(intake.accept(events, cluster=True))]


def fold_all(store: Store) -> None:
    """Fold until nothing is due."""
    while shift(store, Settings(), seconds=0)["orders"]:
        pass
