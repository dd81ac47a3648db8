"""Gelato at work: takes orders, lets their stories happen in time, and makes their webhooks."""

import asyncio
import heapq
import itertools
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

import orjson

from ops.sandbox.book import Book, Connected, Order
from ops.sandbox.clock import SECOND_US, StoryClock
from ops.sandbox.options import Customer, Options
from ops.sandbox.posting import Mail
from ops.sandbox.story import Telling, canceled, retell, tell
from ops.simulator.dating import Dating
from ops.simulator.ids import Ids

#: A webhook is held back at most so long of our time: one without any clock counts from 30 s before its receipt.
_HELD_BACK_SECONDS = 15.0
_REPEATED_AFTER_SECONDS = 2.0
_TOO_LATE = frozenset({"printed", "shipped", "in_transit", "delivered", "returned"})
#: So many things happen before others in the process get their turn.
_AT_ONCE = 50


class TooLateToCancel(Exception):
    """Something of the order is printed, or it has come to its end."""


class Gelato:
    """All state of one sandbox. Not thread-safe: lives in one event loop."""

    def __init__(self, options: Options, mail: Mail) -> None:
        self.options = options
        self.book = Book()
        self.clock = StoryClock(options.speed)
        self.mail = mail
        #: The share of webhooks that is never posted; may be changed while it plays.
        self.lose = options.lose
        #: `made`, `lost`, `heldBack`, `duplicates`; calls by kind are counted by the API.
        self.counts: Counter[str] = Counter()
        self._ids = Ids()
        self._agenda: list[tuple[int, int, Callable[[], None]]] = []
        self._entries = itertools.count()
        self._changed = asyncio.Event()

    def submit(self, customer: Customer, body: dict[str, Any], *, trouble: float | str | None = None) -> Order:
        """Take an order: from now on its story happens. `body` as `ops.sandbox.bodies` has checked it."""
        reference = body["orderReferenceId"]
        number = len(self.book.of_reference(customer.tenant, str(reference)))
        now_us = _now_us()
        story = tell(
            f"{self.options.seed}/{customer.tenant}/{reference}/{number}",
            reference,
            body["items"],
            trouble=self.options.trouble if trouble is None else trouble,
            life_us=int(self.options.life_seconds * SECOND_US),
            now_us=now_us,
        )
        order = Order(customer, reference, number, body, story, now_us, self.clock.now_us())
        dating = Dating(self._ids)
        order.parts = [Connected(order, part.hub, part.life, dating) for part in story.parts]
        self.book.add(order)
        for part, told in zip(order.parts, story.parts, strict=True):
            self._plan_moments(part)
            self._plan_tellings(part, told.tellings)
        for part in order.parts:
            if part.life.moments[0].at_us == 0:
                self._happen(part, part.turn, 0)  # the answer to the submission names it
        self._changed.set()
        return order

    def cancel(self, part: Connected) -> None:
        """Cancel one connected order. Raises TooLateToCancel."""
        moment = part.moment
        if part.ended or moment.reported == "canceled" or _TOO_LATE & set(moment.statuses.values()):
            raise TooLateToCancel
        at_us = self.clock.now_us() - part.order.story_start_us
        end = canceled(moment, at_us)
        part.turn += 1
        part.unsent = 0
        part.life = replace(part.life, moments=(*part.life.moments[: part.place + 1], end))
        self._happen(part, part.turn, part.place + 1)
        only_the_end = replace(part.life, moments=(end,))
        self._plan_tellings(
            part, retell(f"{self.options.seed}/{part.id}", part.order.reference, only_the_end, part.hub.facility())
        )
        self._changed.set()

    def changed(self) -> None:
        """The clock was put forward, stopped or started."""
        self._changed.set()

    async def run(self) -> None:
        """Let things happen when they are due, until cancelled."""
        while True:
            now_us = self.clock.now_us()
            for _ in range(_AT_ONCE):
                if not self._agenda or self._agenda[0][0] > now_us:
                    break
                heapq.heappop(self._agenda)[2]()
            else:
                await asyncio.sleep(0)
                continue
            self._changed.clear()
            seconds = self.clock.seconds_until(self._agenda[0][0]) if self._agenda else None
            try:
                async with asyncio.timeout(seconds):
                    await self._changed.wait()
            except TimeoutError:
                continue

    def ended(self) -> bool:
        """Whether all stories have come to their end, and all that is said of them is delivered or given up."""
        return self.mail.idle() and all(part.ended for order in self.book.orders for part in order.parts)

    def _plan_moments(self, part: Connected) -> None:
        for place, moment in enumerate(part.life.moments):
            if moment.at_us > 0:
                self._at(part, moment.at_us, partial(self._happen, part, part.turn, place))

    def _plan_tellings(self, part: Connected, tellings: tuple[Telling, ...]) -> None:
        part.unsent += len(tellings)
        for place, telling in enumerate(tellings):
            late_us = self._held_back_us(tellings, place)
            self._at(part, telling.made_us, partial(self._make, part, part.turn, telling, late_us))

    def _held_back_us(self, tellings: tuple[Telling, ...], place: int) -> int:
        """How much later than it is made it is sent: after the webhooks that overtake it, but in time."""
        fate, made_us = tellings[place].fate, tellings[place].made_us
        if fate.reorder >= self.options.reorder:
            return 0
        overtaker = tellings[min(place + fate.overtaken_by, len(tellings) - 1)]
        return min(overtaker.made_us - made_us + 1, self._story_us(_HELD_BACK_SECONDS))

    def _happen(self, part: Connected, turn: int, place: int) -> None:
        if turn != part.turn:
            return
        part.place = place
        part.updated_us = _now_us()
        if place == 0:
            part.created_us = part.updated_us

    def _make(self, part: Connected, turn: int, telling: Telling, late_us: int) -> None:
        if turn != part.turn:
            return
        payload = part.dating.payload(telling.webhook, _now_us())
        self.counts["made"] += 1
        if telling.fate.lose < self.lose or part.order.customer.target is None:
            self.counts["lost"] += 1
            part.unsent -= 1
            return
        event, body = next(self._entries), orjson.dumps(payload)
        repeat_us = -1
        if telling.fate.duplicate < self.options.duplicate:
            repeat_us = self._story_us(_REPEATED_AFTER_SECONDS * telling.fate.lose)
        if late_us:
            self.counts["heldBack"] += 1
            self._in(late_us, partial(self._send, part, turn, event, body, repeat_us))
        else:
            self._send(part, turn, event, body, repeat_us)

    def _send(self, part: Connected, turn: int, event: int, body: bytes, repeat_us: int) -> None:
        self.mail.send(part.order.customer, str(part.order.reference), event, body)
        if repeat_us >= 0:
            self.counts["duplicates"] += 1
            self._in(repeat_us, partial(self._send, part, turn, event, body, -1))
        elif turn == part.turn:
            part.unsent -= 1

    def _story_us(self, seconds: float) -> int:
        return int(seconds * self.clock.speed * SECOND_US)

    def _in(self, story_us: int, act: Callable[[], None]) -> None:
        heapq.heappush(self._agenda, (self.clock.now_us() + story_us, next(self._entries), act))

    def _at(self, part: Connected, since_submission_us: int, act: Callable[[], None]) -> None:
        due_us = part.order.story_start_us + since_submission_us
        heapq.heappush(self._agenda, (due_us, next(self._entries), act))


def _now_us() -> int:
    return time.time_ns() // 1000
