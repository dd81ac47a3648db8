"""Where a list goes on from, as text in a URL."""

import base64

import orjson

from receiver.console.visit import Problem
from shared.store.letter_lists import Position
from shared.store.listing import Listed


def write_cursor(last: Listed) -> str:
    """The cursor behind an order."""
    return _written(last.changed_ms, last.reference)


def read_cursor(text: str | None) -> Listed | None:
    """The order that a cursor stands behind. Raises `Problem` for one that is not ours."""
    if not text:
        return None
    changed_ms, reference = _read(text)
    return Listed(reference, changed_ms)


def write_position(last: Position) -> str:
    """The cursor behind a dead letter."""
    return _written(last.received_ms, last.id)


def read_position(text: str | None) -> Position | None:
    """The dead letter that a cursor stands behind. Raises `Problem` for one that is not ours."""
    return Position(*_read(text)) if text else None


def _written(time_ms: int, name: str) -> str:
    return base64.urlsafe_b64encode(orjson.dumps([time_ms, name])).decode().rstrip("=")


def _read(text: str) -> tuple[int, str]:
    try:
        time_ms, name = orjson.loads(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))
        if type(time_ms) is not int or not isinstance(name, str):
            raise TypeError
    except (ValueError, TypeError):
        raise Problem(400, "No such page", "Go back to the list, and page on from there.") from None
    return time_ms, name
