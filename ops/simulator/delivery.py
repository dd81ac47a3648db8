"""Sends webhooks as Gelato does: POST, one secret header, three tries some seconds apart, any 2xx is success.

What is sent when, what is repeated, held back or cut off is decided beforehand (`schedule`), from the seed
alone; only the clock and the service's answers are left to chance.
"""

import asyncio
import random
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from typing import Literal, Protocol

import httpx
import orjson

from ops.simulator.orders import SimulatedOrder

TRIES = 3
Cut = Literal["half-way", "before-the-answer"]
_OVERTAKEN_BY_AT_MOST = 4
_REPEATED_AFTER_AT_MOST = 50
_TIMEOUT_S = 10.0
_UNREAD_AT_MOST_S = 0.02


@dataclass(frozen=True)
class Post:
    """One event to be posted, up to `TRIES` times.

    `event` numbers the distinct events; a duplicate shares it. `cuts`: where the simulator breaks the
    connection of the first attempts.
    """

    reference: str
    event: int
    body: bytes
    cuts: tuple[Cut, ...] = ()


def schedule(
    orders: Sequence[SimulatedOrder], seed: int, *, duplicate: float, reorder: float, fail: float
) -> list[Post]:
    """All posts in the order in which they are sent: by simulated true time, days squeezed into the run.

    `reorder`: chance that an event is held back until 1 to 4 later events of its order have been sent.
    `duplicate`: chance that it is posted again, up to 50 posts later. `fail`: chance that an attempt is cut
    off. The last try is never cut off, so that an event which is given up is the service's doing.
    """
    rng = random.Random(f"delivery/{seed}")
    timed: list[tuple[float, int, Post]] = []
    for order in orders:
        made = [webhook.made_us for webhook in order.webhooks]
        for place, webhook in enumerate(order.webhooks):
            sent_at: float = made[place]
            if rng.random() < reorder:
                overtaker = min(place + rng.randint(1, _OVERTAKEN_BY_AT_MOST), len(made) - 1)
                sent_at = made[overtaker] + 0.5
            post = Post(order.reference, len(timed), orjson.dumps(webhook.payload), _cuts(rng, fail))
            timed.append((sent_at, len(timed), post))
    posts = [post for _, _, post in sorted(timed, key=lambda row: row[:2])]
    placed = [(float(place), post) for place, post in enumerate(posts)]
    for place, post in enumerate(posts):
        if rng.random() < duplicate:
            later = place + rng.randint(1, _REPEATED_AFTER_AT_MOST) + 0.5
            again = Post(post.reference, post.event, post.body, _cuts(rng, fail))
            placed.append((later, again))
    return [post for _, post in sorted(placed, key=lambda row: row[0])]


def _cuts(rng: random.Random, fail: float) -> tuple[Cut, ...]:
    cuts: list[Cut] = []
    while len(cuts) < TRIES - 1 and rng.random() < fail:
        cuts.append(rng.choice(("half-way", "before-the-answer")))
    return tuple(cuts)


class Observer(Protocol):
    """Is told of each attempt as it ends; times are `time.perf_counter()` seconds."""

    def succeeded(self, post: Post, posted_at: float) -> None:
        """A 2xx. `posted_at`: when this attempt began."""

    def failed(self, post: Post) -> None:
        """An attempt without a 2xx: the service may have the event all the same."""


@dataclass
class Delivered:
    """What came of all posts. `latencies_s`: POST to 2xx of each success, seconds."""

    posts: int = 0
    outcomes: Counter[str] = field(default_factory=Counter)
    failed_attempts: Counter[str] = field(default_factory=Counter)
    latencies_s: list[float] = field(default_factory=list)
    spooled: int = 0
    given_up: list[Post] = field(default_factory=list)
    seconds: float = 0.0


@asynccontextmanager
async def http_clients(concurrency: int) -> AsyncIterator[list[httpx.AsyncClient]]:
    """So many clients of one connection each.

    Not one client with so many connections: httpcore searches its whole pool for each request. Measured on
    2 cores against a bare server: 32 in one pool 610 posts/s, median 37 ms; like this 1,760 posts/s, 13 ms.
    """
    tls = httpx.create_ssl_context()  # made once: it takes about 20 ms
    async with AsyncExitStack() as stack:
        # A proxy from the environment has no business between us and a service on loopback.
        clients = [httpx.AsyncClient(verify=tls, trust_env=False) for _ in range(concurrency)]
        yield [await stack.enter_async_context(client) for client in clients]


class _CutOff(Exception):
    """The simulator broke the connection, on purpose."""


class Sender:
    """Posts a schedule to one URL.

    `clients`: one for each post that may be under way at a time (see `http_clients`). `rate`: first tries per
    second over all (0: as fast as the service takes them).
    """

    def __init__(
        self,
        clients: Iterable[httpx.AsyncClient],
        url: str,
        header: str,
        secret: str,
        *,
        rate: float = 0.0,
        retry_seconds: float = 5.0,
        observer: Observer | None = None,
    ) -> None:
        self._url = url
        self._headers = {header: secret, "Content-Type": "application/json"}
        self._rate, self._retry_seconds = rate, retry_seconds
        # Last in, first out: with little to do, few connections are used and stay warm.
        self._idle: asyncio.LifoQueue[httpx.AsyncClient] = asyncio.LifoQueue()
        for client in clients:
            self._idle.put_nowait(client)
        self._observer = observer
        self._delivered = Delivered()
        self._arrived: set[int] = set()

    async def send(self, posts: Sequence[Post], progress: Callable[[int, int], None] | None = None) -> Delivered:
        """Sends everything, retries included; returns when the last post has succeeded or was given up."""
        result = self._delivered
        began = time.perf_counter()
        done = 0
        given_up: list[Post] = []

        async def deliver(post: Post, client: httpx.AsyncClient) -> None:
            nonlocal done
            if not await self._deliver(post, client):
                given_up.append(post)
            done += 1
            if progress:
                progress(done, len(posts))

        async with asyncio.TaskGroup() as tasks:
            for place, post in enumerate(posts):
                if self._rate > 0 and (early := began + place / self._rate - time.perf_counter()) > 0:
                    await asyncio.sleep(early)
                # Waited for here and not in the task: a slow service slows the sending down, in order.
                client = await self._idle.get()
                tasks.create_task(deliver(post, client))
        result.posts = len(posts)
        # An event whose duplicate got through has arrived.
        result.given_up = [post for post in given_up if post.event not in self._arrived]
        result.seconds = time.perf_counter() - began
        return result

    async def _deliver(self, post: Post, client: httpx.AsyncClient) -> bool:
        """All tries of one post; begins with a client taken, and waits for a next try without one."""
        for attempt in range(TRIES):
            if attempt:
                await asyncio.sleep(self._retry_seconds)
                client = await self._idle.get()
            cut = post.cuts[attempt] if attempt < len(post.cuts) else None
            try:
                failure = await self._attempt(client, post, cut)
            finally:
                self._idle.put_nowait(client)
            if failure is None:
                return True
            self._delivered.failed_attempts[failure] += 1
            if self._observer:
                self._observer.failed(post)
        return False

    async def _attempt(self, client: httpx.AsyncClient, post: Post, cut: Cut | None) -> str | None:
        """One try. None for a 2xx, else why it failed."""
        began = time.perf_counter()
        try:
            response = await client.post(
                self._url,
                content=_broken(post.body, cut) if cut else post.body,
                headers={**self._headers, "Content-Length": str(len(post.body))},
                timeout=_TIMEOUT_S,
            )
        except _CutOff:
            return f"cut off {cut}"
        except httpx.TransportError as error:
            return type(error).__name__
        if not response.is_success:
            return f"HTTP {response.status_code}"
        took = time.perf_counter() - began
        name, spooled = _result(response.content)
        self._arrived.add(post.event)
        self._delivered.latencies_s.append(took)
        self._delivered.outcomes[name] += 1
        self._delivered.spooled += spooled
        if self._observer:
            self._observer.succeeded(post, began)
        return None


async def _broken(body: bytes, cut: Cut) -> AsyncIterator[bytes]:
    """A request body that ends in a broken connection.

    With the length announced, a server that has all the bytes has the whole event, though its answer is never
    read: it may take it or notice the break first. The little wait lets both happen.
    """
    if cut == "half-way":
        yield body[: len(body) // 2]
    else:
        yield body
        await asyncio.sleep(_UNREAD_AT_MOST_S * (len(body) % 5) / 4)
    raise _CutOff


def _result(content: bytes) -> tuple[str, bool]:
    """The `result` of an answer, and whether the event was spooled; Gelato itself reads neither."""
    try:
        answer = orjson.loads(content)
        return str(answer["result"]), bool(answer.get("spooled", False))
    except (orjson.JSONDecodeError, KeyError, TypeError, AttributeError):
        return "unnamed", False
