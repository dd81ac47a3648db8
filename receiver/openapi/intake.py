"""Webhooks and snapshots, described."""

from typing import Final

from receiver.openapi.parts import TENANT, TENANTS, Json, answer, operation, shape, shared

#: Any JSON, on purpose: what is no usable event is not refused but kept.
_EVENT: Final[Json] = {
    "required": True,
    "description": "A webhook as Gelato sends it. Any JSON is taken: what is no usable event becomes a dead letter (202).",
    "content": {
        "application/json": {
            "schema": {},
            "examples": {
                "orderStatus": {
                    "value": {
                        "object": "orderStatus",
                        "id": "os_5e5680ce494f6",
                        "orderId": "a-connected-order",
                        "orderReferenceId": "83831IAKD2",
                        "fulfillmentStatus": "passed",
                        "created": "2026-11-22T08:00:00+00:00",
                    }
                }
            },
        }
    },
}
_SNAPSHOT: Final[Json] = {
    "required": True,
    "description": "A response of Gelato's order API: one order, or the orders of a search. Any JSON is taken, as above.",
    "content": {
        "application/json": {
            "schema": {},
            "examples": {
                "order": {
                    "value": {
                        "id": "a-connected-order",
                        "orderReferenceId": "83831IAKD2",
                        "fulfillmentStatus": "shipped",
                        "updatedAt": "2026-11-22T10:00:00+00:00",
                        "items": [{"itemReferenceId": "mug", "fulfillmentStatus": "shipped"}],
                    }
                }
            },
        }
    },
}
_TAKEN: Final[Json] = {
    "202": answer("Kept as a dead letter.", shape("Quarantined")),
    "400": answer("Not JSON, or not UTF-8: kept as a dead letter.", shape("NotJson")),
}


def paths() -> Json:
    """The described paths."""
    return {
        "/webhooks/gelato": {"post": _webhook("postWebhook")},
        "/webhooks/gelato/{tenant}": {"parameters": [TENANT], "post": _webhook("postTenantWebhook")},
        "/snapshots": {"post": _snapshot("postSnapshot")},
        "/tenants/{tenant}/snapshots": {"parameters": [TENANT], "post": _snapshot("postTenantSnapshot")},
    }


def _webhook(operation_id: str) -> Json:
    shapes = [shape(name) for name in ("Accepted", "Duplicate", "Ignored", "Test")]
    answers = {
        "200": answer("Stored, known already, or of no concern.", {"oneOf": shapes}),
        **_TAKEN,
        **shared("WrongSecret", "CutOff", "TooLarge"),
        "503": {"$ref": "#/components/responses/Unavailable"},
    }
    return operation(operation_id, "Take a webhook in", "intake", ({"webhookSecret": []},), answers, body=_EVENT)


def _snapshot(operation_id: str) -> Json:
    shapes = [shape(name) for name in ("Accepted", "Test", "SnapshotsTaken")]
    taken = {
        "202": answer(
            "Kept as a dead letter, it or one of several.", {"oneOf": [shape("Quarantined"), shape("SnapshotsTaken")]}
        )
    }
    answers = {
        "200": answer("Stored.", {"oneOf": shapes}),
        **_TAKEN,
        **taken,
        **shared("Unauthorized", "Forbidden", "NotFound", "CutOff", "TooLarge", "TooMany", "Unavailable"),
    }
    return operation(operation_id, "Take a response of the order API in", "intake", TENANTS, answers, body=_SNAPSHOT)
