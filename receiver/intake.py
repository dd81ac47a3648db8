"""Group commit: events that wait at the same moment go to Redis in one round trip, and each gets its own answer.

While one batch is on its way the next one gathers, so a batch is as large as the load makes it, without any timer. An
event that fails, fails alone. Where the server cannot be reached, the spool would be asked next (`Intake.accept` is the
seam): until it exists, the sender is told to come again.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Final

from shared.errors import StoreUnavailable
from shared.store import AsyncStore, intake
from shared.store.intake import Incoming, Outcome

#: Bounds of one batch: the server should not be busy with one call for longer than a few milliseconds.
MAX_EVENTS: Final = 128
MAX_BYTES: Final = 4 * 1024 * 1024

_Waiting = tuple[Incoming, "asyncio.Future[Outcome]"]


class Intake:
    """Takes events in, durably. `stored` is called after each batch that stored something, to ask for a shift."""

    def __init__(self, store: AsyncStore, stored: Callable[[], None]) -> None:
        self._store = store
        self._stored = stored
        self._waiting: deque[_Waiting] = deque()
        self._carrier: asyncio.Task[None] | None = None

    async def accept(self, incoming: Incoming) -> Outcome:
        """Store one event. Once this returns, the event is durable. Raises `StoreUnavailable`."""
        result: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()
        self._waiting.append((incoming, result))
        if self._carrier is None:
            self._carrier = asyncio.create_task(self._carry())
        return await result

    async def drain(self) -> None:
        """Wait until nothing is on its way."""
        while self._carrier is not None:
            await asyncio.wait([self._carrier])

    async def _carry(self) -> None:
        try:
            while self._waiting:
                await self._carry_one(self._take())
        finally:
            self._carrier = None
            if self._waiting and not asyncio.current_task().cancelling():  # type: ignore[union-attr]
                self._carrier = asyncio.create_task(self._carry())

    def _take(self) -> list[_Waiting]:
        batch: list[_Waiting] = []
        size = 0
        while self._waiting and len(batch) < MAX_EVENTS and size < MAX_BYTES:
            waiting = self._waiting.popleft()
            size += len(waiting[0].event.text)
            batch.append(waiting)
        return batch

    async def _carry_one(self, batch: list[_Waiting]) -> None:
        try:
            outcomes = await self._store.run(
                intake.accept([incoming for incoming, _ in batch], cluster=self._store.cluster)
            )
        except StoreUnavailable as error:
            _refuse(batch, error)
            return
        except BaseException as error:
            # A bug, or the loop is being closed: nobody may wait for ever, or be told that it was stored.
            _refuse(batch, StoreUnavailable(f"{type(error).__name__}: {error}"))
            raise
        for (_, result), outcome in zip(batch, outcomes, strict=True):
            if result.done():  # its client went away
                continue
            if outcome.refusal:
                result.set_exception(StoreUnavailable(f"Redis: {outcome.refusal}"))
            else:
                result.set_result(outcome)
        self._stored()


def _refuse(batch: list[_Waiting], error: StoreUnavailable) -> None:
    for _, result in batch:
        if not result.done():
            result.set_exception(error)
