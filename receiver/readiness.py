"""Since when this receiver has been able to take events: told to Redis, which knows then when nobody was."""

import time
from collections.abc import Callable
from typing import Final

#: A receiver whose loop stood still for so long (stopped, or its machine asleep) took nothing meanwhile.
_STOOD_STILL_SECONDS: Final = 15.0


class Readiness:
    """One receiver's readiness. `clock` gives seconds that never go back."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._since = self._looked = clock()

    def refused(self) -> None:
        """An event was refused, or would be."""
        self._since = self._clock()

    def looked(self) -> int:
        """For how long it has been ready without a break, ms; to be called every few seconds."""
        now = self._clock()
        if now - self._looked > _STOOD_STILL_SECONDS:
            self._since = now
        self._looked = now
        return int((now - self._since) * 1000)

    def told(self) -> None:
        """Redis knows what `looked` said last; from there on it counts anew."""
        self._since = max(self._since, self._looked)
