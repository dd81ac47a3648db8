"""A quota of requests per tenant: a tenant that floods is slowed by itself, and nobody else. Webhooks have none."""

import time
from collections.abc import Callable


class Quota:
    """A token bucket per tenant: `per_second` requests a second, and as many at once as two seconds bring."""

    def __init__(self, per_second: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._per_second = per_second
        self._burst = per_second * 2
        self._clock = clock
        #: Tokens left, and when that was so. As many entries as there are tenants: only known ones are counted.
        self._buckets: dict[str, tuple[float, float]] = {}

    def take(self, tenant: str) -> float:
        """Take one request: 0 if it may pass, else the seconds until the next may."""
        now = self._clock()
        left, then = self._buckets.get(tenant, (self._burst, now))
        left = min(self._burst, left + (now - then) * self._per_second)
        if left < 1:
            self._buckets[tenant] = (left, now)
            return (1 - left) / self._per_second
        self._buckets[tenant] = (left - 1, now)
        return 0.0
