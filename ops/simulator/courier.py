"""Takes one webhook to a receiver, as Gelato does.

POST, one secret header, three tries some seconds apart; any 2xx is success.
"""

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from typing import Literal, Protocol

import httpx
import orjson

TRIES = 3
Cut = Literal["half-way", "before-the-answer"]
_TIMEOUT_S = 10.0
_UNREAD_AT_MOST_S = 0.02


@dataclass(frozen=True)
class Target:
    """Where webhooks go, and the header that every one of them carries."""

    url: str
    header: str
    secret: str = field(repr=False)


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


class Courier:
    """Delivers posts, each with up to `TRIES` tries `retry_seconds` apart.

    `clients`: one for each post that may be under way at a time (see `http_clients`).
    """

    def __init__(
        self, clients: Iterable[httpx.AsyncClient], *, retry_seconds: float = 5.0, observer: Observer | None = None
    ) -> None:
        self._retry_seconds, self._observer = retry_seconds, observer
        # Last in, first out: with little to do, few connections are used and stay warm.
        self._idle: asyncio.LifoQueue[httpx.AsyncClient] = asyncio.LifoQueue()
        for client in clients:
            self._idle.put_nowait(client)
        self.delivered = Delivered()
        #: The events that were answered with a 2xx.
        self.arrived: set[int] = set()

    async def free_client(self) -> httpx.AsyncClient:
        """Waits for a connection that is free. Give it to `deliver`, which hands it back."""
        return await self._idle.get()

    async def deliver(self, post: Post, target: Target, client: httpx.AsyncClient) -> bool:
        """All tries of one post: whether one succeeded. Begins with a client taken, and waits for a next try without one."""
        for attempt in range(TRIES):
            if attempt:
                await asyncio.sleep(self._retry_seconds)
                client = await self._idle.get()
            cut = post.cuts[attempt] if attempt < len(post.cuts) else None
            try:
                failure = await self._attempt(client, post, target, cut)
            finally:
                self._idle.put_nowait(client)
            if failure is None:
                return True
            self.delivered.failed_attempts[failure] += 1
            if self._observer:
                self._observer.failed(post)
        return False

    async def _attempt(self, client: httpx.AsyncClient, post: Post, target: Target, cut: Cut | None) -> str | None:
        """One try. None for a 2xx, else why it failed."""
        began = time.perf_counter()
        try:
            response = await client.post(
                target.url,
                content=_broken(post.body, cut) if cut else post.body,
                headers={
                    target.header: target.secret,
                    "Content-Type": "application/json",
                    "Content-Length": str(len(post.body)),
                },
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
        self.arrived.add(post.event)
        self.delivered.latencies_s.append(took)
        self.delivered.outcomes[name] += 1
        self.delivered.spooled += spooled
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
