"""A circuit breaker: while Redis is away, nobody asks it; one probe does, and tells when it is back."""

import asyncio
import random
from collections.abc import Awaitable, Callable
from typing import Final

from shared import log
from shared.errors import StoreUnavailable

logger = log.get("receiver.breaker")

#: Probes are spread, so that many receivers do not ask at the same moment.
_PROBE_SECONDS: Final = (0.1, 0.3)


class Breaker:
    """Closed: Redis is asked. Open: it is not, until a probe (which writes) succeeds."""

    def __init__(self, probe: Callable[[], Awaitable[object]], changed: Callable[[bool], None]) -> None:
        self._probe = probe
        self._changed = changed
        self._probing: asyncio.Task[None] | None = None

    @property
    def is_open(self) -> bool:
        """Whether Redis is known to be away."""
        return self._probing is not None

    def trip(self, why: str) -> None:
        """Redis failed."""
        if self._probing is None:
            logger.warning("Redis is away", why=why)
            self._probing = asyncio.create_task(self._probe_until_back())
            self._changed(True)

    def stop(self) -> None:
        """Stop probing."""
        if self._probing is not None:
            self._probing.cancel()

    async def _probe_until_back(self) -> None:
        while True:
            await asyncio.sleep(random.uniform(*_PROBE_SECONDS))
            try:
                await self._probe()
            except StoreUnavailable as error:
                logger.debug("Redis is still away", why=str(error))
                continue
            self._probing = None
            logger.info("Redis is back")
            self._changed(False)
            return
