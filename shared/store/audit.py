"""What operators did with dead letters: who, what, when, and what became of it. Bounded: the oldest deeds are forgotten."""

import time
from typing import Any, Final, NamedTuple

import msgspec

from shared.store import keys
from shared.store.calls import Call, Operation

MAX_DEEDS: Final = 10_000


class Deed(NamedTuple):
    """One entry. `at` in microseconds; `what` says which letters, and why; `outcome` counts them, empty while it goes on.

    `who` is `cli:` and a user's name, or `http:` and a token's role: never a token.
    """

    id: str
    at: int
    who: str
    action: str
    what: dict[str, Any]
    outcome: dict[str, int]


def note(who: str, action: str, what: dict[str, Any], outcome: dict[str, int] | None = None) -> Operation[None]:
    """Write a deed down: before it is begun, or once its outcome is known."""
    fields: dict[str, str | bytes | int] = {
        "at": time.time_ns() // 1000,
        "who": who[:200],
        "action": action,
        "what": msgspec.json.encode(what),
        "outcome": msgspec.json.encode(outcome or {}),
    }
    words = tuple(word for field in fields.items() for word in field)
    yield [Call("XADD", (keys.DEAD_LETTERS_AUDIT,), ("MAXLEN", "~", MAX_DEEDS, "*", *words))]


def latest(limit: int = 50, before: str | None = None) -> Operation[list[Deed]]:
    """Deeds, newest first, from the one behind `before` on."""
    newest = "+" if before is None else f"({before}"
    (entries,) = yield [Call("XREVRANGE", (keys.DEAD_LETTERS_AUDIT,), (newest, "-", "COUNT", limit))]
    return [
        Deed(
            entry_id.decode(),
            int(fields[b"at"]),
            fields[b"who"].decode(),
            fields[b"action"].decode(),
            msgspec.json.decode(fields[b"what"]),
            msgspec.json.decode(fields[b"outcome"]),
        )
        for entry_id, fields in entries
    ]
