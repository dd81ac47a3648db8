"""What one receiver process counts: plain numbers, some hundred nanoseconds a request. No lock: one thread counts."""

import time
from bisect import bisect_left
from collections import Counter
from typing import Final

from shared.counting import Histogram, Labels, Values
from shared.events import KINDS
from shared.metrics import ACKNOWLEDGEMENT_BOUNDS, REQUEST_BOUNDS

#: The kind of a webhook of which nothing is known.
NO_KIND: Final = "none"
#: Results that are answered with 2xx.
_ACKNOWLEDGED: Final = frozenset({"accepted", "spooled", "duplicate", "quarantined", "ignored", "test"})
#: Results, each with the kinds that are there from the beginning, with a zero: a counter that appears with its first event
#: would hide that event from `rate`.
_RESULTS: Final[tuple[tuple[str, tuple[str, ...]], ...]] = (
    *((result, KINDS) for result in ("accepted", "spooled", "duplicate")),
    *((result, (NO_KIND,)) for result in ("quarantined", "invalid-json", "unauthorized", "unavailable", "failed")),
    *((result, ()) for result in ("ignored", "test", "too-large", "cut-off", "not-post")),
)
_REASONS: Final[list[Labels]] = [("invalid-json",), ("invalid-event",), ("unknown-event",), ("order-limit",)]
_METHODS: Final = frozenset({"GET", "HEAD", "POST", "DELETE", "PUT", "PATCH", "OPTIONS"})


class Counts:
    """The counts of this process since it started."""

    def __init__(self) -> None:
        self.started = time.time()
        self.acknowledgement = Histogram(ACKNOWLEDGEMENT_BOUNDS)
        # A dict in a dict takes a third of the time of a counter of pairs.
        self._webhooks: dict[str, dict[str, int]] = {result: dict.fromkeys(kinds, 0) for result, kinds in _RESULTS}
        self.snapshots: Counter[Labels] = Counter()
        self.quarantined: Counter[Labels] = Counter(dict.fromkeys(_REASONS, 0))
        self.test_notifications = 0
        self.id_collisions = 0
        self._requests: Counter[Labels] = Counter()
        self._request_seconds: dict[Labels, Histogram] = {}

    def webhook(self, result: str, kind: str, seconds: float) -> None:
        """Count a webhook that was answered, `seconds` after it came."""
        kinds = self._webhooks[result]
        try:
            kinds[kind] += 1
        except KeyError:
            kinds[kind] = 1
        if result in _ACKNOWLEDGED:
            histogram = self.acknowledgement  # `observe`, written out: every webhook comes here
            histogram.counts[bisect_left(histogram.bounds, seconds)] += 1
            histogram.sum += seconds

    def request(self, route: str | None, method: str, status: int, seconds: float) -> None:
        """Count another request by its route's template; `seconds` to the beginning of its answer."""
        name = route or "unmatched"
        self._requests[name, method if method in _METHODS else "other", str(status)] += 1
        histogram = self._request_seconds.get((name,))
        if histogram is None:
            histogram = self._request_seconds[name,] = Histogram(REQUEST_BOUNDS)
        histogram.observe(seconds)

    def webhooks(self, result: str) -> int:
        """How many webhooks had a result."""
        return sum(self._webhooks[result].values())

    def values(self) -> Values:
        """All counts by metric."""
        return {
            "gelato_webhooks_total": {
                (result, kind): count for result, kinds in self._webhooks.items() for kind, count in kinds.items()
            },
            "gelato_acknowledgement_seconds": {(): self.acknowledgement.value()},
            "gelato_snapshots_total": {**self.snapshots},
            "gelato_quarantined_total": {**self.quarantined},
            "gelato_test_notifications_total": {(): self.test_notifications},
            "gelato_id_collisions_total": {(): self.id_collisions},
            "gelato_http_requests_total": {**self._requests},
            "gelato_http_request_seconds": {
                route: histogram.value() for route, histogram in self._request_seconds.items()
            },
        }
