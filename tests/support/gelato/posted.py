"""Snapshots: what the order API answers, and posting it."""

from typing import Any

import orjson

from support.processes import OPS_TOKEN, Receiver, fixture

CREATED = orjson.loads(fixture("order-create-response.json"))
#: The documentation's examples, with the placeholders filled in as a real merchant's answer has them.
GOT = orjson.loads(fixture("docs-order-get-response.json").replace(b"{{", b"").replace(b"}}", b""))
SEARCHED = orjson.loads(fixture("docs-orders-search-response.json").replace(b"{{", b"").replace(b"}}", b""))


def post(receiver: Receiver, content: Any, path: str = "/snapshots", token: str | None = OPS_TOKEN) -> Any:
    """Post a response of the order API, or the bytes of one."""
    body = content if isinstance(content, bytes) else orjson.dumps(content)
    headers = {} if token is None else {"Authorization": f"Bearer {token}"}
    return receiver.client.post(path, content=body, headers=headers)


def snapshot(**more: Any) -> dict[str, Any]:
    """A response about one order; `more` is added, or replaces its own fields."""
    return {
        "id": "order-1",
        "orderReferenceId": "REF-1",
        "fulfillmentStatus": "passed",
        "updatedAt": "2026-11-01T10:00:00+00:00",
        "connectedOrderIds": [],
        "items": [{"id": "item-1", "itemReferenceId": "mug", "fulfillmentStatus": "passed"}],
        **more,
    }
