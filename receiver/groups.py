"""Group commit: what waits at the same moment is carried together, and each gets its own answer.

While one group is on its way the next one gathers, so a group is as large as the load makes it, without any timer.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Sequence
from functools import partial
from itertools import repeat
from typing import Generic, TypeVar

T = TypeVar("T")
R = TypeVar("R")
#: What waits: an item, whom to tell, and since when.
Waiting = tuple[T, Callable[[R | BaseException], None], float]
Group = list[Waiting[T, R]]


class GroupCommit(Generic[T, R]):
    """Carries items in groups: `carry` is given a group and returns one answer, or one error, for each of its items.

    It is also told since when the first of the group has been waiting, by the loop's clock (seconds).
    An error that `carry` raises is the answer to all of its group. Nobody waits for ever: when the loop is being closed, all
    who wait are told.
    """

    def __init__(
        self,
        carry: Callable[[Sequence[T], float], Awaitable[Sequence[R | Exception]]],
        *,
        size_of: Callable[[T], int],
        max_items: int,
        max_bytes: int,
    ) -> None:
        self._carry = carry
        self._size_of = size_of
        self._max_items = max_items
        self._max_bytes = max_bytes
        self._waiting: deque[Waiting[T, R]] = deque()
        self._carrier: asyncio.Task[None] | None = None

    async def put(self, item: T) -> R:
        """Have one item carried; its answer. Raises the error that it, or its group, was answered with."""
        answer: asyncio.Future[R] = asyncio.get_running_loop().create_future()
        self.offer(item, partial(_tell, answer))
        return await answer

    def offer(self, item: T, tell: Callable[[R | BaseException], None]) -> None:
        """Have one item carried; `tell` is called with its answer, or with the error. It must not raise."""
        loop = asyncio.get_running_loop()
        self._waiting.append((item, tell, loop.time()))
        if self._carrier is None:
            self._carrier = loop.create_task(self._carry_all())

    async def drain(self) -> None:
        """Wait until nothing is on its way."""
        while self._carrier is not None:
            await asyncio.wait([self._carrier])

    async def _carry_all(self) -> None:
        loop = asyncio.get_running_loop()
        group: Group[T, R] = []
        answers: Sequence[R | BaseException]
        try:
            while self._waiting:
                group = self._take()
                try:
                    answers = await self._carry([item for item, _, _ in group], group[0][2])
                except Exception as error:  # a refusal, or a bug: in either case nothing was promised to anybody
                    answers = [error] * len(group)
                # Told a moment later: the next group is sent first, so that the server works while answers are written.
                loop.call_soon(_tell_all, group, answers)
                group = []
        finally:
            self._carrier = None
            _tell_all([*group, *self._waiting], repeat(asyncio.CancelledError()))
            self._waiting.clear()

    def _take(self) -> Group[T, R]:
        waiting = self._waiting
        group: Group[T, R] = []
        size = 0
        while waiting and len(group) < self._max_items and size < self._max_bytes:
            group.append(waiting.popleft())
            size += self._size_of(group[-1][0])
        return group


def _tell_all(group: Group[T, R], answers: Iterable[R | BaseException]) -> None:
    for (_, tell, _), answer in zip(group, answers, strict=False):
        tell(answer)


def _tell(future: "asyncio.Future[R]", answer: R | BaseException) -> None:
    if future.done():  # whoever waited went away, or was told before
        return
    if isinstance(answer, BaseException):
        future.set_exception(answer)
        future.exception()  # nobody may be left to fetch it; that is no reason for a warning
    else:
        future.set_result(answer)
