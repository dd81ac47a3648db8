"""Statuses: their names, their ranks, the current one of what was observed, the one of a whole bag."""

import re
from dataclasses import dataclass
from typing import Any

from naive_model.values import iso, text

FINAL = {"delivered", "returned", "canceled"}
ATTENTION = ["failed", "on_hold", "pending_approval", "pending_personalization", "not_connected"]
UNDER_WAY = ["draft", "created", "uploading", "digitizing", "passed", "in_production", "printed"]
RANKS = [
    *["draft", "not_connected", "created", "uploading", "digitizing", "passed", "in_production", "printed"],
    *["pending_personalization", "pending_approval", "on_hold", "failed", "canceled"],
    *["shipped", "in_transit", "delivered", "returned"],
]


@dataclass(frozen=True)
class Observation:
    """A status seen, with the clock of the event that said so."""

    status: str
    at: int
    lo: int
    hi: int


def status_of(value: Any) -> str:
    """A status, normalised."""
    normal = re.sub(r"[\s-]", "_", (text(value) or "").strip().lower())
    return "canceled" if normal == "cancelled" else normal


def rank(status: str) -> tuple[int, str]:
    """Sorts statuses, lowest first: the unknown ones by name, then the known ones."""
    return (RANKS.index(status), "") if status in RANKS else (-1, status)


def current_status(observations: list[Observation]) -> str:
    """The current status by everything observed (at least one observation)."""
    seen = {observation.status for observation in observations}
    considered = seen & FINAL or seen
    lo = {status: max(o.lo for o in observations if o.status == status) for status in considered}
    hi = {status: max(o.hi for o in observations if o.status == status) for status in considered}
    greatest = max(lo.values())
    candidates = [status for status in considered if hi[status] > greatest or lo[status] == greatest]
    return max(candidates, key=rank)


def timeline(observations: list[Observation]) -> dict[str, str]:
    """Each status seen, with its least `at`."""
    return {
        status: iso(min(o.at for o in observations if o.status == status))
        for status in sorted({o.status for o in observations})
    }


def headline(bag: list[str]) -> str:
    """The one status of a bag of line statuses."""
    left = [status for status in bag if status != "canceled"]
    present = set(left)
    if not left:
        return "canceled"
    if present == {"returned"}:
        return "returned"
    if present == {"delivered"}:
        return "delivered"
    if present == {"delivered", "returned"}:
        return "partially_returned"
    if "delivered" in present:
        return "partially_delivered"
    if "returned" in present:
        return "partially_returned"
    if present == {"in_transit"}:
        return "in_transit"
    if present <= {"shipped", "in_transit"}:
        return "shipped"
    if present & {"shipped", "in_transit"}:
        return "partially_shipped"
    for status in ATTENTION:
        if status in present:
            return status
    for status in UNDER_WAY:
        if status in present:
            return status
    return min(present)
