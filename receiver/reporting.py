"""Handing over what this process has counted: to its instance's other processes, and to the service's activity in Redis.

Beside the requests, once a second. While Redis is away what happened is kept, for the last hour at most, and told when it is
back: the plots show the outage as it was.
"""

import asyncio
import contextlib
import time
from collections import Counter
from typing import Final

from receiver.counts import Counts
from receiver.door import Door
from receiver.feed import Feed
from receiver.instance import Shown, Slot, State
from shared import log
from shared.errors import StoreUnavailable
from shared.metrics import ACKNOWLEDGEMENT_BOUNDS
from shared.store import activity

logger = log.get("receiver.reporting")

_EVERY_SECONDS: Final = 1.0
_RESULTS: Final = (activity.ACCEPTED, activity.DUPLICATE, activity.QUARANTINED, activity.SPOOLED)
#: Webhooks that were about an order, and not refused.
_USABLE: Final = (activity.ACCEPTED, activity.DUPLICATE, activity.SPOOLED)


class Reporting:
    """Reports one process's counts."""

    def __init__(self, counts: Counts, door: Door, feed: Feed) -> None:
        self._counts = counts
        self._door = door
        self._feed = feed
        self._slot = Slot.of_this_process()
        self._writing = asyncio.Lock()
        self._task: asyncio.Task[None] | None = None
        self._told: Counter[str] = Counter()
        #: What Redis has not been told yet, by step of the finer series.
        self._happened: dict[int, Counter[str]] = {}
        #: When the last usable webhook came, as far as this process knows: Unix seconds.
        self._last_event: float | None = None
        self._last_event_told: float | None = None

    def start(self) -> None:
        """Begin to report."""
        self._task = asyncio.create_task(self._run())

    async def stop(self) -> None:
        """Report for the last time."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])
            with contextlib.suppress(OSError):
                await self.shown()
            if not self._door.breaker.is_open:
                await self._tell()
        self._slot.close()

    async def shown(self) -> Shown:
        """What this process's instance has counted, all its processes together. Raises `OSError`."""
        async with self._writing:  # an older file must not replace a newer one
            self._note()
            state = State(self._counts.started, self._door.breaker.is_open, self._last_event, self._feed.subscribers)
            return await asyncio.to_thread(self._slot.show, self._counts.values(), state)

    async def _run(self) -> None:
        while True:
            await asyncio.sleep(_EVERY_SECONDS)
            try:
                await self.shown()
                if not self._door.breaker.is_open:
                    await self._tell()
            except OSError as error:
                logger.error("the counts of this process cannot be written down", error=str(error))
            except Exception:
                logger.exception("reporting failed")  # and is tried again: a task that ended would tell nobody

    def _note(self) -> None:
        """Note what has happened since the last time."""
        total = self._total()
        new = total - self._told  # what is above zero
        self._told = total
        if not new:
            return
        now = time.time()
        if any(new[result] for result in _USABLE):
            self._last_event = now
        step = activity.HOUR.step
        self._happened.setdefault(int(now) // step * step, Counter()).update(new)
        while len(self._happened) > activity.HOUR.span // step:
            del self._happened[min(self._happened)]

    def _total(self) -> Counter[str]:
        total = Counter({result: self._counts.webhooks(result) for result in _RESULTS})
        total[activity.BURIED] = sum(self._counts.quarantined.values())
        total.update(
            activity.fields_of(activity.ACKNOWLEDGEMENT, ACKNOWLEDGEMENT_BOUNDS, self._counts.acknowledgement.counts)
        )
        return total

    async def _tell(self) -> None:
        last = None if self._last_event == self._last_event_told else self._last_event
        if not self._happened and last is None:
            return
        happened, self._happened = self._happened, {}
        try:
            await self._door.store.run(activity.add(happened, last_event_ms=None if last is None else int(last * 1000)))
        except StoreUnavailable as error:
            logger.debug("the activity waits to be told", error=str(error))
            self._happened = happened
        else:
            self._last_event_told = self._last_event
