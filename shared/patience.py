"""How long an order may stay as it is before the order API is asked about it."""

from collections.abc import Mapping
from typing import Final, NamedTuple

from shared.durations import seconds_of, shown
from shared.statuses import normalise

HOUR: Final = 3_600.0
DAY: Final = 24 * HOUR

#: By the order's status, since its last event. Machines do the first steps, within hours; printing takes days, carriers
#: longer; where people must act, they are left some time to do so.
USUAL: Final[Mapping[str, float]] = {
    "draft": 7 * DAY,
    "not_connected": 2 * DAY,
    "created": 6 * HOUR,
    "uploading": 6 * HOUR,
    "digitizing": 1 * DAY,
    "passed": 1 * DAY,
    "in_production": 4 * DAY,
    "printed": 2 * DAY,
    "pending_personalization": 7 * DAY,
    "pending_approval": 3 * DAY,
    "on_hold": 2 * DAY,
    "failed": 2 * DAY,
    "partially_shipped": 4 * DAY,
    "shipped": 5 * DAY,
    "in_transit": 7 * DAY,
    "partially_delivered": 5 * DAY,
    "partially_returned": 14 * DAY,
    # What is odd is asked about sooner: siblings' events usually come within minutes of each other.
    "incomplete": 10 * 60.0,
    "disagrees": 10 * 60.0,
    "attention": 1 * HOUR,
    # A status that is new to this version.
    "other": 1 * DAY,
}


class Patience(NamedTuple):
    """Seconds by status, and by `incomplete`, `disagrees`, `attention`, `other`."""

    seconds: Mapping[str, float]

    def of(self, status: str) -> float:
        """How long an order of this status, or a flag, may be silent, seconds."""
        return self.seconds.get(status, self.seconds["other"])

    @property
    def least(self) -> float:
        """No order is silent before this, seconds."""
        return min(self.seconds.values())


def read(text: str) -> Patience:
    """`shipped=3d, created=2h` over the usual ones. Raises `ValueError`, naming what is wrong."""
    seconds = dict(USUAL)
    for part in filter(None, (each.strip() for each in text.split(","))):
        name, separator, length = part.partition("=")
        status = normalise(name)
        if not separator or status not in USUAL:
            raise ValueError(f"{status[:64]!r}: must be STATUS=LENGTH, STATUS one of {', '.join(USUAL)}")
        seconds[status] = seconds_of(length)
    return Patience(seconds)


def markdown() -> str:
    """The usual ones as a table."""
    rows = [f"| `{status}` | {shown(seconds)} |" for status, seconds in USUAL.items()]
    return "\n".join(["| status | asked about after |", "|---|---|", *rows])
