"""Dead letters, replays and the audit log, described."""

from typing import Final

from receiver.openapi.parts import (
    CURSOR,
    FLAG,
    MOMENT,
    OPERATORS,
    TEXT,
    Json,
    answer,
    error,
    leading_to,
    number,
    operation,
    query,
    shape,
    shared,
)
from receiver.openapi.parts import path as in_path
from receiver.openapi.shapes import AT_MOST
from shared.store.dead_letters import REASONS

_SHORT: Final[Json] = {"type": "string", "minLength": 1, "maxLength": 500}
_FILTERS: Final[dict[str, tuple[Json, str]]] = {
    "tenant": ({"type": "string", "pattern": "^[a-z0-9][a-z0-9_-]{0,62}$"}, "Letters of this tenant."),
    "reason": ({"enum": list(REASONS), "type": "string"}, "Of this reason."),
    "detail": (_SHORT, "Whose detail has this in it, in any case."),
    "order": (_SHORT, "Of this `orderReferenceId` (of the tenant `default` where none is given)."),
    "orderReferenceId": (_SHORT, "Another name of `order`."),
    "since": (MOMENT, "Received at or after this time."),
    "until": (MOMENT, "Received at or before this time."),
}
_GROUP: Final[Json] = {"type": "string", "pattern": "^[0-9a-f]{16}$"}
_LETTER: Final = in_path("id", {"type": "string", "minLength": 1}, "A letter's id.")
_REPLAY: Final = in_path("id", {"type": "string", "minLength": 1}, "A replay's id.")
_WHO: Final = ("Unauthorized", "Forbidden", "Unavailable")
_BODIES: Final = ("Invalid", "CutOff", "TooLarge", *_WHO)


def paths() -> Json:
    """The described paths."""
    no_letter = {"404": error("There is no such letter (any more).", "unknown-dead-letter")}
    no_replay = {"404": error("There is no such replay (any more).", "unknown-replay")}
    told = {"200": answer("The replay.", shape("Replay")), **no_replay, **shared(*_WHO)}

    def of_letters(operation_id: str, summary: str, answers: Json, *more: Json, body: Json | None = None) -> Json:
        return operation(operation_id, summary, "dead letters", OPERATORS, answers, more, body)

    one = {"200": answer("The letter.", shape("DeadLetter")), **no_letter, **shared(*_WHO)}
    return {
        "/dead-letters": {
            "get": of_letters("listDeadLetters", "List dead letters, or their groups", _listed(), *_queries())
        },
        "/dead-letters/{id}": {
            "parameters": [_LETTER],
            "get": of_letters("getDeadLetter", "Get a dead letter", one),
            "delete": of_letters(
                "discardDeadLetter",
                "Discard a dead letter",
                {"200": answer("It is gone.", _DISCARDED), **no_letter, **shared(*_BODIES)},
                query("reason", _SHORT, "Why, for the audit log; it may stand in a JSON body too."),
            ),
        },
        "/dead-letters/{id}/replay": {
            "parameters": [_LETTER],
            "post": of_letters(
                "replayDeadLetter",
                "Send a dead letter through the door again",
                {
                    "200": answer("What became of it.", shape("ReplayedLetter")),
                    "202": answer("It is on its way.", shape("ReplayedLetter")),
                    **no_letter,
                    **shared(*_WHO),
                },
            ),
        },
        "/dead-letters/replay": {
            "post": of_letters(
                "replayDeadLetters",
                "Send all selected dead letters through the door again",
                {
                    "200": answer(
                        "All is done; or how many it would be.", {"oneOf": [shape("Replay"), shape("DryRun")]}
                    ),
                    "202": answer("Workers carry on.", shape("Replay")),
                    **shared(*_BODIES),
                },
                *(query(name, schema, about) for name, (schema, about) in _SELECTION.items()),
                body=_SELECTED,
            )
        },
        "/dead-letters/replays": {
            "get": of_letters(
                "listReplays",
                "List replays, the latest first",
                {
                    "200": leading_to(
                        answer("Replays.", _several("replays", "Replay")),
                        *("getReplay", "stopReplay", "resumeReplay"),
                        parameter="id",
                        where="/replays/0/replay",
                    ),
                    **shared("Invalid", *_WHO),
                },
                query("limit", number(500, 50), "Replays to list."),
            )
        },
        "/dead-letters/replays/{id}": {"parameters": [_REPLAY], "get": of_letters("getReplay", "Get a replay", told)},
        "/dead-letters/replays/{id}/stop": {
            "parameters": [_REPLAY],
            "post": of_letters("stopReplay", "Stop a replay behind the letters that are on their way", told),
        },
        "/dead-letters/replays/{id}/resume": {
            "parameters": [_REPLAY],
            "post": of_letters("resumeReplay", "Let a stopped replay go on", told),
        },
        "/dead-letters/audit": {
            "get": of_letters(
                "listDeeds",
                "List what operators did with dead letters, newest first",
                {"200": answer("A page.", _several("deeds", "Deed", cursor=_NEXT)), **shared("Invalid", *_WHO)},
                query("limit", number(500, 50), "Deeds on a page."),
                query("cursor", {"type": "string", "pattern": r"^\d{1,20}-\d{1,20}$"}, "Where to go on."),
            )
        },
    }


_SELECTION: Final[dict[str, tuple[Json, str]]] = {
    **_FILTERS,
    "group": (_GROUP, "Of this group."),
    "dryRun": (FLAG, "Only count them."),
}
_SELECTED: Final[Json] = {
    "description": "The same filters, in JSON.",
    "content": {
        "application/json": {
            "schema": {
                "type": "object",
                "properties": {name: schema for name, (schema, _) in _SELECTION.items()}
                | {"dryRun": {"enum": [True, False, *FLAG["enum"]]}},
                "additionalProperties": False,
            }
        }
    },
}
_DISCARDED: Final[Json] = {
    "type": "object",
    "properties": {"result": {"const": "discarded"}, "deadLetter": TEXT},
    "required": ["result", "deadLetter"],
}
_NEXT: Final[Json] = {"type": ["string", "null"], "description": "Null on the last page."}
_COUNTS: Final[Json] = {
    "total": {"type": "integer", "description": "How many letters the filters take, on all pages."},
    "dropped": {
        "type": "object",
        "additionalProperties": {"type": "integer"},
        "description": "How many were not kept because there were too many, by reason.",
    },
}


def _several(name: str, of: str, **more: Json) -> Json:
    properties = {name: {"type": "array", "items": shape(of)}, **more}
    return {"type": "object", "properties": properties, "required": list(properties)}


def _listed() -> Json:
    page, groups = (
        _several("deadLetters", "DeadLetter", cursor=_NEXT, **_COUNTS),
        _several("groups", "DeadLetterGroup", **_COUNTS),
    )
    for each in (page, groups):
        each["properties"]["totalIsExact"] = AT_MOST
    return {
        "200": leading_to(
            answer("A page, newest first; or groups, those seen last first.", {"oneOf": [page, groups]}),
            *("getDeadLetter", "replayDeadLetter", "discardDeadLetter"),
            parameter="id",
            where="/deadLetters/0/id",
        ),
        **shared("Invalid", *_WHO),
    }


def _queries() -> list[Json]:
    known = {**_FILTERS, "group": ({"anyOf": [_GROUP, {"const": "true"}]}, "Of this group; `true`: as `groups=true`.")}
    return [
        *(query(name, schema, about) for name, (schema, about) in known.items()),
        query("groups", FLAG, "List groups instead of letters."),
        query("limit", number(500, 50), "Letters on a page; groups up to 2000."),
        query("cursor", CURSOR, "Where to go on."),
    ]
