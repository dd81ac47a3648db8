"""The two APIs by which orders are submitted and asked for: Gelato's order API v4, and GelatoConnect's connector.

v4: `POST /v4/orders`, `GET /v4/orders/{orderId}`, `POST /v4/orders:search`, `POST /v4/orders/{orderId}:cancel`, with
`X-API-KEY`. The connector: `POST /connector/submit-order`, `GET /connector/get-order/{orderId or reference}`, `POST
/connector/search-orders`, with `X-API-KEY` (`key:secret`) and `Customer-Reference-ID`. Errors are
`{"code","message","details"}`: 400, 401, 404, 409, 413, 429 (with `Retry-After`), and whatever is broken on purpose.
"""

import asyncio
import hmac
import math
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Final

import orjson
from starlette.requests import Request
from starlette.routing import Route

from ops.sandbox import answers, bodies
from ops.sandbox.book import Connected, Order
from ops.sandbox.gelato import Gelato, TooLateToCancel
from ops.sandbox.limits import Breakage, RateLimit
from ops.sandbox.options import Customer, Via
from ops.sandbox.protocol import reset
from ops.sandbox.search import BadSearch, search
from receiver.http import CutOff, Json, TooLarge, read_body

_BODY_BYTES: Final = 1 << 20
_LONGEST_HANG_SECONDS: Final = 600.0
_HANG_LOOK_SECONDS: Final = 0.05

Answer = tuple[int, Any]


class Refused(Exception):
    """A call that is answered with an error."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.status, self.code, self.message = status, code, message


@dataclass(frozen=True)
class Caller:
    """Who calls: the customers that this key reaches, and the one whom the call is for (connector only)."""

    via: Via
    customers: tuple[Customer, ...]
    customer: Customer | None = None


class Api:
    """The routes, their limits, and how often each kind of call came."""

    def __init__(self, gelato: Gelato) -> None:
        self._gelato = gelato
        self._options = gelato.options
        self._rate = RateLimit(gelato.options.rate_limit)
        self.breakage = Breakage(gelato.options.seed)
        #: Calls by kind, whatever came of them: `submit`, `get`, `search`, `cancel`.
        self.calls: Counter[str] = Counter()
        #: What came of them: `get 200`, `submit 429`, `search hang`.
        self.outcomes: Counter[str] = Counter()

    def routes(self) -> list[Route]:
        """All routes of both APIs."""
        return [
            Route("/v4/orders", self._route("submit", "v4", self._submit), methods=["POST"]),
            Route("/v4/orders:search", self._route("search", "v4", self._search), methods=["POST"]),
            Route("/v4/orders/{order_id}:cancel", self._route("cancel", "v4", self._cancel), methods=["POST"]),
            Route("/v4/orders/{order_id}", self._route("get", "v4", self._get), methods=["GET"]),
            Route("/connector/submit-order", self._route("submit", "connector", self._submit), methods=["POST"]),
            Route("/connector/search-orders", self._route("search", "connector", self._search), methods=["POST"]),
            Route("/connector/get-order/{order_id:path}", self._route("get", "connector", self._get), methods=["GET"]),
        ]

    def _route(
        self, call: str, via: Via, act: Callable[[Caller, Request], Awaitable[Answer]]
    ) -> Callable[[Request], Awaitable[Json]]:
        async def answer(request: Request) -> Json:
            self.calls[call] += 1
            headers: dict[str, str] = {}
            outcome: str | None = None
            try:
                caller = self._caller(request, via)
                if (seconds := self._rate.retry_after(request.headers["x-api-key"])) is not None:
                    headers["Retry-After"] = str(math.ceil(seconds))
                    raise Refused(429, "too_many_requests", "too many requests; try again later")
                outcome = self.breakage.befalls(call)
                if outcome == "hang":
                    await self._hang(request)
                if outcome == "reset":
                    await _reset(request)
                if outcome == "error":
                    if self.breakage.retry_after is not None:
                        headers["Retry-After"] = str(math.ceil(self.breakage.retry_after))
                    raise Refused(self.breakage.status, "broken", "the sandbox was told to break")
                status, content = await act(caller, request)
                if outcome == "lost-answer":
                    await _reset(request)
            except Refused as refused:
                status, content = refused.status, {"code": refused.code, "message": refused.message, "details": []}
            self.outcomes[f"{call} {outcome if outcome and outcome != 'error' else status}"] += 1
            return Json(content, status, headers)

        return answer

    def _caller(self, request: Request, via: Via) -> Caller:
        key = request.headers.get("x-api-key", "").encode()
        customers = tuple(
            customer
            for customer in self._options.customers
            if customer.via == via and hmac.compare_digest(customer.key.encode(), key)
        )
        if not customers:
            raise Refused(401, "unauthorized", "no valid API key provided")
        if via == "v4":
            return Caller(via, customers)
        reference = request.headers.get("customer-reference-id")
        if not reference:
            raise Refused(400, "invalid_request", "Customer-Reference-ID: must be given")
        for customer in customers:
            if customer.reference == reference:
                return Caller(via, customers, customer)
        raise Refused(404, "not_found", "no customer has this Customer-Reference-ID")

    async def _submit(self, caller: Caller, request: Request) -> Answer:
        try:
            body = bodies.checked(await _body(request))
        except bodies.BadBody as error:
            raise Refused(400, "invalid_request", str(error)) from None
        order = self._gelato.submit(_customer(caller, body), body, trouble=bodies.wanted_trouble(body))
        part = order.parts[0]
        if caller.via == "connector" and self._options.short_submit:
            return 200, answers.short(part)
        return 200, answers.full(part)

    async def _get(self, caller: Caller, request: Request) -> Answer:
        return 200, answers.full(self._found(caller, request.path_params["order_id"]))

    async def _search(self, caller: Caller, request: Request) -> Answer:
        try:
            found = search(self._gelato.book, lambda order: _sees(caller, order), await _body(request))
        except BadSearch as error:
            raise Refused(400, "invalid_request", str(error)) from None
        return 200, {"orders": [answers.summary(part) for part in found]}

    async def _cancel(self, caller: Caller, request: Request) -> Answer:
        part = self._found(caller, request.path_params["order_id"])
        try:
            self._gelato.cancel(part)
        except TooLateToCancel:
            raise Refused(409, "conflict", "the order cannot be canceled any more") from None
        return 200, answers.full(part)

    def _found(self, caller: Caller, order_id: str) -> Connected:
        part = self._gelato.book.part(order_id)
        if part is not None and (_sees(caller, part.order) or self._leaks(caller, part.order)):
            return part
        if caller.customer is not None:
            orders = self._gelato.book.of_reference(caller.customer.tenant, order_id)
            if orders:
                return orders[-1].parts[0]
        raise Refused(404, "not_found", "order not found")

    def _leaks(self, caller: Caller, order: Order) -> bool:
        return self._options.leaky and caller.via == "connector" and order.customer in caller.customers

    async def _hang(self, request: Request) -> None:
        """No answer until the caller has gone, or all is mended."""
        end = time.monotonic() + _LONGEST_HANG_SECONDS
        while self.breakage.mode == "hang" and time.monotonic() < end:
            if await request.is_disconnected():
                break
            await asyncio.sleep(_HANG_LOOK_SECONDS)
        raise Refused(503, "broken", "the sandbox was told to hang")


def _customer(caller: Caller, body: dict[str, Any]) -> Customer:
    """Whose order it is: with v4, several customers may share a key, and the body says which."""
    if caller.customer is not None:
        return caller.customer
    said = body.get("customerReferenceId")
    for customer in caller.customers:
        if said is not None and customer.reference == str(said):
            return customer
    return caller.customers[0]


def _sees(caller: Caller, order: Order) -> bool:
    if caller.customer is not None:
        return order.customer == caller.customer
    return order.customer in caller.customers


async def _body(request: Request) -> Any:
    try:
        return orjson.loads(await read_body(request.scope, request.receive, _BODY_BYTES))
    except TooLarge:
        raise Refused(413, "too_large", f"body: at most {_BODY_BYTES} bytes") from None
    except CutOff:
        raise Refused(400, "invalid_request", "body: cut off") from None
    except orjson.JSONDecodeError:
        raise Refused(400, "invalid_request", "body: must be JSON") from None


async def _reset(request: Request) -> None:
    client = request.client
    reset((client.host, client.port) if client else None)
    await asyncio.sleep(0)
    raise Refused(503, "broken", "nobody will read this")
