"""Reading one order over HTTP: its document, its raw events."""

import hashlib

from starlette.requests import Request
from starlette.responses import Response

from receiver.http import Json
from receiver.routes import Refused, reference_of, service_of, tenant_of
from shared.history import as_json, described
from shared.store import orders


async def one(request: Request) -> Response:
    """`GET /orders/{reference}`: the document, with an ETag."""
    tenant = tenant_of(request, unknown="unknown-order")
    raw = await service_of(request).store.run(orders.document(tenant, reference_of(request)))
    if raw is None:
        raise Refused(404, {"error": "unknown-order"})
    etag = f'"{hashlib.blake2b(raw, digest_size=12).hexdigest()}"'
    headers = {"etag": etag, "cache-control": "private, no-cache"}
    if _matches(request.headers.get("if-none-match"), etag):
        return Response(status_code=304, headers=headers)
    return Response(raw, 200, headers, "application/json")


async def events(request: Request) -> Json:
    """`GET /orders/{reference}/events`: the raw events, by time of receipt, with what the fold's clock makes of them."""
    tenant = tenant_of(request, unknown="unknown-order")
    reference = reference_of(request)
    log = await service_of(request).store.run(orders.log(tenant, reference))
    if not log:
        raise Refused(404, {"error": "unknown-order"})
    return Json({"tenant": tenant, "orderReferenceId": reference, "events": as_json(described(log))})


def _matches(header: str | None, etag: str) -> bool:
    if header is None:
        return False
    return any(tag.strip().removeprefix("W/") in (etag, "*") for tag in header.split(","))
