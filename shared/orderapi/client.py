"""The client of an order API: three questions, asked at the allowed rate, repeated where that is harmless.

The story of a call: wait for a turn (`pace`); send it (`transport`); where the API says "too many" or fails, wait (full
jitter, or as long as `Retry-After` says) and ask again, a few times and for a bounded time. `get` and `search` may always
be asked again. A `submit` is repeated only where it certainly was not taken: it could not be sent, or the answer was 429.
"""

import asyncio
import random
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC
from email.utils import parsedate_to_datetime
from typing import Any, Final, Protocol

from shared import canonical, log
from shared.errors import OrderApiError
from shared.orderapi.answers import Answer
from shared.orderapi.errors import Broken, OutcomeUnknown, RateLimited, TimedOut, Unreachable
from shared.orderapi.pace import Pace
from shared.orderapi.transport import Failed, Received, Transport
from shared.orderapi.upstreams import Upstream, can_be_asked_for, upstream_of
from shared.settings import Settings
from shared.store import AsyncStore
from shared.tenants import Tenant

logger = log.get("orderapi")

_FIRST_WAIT_SECONDS: Final = 0.5
_LONGEST_WAIT_SECONDS: Final = 20.0
#: What is waited after a 429 that does not say how long.
_HOLD_SECONDS: Final = 1.0


class OrderApi(Protocol):
    """One tenant's orders. Each call returns a 2xx or 4xx answer, or raises one of `shared.orderapi.errors`."""

    async def submit(self, body: bytes) -> Answer:
        """Submit an order (JSON). Raises `OutcomeUnknown` where it may have been taken."""

    async def get(self, order: str) -> Answer:
        """One order by its id; a connector knows references too."""

    async def search(self, query: Mapping[str, Any]) -> Answer:
        """Search orders: `orderReferenceIds`, `fulfillmentStatuses`, `startDate`, `endDate`, `limit`, `offset`."""


@dataclass(frozen=True)
class Patience:
    """How often a call is tried, and for how long in all (waiting for turns included)."""

    tries: int
    seconds: float


class OrderApis:
    """All order APIs that a process asks: `of` makes the client of a tenant. Close it, or use it with `async with`."""

    def __init__(self, store: AsyncStore, settings: Settings) -> None:
        self._transport = Transport(settings.api_timeout_seconds)
        self._pace = Pace(store, settings.api_requests_per_second)
        #: Somebody waits for a live call; reconciliation has time.
        self._live = Patience(3, settings.api_timeout_seconds * 1.5)
        self._background = Patience(6, settings.api_timeout_seconds * 9)

    def of(self, tenant: Tenant, *, background: bool = False) -> "Client":
        """A tenant's client. `background` calls take only what live ones leave. Raises `NotConfigured`."""
        patience = self._background if background else self._live
        return Client(upstream_of(tenant), self._transport, self._pace, patience, background=background)

    async def close(self) -> None:
        """Close all connections."""
        await self._transport.close()

    async def __aenter__(self) -> "OrderApis":
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()


class Client:
    """An `OrderApi` over HTTP: Gelato's own, or a GelatoConnect connector."""

    def __init__(
        self, upstream: Upstream, transport: Transport, pace: Pace, patience: Patience, *, background: bool
    ) -> None:
        self.upstream = upstream
        self._transport = transport
        self._pace = pace
        self._patience = patience
        self._background = background

    async def submit(self, body: bytes) -> Answer:
        """Submit an order; repeated only where it certainly was not taken."""
        return await self._call("submit", "POST", self.upstream.submit_url, body)

    async def get(self, order: str) -> Answer:
        """One order by its id. What cannot be one is answered here, as the API answers what it does not know."""
        if not can_be_asked_for(order):
            return Answer(404, b'{"code":"not_found","message":"no such order"}')
        return await self._call("get", "GET", self.upstream.url_of(order), None)

    async def search(self, query: Mapping[str, Any]) -> Answer:
        """Search orders."""
        return await self._call("search", "POST", self.upstream.search_url, canonical.dumps(query))

    async def _call(self, kind: str, method: str, url: str, body: bytes | None) -> Answer:
        begun = time.monotonic()
        deadline = begun + self._patience.seconds
        tries = 0
        while True:
            tries += 1
            await self._pace.turn(self.upstream.name, deadline - time.monotonic(), background=self._background)
            got = await self._transport.send(self.upstream, method, url, body, max(0.1, deadline - time.monotonic()))
            said = {"kind": kind, "tries": tries, "ms": round((time.monotonic() - begun) * 1000)}
            if isinstance(got, Received) and _is_answer(got.answer.status):
                logger.info("asked", status=got.answer.status, **said)
                return got.answer
            problem = _problem(got, submit=kind == "submit")
            wait = await self._wait_before(tries, problem)
            if wait is None or tries >= self._patience.tries or time.monotonic() + wait > deadline:
                logger.warning("asked in vain", error=type(problem).__name__, why=str(problem), **said)
                raise problem
            await asyncio.sleep(wait)

    async def _wait_before(self, tries: int, problem: OrderApiError) -> float | None:
        """How long to wait before a call is repeated; None where it must not be, or would be in vain."""
        if isinstance(problem, RateLimited):
            await self._pace.hold(self.upstream.name, problem.retry_after)
            return problem.retry_after + random.uniform(0, _FIRST_WAIT_SECONDS)
        if isinstance(problem, OutcomeUnknown):
            return None
        if isinstance(problem, Broken) and problem.status is not None and problem.status < 500:
            return None
        return random.uniform(0, min(_LONGEST_WAIT_SECONDS, _FIRST_WAIT_SECONDS * 2**tries))


def _is_answer(status: int) -> bool:
    return 200 <= status < 300 or (400 <= status < 500 and status != 429)


def _problem(got: Received | Failed, *, submit: bool) -> OrderApiError:
    """What went wrong, as the error that says what to do."""
    if isinstance(got, Failed):
        if not got.sent:
            return Unreachable(f"the order API cannot be reached: {got.why}")
        if submit:
            return OutcomeUnknown(f"the order was sent, and it is not known whether it was taken: {got.why}")
        if got.timed_out:
            return TimedOut(f"the order API: {got.why}")
        return Broken(f"the order API broke off, or sent {got.why}")
    status = got.answer.status
    if status == 429:
        return RateLimited("the order API says: too many requests", retry_after_seconds(got.retry_after))
    if submit:
        return OutcomeUnknown(f"the order was sent, and answered with {status}", status)
    if status < 500:
        return Broken(f"the order API answers with {status}, a redirect: is its URL right?", status)
    return Broken(f"the order API answers with {status}", status)


def retry_after_seconds(value: str | None) -> float:
    """The seconds that a `Retry-After` asks for, given in seconds or as a date; a second where it says nothing usable."""
    if value is None:
        return _HOLD_SECONDS
    text = value.strip()
    if text.isascii() and text.isdigit():
        return float(min(int(text[:9]), 86_400))
    try:
        moment = parsedate_to_datetime(text)
    except (ValueError, TypeError, OverflowError):
        return _HOLD_SECONDS
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return min(max(0.0, moment.timestamp() - time.time()), 86_400.0)
