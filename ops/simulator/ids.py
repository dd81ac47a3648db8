"""Event ids as Gelato makes them: with a clock (PHP's `uniqid`) or ten digits that say nothing."""

import random
import re

_UNIQID = re.compile(r"[A-Za-z]+_([0-9a-f]{8})([0-9a-f]{5})\Z")


def uniqid(prefix: str, at_us: int) -> str:
    """An id that carries its time (microseconds since 1970): 8 hex digits of seconds, 5 of microseconds."""
    return f"{prefix}_{at_us // 1_000_000:08x}{at_us % 1_000_000:05x}"


def uniqid_time_us(event_id: str) -> int | None:
    """The time in such an id (microseconds since 1970); None if it carries none."""
    match = _UNIQID.match(event_id)
    return int(match[1], 16) * 1_000_000 + int(match[2], 16) if match else None


class Ids:
    """Hands out ids, each once. One id may then be put on events of two kinds on purpose, as Gelato does."""

    def __init__(self) -> None:
        self._used: set[str] = set()

    def clocked(self, prefix: str, at_us: int) -> str:
        """An unused uniqid of about this time: a microsecond later for each that was taken."""
        while (event_id := uniqid(prefix, at_us)) in self._used:
            at_us += 1
        self._used.add(event_id)
        return event_id

    def clockless(self, names: random.Random) -> str:
        """An unused id like the seed's `os_3193599927`."""
        while (event_id := f"os_{names.randrange(10**9, 10**10)}") in self._used:
            pass
        self._used.add(event_id)
        return event_id
