"""What descriptions of operations are made of: parameters, answers, the errors that many routes share."""

from typing import Any, Final

Json = dict[str, Any]

TEXT: Final[Json] = {"type": "string"}
FLAG: Final[Json] = {"type": "string", "enum": ["true", "false", "1", "0"]}
MOMENT: Final[Json] = {"type": "string", "format": "date-time"}
CURSOR: Final[Json] = {"type": "string", "description": "As the page before gave it; opaque."}

#: Bearer tokens: any role may read; only some may do the rest.
READERS: Final[tuple[Json, ...]] = ({"readToken": []}, {"tenantToken": []}, {"opsToken": []})
TENANTS: Final[tuple[Json, ...]] = ({"tenantToken": []}, {"opsToken": []})
OPERATORS: Final[tuple[Json, ...]] = ({"opsToken": []},)
ANYBODY: Final[tuple[Json, ...]] = ()

RETRY_AFTER: Final[Json] = {
    "Retry-After": {
        "description": "Seconds to wait.",
        "required": True,
        "schema": {"type": "string", "pattern": r"^\d+$"},
    }
}


def shape(name: str) -> Json:
    """A component schema, by name."""
    return {"$ref": f"#/components/schemas/{name}"}


def answer(
    description: str, schema: Json | None = None, headers: Json | None = None, kind: str = "application/json"
) -> Json:
    """One answer; without a schema it has no body."""
    made: Json = {"description": description}
    if headers:
        made["headers"] = headers
    if schema is not None:
        made["content"] = {kind: {"schema": schema}}
    return made


def leading_to(made: Json, *names: str, parameter: str, where: str) -> Json:
    """An answer, and the operations that take something of its body (a JSON pointer) as a parameter."""
    parameters = {parameter: f"$response.body#{where}"}
    return {**made, "links": {name: {"operationId": name, "parameters": parameters} for name in names}}


def error(description: str, *names: str, headers: Json | None = None, **more: Json) -> Json:
    """An answer that is an error: one of these names, and fields of its own."""
    schema: Json = {
        "type": "object",
        "properties": {"error": {"enum": list(names)}, **more},
        "required": ["error", *more],
    }
    return answer(description, schema, headers)


def query(name: str, schema: Json, description: str) -> Json:
    """A parameter of the query string."""
    return {"name": name, "in": "query", "schema": schema, "description": description}


def path(name: str, schema: Json, description: str) -> Json:
    """A part of the path; percent-encoded, slashes too."""
    return {"name": name, "in": "path", "required": True, "schema": schema, "description": description}


TENANT: Final = path("tenant", {"type": "string", "minLength": 1}, "Whose orders.")


def number(most: int, default: int) -> Json:
    """A whole number from 1 on."""
    return {"type": "integer", "minimum": 1, "maximum": most, "default": default}


def operation(
    operation_id: str,
    summary: str,
    tag: str,
    security: tuple[Json, ...],
    answers: Json,
    parameters: tuple[Json, ...] = (),
    body: Json | None = None,
) -> Json:
    """One operation; `answers` by status. What every route may answer is added."""
    made: Json = {
        "operationId": operation_id,
        "summary": summary,
        "tags": [tag],
        "security": list(security),
        "responses": {**answers, "500": {"$ref": "#/components/responses/Internal"}},
    }
    if parameters:
        made["parameters"] = list(parameters)
    if body is not None:
        made["requestBody"] = body
    return made


def shared(*names: str) -> Json:
    """Answers that many routes share, by status; see `ANSWERS`."""
    return {ANSWERS[name][0]: {"$ref": f"#/components/responses/{name}"} for name in names}


ANSWERS: Final[dict[str, tuple[str, Json]]] = {
    "Invalid": ("400", error("A parameter or the body cannot be used.", "invalid-query", "invalid-json", detail=TEXT)),
    "Unauthorized": (
        "401",
        error(
            "No token, or an unknown one.",
            "unauthorized",
            headers={"WWW-Authenticate": {"required": True, "schema": {"const": "Bearer"}}},
        ),
    ),
    "WrongSecret": ("401", error("The secret is missing or wrong, or there is no such tenant.", "unauthorized")),
    "Forbidden": ("403", error("The token is known, and may not do this.", "forbidden")),
    "NotFound": ("404", error("There is no such tenant, as far as this token is to know.", "not-found")),
    "UnknownOrder": ("404", error("There is no such order, as far as this token is to know.", "unknown-order")),
    "CutOff": ("408", error("The body did not come, or not in time.", "cut-off", "too-slow")),
    "TooLarge": ("413", error("The body is over the limit (bytes).", "too-large", limit={"type": "integer"})),
    "TooMany": ("429", error("This tenant asks too often.", "too-many-requests", headers=RETRY_AFTER)),
    "Internal": ("500", error("A bug; the log has it.", "internal")),
    "Unavailable": ("503", error("Redis cannot be reached just now.", "unavailable", headers=RETRY_AFTER)),
}
