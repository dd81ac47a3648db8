"""The whole description, put together."""

from importlib.metadata import version
from typing import Final

from receiver.openapi import intake, intermediary, letters, operations, orders, shapes
from receiver.openapi.parts import ANSWERS, Json

_ABOUT: Final = (
    "Gelato's webhooks in, one truthful document per order out. Every error is a JSON object whose `error` names it. "
    "References and tenants in paths are percent-encoded; an encoded slash is part of the reference."
)
_TOKENS: Final = {
    "readToken": "Reads one tenant's orders (`GELATO_READ_TOKEN`).",
    "tenantToken": "Reads one tenant's orders, submits, and posts snapshots (`GELATO_TENANT_TOKEN`).",
    "opsToken": "Does everything, for every tenant (`GELATO_OPS_TOKEN`).",
    "metricsToken": "Reads metrics, where `GELATO_METRICS_TOKEN` is set.",
}
_TAGS: Final = {
    "intake": "What comes in.",
    "orders": "What downstream reads.",
    "dead letters": "What could not be used, for operators.",
    "order API": "Gelato's order API, or a GelatoConnect connector, through this service.",
    "operations": "What machines ask. No order is named.",
}


def describe(header: str = "X-Webhook-Secret") -> Json:
    """The OpenAPI description. `header`: in which the default tenant's webhooks carry their secret."""
    tokens = {name: {"type": "http", "scheme": "bearer", "description": about} for name, about in _TOKENS.items()}
    secret = {"type": "apiKey", "in": "header", "name": header, "description": "A tenant may have a header of its own."}
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "gelato-rollup",
            "version": version("gelato-rollup"),
            "description": _ABOUT,
            "license": {"name": "MIT", "identifier": "MIT"},
        },
        "servers": [{"url": "/"}],
        "tags": [{"name": name, "description": about} for name, about in _TAGS.items()],
        "paths": intake.paths() | orders.paths() | letters.paths() | intermediary.paths() | operations.paths(),
        "components": {
            "schemas": shapes.components(),
            "responses": {name: content for name, (_, content) in ANSWERS.items()},
            "securitySchemes": {"webhookSecret": secret, **tokens},
        },
    }
