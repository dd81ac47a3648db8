"""Reading orders, described."""

from typing import Final

from receiver.openapi.parts import (
    CURSOR,
    FLAG,
    MOMENT,
    READERS,
    TENANT,
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

_REFERENCE: Final = in_path("reference", {"type": "string", "minLength": 1}, "The `orderReferenceId`.")
_ETAG: Final[Json] = {"ETag": {"required": True, "schema": TEXT, "description": "For `If-None-Match`."}}
_IF_NONE_MATCH: Final[Json] = {"name": "If-None-Match", "in": "header", "schema": TEXT}
_FILTERS: Final = (
    query("status", TEXT, "Orders of this status."),
    query("terminal", FLAG, "Those that are done, or those that are not."),
    query("complete", FLAG, "Those of which each connected order has been heard, or not."),
    query("attention", FLAG, "Those for which somebody must act, or not."),
    query("updatedSince", MOMENT, "Those that changed at or after this time."),
    query("idleSince", MOMENT, "Open ones whose last event was received before this time, longest silent first."),
    query("q", TEXT, "Those with this reference, Gelato order id, tracking code or item."),
    query(
        "reference", TEXT, "The document of this one order, instead of a list: for references that survive in no path."
    ),
    query("limit", number(500, 50), "Orders on a page."),
    query("cursor", CURSOR, "Where to go on."),
)
_BY_REFERENCE: Final = {**query("reference", TEXT, "The `orderReferenceId`, whatever it is made of."), "required": True}
_READ: Final = ("Unauthorized", "UnknownOrder", "TooMany", "Unavailable")


def paths() -> Json:
    """The described paths: those of the default tenant, and those of any."""
    return _of("", "", ()) | _of("/tenants/{tenant}", "Tenant", (TENANT,))


def _of(before: str, name: str, tenant: tuple[Json, ...]) -> Json:
    order, named = [*tenant, _REFERENCE], [*tenant, _BY_REFERENCE]
    made: Json = {
        f"{before}/orders": {"get": _listed(name)},
        f"{before}/orders/{{reference}}": {"parameters": order, "get": _one(name)},
        f"{before}/orders/{{reference}}/events": {"parameters": order, "get": _events(f"{name}Order")},
        f"{before}/orders/{{reference}}/changes": {"parameters": order, "get": _changes(f"{name}Order")},
        f"{before}/orders/events": {"parameters": named, "get": _events(f"{name}NamedOrder")},
        f"{before}/orders/changes": {"parameters": named, "get": _changes(f"{name}NamedOrder")},
    }
    if tenant:
        made[f"{before}/orders"]["parameters"] = list(tenant)
    return made


def _listed(name: str) -> Json:
    page: Json = {
        "type": "object",
        "properties": {
            "orders": {"type": "array", "items": shape("OrderSummary")},
            "cursor": {"type": ["string", "null"], "description": "Null on the last page."},
        },
        "required": ["orders", "cursor"],
    }
    listed = answer(
        "A page, newest first; with `reference`, that order's document.", {"oneOf": [page, shape("Document")]}
    )
    further = (f"get{name}Order", f"list{name}OrderEvents", f"follow{name}Order")
    answers = {
        "200": leading_to(listed, *further, parameter="reference", where="/orders/0/orderReferenceId"),
        "304": answer("With `reference`: the document is as the caller has it.", headers=_ETAG),
        **shared("Invalid", "Unauthorized", "NotFound", "TooMany", "Unavailable"),
        "404": error("No such tenant; with `reference`, no such order.", "not-found", "unknown-order"),
    }
    return operation(f"list{name}Orders", "List orders", "orders", READERS, answers, (*_FILTERS, _IF_NONE_MATCH))


def _one(name: str) -> Json:
    answers = {
        "200": answer("The document.", shape("Document"), _ETAG),
        "304": answer("It is as the caller has it.", headers=_ETAG),
        **shared(*_READ),
    }
    return operation(f"get{name}Order", "Get an order's document", "orders", READERS, answers, (_IF_NONE_MATCH,))


def _events(name: str) -> Json:
    page: Json = {
        "type": "object",
        "properties": {
            "tenant": TEXT,
            "orderReferenceId": TEXT,
            "events": {"type": "array", "items": shape("Event")},
            "cursor": {"type": ["string", "null"]},
        },
        "required": ["tenant", "orderReferenceId", "events", "cursor"],
    }
    answers = {"200": answer("A page, by time of receipt.", page), **shared("Invalid", *_READ)}
    parameters = (query("limit", number(1_000, 1_000), "Events on a page."), query("cursor", CURSOR, "Where to go on."))
    return operation(f"list{name}Events", "List an order's raw events", "orders", READERS, answers, parameters)


def _changes(name: str) -> Json:
    event = {
        "type": "object",
        "description": "One server-sent event: `document` first (data: a `Document`), then a `change` per version (data: a "
        "`Change`); `end` (data: `reason`) where the service ends it.",
        "properties": {
            "id": TEXT,
            "event": {"enum": ["document", "change", "end"]},
            "data": {**TEXT, "contentMediaType": "application/json"},
            "retry": {"type": "integer", "description": "Milliseconds."},
        },
    }
    busy = error(
        "Redis cannot be reached, or too many follow already.", "unavailable", "too-many-streams", headers=_RETRY
    )
    answers = {
        "200": answer("It goes on until somebody closes it.", event, kind="text/event-stream"),
        **shared("Invalid", *_READ),
        "503": busy,
    }
    last: Json = {
        "name": "Last-Event-ID",
        "in": "header",
        "schema": TEXT,
        "description": "Go on behind this event, with what was missed.",
    }
    return operation(f"follow{name}", "Follow an order's changes", "orders", READERS, answers, (last,))


_RETRY: Final[Json] = {"Retry-After": {"required": True, "schema": TEXT}}
