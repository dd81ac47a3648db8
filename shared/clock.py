"""When was an event made? The contract's clock: a point `at` and an interval `[lo, hi]` for each event.

All times are integers, microseconds since the epoch, UTC: they add and compare exactly. See docs/explanation/the-fold.md.
"""

import re
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any, Final, NamedTuple

SECOND: Final = 1_000_000
_FUTURE: Final = 300 * SECOND
_UNIQID_PAST: Final = 7 * 86_400 * SECOND
#: Gelato tries for about 10 seconds; an event without any clock was made at most this long before its receipt.
_RETRIES: Final = 30 * SECOND
_FETCHED: Final = 5 * SECOND
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)
_FIRST: Final = (datetime.min.replace(tzinfo=UTC) - _EPOCH) // _MICROSECOND
_LAST: Final = (datetime.max.replace(tzinfo=UTC) - _EPOCH) // _MICROSECOND
#: No longer text is kept in memory; what makes a time longer is digits of a second that nobody needs.
_USUAL_TIME: Final = 40
_UNIQID: Final = re.compile(r"[A-Za-z]+_([0-9a-f]{8})([0-9a-f]{5})")


class Stamp(NamedTuple):
    """When an event was made, in microseconds: the best guess, and the interval it certainly falls into."""

    at: int
    lo: int
    hi: int


def parse_time(text: Any) -> int | None:
    """ISO 8601 text to microseconds since the epoch (no offset: UTC); None for anything else."""
    if not isinstance(text, str):
        return None
    return _moment(text) if len(text) <= _USUAL_TIME else _moment.__wrapped__(text)


@lru_cache(maxsize=4096)  # whole seconds: events that come together were often made in the same one
def _moment(text: str) -> int | None:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    since = moment - _EPOCH
    microseconds = (since.days * 86_400 + since.seconds) * SECOND + since.microseconds
    # An offset can carry the first or last day of the calendar out of it, where it could not be written down again.
    return microseconds if _FIRST <= microseconds <= _LAST else None


def format_time(microseconds: int) -> str:
    """Microseconds since the epoch to ISO 8601 UTC, whole seconds, ending in Z."""
    return format_second(microseconds // SECOND)


@lru_cache(maxsize=4096)  # a document names each of its few moments many times
def format_second(second: int) -> str:
    """As `format_time`, of whole seconds since the epoch."""
    return (_EPOCH + timedelta(seconds=second)).isoformat()[:19] + "Z"


def uniqid_time(event_id: str) -> int | None:
    """The clock in an id of PHP's `uniqid()`: 8 hexadecimal digits of seconds, 5 of microseconds."""
    match = _UNIQID.fullmatch(event_id)
    if match is None:
        return None
    return int(match[1], 16) * SECOND + int(match[2], 16)


def event_stamp(created: Any, event_id: str | None, received: int) -> Stamp:
    """The stamp of a webhook event received at `received` (microseconds)."""
    made = parse_time(created)
    if made is not None and made <= received + _FUTURE:
        return Stamp(made, made, made + SECOND)
    if event_id is not None:
        made = uniqid_time(event_id)
        if made is not None and received - _UNIQID_PAST <= made <= received + _FUTURE:
            return Stamp(made, made - SECOND, made)
    return Stamp(received, received - _RETRIES, received)


def snapshot_stamp(updated: Any, created: Any, received: int, fetched: bool) -> Stamp:
    """The stamp of an order API response: true as of `received`, and not older than its `updatedAt`."""
    updated_at = parse_time(updated)
    at = received if updated_at is None else updated_at
    if fetched:
        return Stamp(at, received - _FETCHED, received)
    not_before = updated_at if updated_at is not None else parse_time(created)
    return Stamp(at, 0 if not_before is None else min(not_before, received), received)
