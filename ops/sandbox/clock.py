"""The sandbox's own time: runs faster than ours, can be stopped and put forward."""

import time
from collections.abc import Callable

SECOND_US = 1_000_000


class StoryClock:
    """Story time in microseconds since the sandbox began. `speed`: story seconds per second."""

    def __init__(self, speed: float, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._monotonic = monotonic
        self._story_us = 0
        self._since = monotonic()
        self.speed = speed
        self.paused = False

    def now_us(self) -> int:
        """What time it is in the story."""
        if self.paused:
            return self._story_us
        return self._story_us + int((self._monotonic() - self._since) * self.speed * SECOND_US)

    def seconds_until(self, story_us: int) -> float | None:
        """How long it is until then, in our seconds; None while the clock stands."""
        return None if self.paused else max(0.0, (story_us - self.now_us()) / SECOND_US / self.speed)

    def pause(self) -> None:
        """Stand still."""
        self._settle()
        self.paused = True

    def resume(self) -> None:
        """Go on from where it stood."""
        self._settle()
        self.paused = False

    def advance(self, story_seconds: float) -> None:
        """Put it forward, also while it stands."""
        self._settle()
        self._story_us += int(story_seconds * SECOND_US)

    def _settle(self) -> None:
        self._story_us, self._since = self.now_us(), self._monotonic()
