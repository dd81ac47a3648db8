"""Reconciliation that somebody wants now, of what they name: for the command line."""

import asyncio
import time
import uuid
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Final, NamedTuple

from shared.errors import GelatoRollupError
from shared.store import AsyncStore, reconciling
from shared.store.reconciling import Counts
from worker.asking import Lot
from worker.findings import LOT, WHOLE, Candidate, Findings, Plan, Position, Stage, after_page
from worker.healing import Healer
from worker.reconcile import LEASE_MS, Lost, Round, begun, quiet_ms

_WAIT_SECONDS: Final = 90.0
_LOOK_SECONDS: Final = 0.2


class Taken(GelatoRollupError):
    """Another reconciliation of the tenant goes on."""


class Wish(NamedTuple):
    """What is wanted: some orders, or else what a plan finds."""

    references: Sequence[str]
    plan: Plan

    @property
    def is_whole(self) -> bool:
        """Whether it is a round like those that come by themselves: it stands for one, and is kept as one."""
        return self.plan.stages == WHOLE


async def carry_out(
    store: AsyncStore, tenant: str, healer: Healer, wish: Wish, told: Callable[[Lot], None]
) -> tuple[Counts, set[str]]:
    """Do what is wanted; what was done, and which of the named orders the API does not know.

    Raises what the client raises, and `Taken`; what was done by then is kept, and asked for no more.
    """
    if wish.references:
        return await _references(store, tenant, healer, wish.references, told)
    async with _lease(store, tenant) as (holder, now_ms):
        findings = Findings(store, tenant, wish.plan, now_ms)
        position = None if wish.is_whole else _beginning(wish.plan)
        work = Round(store, healer, findings, holder, position=position, afresh=True, told=told)
        try:
            await work.run(time.monotonic() + 86_400.0 * 365)
        except Lost:
            raise Taken(f"tenant {tenant}: the lease was lost to another reconciliation; run it again") from None
        return work.counts, set()


async def look(store: AsyncStore, tenant: str, wish: Wish) -> AsyncIterator[Candidate]:
    """What would be asked about, without asking; searches by date are a candidate without a reference each."""
    now_ms = await store.run(reconciling.now_ms())
    for reference in wish.references:
        yield Candidate(reference, "asked for", now_ms)
    if wish.references:
        return
    findings = Findings(store, tenant, wish.plan, now_ms)
    position = _beginning(wish.plan)
    if wish.is_whole:
        position = begun(await store.run(reconciling.position(tenant)))
    while (found := await findings.next(position)) is not None:
        for candidate in found.candidates:
            yield candidate
        if found.dates is not None:
            yield Candidate("", f"placed {found.dates.query['startDate']} to {found.dates.query['endDate']}", now_ms)
        position = after_page(found.after, None) if found.dates is not None else found.after


async def _references(
    store: AsyncStore, tenant: str, healer: Healer, references: Sequence[str], told: Callable[[Lot], None]
) -> tuple[Counts, set[str]]:
    counts, missing = Counts(), set[str]()
    now_ms = await store.run(reconciling.now_ms())
    for first in range(0, len(references), LOT):
        lot = await healer.by_references(references[first : first + LOT])
        asked = {
            each: quiet_ms(Candidate(each, "asked for", now_ms), now_ms, healed=each in lot.healed)
            for each in lot.looked_at
        }
        await store.run(reconciling.save(tenant, "", 0, counts=lot.counts, asked=asked))
        counts = counts.plus(lot.counts)
        missing |= lot.missing
        told(lot)
    return counts, missing


def _beginning(plan: Plan) -> Position:
    return Position(stage=int(min(plan.stages, default=Stage.DONE)))


@asynccontextmanager
async def _lease(store: AsyncStore, tenant: str) -> AsyncIterator[tuple[str, int]]:
    """Hold a tenant's reconciliation; a slice of one that goes on is waited for. Raises `Taken`."""
    holder = uuid.uuid4().hex
    deadline = time.monotonic() + _WAIT_SECONDS
    while not (held := await store.run(reconciling.hold(tenant, holder, LEASE_MS))).ours:
        if time.monotonic() > deadline:
            raise Taken(f"tenant {tenant}: another reconciliation goes on; wait for it, or name some references")
        await asyncio.sleep(_LOOK_SECONDS)
    try:
        yield holder, held.now_ms
    finally:
        await store.run(reconciling.give_up(tenant, holder, None))
