"""Group commit: who is carried together, and when."""

import asyncio
from collections import deque
from collections.abc import Callable, Coroutine
from functools import wraps

import pytest

from receiver.groups import Answers, GroupCommit

MOST, MOST_BYTES, LEAST = 64, 10_000, 4


def in_a_loop(test: Callable[..., Coroutine[None, None, None]]) -> Callable[..., None]:
    """A test that is a coroutine."""

    @wraps(test)
    def run(**arguments: int) -> None:
        asyncio.run(test(**arguments))

    return run


class Carrier:
    """Holds groups until they are answered, the first one first; each item is its own answer."""

    def __init__(self, *, in_flight: int = 4) -> None:
        self.held: deque[tuple[list[int], Callable[[Answers[int]], None]]] = deque()
        self.sizes: list[int] = []
        self.most_held = 0
        self.told: list[int | Exception] = []
        self.group: GroupCommit[int, int] = GroupCommit(
            self._carry,
            size_of=lambda item: item,
            max_items=MOST,
            max_bytes=MOST_BYTES,
            least=LEAST,
            in_flight=in_flight,
        )

    def offer(self, *items: int) -> None:
        for item in items:
            self.group.offer(item, self.told.append)

    def answer(self) -> int:
        """Answer the group that was sent first; its size."""
        items, answer = self.held.popleft()
        answer(items)
        return len(items)

    async def keeps_busy(self, senders: int, rounds: int) -> list[int]:
        """So many senders that come again as soon as they are answered; sizes of the groups."""
        self.offer(*[1] * senders)
        await asyncio.sleep(0)
        first = len(self.sizes)
        for _ in range(rounds):
            for _ in range(self.answer()):
                self.offer(1)
            await asyncio.sleep(0)
        return self.sizes[first:]

    def _carry(self, items: list[int], since: float, answer: Callable[[Answers[int]], None]) -> None:
        self.sizes.append(len(items))
        self.held.append((items, answer))
        self.most_held = max(self.most_held, len(self.held))


@in_a_loop
async def test_what_comes_in_one_turn_of_the_loop_is_carried_together() -> None:
    carrier = Carrier()
    carrier.offer(1, 2, 3)
    assert carrier.sizes == []
    await asyncio.sleep(0)
    assert carrier.sizes == [3]
    carrier.answer()
    assert carrier.told == [1, 2, 3]


@in_a_loop
async def test_fewer_than_the_least_wait_while_others_are_on_their_way() -> None:
    carrier = Carrier()
    carrier.offer(1)
    await asyncio.sleep(0)
    carrier.offer(*range(LEAST - 1))
    await asyncio.sleep(0)
    assert carrier.sizes == [1]
    carrier.answer()
    assert carrier.sizes == [1, LEAST - 1]


@pytest.mark.parametrize("senders", [16, 32, 64])
@in_a_loop
async def test_one_half_is_carried_while_the_other_gathers(senders: int) -> None:
    carrier = Carrier()
    settled = (await carrier.keeps_busy(senders, 60))[-20:]
    assert senders * 0.4 <= sum(settled) / len(settled) <= senders * 0.6
    assert carrier.most_held <= 4


@in_a_loop
async def test_when_fewer_come_than_before_groups_overlap_again() -> None:
    carrier = Carrier()
    await carrier.keeps_busy(64, 40)
    while carrier.held:
        carrier.answer()
    carrier.most_held = 0
    await carrier.keeps_busy(10, 40)
    assert carrier.most_held >= 2


@in_a_loop
async def test_without_overlap_everything_waits_for_the_one_on_its_way() -> None:
    carrier = Carrier(in_flight=1)
    await carrier.keeps_busy(32, 20)
    carrier.offer(*[1] * MOST)
    assert carrier.most_held == 1


@in_a_loop
async def test_a_group_keeps_its_bounds_and_the_rest_follows() -> None:
    carrier = Carrier(in_flight=1)
    carrier.offer(*[1] * (MOST + 3))
    await asyncio.sleep(0)
    carrier.answer()
    assert carrier.sizes == [MOST, 3]
    carrier.answer()
    carrier.offer(MOST_BYTES - 1, MOST_BYTES, 1)
    await asyncio.sleep(0)
    carrier.answer()
    assert carrier.sizes[2:] == [2, 1]


@in_a_loop
async def test_half_of_what_is_under_way_is_never_more_than_a_group_holds() -> None:
    carrier = Carrier()
    settled = (await carrier.keeps_busy(2 * MOST, 60))[-20:]
    assert set(settled) == {MOST}
    assert len(carrier.held) == 2


@in_a_loop
async def test_an_error_is_everybodys_answer_and_the_next_group_is_carried() -> None:
    carrier = Carrier()
    carrier.offer(1, 2)
    await asyncio.sleep(0)
    carrier.offer(3)
    error = OSError("gone")
    _, answer = carrier.held.popleft()
    answer(error)
    assert carrier.told == [error, error]
    carrier.answer()
    await carrier.group.drain()
    assert carrier.told[2:] == [3]
