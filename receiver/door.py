"""The door: everything that must be kept goes through here, to Redis, else to the spool, else it is refused.

A 2xx is said only after one of the two has it. Redis gets a moment to answer; a Redis that is slow or away is not asked
again until a probe finds it well (`receiver.breaker`), so that an outage costs the senders nothing.
"""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, TypeVar

import msgspec

from receiver.breaker import Breaker
from receiver.groups import Answers, GroupCommit
from receiver.spool import Entry, Spool, SpoolUnavailable
from shared import log
from shared.errors import StoreUnavailable
from shared.store import AsyncStore, dead_letters, intake, probe, records
from shared.store.calls import Operation
from shared.store.dead_letters import DeadLetter
from shared.store.intake import Acknowledgement, Incoming, Outcome, Result

T = TypeVar("T")

logger = log.get("receiver.door")

#: Bounds of one batch: the server should not be busy with one call for longer than a few milliseconds.
MAX_EVENTS: Final = 128
MAX_BYTES: Final = 4 * 1024 * 1024
#: While others are on their way, a group is sent of no fewer events than this; and only up to so many groups.
_LEAST: Final = 4
_IN_FLIGHT: Final = 4
LETTER: Final = "L"


def of_one_order(refusal: str) -> bool:
    """Whether a refusal says nothing of the server: one order's keys are not what they should be."""
    return "WRONGTYPE" in refusal[:40]


class Unavailable(StoreUnavailable):
    """Neither Redis nor the spool has taken it: the sender must come again."""


@dataclass
class Door:
    """`stored` is called after each batch that Redis took; `outage` when Redis goes away (True) and comes back (False);
    `refused` for each event that cannot be kept anywhere.
    """

    store: AsyncStore
    spool: Spool | None
    patience_seconds: float
    max_letters: int
    stored: Callable[[], None]
    outage: Callable[[bool], None]
    refused: Callable[[], None] = lambda: None

    def __post_init__(self) -> None:
        self._slow = 0
        self.acknowledgement = Acknowledgement()
        self.breaker = Breaker(self.probe, self.outage)
        self._group: GroupCommit[Incoming, Outcome] = GroupCommit(
            self._carry,
            size_of=lambda incoming: len(incoming.event.text),
            max_items=MAX_EVENTS,
            max_bytes=MAX_BYTES,
            least=_LEAST,
            in_flight=_IN_FLIGHT,
        )
        self._tasks: set[asyncio.Task[None]] = set()

    async def event(self, incoming: Incoming) -> tuple[Outcome, bool]:
        """Keep an event: what became of it, and whether it is in the spool. Raises `Unavailable`."""
        try:
            if self.breaker.is_open:
                raise StoreUnavailable("Redis is away")
            return await self._group.put(incoming), False
        except StoreUnavailable as error:
            await self.spool_event(incoming, error)
            return Outcome(Result.ACCEPTED), True

    def offer(self, incoming: Incoming, tell: Callable[[Outcome | Exception], None]) -> None:
        """Have Redis keep an event; `tell` is called with what became of it, or with `StoreUnavailable`."""
        self._group.offer(incoming, tell)

    async def spool_event(self, incoming: Incoming, why: StoreUnavailable) -> None:
        """Have the spool keep an event that Redis could not take. Raises `Unavailable`."""
        letter = records.letter_of(incoming.came_as)
        await self._spool(Entry(incoming.received, letter, incoming.tenant, incoming.event.text), why)

    async def letter(self, letter: DeadLetter) -> bool:
        """Keep a dead letter; whether it is in the spool. Raises `Unavailable`."""
        try:
            if self.breaker.is_open:
                raise StoreUnavailable("Redis is away")
            if not await self._asked(dead_letters.bury(letter, most=self.max_letters)):
                logger.error("too many dead letters, this one is not kept", dead_letter=letter.id, reason=letter.reason)
        except StoreUnavailable as error:
            await self._spool(Entry(letter.received, LETTER, letter.tenant, msgspec.msgpack.encode(letter)), error)
            return True
        return False

    def accepting(self, events: Sequence[Incoming]) -> Operation[list[Outcome]]:
        """The operation that stores events, as safely as is asked for."""
        return intake.accept(events, cluster=self.store.cluster, acknowledgement=self.acknowledgement)

    async def probe(self) -> None:
        """See whether Redis takes events, as safely as is asked for. Raises `StoreUnavailable`."""
        await self.store.run(probe.write(self.acknowledgement, cluster=self.store.cluster))

    async def drain(self) -> None:
        """Wait until nothing is on its way to Redis."""
        await self._group.drain()
        self.breaker.stop()

    def _carry(self, events: list[Incoming], since: float, answer: Callable[[Answers[Outcome]], None]) -> None:
        """Have Redis take a group of events. Patience counts from the arrival of the first."""
        if self.breaker.is_open:  # it opened while these were waiting
            answer(StoreUnavailable("Redis is away"))
            return
        pipe = self.store.pipe
        loop = asyncio.get_running_loop()
        if pipe is None:  # a cluster: every group goes to several nodes
            task = loop.create_task(self._carry_apart(events, since, answer))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
            return

        def done(result: list[Outcome] | Exception) -> None:
            timer.cancel()
            if isinstance(result, Exception):
                self.breaker.trip(str(result))
                answer(result)
            else:
                self._slow = 0
                answer(self._taken(result))

        def too_late() -> None:
            running.give_up()
            answer(self._no_answer())

        timer = loop.call_at(since + self.patience_seconds, too_late)
        running = pipe.start(self.accepting(events), done)

    async def _carry_apart(
        self, events: list[Incoming], since: float, answer: Callable[[Answers[Outcome]], None]
    ) -> None:
        try:
            answers = self._taken(await self._asked(self.accepting(events), since))
        except Exception as error:  # a refusal, or a bug: in either case nothing was promised to anybody
            answer(error)
        else:
            answer(answers)

    def _taken(self, outcomes: list[Outcome]) -> list[Outcome | Exception]:
        """The answers to a group that reached Redis: it may have refused some of it."""
        self.stored()
        refusals = [each.refusal for each in outcomes if each.refusal]
        if not refusals:
            return list(outcomes)
        for refusal in refusals:
            if not of_one_order(refusal):
                self.breaker.trip(refusal)
                break
        return [StoreUnavailable(f"Redis: {each.refusal}") if each.refusal else each for each in outcomes]

    async def _asked(self, operation: Operation[T], since: float | None = None) -> T:
        """Ask Redis. Patience counts from `since` (the loop's clock): whoever waited behind a slow group has less left."""
        begin = asyncio.get_running_loop().time() if since is None else since
        try:
            async with asyncio.timeout_at(begin + self.patience_seconds):
                result = await self.store.run(operation)
            self._slow = 0
            return result
        except TimeoutError:
            raise self._no_answer() from None
        except StoreUnavailable as error:
            self.breaker.trip(str(error))
            raise

    def _no_answer(self) -> StoreUnavailable:
        # What was sent may still be carried out; what the spool holds of it is a duplicate then.
        # One slow answer may be a slow disk; two in a row are a server that hangs.
        self._slow += 1
        if self._slow > 1:
            self.breaker.trip(f"no answer within {self.patience_seconds} s")
            if self.store.pipe is not None:
                self.store.pipe.close()
        return StoreUnavailable(f"Redis: no answer within {self.patience_seconds} s")

    async def _spool(self, entry: Entry, why: StoreUnavailable) -> None:
        if self.spool is None:
            self.refused()
            raise Unavailable(f"{why}; and there is no spool: see GELATO_SPOOL_PERSISTENT") from why
        try:
            await self.spool.put(entry)
        except SpoolUnavailable as error:
            self.refused()
            raise Unavailable(f"{why}; {error}") from error
