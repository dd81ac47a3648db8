"""The sandbox's outgoing mail: webhooks on their way to the receivers."""

import asyncio

import httpx

from ops.sandbox.options import Customer
from ops.simulator.courier import Courier, Post


class Mail:
    """Posts webhooks in the order in which they are given, several at a time."""

    def __init__(self, courier: Courier) -> None:
        self._courier = courier
        self._queue: asyncio.Queue[tuple[Customer, Post]] = asyncio.Queue()
        self._under_way = 0
        self.given_up = 0
        self.posts = 0

    def send(self, customer: Customer, reference: str, event: int, body: bytes) -> None:
        """Put a webhook into the mail. `event` is its own number, which its duplicate shares."""
        self.posts += 1
        self._queue.put_nowait((customer, Post(reference, event, body)))

    def idle(self) -> bool:
        """Whether nothing is on its way."""
        return self._queue.empty() and self._under_way == 0

    def counts(self) -> dict[str, int]:
        """`posts` (each with up to three tries), `delivered` (distinct webhooks), `givenUp` (posts), `underWay`."""
        return {
            "posts": self.posts,
            "delivered": len(self._courier.arrived),
            "givenUp": self.given_up,
            "underWay": self._queue.qsize() + self._under_way,
        }

    def answers(self) -> dict[str, int]:
        """What the receivers said, by their `result`; and why tries failed."""
        delivered = self._courier.delivered
        return {**delivered.outcomes, **delivered.failed_attempts}

    async def run(self) -> None:
        """Post until cancelled; what is under way then is given up."""
        async with asyncio.TaskGroup() as tasks:
            while True:
                customer, post = await self._queue.get()
                self._under_way += 1
                # Waited for here and not in the task: a slow receiver slows the mail down, in order.
                client = await self._courier.free_client()
                tasks.create_task(self._deliver(customer, post, client))

    async def _deliver(self, customer: Customer, post: Post, client: httpx.AsyncClient) -> None:
        try:
            if customer.target is not None and not await self._courier.deliver(post, customer.target, client):
                self.given_up += 1
        finally:
            self._under_way -= 1
