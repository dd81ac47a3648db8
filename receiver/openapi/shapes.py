"""The shapes that descriptions name. Document and changes are generated from `shared.schema`."""

from typing import Any, Final

import msgspec

from receiver.openapi.parts import TEXT, Json, shape
from shared.replay import Fate
from shared.schema import Change, Document
from shared.store.dead_letters import REASONS
from shared.store.replay_runs import DONE, RUNNING, STOPPED

_COUNT: Final[Json] = {"type": "integer", "minimum": 0}
AT_MOST: Final[Json] = {"const": False, "description": "There are at most so many: only looking at each would tell."}
_TIME: Final[Json] = {"type": "string", "format": "date-time", "description": "UTC."}
_OR_NULL: Final[Json] = {"type": ["string", "null"]}
_LETTER_ID: Final[Json] = {"type": "string", "pattern": "^[0-9a-f]{32}$"}
_IDENTITY: Final[Json] = {"type": "string", "description": "`<kind>:<id>`."}
_SPOOLED: Final[Json] = {"const": True, "description": "Redis is away: the event waits in the local spool."}
_CAME_AS: Final[Json] = {"enum": ["webhook", "posted", "fetched"]}
_SUMMARY: Final = (
    *("tenant", "orderReferenceId", "status", "terminal", "complete", "connectedOrderIds", "counts", "attention"),
    *("version", "events", "updatedAt"),
)


def record(description: str, required: Json, optional: Json | None = None) -> Json:
    """An object with these fields."""
    properties = {**required, **(optional or {})}
    return {"type": "object", "description": description, "properties": properties, "required": list(required)}


def components() -> dict[str, Any]:
    """All component schemas, by name."""
    _, made = msgspec.json.schema_components([Document, Change], ref_template="#/components/schemas/{name}")
    whole = made["Document"]["properties"]
    made["OrderSummary"] = record("An order in a list.", {name: whole[name] for name in _SUMMARY})
    return made | _INTAKE | _READING | _LETTERS


_QUARANTINED: Final[Json] = {"reason": {"enum": list(REASONS)}, "detail": TEXT, "deadLetter": _LETTER_ID}
_INTAKE: Final[Json] = {
    "Accepted": record(
        "It is stored durably.", {"result": {"const": "accepted"}, "event": _IDENTITY}, {"spooled": _SPOOLED}
    ),
    "Duplicate": record("It was known, its content too.", {"result": {"const": "duplicate"}, "event": _IDENTITY}),
    "Ignored": record(
        "A documented event that is not about an order.", {"result": {"const": "ignored"}, "event": TEXT}
    ),
    "Test": record("A test notification: nothing is stored.", {"result": {"const": "test"}}),
    "Quarantined": record(
        "It cannot be used, and is kept as a dead letter; `detail` names the field.",
        {"result": {"const": "quarantined"}, **_QUARANTINED},
        {"spooled": _SPOOLED},
    ),
    "NotJson": record(
        "The body is not JSON; it is kept as a dead letter.",
        {"error": {"const": "invalid-json"}, "detail": TEXT, "deadLetter": _LETTER_ID},
        {"spooled": _SPOOLED},
    ),
    "SnapshotsTaken": record(
        "What became of each order of a search response.",
        {
            "result": {"enum": ["accepted", "quarantined", "test"]},
            "snapshots": {
                "type": "array",
                "items": {"oneOf": [shape("Accepted"), shape("Test"), shape("Quarantined")]},
            },
        },
    ),
}
_EFFECT: Final = record(
    "One difference that an event made to the document; `from` null: it was not there, `to` null: it is gone.",
    {"path": {"type": "array", "items": TEXT}, "from": {}, "to": {}},
)
_READING: Final[Json] = {
    "Event": record(
        "A raw event with its times, and what it changed (null: not said).",
        {
            "identity": _OR_NULL,
            "cameAs": {"enum": [*_CAME_AS["enum"], "close"]},
            "receivedAt": _TIME,
            "changed": {"type": ["array", "null"], "items": _EFFECT},
        },
        {
            "orderId": TEXT,
            "at": _TIME,
            "parked": {"const": True, "description": "It could not be folded, and is a dead letter."},
            "error": TEXT,
            "event": {"type": "object", "description": "As Gelato sent it."},
        },
    ),
}
_LETTERS: Final[Json] = {
    "DeadLetter": record(
        "A body or event that could not be used. `payloadBase64` stands for a payload that is not UTF-8.",
        {
            "id": _LETTER_ID,
            "tenant": TEXT,
            "reason": {"enum": list(REASONS)},
            "detail": TEXT,
            "receivedAt": _TIME,
            "lastSeenAt": _TIME,
            "count": _COUNT,
            "attempts": _COUNT,
            "cameAs": _CAME_AS,
            "group": TEXT,
        },
        {"payload": TEXT, "payloadBase64": TEXT, "orderReferenceId": TEXT, "traceback": TEXT},
    ),
    "DeadLetterGroup": record(
        "Letters of one cause. `detail` null: all details that have no group of their own.",
        {
            "group": TEXT,
            "tenant": TEXT,
            "reason": {"enum": list(REASONS)},
            "detail": _OR_NULL,
            "count": _COUNT,
            "firstAt": _TIME,
            "lastAt": _TIME,
        },
    ),
    "Replay": record(
        "A replay of dead letters: of some `ids`, or of all of a `selection`. `counts` tells what became of how many.",
        {
            "replay": TEXT,
            "state": {"enum": [RUNNING, STOPPED, DONE]},
            "who": TEXT,
            "selected": _COUNT,
            "done": _COUNT,
            "counts": {"type": "object", "propertyNames": {"enum": list(Fate)}, "additionalProperties": _COUNT},
            "startedAt": _TIME,
            "changedAt": _TIME,
        },
        {"ids": {"type": "array", "items": _LETTER_ID}, "selection": {"type": "object", "additionalProperties": TEXT}},
    ),
    "DryRun": record(
        "How many letters a replay would take.",
        {"selected": _COUNT, "dryRun": {"const": True}},
        {"selectedIsExact": AT_MOST},
    ),
    "ReplayedLetter": record(
        "What became of one replayed letter; with its `reason` of now where it is a dead letter still.",
        {"deadLetter": _LETTER_ID, "result": {"enum": list(Fate)}, "replay": TEXT},
        {"reason": {"enum": list(REASONS)}, "detail": TEXT, "attempts": _COUNT},
    ),
    "Deed": record(
        "What an operator did with dead letters. `outcome` is empty while it goes on.",
        {
            "at": _TIME,
            "who": TEXT,
            "action": TEXT,
            "what": {"type": "object"},
            "outcome": {"type": "object", "additionalProperties": {"type": "integer"}},
        },
    ),
}
