"""Reading one order over HTTP: its document, its raw events."""

import asyncio
import base64
import hashlib
from bisect import bisect_left
from typing import Any, Final

import orjson
from starlette.requests import Request
from starlette.responses import Response

from receiver.http import Json
from receiver.routes import Refused, query_number, reference_of, service_of, tenant_of
from shared.history import as_json, explained
from shared.store import orders
from shared.store.records import Record

#: Events on one page.
_EVENTS: Final = 1_000


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
    """`GET /orders/{reference}/events`: the raw events by time of receipt, each with its times and what it changed.

    In pages of `limit`, from `cursor` on: most orders are one page.
    """
    tenant = tenant_of(request, unknown="unknown-order")
    reference = reference_of(request)
    log = await service_of(request).store.run(orders.log(tenant, reference))
    if not log:
        raise Refused(404, {"error": "unknown-order"})
    limit = query_number(request, "limit", _EVENTS, _EVENTS)
    after = _read_cursor(request.query_params.get("cursor"))
    page, cursor = await asyncio.to_thread(_page, tenant, reference, log, after, limit)
    return Json({"tenant": tenant, "orderReferenceId": reference, "events": page, "cursor": cursor})


def _page(
    tenant: str, reference: str, log: list[Record], after: tuple[str, int], limit: int
) -> tuple[list[dict[str, Any]], str | None]:
    """A page of events, and the cursor to go on from: the last one's time of receipt, and how many of that time came."""
    received, count = after
    entries = explained(tenant, reference, log)
    begin = bisect_left(entries, received, key=_received) + count
    page = entries[begin : begin + limit]
    if begin + limit >= len(entries):
        return as_json(page), None
    last = _received(page[-1])
    shown = begin + limit - bisect_left(entries, last, key=_received)
    return as_json(page), base64.urlsafe_b64encode(orjson.dumps([last, shown])).decode().rstrip("=")


def _received(entry: dict[str, Any]) -> str:
    received: str = entry["receivedAt"]
    return received


def _read_cursor(text: str | None) -> tuple[str, int]:
    if text is None:
        return "", 0
    try:
        received, count = orjson.loads(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))
        if not isinstance(received, str) or type(count) is not int or not 0 <= count < 1 << 32:
            raise TypeError
    except (ValueError, TypeError):
        raise Refused(400, {"error": "invalid-query", "detail": "cursor: not one of ours"}) from None
    return received, count


def _matches(header: str | None, etag: str) -> bool:
    if header is None:
        return False
    return any(tag.strip().removeprefix("W/") in (etag, "*") for tag in header.split(","))
