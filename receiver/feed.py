"""The stream of changes, followed once per receiver process and handed on in memory to whoever subscribes.

However many clients follow changes, Redis has one reader of this process. It reads while anybody subscribes, goes on where
it was when Redis comes back after an outage, and never waits for a subscriber: one that does not keep up is ended.
"""

import asyncio
import contextlib
from collections import Counter, deque
from collections.abc import AsyncIterator, Iterator
from typing import Final

from shared import log
from shared.errors import GelatoRollupError, StoreUnavailable
from shared.store import AsyncStore, changes
from shared.store.changes import Entry

logger = log.get("receiver.feed")

#: Changes that wait for one subscriber; with more it is too slow.
MOST_WAITING: Final = 1_000
#: Why a subscription has ended.
SLOW: Final = "slow"
STOPPING: Final = "stopping"

_AT_ONCE: Final = 1_000
_BLOCK_MS: Final = 1_000
_RETRY_SECONDS: Final = (0.1, 2.0)

_Topic = tuple[str | None, str | None]
#: No tenant has an empty name.
_NOTHING: Final[_Topic] = ("", None)


class TooManySubscribers(GelatoRollupError):
    """As many subscribers as this process, or this tenant, may have."""


class Subscription:
    """An async iterator over the changes after `begins` (an id of the stream); `ended` says why there are no more."""

    def __init__(self, begins: bytes) -> None:
        self.begins = begins
        self.ended: str | None = None
        self._waiting: deque[Entry] = deque()
        self._more = asyncio.Event()

    def __aiter__(self) -> AsyncIterator[Entry]:
        return self

    async def __anext__(self) -> Entry:
        while not self._waiting:
            if self.ended is not None:
                raise StopAsyncIteration
            self._more.clear()
            await self._more.wait()
        return self._waiting.popleft()

    def put(self, entry: Entry) -> None:
        """Hand on a change."""
        if self.ended is None:
            if len(self._waiting) >= MOST_WAITING:
                self._waiting.clear()
                self.end(SLOW)
            else:
                self._waiting.append(entry)
                self._more.set()

    def skip(self) -> None:
        """Leave out what waits."""
        self._waiting.clear()

    def end(self, why: str) -> None:
        """There are no more, after those that wait."""
        self.ended = self.ended or why
        self._more.set()


class Feed:
    """Follows the stream of changes for its subscribers."""

    def __init__(self, store: AsyncStore, *, most: int, most_per_tenant: int) -> None:
        self._store = store
        self._most = most
        self._most_per_tenant = most_per_tenant
        self._subscribers: dict[_Topic, set[Subscription]] = {}
        self._open: Counter[str | None] = Counter()
        self._last = b""
        self._tail: asyncio.Task[None] | None = None
        self._starting = asyncio.Lock()
        self._stopped = False

    @property
    def subscribers(self) -> int:
        """How many there are."""
        return self._open.total()

    @contextlib.asynccontextmanager
    async def subscribe(self, tenant: str | None = None, reference: str | None = None) -> AsyncIterator[Subscription]:
        """Follow the changes of all tenants, of one, or of one order, from now on.

        Raises `TooManySubscribers`, also when the process is about to stop, and `StoreUnavailable`.
        """
        with self._counted(tenant):
            await self._follow()
            with self._listed((tenant, reference)) as subscription:
                yield subscription

    @contextlib.contextmanager
    def attend(self) -> Iterator[Subscription]:
        """Take a place among the subscribers without being told of changes: it ends as theirs do.

        Raises `TooManySubscribers`, also when the process is about to stop. Needs no server.
        """
        with self._counted(None), self._listed(_NOTHING) as subscription:
            yield subscription

    @contextlib.contextmanager
    def _counted(self, tenant: str | None) -> Iterator[None]:
        if self._stopped or self.subscribers >= self._most or (tenant and self._open[tenant] >= self._most_per_tenant):
            raise TooManySubscribers(f"{self.subscribers} clients follow changes already")
        self._open[tenant] += 1
        try:
            yield
        finally:
            self._open[tenant] -= 1
            if not self._open[tenant]:
                del self._open[tenant]

    @contextlib.contextmanager
    def _listed(self, topic: _Topic) -> Iterator[Subscription]:
        subscription = Subscription(self._last)
        self._subscribers.setdefault(topic, set()).add(subscription)
        try:
            if self._stopped:
                subscription.end(STOPPING)
            yield subscription
        finally:
            self._subscribers[topic].discard(subscription)
            if not self._subscribers[topic]:
                del self._subscribers[topic]

    def stop(self) -> None:
        """End all subscriptions, and take no more: the process is asked to stop."""
        self._stopped = True
        self._end_all(STOPPING)

    async def close(self) -> None:
        """Stop, and end the reader."""
        self.stop()
        if self._tail is not None:
            self._tail.cancel()
            await asyncio.wait([self._tail])

    async def _follow(self) -> None:
        """See to it that the stream is read."""
        async with self._starting:
            if self._tail is None:
                self._last = await self._store.run(changes.last_id())
                self._tail = asyncio.create_task(self._read())

    async def _read(self) -> None:
        wait, most = _RETRY_SECONDS
        try:
            while self._open:
                try:
                    entries = await self._store.run(changes.read(self._last, _AT_ONCE, _BLOCK_MS))
                except StoreUnavailable as error:
                    logger.warning("changes are not read", error=str(error), retry_seconds=wait)
                    await asyncio.sleep(wait)
                    wait = min(wait * 2, most)
                    continue
                wait = _RETRY_SECONDS[0]
                for entry in entries:
                    self._last = entry.id
                    self._hand_on(entry)
        except Exception:
            logger.exception("changes are no longer read")
            self._end_all(STOPPING)  # whoever comes back starts a new reader
        finally:
            self._tail = None

    def _end_all(self, why: str) -> None:
        for subscribers in self._subscribers.values():
            for subscription in subscribers:
                subscription.end(why)

    def _hand_on(self, entry: Entry) -> None:
        change = entry.change
        if change is None:
            return
        tenant, reference = change["tenant"], change["orderReferenceId"]
        for topic in ((None, None), (tenant, None), (tenant, reference)):
            for subscription in self._subscribers.get(topic, ()):
                subscription.put(entry)
