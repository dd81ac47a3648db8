"""Waiting for one's turn: the rate of an order API, kept by all processes together through Redis."""

import asyncio
import random
from typing import Final

from shared import log
from shared.errors import StoreUnavailable
from shared.orderapi.errors import RateLimited
from shared.store import AsyncStore, pace
from shared.store.pace import Rate, Turn

logger = log.get("orderapi")

#: Reconciliation gets this share of the rate at most, and only what live calls leave.
BACKGROUND_SHARE: Final = 0.5
#: A live call does not wait longer than this for its turn.
_LONGEST_WAIT_SECONDS: Final = 10.0
#: Redis gets so long to give a turn; if it does not, this process paces itself for a while.
_PATIENCE_SECONDS: Final = 0.5
_ALONE_SECONDS: Final = 2.0
#: Alone, a process takes this share of the rate: there may be nine others.
_ALONE_SHARE: Final = 0.1
_LONGEST_HOLD_SECONDS: Final = 60.0


class Pace:
    """Gives turns."""

    def __init__(self, store: AsyncStore, per_second: float) -> None:
        self._store = store
        self._rate = Rate(per_second, BACKGROUND_SHARE)
        self._alone_until = 0.0
        #: The next turn of an upstream, by the loop's clock, while Redis is away.
        self._next: dict[str, float] = {}

    async def turn(self, upstream: str, longest_seconds: float, *, background: bool) -> None:
        """Wait for a turn. Raises `RateLimited` where there is none within `longest_seconds`."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + longest_seconds
        while True:
            left = deadline - loop.time()
            given = await self._ask(upstream, left if background else min(left, _LONGEST_WAIT_SECONDS), background)
            if given.granted:
                await asyncio.sleep(given.wait_seconds)
                return
            if not background or given.wait_seconds > left:
                raise RateLimited("too many requests wait for the order API already", max(1.0, given.wait_seconds))
            await asyncio.sleep(given.wait_seconds * random.uniform(1.0, 1.5))

    async def hold(self, upstream: str, seconds: float) -> None:
        """The API said that there were too many: everybody waits for some seconds."""
        seconds = min(seconds, _LONGEST_HOLD_SECONDS)
        now = asyncio.get_running_loop().time()
        self._next[upstream] = max(self._next.get(upstream, 0.0), now + seconds)
        try:
            async with asyncio.timeout(_PATIENCE_SECONDS):
                await self._store.run(pace.hold(upstream, seconds))
        except (StoreUnavailable, TimeoutError) as error:
            self._be_alone(error)

    async def _ask(self, upstream: str, longest_seconds: float, background: bool) -> Turn:
        if asyncio.get_running_loop().time() >= self._alone_until:
            try:
                async with asyncio.timeout(_PATIENCE_SECONDS):
                    return await self._store.run(
                        pace.turn(upstream, self._rate, longest_seconds, background=background)
                    )
            except (StoreUnavailable, TimeoutError) as error:
                self._be_alone(error)
        return self._alone(upstream, longest_seconds, background)

    def _alone(self, upstream: str, longest_seconds: float, background: bool) -> Turn:
        now = asyncio.get_running_loop().time()
        at = max(now, self._next.get(upstream, 0.0))
        if at - now > (0.0 if background else longest_seconds):
            return Turn(False, at - now)
        share = BACKGROUND_SHARE if background else 1.0
        self._next[upstream] = at + 1.0 / (self._rate.per_second * _ALONE_SHARE * share)
        return Turn(True, at - now)

    def _be_alone(self, error: Exception) -> None:
        self._alone_until = asyncio.get_running_loop().time() + _ALONE_SECONDS
        logger.warning(
            "Redis gives no turns; this process paces itself, slowly", error=str(error) or "no answer in time"
        )
