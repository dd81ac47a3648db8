"""Reconciliation: asks the order API about orders that webhooks have left in doubt, and folds what it says.

The RQ job is a shift with reconciliation beside it, in a thread of its own: folding goes on as ever. One job is a slice of a
tenant's round; where the round is (`worker.findings`) is kept in Redis after each lot, so that the next slice goes on there,
whoever carries it out, and however the one before ended. A lease per tenant keeps rounds apart; it only saves double work.

What the API may be asked in a second is shared with the intermediary, which goes first (`shared.orderapi`).
"""

import asyncio
import random
import threading
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from typing import Final

import msgspec

from shared import log, patience, tenants
from shared.errors import ConfigurationError, OrderApiError, StoreUnavailable
from shared.orderapi import PAGE, Broken, NotConfigured, OrderApis
from shared.settings import Settings
from shared.store import AsyncStore, reconciling
from shared.store.reconciling import Counts
from shared.tenants import Tenant, Tenants
from worker import shift
from worker.asking import REFUSED_KEY, Asker, Lot, is_refusal
from worker.findings import WHOLE, Candidate, Findings, Found, Plan, Position, Stage, after_page, at
from worker.healing import Healer

logger = log.get("worker.reconcile")

#: A slice, well within the RQ job's timeout; a lot that is not done so long after its end is broken off.
SLICE_SECONDS: Final = 25.0
_GRACE_SECONDS: Final = 40.0
_MORE_SECONDS: Final = 5.0
LEASE_MS: Final = 15_000
_RENEW_SECONDS: Final = 2.0
#: After an answer that is none, the API is left alone for about so long.
_TROUBLED_MS: Final = 60_000
#: An order about which the API knew nothing new is left alone for half as long again as it has been silent.
_LEAST_QUIET_MS: Final = 10 * 60_000
_MOST_QUIET_MS: Final = 14 * 86_400_000


class Lost(Exception):
    """Somebody else has taken over, or this process is to stop: the lot is broken off."""


class Reconciliation:
    """Reconciles tenants. `stopped` says whether to end after the lot at hand."""

    def __init__(
        self, store: AsyncStore, apis: OrderApis, settings: Settings, known: Tenants, stopped: Callable[[], bool]
    ) -> None:
        self._store = store
        self._apis = apis
        self._settings = settings
        self._tenants = known
        self._stopped = stopped

    def healer(self, tenant: Tenant) -> Healer:
        """The healer of a tenant's orders. Raises `NotConfigured`."""
        policy = shift.policy_of(self._settings)
        api = self._apis.of(tenant, background=True)
        return Healer(self._store, Asker(self._store, api, tenant, _others(tenant, self._tenants)), policy)

    async def turns(self, seconds: float) -> Counts:
        """A slice of the round of each tenant whose turn it is, for some seconds in all."""
        total = Counts()
        deadline = time.monotonic() + seconds
        for name in await self._store.run(reconciling.turns()):
            if self._stopped() or time.monotonic() >= deadline:
                break
            tenant = self._tenants.by_name.get(name)
            try:
                if tenant is None:
                    raise NotConfigured(f"there is no tenant {name}")
                healer = self.healer(tenant)
            except NotConfigured as error:
                logger.info("not reconciled", tenant=name, why=str(error))
                await self._store.run(reconciling.forget(name))
                await self._store.run(reconciling.forget_wanted(name))
                continue
            total = total.plus(await self._slice(healer, tenant, deadline))
        return total

    async def _slice(self, healer: Healer, tenant: Tenant, deadline: float) -> Counts:
        holder = uuid.uuid4().hex
        held = await self._store.run(reconciling.hold(tenant.name, holder, LEASE_MS))
        if not held.ours:
            return Counts()
        every_ms = int(self._settings.reconcile_minutes * 60_000)
        plan = Plan(WHOLE if every_ms else (), patience.read(self._settings.reconcile_after))
        next_in_ms: int | None = None
        done = False
        findings = Findings(self._store, tenant.name, plan, held.now_ms)
        work = Round(self._store, healer, findings, holder, stopped=self._stopped)
        try:
            done = await work.run(deadline)
            next_in_ms = int(every_ms * random.uniform(0.9, 1.1)) if done else 0
        except Lost:
            logger.info("reconciliation broken off", tenant=tenant.name)
        except OrderApiError as error:
            next_in_ms = int(_TROUBLED_MS * random.uniform(0.8, 1.5))
            if isinstance(error, Broken) and error.status in REFUSED_KEY:
                next_in_ms = max(next_in_ms, every_ms)
                await work.refused(error)
            else:
                logger.warning("reconciliation waits", tenant=tenant.name, error=str(error), seconds=next_in_ms // 1000)
        finally:
            await self._store.run(reconciling.give_up(tenant.name, holder, next_in_ms))
        if done and not every_ms:
            await self._rest(tenant.name)
        logger.info("reconciled", tenant=tenant.name, **work.counts._asdict())
        return work.counts

    async def _rest(self, tenant: str) -> None:
        """No turns until somebody asks for something, which may have been just now."""
        await self._store.run(reconciling.forget(tenant))
        if await self._store.run(reconciling.wanted(tenant, 1)):
            await self._store.run(reconciling.hurry(tenant))


class Round:
    """One round of a tenant, or a slice of it; `holder` holds the lease.

    `position`: where to begin, for a round of a kind of its own; without it the kept one goes on (`afresh`: from its first
    stage), and is kept. `told` hears of each lot.
    """

    def __init__(
        self,
        store: AsyncStore,
        healer: Healer,
        findings: Findings,
        holder: str,
        *,
        position: Position | None = None,
        afresh: bool = False,
        stopped: Callable[[], bool] = lambda: False,
        told: Callable[[Lot], None] = lambda _: None,
    ) -> None:
        self._store = store
        self._healer = healer
        self._findings = findings
        self._tenant = findings.tenant
        self._holder = holder
        self._kept = position is None
        self._afresh = afresh
        self._position = position or Position()
        self._stopped = stopped
        self._told = told
        self.counts = Counts()

    async def run(self, deadline: float) -> bool:
        """Go on with the round until it is done (True), or until a time (monotonic seconds). Raises `Lost`,
        `OrderApiError`: what was done by then is kept.
        """
        if self._kept:
            kept = begun(await self._store.run(reconciling.position(self._tenant)))
            self._position = at(kept, Stage.OUTAGE_DATES, outage=None) if self._afresh else kept
        position = self._position
        while True:
            found = await self._findings.wanted(position) if self._kept else None
            found = found or await self._findings.next(position)
            if found is None:
                await self._save(Counts(rounds=1), position)
                return True
            lot, position = await self._carry_out(found, deadline + _GRACE_SECONDS)
            if not await self._save(lot.counts, position, self._quiet(found.candidates, lot)):
                raise Lost
            if (
                lot.unanswered and not found.asked_for
            ):  # once more, on its own account; what is still in doubt comes again
                await self._store.run(reconciling.want(self._tenant, sorted(lot.unanswered)))
            self._position = position
            self._told(lot)
            if self._stopped() or time.monotonic() >= deadline:
                return False

    async def refused(self, error: Broken) -> None:
        """The API refused the key: said once, until it is taken again."""
        if not self._position.refused:
            logger.error(
                "the order API refuses this tenant's key: set another; reconciliation tries it again now and then",
                tenant=self._tenant,
                status=error.status,
            )
        await self._save(Counts(), msgspec.structs.replace(self._position, refused=True))

    async def _carry_out(self, found: Found, until: float) -> tuple[Lot, Position]:
        """Compare a lot, holding on to the lease meanwhile; what it did, and the position after it."""
        work = asyncio.create_task(carry_out(self._healer, found))
        try:
            while True:
                done, _ = await asyncio.wait([work], timeout=_RENEW_SECONDS)
                if done:
                    lot, position = work.result()
                    return lot, msgspec.structs.replace(position, refused=False) if lot.searches else position
                held = await self._store.run(reconciling.hold(self._tenant, self._holder, LEASE_MS))
                if not held.ours or self._stopped() or time.monotonic() > until:
                    raise Lost
        except BaseException:
            work.cancel()
            await asyncio.gather(work, return_exceptions=True)
            await self._save(self._healer.lot.counts)
            raise

    async def _save(
        self, counts: Counts, position: Position | None = None, asked: Mapping[str, int] | None = None
    ) -> bool:
        self.counts = self.counts.plus(counts)
        encoded = b"" if position is None or not self._kept else msgspec.json.encode(position)
        return await self._store.run(
            reconciling.save(self._tenant, self._holder, LEASE_MS, position=encoded, counts=counts, asked=asked)
        )

    def _quiet(self, candidates: Sequence[Candidate], lot: Lot) -> dict[str, int]:
        return {
            each.reference: quiet_ms(each, self._findings.now_ms, healed=each.reference in lot.healed)
            for each in candidates
        }


async def carry_out(healer: Healer, found: Found) -> tuple[Lot, Position]:
    """Compare what was found; what became of it, and the position after it."""
    if found.candidates:
        return await healer.by_references([each.reference for each in found.candidates]), found.after
    if found.dates is None:
        return Lot(), found.after
    try:
        async for page in healer.pages(found.dates.query, found.dates.offset):
            lot = await healer.by_page(page)
            more = page.following if len(page.orders) >= PAGE else None
            return lot, after_page(found.after, more)
    except Broken as error:
        if not is_refusal(error):
            raise
        logger.warning("the order API refuses a search by date", status=error.status, **found.dates.query)
    return Lot(), after_page(found.after, None)


def begun(raw: bytes | None) -> Position:
    """The position to go on from; that of a new round where the last one is done."""
    try:
        position = Position() if raw is None else msgspec.json.decode(raw, type=Position)
    except msgspec.MsgspecError:  # of another version
        position = Position()
    return at(position, Stage.OUTAGE_DATES) if position.stage == Stage.DONE else position


def quiet_ms(candidate: Candidate, now_ms: int, *, healed: bool) -> int:
    """For how long an order is left alone after it was asked about."""
    if healed:
        return _LEAST_QUIET_MS
    return min(max((now_ms - candidate.since_ms) // 2, _LEAST_QUIET_MS), _MOST_QUIET_MS)


def run() -> dict[str, int | float]:
    """The RQ job: a shift, and slices of reconciliation beside it. What the shift did is the job's result."""
    settings = Settings.from_environment()
    halt = threading.Event()
    beside = threading.Thread(target=_beside, args=(settings, halt), name="reconcile", daemon=True)
    beside.start()
    try:
        result = shift.run()
        while beside.is_alive() and not shift.stop_asked.is_set():
            shift.run(_MORE_SECONDS)  # nobody waits for an event while the last lot takes its time
        return result
    finally:
        halt.set()
        beside.join(timeout=5.0)


def _beside(settings: Settings, halt: threading.Event) -> None:
    try:
        asyncio.run(_turns(settings, lambda: halt.is_set() or shift.stop_asked.is_set()))
    except ConfigurationError as error:
        logger.error("no reconciliation", error=str(error))
    except (StoreUnavailable, OSError) as error:
        logger.warning("reconciliation waits for the server", error=str(error))
    except Exception:
        logger.exception("reconciliation failed")  # and its turn comes again when the lease ends


async def _turns(settings: Settings, stopped: Callable[[], bool]) -> None:
    store = AsyncStore.from_url(settings.where(), timeout_seconds=10.0)
    try:
        async with OrderApis(store, settings) as apis:
            await Reconciliation(store, apis, settings, tenants.load(settings), stopped).turns(SLICE_SECONDS)
    finally:
        await store.close()


def _others(tenant: Tenant, known: Tenants) -> list[Tenant]:
    """The tenants that see the same orders: they have the same key (at a connector, and are the same customer)."""

    def sees(each: Tenant) -> tuple[object, ...]:
        return (each.api.key, each.customer_reference if "search_url" in each.api.urls else None)

    return [each for each in known if each.name != tenant.name and sees(each) == sees(tenant)]
