"""Which orders are to be asked about, lot by lot, from a position that can be kept and resumed.

A round has these stages, one after the other; before each lot comes what somebody has asked for.

1. outages of this service: orders placed then (a search by date finds those never heard of), and those that were open;
2. incomplete; 3. disagreeing; 4. needing attention; 5. silent for longer than is usual for their status;
6. ended, and nobody has said of how many connected orders: a search tells, and whether there is one never heard of.

What somebody asks for by hand is a round of some stages only; one more, never part of another round, is a search by date.
"""

from collections.abc import Mapping, Sequence
from enum import IntEnum
from typing import Any, Final, NamedTuple

import msgspec
import orjson

from shared.clock import format_time
from shared.patience import Patience
from shared.store import AsyncStore, orders, outages, reconciling, search
from shared.store.listing import Listed
from shared.store.search import Flag

#: Orders compared at a time: one search, and most often in one page (of a hundred), though some of them are split.
LOT: Final = 60
_DAY_MS: Final = 86_400_000
#: What happened just before an outage may have been told during it; and clocks differ.
_BEFORE_MS: Final = 60_000
#: The first round looks at orders that ended in this time; what ended earlier is for `--since`.
_FIRST_ENDED_MS: Final = 7 * _DAY_MS
#: Another receiver may yet say that it was ready all the time.
SETTLED_MS: Final = 15_000


class Stage(IntEnum):
    """What a round is at."""

    OUTAGE_DATES = 0
    OUTAGE_OPEN = 1
    OUTAGE_CHANGED = 2
    INCOMPLETE = 3
    DISAGREES = 4
    ATTENTION = 5
    SILENT = 6
    ENDED = 7
    SINCE = 8
    DONE = 9


_FLAGGED: Final[Mapping[Stage, tuple[Flag, str]]] = {
    Stage.INCOMPLETE: (Flag.INCOMPLETE, "incomplete"),
    Stage.DISAGREES: (Flag.DISAGREES, "disagrees"),
    Stage.ATTENTION: (Flag.ATTENTION, "attention"),
}


class Position(msgspec.Struct):
    """How far a round is. Times in the server's milliseconds."""

    stage: int = 0
    #: The last order of the lot before, with its time there.
    after: tuple[str, int] | None = None
    #: The outage that is dealt with, and up to which end they have been.
    outage: tuple[int, int] | None = None
    outages_until: int = 0
    #: Up to when ended orders have been looked at, and will have been after this round.
    ended_until: int = 0
    ending: int = 0
    #: Where a search by date goes on: the day's beginning, and the offset in it.
    day: int = 0
    offset: int = 0
    #: The order API refused the key; said once.
    refused: bool = False


class Plan(NamedTuple):
    """What a round looks at, and how."""

    stages: tuple[Stage, ...]
    patience: Patience
    #: Orders that were asked about a short while ago are left alone.
    minds_quiet: bool = True
    #: For the stage `SINCE`: from when on (ms).
    since_ms: int = 0


#: The stages of a whole round.
WHOLE: Final = tuple(stage for stage in Stage if stage not in (Stage.SINCE, Stage.DONE))


class Candidate(NamedTuple):
    """An order to ask about: why, and since when it has been as it is (ms)."""

    reference: str
    why: str
    since_ms: int


class Dates(NamedTuple):
    """A page of a search: orders placed between two times, from an offset on."""

    query: Mapping[str, Any]
    offset: int


class Found(NamedTuple):
    """A lot: orders, or a page of a search; and the position after it. An empty lot only moves the position."""

    after: Position
    candidates: Sequence[Candidate] = ()
    dates: Dates | None = None
    asked_for: bool = False


class Findings:
    """What is to be asked about of one tenant. `now_ms`: the server's time."""

    def __init__(self, store: AsyncStore, tenant: str, plan: Plan, now_ms: int) -> None:
        self._store = store
        self.tenant = tenant
        self._plan = plan
        self.now_ms = now_ms

    async def wanted(self, position: Position) -> Found | None:
        """Orders that somebody asked for; they come before all others."""
        asked_for = await self._store.run(reconciling.wanted(self.tenant, LOT))
        if not asked_for:
            return None
        candidates = [Candidate(reference, "asked for", self.now_ms) for reference in asked_for]
        return Found(position, candidates, asked_for=True)

    async def next(self, position: Position) -> Found | None:
        """The lot after a position; None where the round is done."""
        stage = Stage(position.stage)
        if stage is Stage.DONE:
            return None
        if stage not in self._plan.stages:
            return Found(at(position, self._following(stage)))
        if stage is Stage.SINCE:
            begun = position if position.day else msgspec.structs.replace(position, day=self._plan.since_ms)
            return by_date(begun, self.now_ms, at(position, self._following(stage)))
        if stage <= Stage.OUTAGE_CHANGED:
            return await self._of_outage(position, stage)
        if stage is Stage.SILENT:
            return await self._silent(position)
        if stage is Stage.ENDED:
            return await self._ended(position)
        return await self._flagged(position, stage)

    def _following(self, stage: Stage) -> Stage:
        return min((each for each in self._plan.stages if each > stage), default=Stage.DONE)

    async def _of_outage(self, position: Position, stage: Stage) -> Found:
        if position.outage is None:
            found = await self._store.run(outages.since(position.outages_until))
            settled = [each for each in found if each.to_ms < self.now_ms - SETTLED_MS]
            if not settled:
                return Found(at(position, self._following(Stage.OUTAGE_CHANGED)))
            began, ended = settled[0]
            return Found(at(position, Stage.OUTAGE_DATES, outage=(began, ended), day=began - _BEFORE_MS))
        began, ended = position.outage
        if stage is Stage.OUTAGE_DATES:
            return by_date(position, ended, at(position, Stage.OUTAGE_OPEN))
        if stage is Stage.OUTAGE_OPEN:
            listed = await self._store.run(search.idle(self.tenant, ended, _after(position), LOT))
            return _lot(position, listed, "open in an outage", at(position, Stage.OUTAGE_CHANGED))
        listed = await self._store.run(orders.newest(self.tenant, _after(position), LOT))
        recent = [each for each in listed if each.changed_ms >= began]
        following = at(position, Stage.OUTAGE_DATES, outage=None, outages_until=ended)
        return _lot(position, recent, "open in an outage", following)

    async def _flagged(self, position: Position, stage: Stage) -> Found:
        flag, why = _FLAGGED[stage]
        listed = await self._store.run(search.flagged(self.tenant, flag, _after(position), LOT))
        lot = _lot(position, listed, why, at(position, self._following(stage)))
        before_ms = self.now_ms - int(self._plan.patience.of(why) * 1000)
        return lot._replace(candidates=await self._unless_quiet([c for c in lot.candidates if c.since_ms <= before_ms]))

    async def _silent(self, position: Position) -> Found:
        before_ms = self.now_ms - int(self._plan.patience.least * 1000)
        listed = await self._store.run(search.idle(self.tenant, before_ms, _after(position), LOT))
        lot = _lot(position, listed, "silent", at(position, self._following(Stage.SILENT)))
        candidates = await self._unless_quiet(lot.candidates)
        raw = await self._store.run(orders.documents(self.tenant, [each.reference for each in candidates]))
        silent = [
            each
            for each, document in zip(candidates, raw, strict=True)
            if document is not None and self._is_silent(orjson.loads(document)["status"], each.since_ms)
        ]
        return lot._replace(candidates=silent)

    async def _ended(self, position: Position) -> Found:
        """Orders that have changed since the last round, newest first: those that ended in it."""
        if position.after is None:
            ending = self.now_ms - int(self._plan.patience.of("incomplete") * 1000)
            position = msgspec.structs.replace(position, ending=ending)
        begun = position.ended_until or self.now_ms - _FIRST_ENDED_MS
        listed = await self._store.run(orders.newest(self.tenant, _after(position), LOT))
        recent = [each for each in listed if each.changed_ms > begun]
        following = at(position, self._following(Stage.ENDED), ended_until=position.ending)
        lot = _lot(position, recent, "ended", following)
        candidates = [each for each in lot.candidates if each.since_ms <= position.ending]
        raw = await self._store.run(orders.documents(self.tenant, [each.reference for each in candidates]))
        uncounted = [
            each
            for each, document in zip(candidates, raw, strict=True)
            if document is not None and _ended_uncounted(orjson.loads(document))
        ]
        return lot._replace(candidates=uncounted)

    def _is_silent(self, status: str, since_ms: int) -> bool:
        return self.now_ms - since_ms >= self._plan.patience.of(status) * 1000

    async def _unless_quiet(self, candidates: Sequence[Candidate]) -> list[Candidate]:
        """Without those that were asked about a short while ago."""
        if not self._plan.minds_quiet:
            return list(candidates)
        until = await self._store.run(reconciling.quiet_until(self.tenant, [each.reference for each in candidates]))
        return [each for each, quiet_ms in zip(candidates, until, strict=True) if quiet_ms <= self.now_ms]


def _ended_uncounted(document: Mapping[str, Any]) -> bool:
    """Whether an order has ended, and nobody has said of how many connected orders; an answer would reopen a closed one."""
    return document["terminal"] and document["complete"] is None and "closedAt" not in document


def by_date(position: Position, until_ms: int, following: Position) -> Found:
    """The next page of orders placed from the position's day on until a time: day by day, so that pages stay few."""
    if position.day >= until_ms:
        return Found(following)
    # Whole seconds, from the one before to the one after.
    first = format_time(position.day * 1000 - 1_000_000)
    last = format_time(min(position.day + _DAY_MS, until_ms) * 1000 + 1_000_000)
    return Found(position, dates=Dates({"startDate": first, "endDate": last}, position.offset))


def after_page(position: Position, following: int | None) -> Position:
    """The position after a page of a search by date: the next page, or (None) the next day."""
    if following is not None:
        return msgspec.structs.replace(position, offset=following)
    return msgspec.structs.replace(position, day=position.day + _DAY_MS, offset=0)


def at(position: Position, stage: Stage, **changes: Any) -> Position:
    """A position at the beginning of a stage."""
    fresh: dict[str, Any] = {"stage": int(stage), "after": None, "day": 0, "offset": 0}
    return msgspec.structs.replace(position, **{**fresh, **changes})


def _after(position: Position) -> Listed | None:
    return None if position.after is None else Listed(*position.after)


def _lot(position: Position, listed: Sequence[Listed], why: str, following: Position) -> Found:
    """A lot of listed orders; after a lot that is not full comes what follows."""
    if len(listed) == LOT:
        following = msgspec.structs.replace(position, after=tuple(listed[-1]))
    return Found(following, [Candidate(each.reference, why, each.changed_ms) for each in listed])
