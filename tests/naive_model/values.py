"""What stands in an event, read: texts, days, times, lists."""

import json
import re
from datetime import UTC, date, datetime, timedelta
from typing import Any

SECOND = 1_000_000
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def text(value: Any) -> str | None:
    """Text as it is, an integer as text; None for anything else and for empty text."""
    if isinstance(value, bool):
        return None
    if isinstance(value, int):
        return str(value)
    return value if isinstance(value, str) and value else None


def day(value: Any) -> str | None:
    """The date that the text begins with, None if it begins with none."""
    begin = (text(value) or "")[:10]
    if not re.fullmatch(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", begin):
        return None
    try:
        date.fromisoformat(begin)
    except ValueError:
        return None
    return begin


def microseconds(value: Any) -> int | None:
    """An ISO 8601 time in microseconds since the epoch (no offset: UTC); None if it is none."""
    if not isinstance(value, str):
        return None
    try:
        moment = datetime.fromisoformat(value)
    except ValueError:
        return None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return (moment - EPOCH) // timedelta(microseconds=1)


def iso(us: int) -> str:
    """ISO 8601 UTC, whole seconds (truncated down), ending in Z."""
    return (EPOCH + timedelta(seconds=us // SECOND)).strftime("%Y-%m-%dT%H:%M:%SZ").rjust(20, "0")


def canonical(event: dict[str, Any]) -> str:
    """The same text for JSON-equal contents, whatever the order of their keys."""
    return json.dumps(event, sort_keys=True)


def entries(value: Any) -> list[dict[str, Any]]:
    """The objects of a list; none if it is no list."""
    return [entry for entry in value if isinstance(entry, dict)] if isinstance(value, list) else []
