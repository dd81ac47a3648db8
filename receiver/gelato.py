"""The intermediary: a tenant submits, gets and searches its orders, with this service's key and the tenant's customer.

Nothing of a caller's headers goes on, and nothing of the API's comes back but status, body and content type. What the API
answers is passed on if the order is the tenant's (`receiver.ownership`); if not, it is as if there were none. Every answer
is folded before it is passed on, so that an order's document exists from its submission; if that fails, the caller's answer
is what it is. Source: CONTRACT.md section 6; see docs/reference/order-api.md.
"""

import asyncio
import contextlib
import math
import re
from collections.abc import AsyncIterator
from typing import Any, Final, NamedTuple
from urllib.parse import unquote

from starlette.background import BackgroundTask
from starlette.requests import Request
from starlette.responses import Response

from receiver import ownership, searches
from receiver.access import Role
from receiver.http import CutOff, TooLarge, read_body
from receiver.in_flight import TooMany
from receiver.routes import Refused, service_of, tenant_of
from receiver.service import Service
from receiver.snapshots import take_in
from receiver.submits import Submit, order_of
from shared import canonical, log, snapshots
from shared.errors import InvalidJson, OrderApiError, StoreUnavailable, UnusableEvent
from shared.events import optional_text
from shared.facts import FETCHED
from shared.orderapi import (
    Answer,
    Broken,
    NotConfigured,
    OrderApi,
    OutcomeUnknown,
    RateLimited,
    TimedOut,
    Unreachable,
)
from shared.tenants import Tenant

logger = log.get("receiver.gelato")

_OURS_ALONE: Final = (b"x-api-key", b"customer-reference-id")
_KEY: Final = re.compile(r"[!-~]{1,255}")
_JSON: Final = re.compile(r"application/([a-z.-]+\+)?json(;.*)?", re.IGNORECASE)
#: Of an order that may be another's, only what is wrong with the question itself is passed on.
_ABOUT_THE_QUESTION: Final = frozenset({400, 405, 406, 413, 414, 415, 422})
_UNKNOWN: Final = {"error": "unknown-order"}


class _Asked(NamedTuple):
    service: Service
    tenant: Tenant
    api: OrderApi


async def submit(request: Request) -> Response:
    """`POST /tenants/{tenant}/gelato/orders`: submit an order; once, with an `Idempotency-Key`."""
    async with _asking(request) as asked:
        content, body, text = await _body(request, asked.service)
        key = request.headers.get("idempotency-key")
        if key is not None and not _KEY.fullmatch(key):
            detail = "Idempotency-Key: must be 1 to 255 visible ASCII characters"
            raise Refused(400, {"error": "invalid-header", "detail": detail})
        customer = optional_text(content.get("customerReferenceId"))
        if customer is not None:
            send = ownership.customer_to_send(asked.service, asked.tenant, customer)
            if send != customer:
                request.scope["said"]["customer_replaced"] = True
                content = {**content, "customerReferenceId": send}
                body = text = canonical.dumps(content)
        work = Submit(asked.service, asked.tenant, asked.api, order_of(body, text, content), key)
        answer = await work.answer()
        _check_key(request, answer)
        told = _told_in_full(answer)
        await _fold(asked, told or answer)
        response = _passed_on(request, answer)
        if told is not None:
            response.background = BackgroundTask(_learn, asked, told.orders()[0]["id"])
        if work.repeated:
            response.headers["idempotent-replayed"] = "true"
        return response


async def get(request: Request) -> Response:
    """`GET /tenants/{tenant}/gelato/orders/{orderId}`: one order, if it is the tenant's."""
    async with _asking(request, unknown="unknown-order") as asked:
        try:
            order_id = unquote(request.path_params["order_id"], errors="strict")
        except UnicodeDecodeError:
            raise Refused(404, _UNKNOWN) from None
        answer = await asked.api.get(order_id)
        if answer.status == 401:
            _check_key(request, answer)
        if not answer.is_success:
            # The same look-ups as for an order that is found: what is another's must not be told by the time either.
            (ours,) = await ownership.owned(asked.service, asked.tenant, [{"id": order_id}])
            if ours:
                _check_key(request, answer)
            if answer.status == 404 or not (ours or answer.status in _ABOUT_THE_QUESTION):
                raise Refused(404, _UNKNOWN)
            return _passed_on(request, answer)
        verdicts = await ownership.owned(asked.service, asked.tenant, _orders(answer))
        if not verdicts or not all(verdicts):
            raise Refused(404, _UNKNOWN)
        await _fold(asked, answer)
        return _passed_on(request, answer)


async def search(request: Request) -> Response:
    """`POST /tenants/{tenant}/gelato/orders:search`: the tenant's orders among those found."""
    async with _asking(request) as asked:
        content, _, _ = await _body(request, asked.service)
        answer = await searches.search(asked.service, asked.tenant, asked.api, content)
        _check_key(request, answer)
        await _fold(asked, answer)
        return _passed_on(request, answer)


@contextlib.asynccontextmanager
async def _asking(request: Request, unknown: str = "not-found") -> AsyncIterator[_Asked]:
    """Who asks, for which tenant, of which API; and what goes wrong on the way, as an answer."""
    name = tenant_of(request, least=Role.TENANT, unknown=unknown)
    service = service_of(request)
    tenant = service.access.tenants.by_name[name]
    dropped = sorted({header.decode() for header, _ in request.scope["headers"] if header in _OURS_ALONE})
    if dropped:
        request.scope["said"]["dropped_headers"] = dropped
    try:
        with service.in_flight.one_of(name):
            yield _Asked(service, tenant, service.apis.of(tenant))
    except TooMany as error:
        status = 429 if error.of_tenant else 503
        content = {"error": "too-many-requests" if error.of_tenant else "unavailable"}
        raise Refused(status, content, {"retry-after": "1"}) from None
    except OrderApiError as error:
        request.scope["said"]["problem"] = type(error).__name__
        raise _refusal(error) from None


def _refusal(error: OrderApiError) -> Refused:
    """What a caller is told when the API gave no answer."""
    detail = str(error)
    if isinstance(error, RateLimited):
        content = {"error": "upstream-busy", "detail": detail}
        return Refused(429, content, {"retry-after": str(math.ceil(max(1.0, error.retry_after)))})
    if isinstance(error, OutcomeUnknown):
        remedy = "search for its orderReferenceId before it is submitted again, or repeat it with its Idempotency-Key"
        return Refused(
            504 if error.status is None else 502, {"error": "outcome-unknown", "detail": f"{detail}; {remedy}"}
        )
    if isinstance(error, TimedOut):
        return Refused(504, {"error": "upstream-timeout", "detail": detail})
    if isinstance(error, Unreachable):
        return Refused(502, {"error": "upstream-unreachable", "detail": detail}, {"retry-after": "5"})
    if isinstance(error, NotConfigured):
        return Refused(501, {"error": "not-configured", "detail": "this tenant has no order API"})
    content = {"error": "upstream-failed", "detail": detail}
    if isinstance(error, Broken) and error.status is not None:
        return Refused(502, {**content, "status": error.status})
    return Refused(502, content)


async def _body(request: Request, service: Service) -> tuple[dict[str, Any], bytes, bytes]:
    """The body of a request: its content, itself, and its canonical text."""
    limit = service.settings.max_body_bytes
    try:
        body = await read_body(request.scope, request.receive, limit)
    except TooLarge:
        raise Refused(413, {"error": "too-large", "limit": limit}, {"connection": "close"}) from None
    except CutOff:
        raise Refused(408, {"error": "cut-off"}, {"connection": "close"}) from None
    try:
        content, text = canonical.parse(body)
    except InvalidJson as error:
        raise Refused(400, {"error": "invalid-json", "detail": str(error)}) from None
    if not isinstance(content, dict):
        raise Refused(400, {"error": "invalid-json", "detail": "body: must be a JSON object"})
    return content, body, text


def _check_key(request: Request, answer: Answer) -> None:
    """Our key is refused: that is the operator's matter, and nothing of it is the caller's."""
    if answer.status in (401, 403):
        tenant = request.scope["said"].get("tenant")
        logger.error(
            "the order API refuses the key", tenant=tenant, status=answer.status, remedy="see [TENANT.api] key"
        )
        detail = "the order API does not accept this service's key; its operator has to look"
        raise Refused(502, {"error": "upstream-refused", "detail": detail})


def _orders(answer: Answer) -> list[dict[str, Any]]:
    try:
        return answer.orders()
    except (InvalidJson, UnusableEvent):
        raise Broken("the order API answers with something that is no order", answer.status) from None


async def _fold(asked: _Asked, answer: Answer) -> None:
    """Store what an answer says of the tenant's orders. Whatever happens here, the caller's answer is what it is."""
    if not answer.is_success:
        return
    tenant = asked.tenant.name
    try:
        parts = snapshots.split(answer.content())
        done = await asyncio.gather(
            *(take_in(asked.service, tenant, part, answer.received, FETCHED) for part in parts), return_exceptions=True
        )
    except (InvalidJson, UnusableEvent) as error:
        logger.error("an answer is not folded", tenant=tenant, error=str(error))
        return
    for each in done:
        if isinstance(each, StoreUnavailable):
            logger.error("an answer is not folded", tenant=tenant, error=str(each))
        elif isinstance(each, BaseException):
            logger.error("an answer is not folded", tenant=tenant, exc_info=each)
        else:
            asked.service.counts.snapshots[each.content["result"],] += 1


def _told_in_full(answer: Answer) -> Answer | None:
    """A connector may answer a submit with the order's id and reference alone: it was created, that much is certain."""
    if not answer.is_success:
        return None
    with contextlib.suppress(InvalidJson, UnusableEvent):
        orders = answer.orders()
        if len(orders) == 1 and orders[0].get("id") is not None and "fulfillmentStatus" not in orders[0]:
            body = canonical.dumps({**orders[0], "fulfillmentStatus": "created"})
            return Answer(answer.status, body, received=answer.received)
    return None


async def _learn(asked: _Asked, order_id: Any) -> None:
    """Ask for what the answer to a submit left out, after it was passed on: the items, and the connected orders."""
    try:
        with asked.service.in_flight.one_of(asked.tenant.name):
            await _fold(asked, await asked.api.get(str(order_id)))
    except (OrderApiError, TooMany) as error:
        logger.info("reconciliation will ask for the rest of an order", tenant=asked.tenant.name, error=str(error))


def _passed_on(request: Request, answer: Answer) -> Response:
    request.scope["said"]["upstream_status"] = answer.status
    # The console is served from here too: what is not JSON is not shown as a page.
    kind = answer.content_type if _JSON.fullmatch(answer.content_type) else "application/octet-stream"
    headers = {"content-type": kind, "cache-control": "private, no-store", "x-content-type-options": "nosniff"}
    return Response(answer.body, answer.status, headers)
