"""Dead letters as others may read them: in JSON over HTTP, on the command line, in an export."""

import base64
from typing import Any

from shared.clock import format_time
from shared.history import precise_time
from shared.store.dead_letters import Letter
from shared.store.letter_lists import Group


def described(letter: Letter) -> dict[str, Any]:
    """A letter for JSON. Times are ISO 8601 UTC with microseconds: a receipt decides the fold.

    `payload` is the exact text, `payloadBase64` stands in its place where that is not UTF-8; neither where none was kept.
    """
    result: dict[str, Any] = {
        "id": letter.id,
        "tenant": letter.tenant,
        "reason": letter.reason,
        "detail": letter.detail,
    }
    if letter.payload is not None:
        try:
            result["payload"] = letter.payload.decode()
        except UnicodeDecodeError:
            result["payloadBase64"] = base64.b64encode(letter.payload).decode()
    result |= {
        "receivedAt": precise_time(letter.received),
        "lastSeenAt": precise_time(letter.last_seen),
        "count": letter.count,
        "attempts": letter.attempts,
        "cameAs": letter.came_as,
        "group": letter.place.cause.group,
    }
    if letter.reference is not None:
        result["orderReferenceId"] = letter.reference
    if letter.traceback is not None:
        result["traceback"] = letter.traceback
    return result


def described_group(group: Group) -> dict[str, Any]:
    """A group for JSON. `detail` null: all details of that reason which have no group of their own. Times in seconds."""
    return {
        "group": group.id,
        "tenant": group.cause.tenant,
        "reason": group.cause.reason,
        "detail": group.cause.detail,
        "count": group.count,
        "firstAt": format_time(group.first_ms * 1000),
        "lastAt": format_time(group.last_ms * 1000),
    }
