"""`GET /orders/{reference}/changes`: an order's document, then its changes as they come, as server-sent events."""

import asyncio
import contextlib
import re
import time
from collections.abc import AsyncIterator
from typing import Any, Final

import orjson
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from receiver.feed import SLOW, Subscription, TooManySubscribers
from receiver.routes import Refused, holder_of, reference_of, service_of, tenant_of
from shared.schema import Change
from shared.store import changes, orders

#: A comment is sent that often, so that nobody on the way takes the connection for dead; a token is then looked at again.
BEAT_SECONDS: Final = 15.0
#: Entries of the stream, of all orders, that are looked through for a client that comes back; beyond it gets the document.
_REPLAYED: Final = 5_000
_AT_ONCE: Final = 1_000
#: After this a client comes back by itself.
_RETRY_MS: Final = 2_000
_RETRY_AFTER: Final = {"retry-after": "5"}
_ID: Final = re.compile(r"\d{1,19}-\d{1,19}")
_HEADERS: Final = {
    "content-type": "text/event-stream; charset=utf-8",
    "cache-control": "no-store",
    "x-accel-buffering": "no",  # nginx would gather the events
}


async def of_order(request: Request) -> Response:
    """`GET /orders/{reference}/changes`: event `document`, then an event `change` per new version.

    Each has the id of its place in the stream of changes: a client that comes back with `Last-Event-ID` is told what it has
    missed, or, where that is too much or no longer there, is given the document again.
    """
    tenant = tenant_of(request, unknown="unknown-order")
    reference = reference_of(request)
    service = service_of(request)
    held = contextlib.AsyncExitStack()
    try:
        # First, so that no change falls between the document and the changes after it.
        subscription = await held.enter_async_context(service.feed.subscribe(tenant, reference))
        document = await service.store.run(orders.document(tenant, reference))
        if document is None:
            raise Refused(404, {"error": "unknown-order"})
        missed = await _missed(request, tenant, reference, subscription)
    except TooManySubscribers:
        raise Refused(503, {"error": "too-many-streams"}, _RETRY_AFTER) from None
    except BaseException:
        await held.aclose()
        raise
    return EventStream(_events(request, tenant, subscription, document, missed), held)


class EventStream(Response):
    """An answer that goes on: what `events` yields, until it ends or the client goes. Closes `held` in any case."""

    def __init__(self, events: AsyncIterator[bytes], held: contextlib.AsyncExitStack) -> None:
        super().__init__(headers=_HEADERS)
        del self.headers["content-length"]
        self._events = events
        self._held = held

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the events."""
        async with self._held:
            await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
            sending = asyncio.create_task(self._send(send))
            gone = asyncio.create_task(_until_gone(receive))
            try:
                await asyncio.wait((sending, gone), return_when=asyncio.FIRST_COMPLETED)
            finally:
                for task in (sending, gone):
                    task.cancel()
                answers = await asyncio.gather(sending, gone, return_exceptions=True)
            if isinstance(answers[0], Exception):
                raise answers[0]

    async def _send(self, send: Send) -> None:
        async for event in self._events:
            await send({"type": "http.response.body", "body": event, "more_body": True})
        await send({"type": "http.response.body", "body": b""})


async def _until_gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


async def _events(
    request: Request, tenant: str, subscription: Subscription, document: bytes, missed: list[changes.Entry] | None
) -> AsyncIterator[bytes]:
    yield b"retry: %d\n\n" % _RETRY_MS
    version = 0
    if missed is None:
        yield _event("document", document, subscription.begins)
        version = orjson.loads(document)["version"]
    for entry in missed or ():
        if entry.change is not None and entry.change["version"] > version:
            version = entry.change["version"]
            yield _change(entry.id, entry.change)
    beat = time.monotonic() + BEAT_SECONDS
    while True:
        try:
            async with asyncio.timeout(beat - time.monotonic()):
                entry = await anext(subscription)
        except TimeoutError:
            beat = time.monotonic() + BEAT_SECONDS
            if not _may_still_read(request, tenant):
                return
            yield b": still here\n\n"
            continue
        except StopAsyncIteration:
            yield _event("end", orjson.dumps({"reason": subscription.ended or SLOW}))
            return
        # Told at least once: a change that is told again, or that the document says already, is none.
        if entry.change is not None and entry.change["version"] > version:
            version = entry.change["version"]
            yield _change(entry.id, entry.change)


async def _missed(
    request: Request, tenant: str, reference: str, subscription: Subscription
) -> list[changes.Entry] | None:
    """The changes of an order after `Last-Event-ID`; None where the client is to be given the document."""
    after = request.headers.get("last-event-id", "")
    if not _ID.fullmatch(after) or changes.later(after.encode(), subscription.begins):
        return None
    store = service_of(request).store
    if await store.run(changes.is_trimmed(after.encode())):
        return None
    found: list[changes.Entry] = []
    last = after.encode()
    for _ in range(_REPLAYED // _AT_ONCE):
        page = await store.run(changes.after(last, _AT_ONCE))
        for entry in page:
            change: Change | dict[str, Any] = entry.change or {}
            if change.get("tenant") == tenant and change.get("orderReferenceId") == reference:
                found.append(entry)
        if len(page) < _AT_ONCE:
            return found
        last = page[-1].id
    return None


def _may_still_read(request: Request, tenant: str) -> bool:
    """Whether the token is still good: tenants and their tokens may have been read again since."""
    try:
        return holder_of(request).may_see(tenant) and service_of(request).access.knows(tenant)
    except Refused:
        return False


def _change(entry_id: bytes, change: Change) -> bytes:
    return _event("change", orjson.dumps(change), entry_id)


def _event(name: str, data: bytes, entry_id: bytes | None = None) -> bytes:
    """One event; `data` is JSON, and so without line breaks."""
    place = b"" if entry_id is None else b"id: %b\n" % entry_id
    return b"%bevent: %b\ndata: %b\n\n" % (place, name.encode(), data)
