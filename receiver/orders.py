"""Reading orders over HTTP: one document, its raw events, and the list of a tenant's orders."""

import base64
import hashlib
from typing import Any

import orjson
from starlette.requests import Request
from starlette.responses import Response

from receiver.http import Json
from receiver.routes import Refused, query_flag, query_number, reference_of, service_of, tenant_of
from shared.clock import SECOND, parse_time
from shared.history import as_json, described
from shared.store import indexes, orders
from shared.store.listing import Listed

#: Documents looked at for one page of a filtered list; the answer's cursor goes on from there.
_LOOK_AT_MOST = 2_000
_AT_ONCE = 100
_SUMMARY = (
    "tenant",
    "orderReferenceId",
    "status",
    "terminal",
    "complete",
    "connectedOrderIds",
    "counts",
    "attention",
    "version",
    "events",
    "updatedAt",
)


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


async def listed(request: Request) -> Response:
    """`GET /orders`: summaries, newest first; with `?reference=`, that order's document."""
    if "reference" in request.query_params:
        return await one(request)
    tenant = tenant_of(request)
    store = service_of(request).store
    limit = query_number(request, "limit", 50, 500)
    wanted = _Filter(request)
    after = _read_cursor(request.query_params.get("cursor"))
    summaries: list[dict[str, Any]] = []
    for _ in range(_LOOK_AT_MOST // _AT_ONCE):
        page = await store.run(orders.newest(tenant, after, _AT_ONCE))
        documents = await store.run(orders.documents(tenant, [each.reference for each in page])) if page else []
        gone = [each for each, raw in zip(page, documents, strict=True) if raw is None]
        await store.run(indexes.forget(tenant, gone))
        for each, raw in zip(page, documents, strict=True):
            if each.changed_ms < wanted.since_s * 1000:
                return _page(summaries, None)
            after = each
            if raw is not None and wanted.fits(document := orjson.loads(raw)):
                summaries.append(_summary(document))
                if len(summaries) == limit:
                    return _page(summaries, after)
        if len(page) < _AT_ONCE:
            return _page(summaries, None)
    return _page(summaries, after)


class _Filter:
    """The filters of a list."""

    def __init__(self, request: Request) -> None:
        self.status = request.query_params.get("status")
        self.flags = {name: query_flag(request, name) for name in ("terminal", "complete")}
        self.attention = query_flag(request, "attention")
        since = request.query_params.get("updatedSince")
        self.since_s = 0
        if since is not None:
            moment = parse_time(since.replace(" ", "+"))  # a "+" that was not escaped arrives as a blank
            if moment is None:
                raise Refused(400, {"error": "invalid-query", "detail": "updatedSince: must be ISO 8601"})
            self.since_s = max(0, moment // SECOND)  # documents are dated in whole seconds

    def fits(self, document: dict[str, Any]) -> bool:
        if self.status is not None and document["status"] != self.status:
            return False
        if any(wanted is not None and document[name] is not wanted for name, wanted in self.flags.items()):
            return False
        if parse_time(document["updatedAt"]) < self.since_s * SECOND:  # type: ignore[operator]
            return False
        return self.attention is None or bool(document["attention"]) is self.attention


def _summary(document: dict[str, Any]) -> dict[str, Any]:
    return {name: document[name] for name in _SUMMARY}


def _page(summaries: list[dict[str, Any]], after: Listed | None) -> Json:
    """A page, and the cursor to go on from: the order that was looked at last."""
    cursor = None
    if after is not None:
        cursor = base64.urlsafe_b64encode(orjson.dumps([after.changed_ms, after.reference])).decode().rstrip("=")
    return Json({"orders": summaries, "cursor": cursor})


def _read_cursor(text: str | None) -> Listed | None:
    if text is None:
        return None
    try:
        changed_ms, reference = orjson.loads(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))
        if type(changed_ms) is not int or not isinstance(reference, str):
            raise TypeError
    except (ValueError, TypeError):
        raise Refused(400, {"error": "invalid-query", "detail": "cursor: not one of ours"}) from None
    return Listed(reference, changed_ms)


def _matches(header: str | None, etag: str) -> bool:
    if header is None:
        return False
    return any(tag.strip().removeprefix("W/") in (etag, "*") for tag in header.split(","))
