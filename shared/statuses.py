"""The vocabulary of statuses: spelling, rank, which are final, and the headline of many lines.

See docs/explanation/the-fold.md. Gelato adds statuses now and then, so an unknown one is always legal: it has the lowest
rank and never wins against a known one.
"""

import re
from collections.abc import Iterable
from typing import Final

#: Lowest first. Where two observations may have been made at the same moment, the higher rank is believed.
RANKED: Final = (
    "draft",
    "not_connected",
    "created",
    "uploading",
    "digitizing",
    "passed",
    "in_production",
    "printed",
    "pending_personalization",
    "pending_approval",
    "on_hold",
    "failed",
    "canceled",
    "shipped",
    "in_transit",
    "delivered",
    "returned",
)
RANK: Final = {status: rank for rank, status in enumerate(RANKED)}
FINAL: Final = frozenset({"delivered", "returned", "canceled"})
#: Somebody must act; in the order in which they are named in a headline.
NEEDS_ATTENTION: Final = ("failed", "on_hold", "pending_approval", "pending_personalization", "not_connected")
NEEDS_ATTENTION_SET: Final = frozenset(NEEDS_ATTENTION)
#: Before shipping, least advanced first: an order is only as far as its slowest line.
_ADVANCING: Final = ("draft", "created", "uploading", "digitizing", "passed", "in_production", "printed")
_SHIPPED: Final = frozenset({"shipped", "in_transit"})
_DELIVERED_OR_RETURNED: Final = frozenset({"delivered", "returned"})
#: Every status that an order can have, but for those that are unknown yet.
HEADLINES: Final = (*RANKED, "partially_shipped", "partially_delivered", "partially_returned")

MAX_STATUS_LENGTH: Final = 64

_BLANK_OR_HYPHEN: Final = re.compile(r"[\s-]")


def normalise(text: str) -> str:
    """Gelato's spelling of a status: trimmed, lower case, blanks and hyphens to `_`, `cancelled` to `canceled`."""
    if text in RANK:  # nearly always; saves four passes over the text
        return text
    status = _BLANK_OR_HYPHEN.sub("_", text.strip().lower())
    return "canceled" if status == "cancelled" else status


def rank_key(status: str) -> tuple[int, str]:
    """Sort key by rank: unknown statuses first, two of them by name."""
    rank = RANK.get(status)
    return (-1, status) if rank is None else (rank, "")


def lowest_listed(statuses: list[str]) -> str:
    """The status that counts when one order status lists the same reference several times.

    The slowest copy decides, and a cancelled copy says nothing about the others, unless all are cancelled.
    """
    going_on = [status for status in statuses if status != "canceled"]
    return min(going_on, key=rank_key) if going_on else "canceled"


def headline(statuses: Iterable[str]) -> str:
    """One status for a bag of line statuses (of an order, a connected order, or an item)."""
    seen = set(statuses)
    if len(seen) == 1:  # the usual case needs no rules, but for one: all `shipped` is `shipped`
        return next(iter(seen))
    seen.discard("canceled")
    if not seen:
        return "canceled"
    if len(seen) == 1:
        return next(iter(seen))
    if seen <= _DELIVERED_OR_RETURNED:
        return "partially_returned"
    if "delivered" in seen:
        return "partially_delivered"
    if "returned" in seen:
        return "partially_returned"
    if seen <= _SHIPPED:
        return "shipped"
    if seen & _SHIPPED:
        return "partially_shipped"
    for status in NEEDS_ATTENTION:
        if status in seen:
            return status
    for status in _ADVANCING:
        if status in seen:
            return status
    return min(seen)


def needs_attention(status: str) -> bool:
    """Whether a person must act before this line goes on."""
    return status in NEEDS_ATTENTION_SET
