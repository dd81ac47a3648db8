"""How often a sign-in may fail: a few times per address, then slowly. Who has the right token waits with the rest of an
address that guesses, and nobody else does.
"""

import time
from collections import OrderedDict
from collections.abc import Callable
from typing import Final

BURST: Final = 10
EVERY_SECONDS: Final = 6.0
#: Addresses remembered; the one that failed longest ago is forgotten first.
_MOST: Final = 10_000


class Attempts:
    """A bucket of attempts per address: `BURST` at once, then one in `EVERY_SECONDS`."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._failed: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def wait(self, address: str) -> float:
        """Seconds until this address may try again; 0: now."""
        failures = self._failures(address)
        return 0.0 if failures <= BURST - 1 else (failures - (BURST - 1)) * EVERY_SECONDS

    def failed(self, address: str) -> None:
        """Count a failure."""
        self._failed[address] = (self._failures(address) + 1, self._clock())
        self._failed.move_to_end(address)
        if len(self._failed) > _MOST:
            self._failed.popitem(last=False)

    def _failures(self, address: str) -> float:
        count, then = self._failed.get(address, (0.0, 0.0))
        return max(0.0, count - (self._clock() - then) / EVERY_SECONDS)
