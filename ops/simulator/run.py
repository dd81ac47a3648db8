"""One run of the simulator: make, send, watch, wait, compare."""

import asyncio
import secrets
from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

import httpx
from redis.exceptions import RedisClusterException, RedisError

from ops.simulator.compare import settle
from ops.simulator.courier import Delivered, Post, http_clients
from ops.simulator.delivery import Sender, schedule
from ops.simulator.documents import Documents
from ops.simulator.errors import SimulatorError
from ops.simulator.orders import SimulatedOrder, make_orders
from ops.simulator.report import GivenUp, Percentiles, Report
from ops.simulator.visibility import Visibility
from shared.errors import ConfigurationError
from shared.store.connect import connect_async

Progress = Callable[[str, int, int], None]
"""Called with a phase (`sending`, `settling`), how much is done, and how much there is."""
_WATCHED_ORDERS = 200
_REDIS_TIMEOUT_S = 10.0
# What Gelato's *Send test* button posts: it must get a 2xx and touch nothing, so it is a safe first knock.
_TEST = {
    "id": "is_5b6403bd3cf1f",
    "event": "order_item_status_updated",
    "itemReferenceId": "{{MyItemId}}",
    "orderReferenceId": "{{MyOrderId}}",
    "orderId": "e82885f8-f92a-4326-b2c7-77d010f6996f",
    "status": "passed",
    "created": "2018-08-03T07:26:52+00:00",
}


@dataclass(frozen=True)
class Options:
    """What to play, and where. Rates are per second, chances from 0 to 1, `split` the most connected orders
    of one.

    `retry_seconds`: Gelato's pause between tries; `settle_seconds`: the longest wait for the rollups after
    sending. `run`: goes into every reference, to make them new; by default something random. Raises
    ConfigurationError for what cannot be played.
    """

    url: str
    secret: str = field(repr=False)
    redis_url: str = field(repr=False)  # may hold a password
    tenant: str = "default"
    header: str = "X-Webhook-Secret"
    orders: int = 100
    rate: float = 0.0
    seed: int = 1
    duplicate: float = 0.0
    reorder: float = 0.0
    fail: float = 0.0
    split: int = 3
    trouble: float = 0.15
    retry_seconds: float = 5.0
    settle_seconds: float = 60.0
    concurrency: int = 32
    run: str = field(default_factory=lambda: secrets.token_hex(4))

    def __post_init__(self) -> None:
        chances = (self.duplicate, self.reorder, self.fail, self.trouble)
        if not all(0 <= chance <= 1 for chance in chances):
            raise ConfigurationError("duplicate, reorder, fail and trouble are chances: from 0 to 1")
        if self.orders < 1 or self.split < 1 or self.concurrency < 1:
            raise ConfigurationError("orders, split and concurrency must be at least 1")
        if min(self.rate, self.retry_seconds, self.settle_seconds) < 0:
            raise ConfigurationError("rate, retry_seconds and settle_seconds cannot be negative")
        if urlsplit(self.url).scheme not in ("http", "https"):
            raise ConfigurationError("url must begin with http:// or https://, e.g. http://127.0.0.1:8000")

    @property
    def webhook_url(self) -> str:
        """Where this tenant's webhooks go."""
        base = f"{self.url.rstrip('/')}/webhooks/gelato"
        return base if self.tenant == "default" else f"{base}/{self.tenant}"


async def simulate(options: Options, progress: Progress | None = None) -> Report:
    """Plays Gelato once. Raises SimulatorError if the service or Redis cannot be used at the start.

    Once sending has begun, a service or a Redis that goes away is a finding; only if the
    rollups cannot be read at the very end either is it an error again.
    """
    async with http_clients(options.concurrency) as clients, _redis(options) as reader:
        documents = Documents(reader, options.tenant)
        await _knock(clients[0], options)
        orders = make_orders(options.orders, options.seed, options.split, options.trouble, run=options.run)
        posts = schedule(orders, options.seed, duplicate=options.duplicate, reorder=options.reorder, fail=options.fail)
        visibility = Visibility(reader, documents, options.tenant, _sample(orders, posts))
        sender = Sender(
            clients,
            options.webhook_url,
            options.header,
            options.secret,
            rate=options.rate,
            retry_seconds=options.retry_seconds,
            observer=visibility,
        )
        await _asked(options, visibility.start())
        async with _background(visibility.watch()):
            delivered = await sender.send(posts, _phase(progress, "sending"))
            # A duplicate of an event that was given up is no second loss.
            lost = {post.event: post.reference for post in delivered.given_up}
            given_up = Counter(lost.values())
            truths = [order.truth for order in orders if order.reference not in given_up]
            settled = await settle(truths, documents.read, options.settle_seconds, _phase(progress, "settling"))
    return _report(options, orders, delivered, settled.differences, settled.seconds, visibility, given_up)


def _report(
    options: Options,
    orders: Sequence[SimulatedOrder],
    delivered: Delivered,
    differences: tuple[Any, ...],
    settling_seconds: float,
    visibility: Visibility,
    given_up: Counter[str],
) -> Report:
    return Report(
        run=options.run,
        seed=options.seed,
        orders=len(orders),
        connected_orders=sum(len(order.truth.connected) for order in orders),
        troubled_orders=sum(order.trouble is not None for order in orders),
        events=sum(order.truth.events for order in orders),
        posts=delivered.posts,
        outcomes=dict(delivered.outcomes),
        failed_attempts=dict(delivered.failed_attempts),
        spooled=delivered.spooled,
        sending_seconds=round(delivered.seconds, 3),
        settling_seconds=round(settling_seconds, 3),
        post_ms=Percentiles.of_seconds(delivered.latencies_s),
        visible_ms=Percentiles.of_seconds(visibility.latencies_s()),
        watched_orders=visibility.watched,
        differences=differences,
        given_up=tuple(GivenUp(reference, events) for reference, events in sorted(given_up.items())),
    )


def _sample(orders: Sequence[SimulatedOrder], posts: Sequence[Post]) -> list[str]:
    """At most 200 orders, spread over all.

    Those without a planned failure first, as they can be measured whole.
    """
    cut = {post.reference for post in posts if post.cuts}
    calm = [order.reference for order in orders if order.reference not in cut]
    rough = [order.reference for order in orders if order.reference in cut]
    step = max(1, len(calm) // _WATCHED_ORDERS)
    return [*calm[::step], *rough][:_WATCHED_ORDERS]


async def _knock(client: httpx.AsyncClient, options: Options) -> None:
    """Makes sure that the service takes this secret, before thousands of tries fail 5 s apart."""
    try:
        response = await client.post(
            options.webhook_url, json=_TEST, headers={options.header: options.secret}, timeout=10.0
        )
    except httpx.HTTPError as error:
        raise SimulatorError(
            f"no answer from {options.webhook_url} ({type(error).__name__}): is the receiver running? see --url"
        ) from error
    if response.status_code == 401:
        raise SimulatorError(
            f"{options.webhook_url} refused the secret in {options.header}: check header, secret and tenant"
        )
    if not response.is_success:
        raise SimulatorError(
            f"{options.webhook_url} answered a test notification with HTTP {response.status_code}, not 2xx"
        )


@asynccontextmanager
async def _redis(options: Options) -> AsyncIterator[Any]:
    client = connect_async(options.redis_url, timeout_seconds=_REDIS_TIMEOUT_S)
    try:
        await _asked(options, client.ping())
        yield client
    finally:
        await client.aclose()


async def _asked(options: Options, question: Any) -> None:
    """Awaits a first question to Redis; names the server, never the password, if there is no answer."""
    try:
        await question
    except (RedisError, RedisClusterException, OSError) as error:
        parts = urlsplit(options.redis_url)
        # Without the user information, which may hold a password.
        where = parts.path if parts.scheme == "unix" else parts.netloc.rpartition("@")[2]
        raise SimulatorError(f"cannot read Redis at {where} ({type(error).__name__}): is it running?") from error


@asynccontextmanager
async def _background(work: Any) -> AsyncIterator[None]:
    """Runs something beside, until the block ends."""
    task = asyncio.ensure_future(work)
    try:
        yield
    finally:
        while not task.done():  # on Python 3.11 redis-py can swallow one cancellation
            task.cancel()
            await asyncio.wait([task], timeout=0.5)


def _phase(progress: Progress | None, phase: str) -> Callable[[int, int], None] | None:
    return None if progress is None else lambda done, total: progress(phase, done, total)
