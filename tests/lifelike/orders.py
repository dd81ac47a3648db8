"""What has become of the orders of a history, as it is played. Times are microseconds."""

from dataclasses import dataclass, field
from typing import Any

SECOND = 1_000_000
MINUTE = 60 * SECOND
HOUR = 3_600 * SECOND
DAY = 24 * HOUR

Json = dict[str, Any]


@dataclass
class Line:
    """One item of a connected order: what has become of it, and its parcels."""

    reference: str
    item_id: str
    statuses: list[tuple[int, str]] = field(default_factory=list)  # (true time, status), in true order
    parcels: list[Json] = field(default_factory=list)

    def status_at(self, now: int) -> str:
        """The last status by then."""
        return [status for time, status in self.statuses if time <= now][-1]


@dataclass
class Connected:
    """One connected order."""

    order_id: str
    lines: list[Line]
    statuses: list[tuple[int, str]] = field(default_factory=list)
    store_id: str | int | None = None
    facility: tuple[str, str, str] = ("US", "NY", "facility-1")
