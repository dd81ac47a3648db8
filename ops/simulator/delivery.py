"""Sends the webhooks of orders that are known beforehand, as Gelato would.

What is sent when, what is repeated, held back or cut off is decided beforehand (`schedule`), from the seed
alone; only the clock and the service's answers are left to chance.
"""

import asyncio
import random
import time
from collections.abc import Callable, Iterable, Sequence

import httpx
import orjson

from ops.simulator.courier import TRIES, Courier, Cut, Delivered, Observer, Post, Target
from ops.simulator.orders import SimulatedOrder

_OVERTAKEN_BY_AT_MOST = 4
_REPEATED_AFTER_AT_MOST = 50


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


class Sender(Courier):
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
        super().__init__(clients, retry_seconds=retry_seconds, observer=observer)
        self._target = Target(url, header, secret)
        self._rate = rate

    async def send(self, posts: Sequence[Post], progress: Callable[[int, int], None] | None = None) -> Delivered:
        """Sends everything, retries included; returns when the last post has succeeded or was given up."""
        result = self.delivered
        began = time.perf_counter()
        done = 0
        given_up: list[Post] = []

        async def deliver(post: Post, client: httpx.AsyncClient) -> None:
            nonlocal done
            if not await self.deliver(post, self._target, client):
                given_up.append(post)
            done += 1
            if progress:
                progress(done, len(posts))

        async with asyncio.TaskGroup() as tasks:
            for place, post in enumerate(posts):
                if self._rate > 0 and (early := began + place / self._rate - time.perf_counter()) > 0:
                    await asyncio.sleep(early)
                # Waited for here and not in the task: a slow service slows the sending down, in order.
                client = await self.free_client()
                tasks.create_task(deliver(post, client))
        result.posts = len(posts)
        # An event whose duplicate got through has arrived.
        result.given_up = [post for post in given_up if post.event not in self.arrived]
        result.seconds = time.perf_counter() - began
        return result
