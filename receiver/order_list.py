"""`GET /orders`: summaries of a tenant's orders, filtered or searched for, page by page."""

import base64
from typing import Any, Final, NamedTuple

import orjson
from starlette.requests import Request
from starlette.responses import Response

from receiver.http import Json
from receiver.routes import Refused, query_flag, query_number, query_time, service_of, tenant_of
from shared import statuses
from shared.clock import SECOND, parse_time
from shared.store import indexes, listing, orders, search
from shared.store.calls import Operation
from shared.store.listing import Listed
from shared.store.search import Flag

#: Documents looked at for one page of a filtered list; the answer's cursor goes on from there.
_LOOK_AT_MOST: Final = 2_000
_AT_ONCE: Final = 100
_SUMMARY: Final = (
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


async def listed(request: Request) -> Response:
    """`GET /orders`: summaries, newest first.

    With `?q=` those that have this reference, Gelato order id, tracking code or item; with `?idleSince=` open ones whose
    last event was received before that time, longest silent first.
    """
    tenant = tenant_of(request)
    wanted = _Wanted.by(request)
    limit = query_number(request, "limit", 50, 500)
    text = request.query_params.get("q")
    if text is not None:
        return await _found(request, tenant, text, wanted, limit)
    after = _read_cursor(request.query_params.get("cursor"))
    store = service_of(request).store
    key = await store.run(search.narrowest(tenant, wanted.flags, wanted.status))
    summaries: list[dict[str, Any]] = []
    for _ in range(_LOOK_AT_MOST // _AT_ONCE):
        page = await store.run(_next(key, tenant, wanted, after))
        documents = await store.run(orders.documents(tenant, [each.reference for each in page]))
        gone = [each for each, raw in zip(page, documents, strict=True) if raw is None]
        if wanted.idle_since_us is None:
            await store.run(indexes.forget(tenant, gone))
        for each, raw in zip(page, documents, strict=True):
            if wanted.idle_since_us is None and each.changed_ms < wanted.since_s * 1000:
                return _page(summaries, None)
            after = each
            if raw is not None and wanted.fits(document := orjson.loads(raw)):
                summaries.append(_summary(document))
                if len(summaries) == limit:
                    return _page(summaries, after)
        if len(page) < _AT_ONCE:
            return _page(summaries, None)
    return _page(summaries, after)


async def _found(request: Request, tenant: str, text: str, wanted: "_Wanted", limit: int) -> Response:
    store = service_of(request).store
    references = await store.run(search.find(tenant, text, limit))
    documents = [orjson.loads(raw) for raw in await store.run(orders.documents(tenant, references)) if raw is not None]
    fitting = [_summary(document) for document in documents if wanted.fits(document)]
    return _page(sorted(fitting, key=lambda each: str(each["updatedAt"]), reverse=True), None)


def _next(key: str, tenant: str, wanted: "_Wanted", after: Listed | None) -> Operation[list[Listed]]:
    if wanted.idle_since_us is not None:
        return search.idle(tenant, wanted.idle_since_us // 1000, after, _AT_ONCE)
    return listing.newest(key, after, _AT_ONCE)


class _Wanted(NamedTuple):
    """The filters of a list; None where there is none."""

    status: str | None
    terminal: bool | None
    complete: bool | None
    attention: bool | None
    since_s: int
    idle_since_us: int | None

    @classmethod
    def by(cls, request: Request) -> "_Wanted":
        """Read from the query string. Refuses what cannot be read with 400."""
        since_us = query_time(request, "updatedSince")
        status = request.query_params.get("status")
        return cls(
            status=None if status is None else statuses.normalise(status),
            terminal=query_flag(request, "terminal"),
            complete=query_flag(request, "complete"),
            attention=query_flag(request, "attention"),
            since_s=max(0, (since_us or 0) // SECOND),  # documents are dated in whole seconds
            idle_since_us=query_time(request, "idleSince"),
        )

    @property
    def flags(self) -> list[Flag]:
        """The flags that every order of the list has."""
        asked = {
            Flag.OPEN: self.terminal is False,
            Flag.ATTENTION: self.attention,
            Flag.INCOMPLETE: self.complete is False,
        }
        return [flag for flag, wanted in asked.items() if wanted]

    def fits(self, document: dict[str, Any]) -> bool:
        """Whether an order belongs to the list, by its document: an index may be a moment behind."""
        if self.status is not None and document["status"] != self.status:
            return False
        if self.terminal is not None and document["terminal"] is not self.terminal:
            return False
        if self.complete is not None and document["complete"] is not self.complete:
            return False
        if self.attention is not None and bool(document["attention"]) is not self.attention:
            return False
        if self.idle_since_us is not None and document["terminal"]:
            return False
        return (parse_time(document["updatedAt"]) or 0) >= self.since_s * SECOND


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
