"""What machines ask: health, metrics, and the descriptions themselves."""

from typing import Final

from receiver.openapi.parts import ANYBODY, TEXT, Json, answer, error, operation
from receiver.openapi.parts import path as in_path

_READY: Final[Json] = {
    "type": "object",
    "properties": {
        "status": {"const": "ready"},
        "where": {"enum": ["redis", "spool"], "description": "Where an event would go now."},
        "spooled": {"type": "integer", "description": "Events that wait in the spool."},
        "server": {"type": "object", "description": "What the Redis server promises."},
        "clockSkewSeconds": {"type": "number"},
        "warnings": {"type": "array", "items": TEXT, "description": "Each weakness with its remedy."},
    },
    "required": ["status", "where"],
}
_NOT_READY: Final[Json] = {
    "type": "object",
    "properties": {"status": {"const": "unavailable"}, "detail": TEXT},
    "required": ["status", "detail"],
}
_INDEX: Final[Json] = {
    "type": "object",
    "properties": {"schemas": {"type": "object", "additionalProperties": TEXT, "description": "Paths, by name."}},
    "required": ["schemas"],
}


def paths() -> Json:
    """The described paths."""

    def plain(operation_id: str, summary: str, answers: Json, security: tuple[Json, ...] = ANYBODY) -> Json:
        return {"get": operation(operation_id, summary, "operations", security, answers)}

    metrics = {
        "200": answer("In Prometheus' text format.", TEXT, kind="text/plain"),
        "401": {"$ref": "#/components/responses/Unauthorized"},
        "403": {"$ref": "#/components/responses/Forbidden"},
    }
    described = {"type": "object", "properties": {"openapi": TEXT}, "required": ["openapi", "info", "paths"]}
    schema = plain(
        "getSchema",
        "Get a JSON Schema of what downstream reads",
        {
            "200": answer("A JSON Schema (2020-12).", {"type": "object"}, kind="application/schema+json"),
            "404": error("There is no such schema.", "unknown-schema"),
        },
    )
    name = in_path("name", {"type": "string", "minLength": 1}, "`document-1.json`; without the version, the newest.")
    return {
        "/healthz": plain(
            "getHealth",
            "Whether the process answers",
            {
                "200": answer(
                    "Alive.", {"type": "object", "properties": {"status": {"const": "alive"}}, "required": ["status"]}
                )
            },
        ),
        "/readyz": plain(
            "getReadiness",
            "Whether it can take events, and where they go",
            {"200": answer("It can.", _READY), "503": answer("It cannot.", _NOT_READY)},
        ),
        "/metrics": plain("getMetrics", "What is measured", metrics, ({}, {"metricsToken": []}, {"opsToken": []})),
        "/openapi.json": plain("getDescription", "This description", {"200": answer("OpenAPI 3.1.", described)}),
        "/schemas": plain("listSchemas", "List the published JSON Schemas", {"200": answer("All there are.", _INDEX)}),
        "/schemas/{name}": {"parameters": [name], **schema},
    }
