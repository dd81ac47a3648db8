"""Group commit: what waits at the same moment is carried together, and each gets its own answer.

While groups are on their way the next one gathers, so a group is as large as the load makes it, without any timer.

Where groups may overlap, whoever carries them is to work on one half of all that is under way while the other half gathers:
smaller groups cost more per item, and with larger ones each side waits for the other.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from functools import partial
from typing import Generic, TypeVar

T = TypeVar("T")
R = TypeVar("R")
#: Answers for a whole group: one for each item, or the error that is the answer to all.
Answers = Sequence[R | Exception] | Exception
#: Carries a group; is told since when its first item waits (the loop's clock, seconds), and whom to give the answers.
Carry = Callable[[list[T], float, Callable[[Answers[R]], None]], None]


class GroupCommit(Generic[T, R]):
    """Carries items in groups.

    A group is sent at the end of the loop's turn in which its first item came; while others are on their way, as soon as
    half of what was under way lately waits, but for fewer than `least` items, up to `in_flight` groups. `carry` must not
    raise, and must answer once.
    """

    def __init__(
        self,
        carry: Carry[T, R],
        *,
        size_of: Callable[[T], int],
        max_items: int,
        max_bytes: int,
        least: int = 1,
        in_flight: int = 1,
    ) -> None:
        self._carry = carry
        self._size_of = size_of
        self._max_items = max_items
        self._max_bytes = max_bytes
        self._least = least
        self._most_in_flight = in_flight
        self._in_flight = 0
        self._items_in_flight = 0
        #: The most items that were under way lately, as seen when groups were sent; and so many waiting are a group.
        self._load = 0
        self._enough = least
        self._waiting: deque[tuple[T, Callable[[R | Exception], None], float]] = deque()
        self._to_flush = False
        self._idle = asyncio.Event()
        self._idle.set()

    async def put(self, item: T) -> R:
        """Have one item carried; its answer. Raises the error that it, or its group, was answered with."""
        answer: asyncio.Future[R] = asyncio.get_running_loop().create_future()
        self.offer(item, partial(_tell, answer))
        return await answer

    def offer(self, item: T, tell: Callable[[R | Exception], None]) -> None:
        """Have one item carried; `tell` is called with its answer, or with the error. It must not raise."""
        loop = asyncio.get_running_loop()
        self._waiting.append((item, tell, loop.time()))
        if not self._in_flight:
            if not self._to_flush:
                self._to_flush = True
                self._idle.clear()
                loop.call_soon(self._flush)
            elif len(self._waiting) >= self._enough and self._most_in_flight > 1:
                self._send()
        elif len(self._waiting) >= self._enough and self._in_flight < self._most_in_flight:
            self._send()

    async def drain(self) -> None:
        """Wait until nothing is on its way."""
        await self._idle.wait()

    def _flush(self) -> None:
        self._to_flush = False
        if self._waiting and self._in_flight < self._most_in_flight:
            self._send()

    def _send(self) -> None:
        waiting = self._waiting
        self._load = max(len(waiting) + self._items_in_flight, self._load - (self._load >> 3))
        self._enough = min(max(self._least, self._load * 9 // 16), self._max_items)
        group: list[T] = []
        tellers = []
        since = waiting[0][2]
        size = 0
        while waiting and len(group) < self._max_items and size < self._max_bytes:
            item, tell, _ = waiting.popleft()
            group.append(item)
            tellers.append(tell)
            size += self._size_of(item)
        self._in_flight += 1
        self._items_in_flight += len(group)
        self._carry(group, since, partial(self._answered, tellers))

    def _answered(self, tellers: list[Callable[[R | Exception], None]], answers: Answers[R]) -> None:
        self._in_flight -= 1
        self._items_in_flight -= len(tellers)
        if self._waiting and (not self._in_flight or len(self._waiting) >= self._enough):
            self._send()  # first of all: the server works while answers are written
        if isinstance(answers, Exception):
            for tell in tellers:
                tell(answers)
        else:
            for tell, answer in zip(tellers, answers, strict=True):
                tell(answer)
        if not self._in_flight and not self._waiting:
            self._idle.set()


def _tell(future: "asyncio.Future[R]", answer: R | Exception) -> None:
    if future.done():  # whoever waited went away
        return
    if isinstance(answer, Exception):
        future.set_exception(answer)
        future.exception()  # nobody may be left to fetch it; that is no reason for a warning
    else:
        future.set_result(answer)
