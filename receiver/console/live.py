"""Live pages: server-sent events that say that something changed. The page then asks for itself anew.

A page about one order is told of that order's changes; any other is told to look again every two seconds, for what it
shows (rates, what waits, how far a replay is) changes without a change of any order.
"""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from typing import Final

from starlette.responses import Response

from receiver.changes import EventStream
from receiver.console.visit import Problem, Visit
from receiver.feed import Subscription, TooManySubscribers
from shared.errors import StoreUnavailable

_PULSE_SECONDS: Final = 2.0
#: An order that changes all the time is drawn at most so often.
_REST_SECONDS: Final = 0.5
_PING_SECONDS: Final = 15.0
#: A stream ends after so long, and the browser asks again: its session may have ended meanwhile.
_LASTS_SECONDS: Final = 300.0
_CHANGED: Final = b"event: changed\ndata: {}\n\n"


async def stream(visit: Visit) -> Response:
    """`GET /console/live`: with `reference`, of one order."""
    reference = visit.query.get("reference")
    held = contextlib.AsyncExitStack()
    feed = visit.service.feed
    try:
        if reference is None:
            return EventStream(_pulse(held.enter_context(feed.attend())), held)
        try:
            subscription = await held.enter_async_context(feed.subscribe(visit.tenant, reference))
        except StoreUnavailable:
            return EventStream(_pulse(held.enter_context(feed.attend())), held)
        return EventStream(_of_order(subscription), held)
    except TooManySubscribers:
        detail = "This receiver has as many as GELATO_MAX_STREAMS allows. Every page can be read without."
        raise Problem(503, "Too many live pages", detail) from None


async def _pulse(subscription: Subscription) -> AsyncIterator[bytes]:
    yield b"retry: 2000\n\n"
    until = time.monotonic() + _LASTS_SECONDS
    while time.monotonic() < until:
        try:
            async with asyncio.timeout(_PULSE_SECONDS):
                async for _ in subscription:
                    pass
                return  # it ended: the process stops
        except TimeoutError:
            yield _CHANGED


async def _of_order(subscription: Subscription) -> AsyncIterator[bytes]:
    yield b"retry: 2000\n\n"
    until = time.monotonic() + _LASTS_SECONDS
    while time.monotonic() < until:
        try:
            async with asyncio.timeout(_PING_SECONDS):
                await anext(subscription)
        except TimeoutError:
            yield b": still here\n\n"
            continue
        except StopAsyncIteration:
            return
        subscription.skip()
        yield _CHANGED
        await asyncio.sleep(_REST_SECONDS)
