"""The first example order, split in two, and small orders like it."""

from typing import Any

from shared.store import Store
from support.events import incoming
from support.orders import accept

REFERENCE = "83831IAKD2"
SEED = (
    "orderStatus-os_3193599927.json",
    "orderStatus-os_3193599928.json",
    "itemStatus-os_3193599925.json",
    "itemStatus-os_3193599926.json",
    "itemStatus-os_3193599927.json",
)


def accept_all(store: Store, *bodies: dict[str, Any] | bytes, tenant: str = "default") -> None:
    """Store webhooks, received now."""
    accept(store, *(incoming(body, tenant=tenant) for body in bodies))


def item(reference: str, status: str = "passed", **fields: Any) -> dict[str, Any]:
    """An item status of an order."""
    event = {
        "object": "itemStatus",
        "id": f"os_{status}",
        "orderId": "an-order-id",
        "orderReferenceId": reference,
        "itemReferenceId": "mug",
        "status": status,
    }
    return event | fields
