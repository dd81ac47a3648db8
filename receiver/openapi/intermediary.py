"""The intermediary for the order API, described."""

from typing import Final

from receiver.openapi.parts import RETRY_AFTER, TENANT, TENANTS, TEXT, Json, error, leading_to, operation, shared
from receiver.openapi.parts import path as in_path

_ORDER: Final = in_path("order_id", {"type": "string", "minLength": 1}, "Gelato's order id.")
#: As the API gave it: its status and content type too.
_PASSED_ON: Final[Json] = {"description": "As the order API answered.", "content": {"*/*": {"schema": {}}}}
_BODY: Final[Json] = {
    "required": True,
    "content": {"application/json": {"schema": {"type": "object", "description": "As the order API takes it."}}},
}
_KEY: Final[Json] = {
    "name": "Idempotency-Key",
    "in": "header",
    "schema": {"type": "string", "pattern": "^[!-~]{1,255}$"},
    "description": "An order that is submitted with it again is submitted once.",
}


def paths() -> Json:
    """The described paths."""
    get = {
        **_answers(),
        **shared("Unauthorized", "Forbidden"),
        "404": error("No such order, as far as this tenant is to know.", "unknown-order"),
    }
    search = {**_answers(), **shared("Unauthorized", "Forbidden", "CutOff"), **_refusals("400", "404", "413")}
    submit = {**search, **_refusals("409", "422")}
    submit["201"] = leading_to(_PASSED_ON, "getGelatoOrder", parameter="order_id", where="/id")
    return {
        "/tenants/{tenant}/gelato/orders": {
            "parameters": [TENANT],
            "post": operation("submitOrder", "Submit an order", "order API", TENANTS, submit, (_KEY,), _BODY),
        },
        "/tenants/{tenant}/gelato/orders:search": {
            "parameters": [TENANT],
            "post": operation("searchOrders", "Search the tenant's orders", "order API", TENANTS, search, (), _BODY),
        },
        "/tenants/{tenant}/gelato/orders/{order_id}": {
            "parameters": [TENANT, _ORDER],
            "get": operation("getGelatoOrder", "Get one order of the tenant's", "order API", TENANTS, get),
        },
    }


_REFUSED: Final = {
    "400": "The body or a header cannot be used (`invalid-json`, `invalid-header`, `invalid-query`).",
    "404": "There is no such tenant, as far as this token is to know (`not-found`).",
    "409": "It is being submitted just now (`in-progress`).",
    "413": "The body is over the limit (`too-large`).",
    "422": "The key was used for another order (`idempotency-key-reused`).",
}


def _answers() -> Json:
    busy = ("too-many-requests", "upstream-busy")
    return {
        "200": _PASSED_ON,
        "default": _PASSED_ON,
        "429": error("This tenant, or this service, asks too often.", *busy, headers=RETRY_AFTER),
        "501": error("This tenant has no order API.", "not-configured", detail=TEXT),
        "502": error(
            "The order API cannot be reached, or does not work; an order may have been taken (`outcome-unknown`).",
            *("upstream-unreachable", "upstream-failed", "upstream-refused", "outcome-unknown"),
            detail=TEXT,
        ),
        "503": error(
            "This service has too much to do, or Redis cannot be reached.", "unavailable", headers=RETRY_AFTER
        ),
        "504": error("The order API did not answer in time.", "upstream-timeout", "outcome-unknown", detail=TEXT),
    }


def _refusals(*statuses: str) -> Json:
    """By these we refuse, and so may the order API, in words of its own."""
    said = " Or as the order API answered."
    return {status: {**_PASSED_ON, "description": _REFUSED[status] + said} for status in statuses}
