"""Plays Gelato with the simulator's sender, to several receivers in turn, and keeps a journal of every attempt."""

import itertools
import ssl
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import httpx
from support.processes import SECRET

from ops.simulator.courier import Cut, Post, Target
from ops.simulator.delivery import Sender, schedule
from ops.simulator.orders import SimulatedOrder, make_orders

SPLIT, TROUBLE = 3, 0.15
DUPLICATE, REORDER, FAIL = 0.1, 0.1, 0.02
RETRY_SECONDS = 5.0
#: Posts of an order, duplicates included, on average.
POSTS_PER_ORDER = 45
_CONNECTIONS = 200


class Attempt(NamedTuple):
    """One try of one event: when (`time.time()`), by which receiver, and what came of it (`failure` None: a 2xx)."""

    event: int
    began: float
    ended: float
    receiver: int
    failure: str | None
    spooled: bool


@dataclass(frozen=True)
class Play:
    """What is sent: orders with their truths, and all posts in their order."""

    orders: list[SimulatedOrder]
    posts: list[Post]


class Courier(httpx.AsyncClient):
    """A client that knows several receivers: each request goes to the next one.

    As a load balancer does: where a connection is refused nothing was sent, and the other receiver is tried at once.
    Everything else is the sender's business.
    """

    def __init__(self, bases: Sequence[str], turns: "itertools.count[int]", tls: ssl.SSLContext) -> None:
        super().__init__(trust_env=False, verify=tls)
        self._bases, self._turns = bases, turns
        #: Of the last request.
        self.receiver = 0
        self.spooled = False
        self.passed_on = 0

    async def post(self, url: Any, **options: Any) -> httpx.Response:
        """Post to the receiver whose turn it is; only the path of `url` counts."""
        path = httpx.URL(url).raw_path.decode()
        first = next(self._turns)
        for n in range(len(self._bases)):
            self.receiver, self.spooled = (first + n) % len(self._bases), False
            try:
                response = await super().post(self._bases[self.receiver] + path, **options)
            except httpx.ConnectError:
                if n + 1 == len(self._bases):
                    raise
                self.passed_on += 1
            else:
                self.spooled = b'"spooled":true' in response.content
                return response
        raise AssertionError("no receivers")


class Gelato(Sender):
    """The simulator's sender with a journal."""

    def __init__(self, couriers: Sequence[Courier], rate: float) -> None:
        super().__init__(
            couriers,
            "http://receivers/webhooks/gelato",
            "X-Webhook-Secret",
            SECRET,
            rate=rate,
            retry_seconds=RETRY_SECONDS,
        )
        self.couriers = couriers
        self.journal: list[Attempt] = []

    async def _attempt(self, client: httpx.AsyncClient, post: Post, target: Target, cut: Cut | None) -> str | None:
        assert isinstance(client, Courier)
        began = time.time()
        failure = await super()._attempt(client, post, target, cut)
        self.journal.append(Attempt(post.event, began, time.time(), client.receiver, failure, client.spooled))
        return failure


def play(seed: int, posts: int, run: str) -> Play:
    """What a seed sends: orders whose posts are about so many."""
    orders = make_orders(max(1, posts // POSTS_PER_ORDER), seed, SPLIT, TROUBLE, run=run)
    return Play(orders, schedule(orders, seed, duplicate=DUPLICATE, reorder=REORDER, fail=FAIL))


def couriers(bases: Sequence[str]) -> list[Courier]:
    """So many clients that a receiver that hangs does not stop the sending."""
    turns, tls = itertools.count(), httpx.create_ssl_context()
    return [Courier(bases, turns, tls) for _ in range(_CONNECTIONS)]
