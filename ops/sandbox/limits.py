"""What can be wrong with the sandbox's API: too many calls, and what is broken on purpose."""

import random
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

#: `error`: an answer with `status`. `hang`: no answer. `reset`: the connection is reset before anything is done.
#: `lost-answer`: what was asked is done, and the connection is reset instead of an answer.
MODES: Final = ("error", "hang", "reset", "lost-answer")
CALLS: Final = ("submit", "get", "search", "cancel")
_MOST_KEYS: Final = 1000


class RateLimit:
    """So many calls per second and key, with room for as many at once as a second allows."""

    def __init__(self, per_second: float, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._per_second, self._monotonic = per_second, monotonic
        self._buckets: dict[str, tuple[float, float]] = {}

    def retry_after(self, key: str) -> float | None:
        """None if this call may go on, else in how many seconds another try makes sense."""
        if self._per_second <= 0:
            return None
        most = max(1.0, self._per_second)
        now = self._monotonic()
        if key not in self._buckets and len(self._buckets) >= _MOST_KEYS:
            self._buckets.clear()
        left, then = self._buckets.get(key, (most, now))
        left = min(most, left + (now - then) * self._per_second)
        if left < 1:
            self._buckets[key] = (left, now)
            return (1 - left) / self._per_second
        self._buckets[key] = (left - 1, now)
        return None


@dataclass
class Breakage:
    """What is broken now. `share` of the calls of these kinds; which ones follows from the seed and their number."""

    seed: int = 1
    mode: str | None = None
    status: int = 503
    share: float = 1.0
    calls: frozenset[str] = frozenset(CALLS)
    retry_after: float | None = None
    _rng: random.Random = field(default_factory=random.Random)

    def break_(
        self,
        mode: str,
        *,
        status: int = 503,
        share: float = 1.0,
        calls: frozenset[str] = frozenset(CALLS),
        retry_after: float | None = None,
    ) -> None:
        """From now on, until `mend`. `retry_after`: seconds, in the header of that name, with `error`."""
        self.mode, self.status, self.share, self.calls, self.retry_after = mode, status, share, calls, retry_after
        self._rng = random.Random(f"{self.seed}/break")

    def mend(self) -> None:
        """All is well."""
        self.mode = None

    def befalls(self, call: str) -> str | None:
        """The mode that this call suffers from, if any."""
        if self.mode is None or call not in self.calls:
            return None
        return self.mode if self._rng.random() < self.share else None
