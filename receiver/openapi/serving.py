"""`/openapi.json` and `/schemas/`: they need no token, since they hold nothing of any order."""

from functools import cache
from typing import Final

import orjson
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from receiver.http import Json
from receiver.openapi.description import describe
from receiver.routes import Refused, service_of
from shared import json_schemas
from shared.settings import DEFAULT_TENANT

_FRESH: Final = {"cache-control": "public, max-age=300", "access-control-allow-origin": "*"}
_PATHS: Final = {name: f"/schemas/{json_schemas.file_name(name)}" for name in json_schemas.SHAPES}
_NAMES: Final = {f"{name}.json": name for name in json_schemas.SHAPES} | {
    json_schemas.file_name(name): name for name in json_schemas.SHAPES
}


async def openapi(request: Request) -> Response:
    """`GET /openapi.json`."""
    tenant = service_of(request).access.tenants.by_name.get(DEFAULT_TENANT)
    return Response(_described(*([tenant.header] if tenant else [])), 200, _FRESH, "application/json")


async def listed(request: Request) -> Json:
    """`GET /schemas`: where each JSON Schema is."""
    return Json({"schemas": _PATHS}, 200, _FRESH)


async def schema(request: Request) -> Response:
    """`GET /schemas/{name}`: one JSON Schema, by its name with its version; without, the newest."""
    name = _NAMES.get(request.path_params["name"])
    if name is None:
        raise Refused(404, {"error": "unknown-schema"})
    return Response(_schema(name), 200, _FRESH, "application/schema+json")


@cache
def _described(*header: str) -> bytes:
    return orjson.dumps(describe(*header))


@cache
def _schema(name: str) -> str:
    return json_schemas.text(name)


ROUTES: Final = (Route("/openapi.json", openapi), Route("/schemas", listed), Route("/schemas/{name}", schema))
