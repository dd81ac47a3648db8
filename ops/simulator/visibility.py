"""Measures POST to rollup visible, from outside: follows the stream of changes and reads the documents it
names.

A document that says `events` >= k shows k distinct events. Its k-th event is taken to be the one accepted as
k-th, so the figure is exact as long as the events of one order are accepted in the order of their answers
(concurrent ones may swap, a matter of milliseconds). After an attempt that failed nobody knows whether the
service has the event, so from then on that order is not measured. What this process needs to read and to
decode is part of the figure.
"""

import asyncio
import time
from collections.abc import Iterable
from typing import Any

from redis.exceptions import RedisError

from ops.simulator.courier import Post
from ops.simulator.documents import Documents
from ops.simulator.errors import SimulatorError
from shared.store.keys import CHANGES

_BLOCK_MS = 500
_ENTRIES = 1000
_RECONNECT_S = 0.5


class Visibility:
    """Watches a sample of orders; is an `Observer` of the delivery."""

    def __init__(self, redis: Any, documents: Documents, tenant: str, references: Iterable[str]) -> None:
        self._redis, self._documents, self._tenant = redis, documents, tenant
        self._watched = frozenset(references)
        self._accepted: dict[str, list[tuple[int, float]]] = {}
        self._seen: dict[str, list[float]] = {}
        self._unsure: dict[str, int] = {}
        self._known: set[int] = set()
        self._last_id = b"0-0"

    @property
    def watched(self) -> int:
        """How many orders are watched."""
        return len(self._watched)

    async def start(self) -> None:
        """Notes where the stream ends now. Raises RedisError.

        Not `$` with each XREAD: an entry written between two reads would be missed.
        """
        newest = await self._redis.xrevrange(CHANGES, count=1)
        self._last_id = newest[0][0] if newest else b"0-0"

    async def watch(self) -> None:
        """Reads changes until cancelled; goes on after Redis was away."""
        while True:
            try:
                answer = await self._redis.xread({CHANGES: self._last_id}, count=_ENTRIES, block=_BLOCK_MS)
                await self._look(answer[0][1] if answer else [])
            except (RedisError, OSError, SimulatorError):
                await asyncio.sleep(_RECONNECT_S)

    def succeeded(self, post: Post, posted_at: float) -> None:
        """Notes a distinct event of a watched order.

        A duplicate is one whose first post was accepted before.
        """
        if post.reference in self._watched and post.event not in self._known:
            self._known.add(post.event)
            self._accepted.setdefault(post.reference, []).append((post.event, posted_at))

    def failed(self, post: Post) -> None:
        """From here on it is unsure which event of this order is its k-th."""
        self._unsure.setdefault(post.reference, len(self._accepted.get(post.reference, ())))

    def saw(self, reference: str, events: int, at: float) -> None:
        """Notes that a document showed so many events (`time.perf_counter()` seconds)."""
        seen = self._seen.setdefault(reference, [])
        seen += [at] * (events - len(seen))

    def latencies_s(self) -> list[float]:
        """POST to rollup visible of each event that could be measured, seconds."""
        latencies = []
        for reference, accepted in self._accepted.items():
            sure = accepted[: self._unsure.get(reference)]
            pairs = zip(sure, self._seen.get(reference, ()), strict=False)
            latencies += [max(0.0, seen_at - posted_at) for (_, posted_at), seen_at in pairs]
        return latencies

    async def _look(self, entries: list[tuple[bytes, dict[bytes, bytes]]]) -> None:
        changed = set()
        for _, fields in entries:
            if fields.get(b"tenant", b"").decode() == self._tenant:
                changed.add(fields.get(b"orderReferenceId", b"").decode())
        references = sorted(changed & self._watched)
        if references:
            documents = await self._documents.read(references)
            now = time.perf_counter()
            for reference, document in documents.items():
                self.saw(reference, int(document.get("events", 0)) if document else 0, now)
        # Only now: after an error the same entries are read again.
        if entries:
            self._last_id = entries[-1][0]
