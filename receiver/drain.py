"""Draining the spool: when Redis is back, what waits goes there, oldest receipt first, while new events keep coming."""

import asyncio
import contextlib
import random
import time
import uuid
from typing import Final

import msgspec

from receiver.door import LETTER, MAX_BYTES, Door, of_one_order
from receiver.spool import Entry, Spool, SpoolUnavailable, Waiting
from shared import canonical, log, snapshots
from shared.errors import GelatoRollupError, InvalidJson, StoreUnavailable, UnusableEvent
from shared.events import Usable, classify_webhook
from shared.facts import FETCHED, WEBHOOK
from shared.snapshots import Sanitised
from shared.store import dead_letters, erasing
from shared.store.dead_letters import DeadLetter, letter_id
from shared.store.erasing import Received
from shared.store.intake import FULL, Incoming, Result
from shared.store.records import Record

logger = log.get("receiver.drain")

_BATCH: Final = 128
#: How often an idle receiver looks whether another left something in the spool.
_LOOK_SECONDS: Final = (0.3, 0.6)
#: An entry that Redis refused alone (its order's keys are not what they should be) is tried again after this.
_POSTPONED_SECONDS: Final = 30.0


class Drain:
    """Drains one receiver's spool, if no other receiver of this machine does."""

    def __init__(self, spool: Spool, door: Door) -> None:
        self._spool = spool
        self._door = door
        self._task: asyncio.Task[None] | None = None
        #: Entries that Redis refused alone, and when they are tried again (monotonic seconds).
        self._refused: dict[int, float] = {}
        #: Why it waits, as was last said: not again with each look.
        self._said: str | None = None

    def start(self) -> None:
        """Begin to look after the spool."""
        self._task = asyncio.create_task(self._run())

    async def stop(self) -> None:
        """Stop after the batch that is on its way."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])

    async def _run(self) -> None:
        while True:
            await asyncio.sleep(random.uniform(*_LOOK_SECONDS))
            if self._door.breaker.is_open:
                continue
            try:
                if (await self._spool.totals()).events:
                    await self._drain()
                self._said = None
            except (StoreUnavailable, SpoolUnavailable) as error:
                if str(error) != self._said:
                    logger.warning("the spool waits", error=str(error))
                self._said = str(error)
            except Exception:
                logger.exception("draining failed")  # and is tried again: a task that ended would tell nobody

    async def _drain(self) -> None:
        with self._spool.draining() as ours:
            if not ours:
                return
            drained = 0
            while not self._door.breaker.is_open:
                began = time.monotonic()
                self._refused = {each: again for each, again in self._refused.items() if again > began}
                batch = await self._spool.oldest(_BATCH, most_bytes=MAX_BYTES, leaving_out=self._refused)
                if not batch:
                    break
                await self._carry(batch)
                drained += len(batch)
                # As long a rest as the work took: live events share Redis with the spool.
                await asyncio.sleep(time.monotonic() - began)
            if drained:
                logger.info("drained", events=drained)

    async def _carry(self, batch: list[Waiting]) -> None:
        read = [(waiting, content) for waiting in batch if (content := self._read(waiting)) is not None]
        name = uuid.uuid4().hex
        erased = await self._door.store.run(erasing.begin_batch(name, [_of_order(content) for _, content in read]))
        try:
            await self._carry_all([each for each, gone in zip(read, erased, strict=True) if not gone])
            if any(erased):
                logger.info("spooled events of erased orders are dropped", events=sum(erased))
                await self._spool.done([waiting for (waiting, _), gone in zip(read, erased, strict=True) if gone])
        finally:
            with contextlib.suppress(StoreUnavailable):
                await self._door.store.run(erasing.end_batch(name))

    async def _carry_all(self, read: list[tuple[Waiting, Incoming | DeadLetter]]) -> None:
        done: list[Waiting] = []
        events: list[tuple[Waiting, Incoming]] = []
        for waiting, content in read:
            if isinstance(content, Incoming):
                events.append((waiting, content))
            else:
                await self._bury(content)
                done.append(waiting)
        if events:
            outcomes = await self._door.store.run(self._door.accepting([event for _, event in events]))
            for (waiting, event), outcome in zip(events, outcomes, strict=True):
                if outcome.refusal and not of_one_order(outcome.refusal):
                    self._door.breaker.trip(outcome.refusal)
                    break  # the server refuses: what it has taken is done, the rest waits for it
                if outcome.refusal:
                    self._set_aside(waiting, outcome.refusal)
                    continue
                if outcome.result is Result.ORDER_FULL:
                    await self._bury(_letter(waiting.entry, None, event))
                done.append(waiting)
            self._door.stored()
        await self._spool.done(done)

    def _read(self, waiting: Waiting) -> Incoming | DeadLetter | None:
        """What an entry holds; None for one that cannot be read, which waits."""
        try:
            return read_entry(waiting.entry)
        except Exception:
            self._set_aside(waiting, "it cannot be read")
            return None

    def _set_aside(self, waiting: Waiting, why: str) -> None:
        """One entry that cannot be carried must not hold up the others."""
        logger.error("a spooled entry waits", entry=waiting.id, kind=waiting.entry.kind, why=why)
        self._refused[waiting.id] = time.monotonic() + _POSTPONED_SECONDS

    async def _bury(self, letter: DeadLetter) -> None:
        # Whatever the limit: it was answered for.
        await self._door.store.run(dead_letters.bury(letter))


def read_entry(entry: Entry) -> Incoming | DeadLetter:
    """The event of an entry, or its dead letter: also that of an event which only the version that spooled it could use."""
    if entry.kind == LETTER:
        return msgspec.msgpack.decode(entry.body, type=DeadLetter)
    try:
        return _incoming(entry)
    except GelatoRollupError as error:
        return _letter(entry, error)


def _of_order(content: Incoming | DeadLetter) -> Received:
    if isinstance(content, Incoming):
        return Received(content.tenant, content.event.reference, content.received)
    return Received(content.tenant, content.reference or "", content.received)


def _incoming(entry: Entry) -> Incoming:
    """The event of an entry, with its first time of receipt."""
    record = Record(entry.kind, entry.received, entry.body)
    content, text = canonical.parse(entry.body)
    if record.came_as == WEBHOOK:
        event = classify_webhook(content, text)
    else:
        event = snapshots.classify_snapshot(Sanitised(content, text), fetched=record.came_as == FETCHED)
    if not isinstance(event, Usable):
        raise UnusableEvent("invalid-event", "body: says nothing about an order")
    return Incoming(entry.tenant, event, entry.received, record.came_as)


def _letter(entry: Entry, error: GelatoRollupError | None, event: Incoming | None = None) -> DeadLetter:
    came_as = Record(entry.kind, entry.received, entry.body).came_as
    if isinstance(error, UnusableEvent):
        reason, detail, reference = error.reason, error.detail, error.reference
    elif isinstance(error, InvalidJson):
        reason, detail, reference = "invalid-json", str(error), None
    else:
        reason, detail = "order-limit", FULL
        reference = event.event.reference if event is not None else None
    body = entry.body
    return DeadLetter(
        letter_id(entry.tenant, body, came_as),
        entry.tenant,
        reason,
        detail,
        body,
        entry.received,
        reference,
        came_as=came_as,
    )
