"""Dates webhooks anew: what was planned for a time is made at another.

Gelato says when an event was made in `created`, in the clock of its id, or not at all. All of that is said of the new
time; nothing else of the event changes.
"""

from datetime import UTC, datetime
from typing import Any

from ops.simulator.ids import Ids, uniqid_time_us
from ops.simulator.webhooks import Webhook

_SECOND_US = 1_000_000


class Dating:
    """The webhooks of one order, to be given in the order in which they are made.

    An id that an order status shares with a later item status stays shared. (With an earlier one it cannot: the id's clock
    is the order status's own.)
    """

    def __init__(self, ids: Ids) -> None:
        self._ids = ids
        self._shared: dict[str, str] = {}

    def payload(self, webhook: Webhook, at_us: int) -> dict[str, Any]:
        """The event as it is posted when made at `at_us` (microseconds since 1970)."""
        planned = str(webhook.payload["id"])
        payload = {**webhook.payload, "id": self._id(webhook, planned, at_us)}
        if "created" in payload:
            payload["created"] = datetime.fromtimestamp(at_us // _SECOND_US, UTC).isoformat()
        return payload

    def _id(self, webhook: Webhook, planned: str, at_us: int) -> str:
        if webhook.kind == "itemStatus" and planned in self._shared:
            return self._shared[planned]
        if uniqid_time_us(planned) is None:
            return planned
        new = self._ids.clocked(planned.partition("_")[0], at_us)
        if webhook.kind == "orderStatus":
            self._shared[planned] = new
        return new
