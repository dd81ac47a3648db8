"""How many replicas must have an event before its 2xx, where no setting says so.

One, where one is connected. Where none is, it depends on who could take the primary's place:

- Without Sentinels nobody does by itself: a primary without a replica is taken at its word.
- Sentinels may have done so already. A primary whose replicas are gone may be cut off from the world, and what it takes is
  lost when it is found again and made a replica. So one replica goes on being asked for, and events go to the spool, until
  most Sentinels have said for as long as they need to notice a death that this one still is the primary, and well: then it
  is the replicas that have died.
"""

import time
from collections.abc import Callable, Sequence
from typing import Final

from shared import log
from shared.store import AsyncStore, guards
from shared.store.durability import Promises
from shared.store.guards import Address, View

logger = log.get("receiver.replicas")

#: Sentinels ask a primary once a second whether it is there.
_PING_SECONDS: Final = 1.0


class Replicas:
    """Decides for one receiver."""

    def __init__(self, store: AsyncStore, asked: int | None, clock: Callable[[], float] = time.monotonic) -> None:
        self._store = store
        self._asked = asked
        self._clock = clock
        self._guarded = not store.cluster and guards.are_there(store)
        #: The primary that most Sentinels confirm though it has no replica, and since when they do.
        self._confirmed: tuple[Address | None, float] | None = None
        #: Whether events are answered for by a primary that has lost its replicas.
        self.alone = False
        #: Whether the answer may change at any moment.
        self.unsettled = False

    @property
    def at_first(self) -> int:
        """How many, before the server was asked what it has."""
        return int(self._guarded) if self._asked is None else self._asked

    async def needed(self, promises: Promises) -> int:
        """How many are needed now. Asked again every few seconds, and more often while `unsettled`."""
        if self._asked is not None:
            return self._asked
        if promises.replicas or not self._guarded:
            self._confirmed, self.alone, self.unsettled = None, False, False
            return min(1, promises.replicas)
        self.unsettled = True
        return self._decide(guards.primary(self._store), await guards.views(self._store))

    def _decide(self, primary: Address | None, views: Sequence[View | None]) -> int:
        agree = [view for view in views if view is not None and view.primary == primary and view.well]
        if 2 * len(agree) <= len(views):
            logger.error("no replica, and too few Sentinels confirm the primary: events are spooled", agree=len(agree))
            self._confirmed, self.alone = None, False
            return 1
        if not any(view.replicas for view in agree):
            return 0  # it never had one: nobody can take its place
        now = self._clock()
        if self._confirmed is None or self._confirmed[0] != primary:
            self._confirmed, self.alone = (primary, now), False
        if now - self._confirmed[1] < max(view.down_after_ms for view in agree) / 1000 + _PING_SECONDS:
            logger.warning("no replica: events are spooled until the Sentinels had time to notice a failover")
            return 1
        self.alone = True
        logger.error("all replicas are gone: the primary alone answers for events; its loss would be theirs")
        return 0
