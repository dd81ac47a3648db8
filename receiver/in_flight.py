"""How many requests may wait for an order API at once: a hanging API, or a tenant that floods, takes only its own share."""

import contextlib
from collections import Counter
from collections.abc import Iterator
from typing import Final

#: So many tenants may use all of their share at the same time.
_TENANTS: Final = 4


class TooMany(Exception):
    """No more may wait: of this tenant (`of_tenant`), or of all."""

    def __init__(self, *, of_tenant: bool) -> None:
        super().__init__("too many requests wait for an order API")
        self.of_tenant = of_tenant


class InFlight:
    """Counts requests on their way, per tenant and in all."""

    def __init__(self, per_tenant: int) -> None:
        self._per_tenant = per_tenant
        self._now: Counter[str] = Counter()

    @contextlib.contextmanager
    def one_of(self, tenant: str) -> Iterator[None]:
        """One more request of a tenant. Raises `TooMany`."""
        if self._now[tenant] >= self._per_tenant:
            raise TooMany(of_tenant=True)
        if self._now.total() >= self._per_tenant * _TENANTS:
            raise TooMany(of_tenant=False)
        self._now[tenant] += 1
        try:
            yield
        finally:
            self._now[tenant] -= 1
            if not self._now[tenant]:
                del self._now[tenant]
