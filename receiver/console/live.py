"""Live pages: server-sent events that say that something changed. The page then asks for itself anew.

One hub per process follows the stream of changes while anybody listens, once a second, whatever the number of listeners.
"""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from typing import Any, Final

from starlette.responses import Response, StreamingResponse

from receiver.console.visit import Problem, Visit
from receiver.service import Service
from shared.errors import StoreUnavailable
from shared.store import changes

#: Listeners per process; more are told to do without.
MOST: Final = 64
_EVERY_SECONDS: Final = 1.0
_PULSE_SECONDS: Final = 2.0
_PING_SECONDS: Final = 15.0
#: A stream ends after so long, and the browser asks again: a session may have ended meanwhile.
_LASTS_SECONDS: Final = 600.0
_AT_ONCE: Final = 1_000


class Listener:
    """One open page: `order` is the one it shows, None for pages about everything."""

    def __init__(self, order: tuple[str, str] | None) -> None:
        self.order = order
        self.changed = asyncio.Event()


class Hub:
    """Tells listeners of changes."""

    def __init__(self) -> None:
        self._listeners: set[Listener] = set()
        self._task: asyncio.Task[None] | None = None

    async def stream(self, visit: Visit) -> Response:
        """`GET /console/live`: with `reference`, of one order."""
        if len(self._listeners) >= MOST:
            raise Problem(503, "Too many live pages", "Close some; every page can be read without.")
        reference = visit.query.get("reference")
        listener = Listener(None if reference is None else (visit.tenant, reference))
        headers = {"x-accel-buffering": "no"}
        return StreamingResponse(self._events(visit.service, listener), headers=headers, media_type="text/event-stream")

    async def _events(self, service: Service, listener: Listener) -> AsyncIterator[str]:
        self._listeners.add(listener)
        if self._task is None:
            self._task = asyncio.create_task(self._follow(service))
        until = time.monotonic() + _LASTS_SECONDS
        try:
            yield "retry: 2000\n\n"
            while time.monotonic() < until:
                try:
                    async with asyncio.timeout(_PING_SECONDS):
                        await listener.changed.wait()
                except TimeoutError:
                    yield ": still here\n\n"
                    continue
                listener.changed.clear()
                yield "event: changed\ndata: {}\n\n"
        finally:
            self._listeners.discard(listener)
            if not self._listeners and self._task is not None:
                self._task.cancel()
                self._task = None

    async def _follow(self, service: Service) -> None:
        after: bytes | None = None
        pulse = 0.0
        while True:
            touched: set[tuple[str, str]] = set()
            with contextlib.suppress(StoreUnavailable):
                if after is None:
                    after = await service.store.run(changes.last_id())
                entries: list[Any] = await service.store.run(changes.read(after, _AT_ONCE, None))
                if entries:
                    after = entries[-1].id
                touched = {(e.change["tenant"], e.change["orderReferenceId"]) for e in entries if e.change}
            now = time.monotonic()
            beat = now - pulse >= _PULSE_SECONDS
            pulse = now if beat else pulse
            for listener in list(self._listeners):
                if (beat and listener.order is None) or listener.order in touched:
                    listener.changed.set()
            await asyncio.sleep(_EVERY_SECONDS)
