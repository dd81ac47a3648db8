"""How the service is just now: the numbers of the overview, and what somebody must do about them, worst first.

One gathering serves all who look within the same second, so that a hundred open consoles ask no more than one.
"""

import asyncio
import time
from typing import Final, NamedTuple

from receiver.console.texts import link, plural, span
from receiver.console.visit import Spooled, Visit, spooled
from receiver.service import SKEW_SECONDS, Service
from shared.errors import StoreUnavailable
from shared.store import activity, due, letter_lists, reconciling, search
from shared.store.activity import Point
from shared.store.calls import side_by_side
from shared.store.due import Pending
from shared.store.durability import Finding, Level
from shared.store.letter_lists import Group
from shared.store.search import Counts

_FRESH_SECONDS: Final = 1.0
_LATE_SECONDS: Final = 30.0
_SLOW_SECONDS: Final = 1.0
#: Rates and latencies of the tiles are of so many steps, and of the one that is not over.
_LATELY: Final = 6


class Numbers(NamedTuple):
    """What Redis says. Rates are per second, latencies seconds (None: nothing happened)."""

    pending: Pending
    shifts: int
    workers: int
    letters: int
    groups: list[Group]
    orders: Counts
    points: list[Point]
    #: When something usable was received last, Unix seconds; None: never.
    last_event: float | None
    reconciled: reconciling.Counts
    asked_at: float

    @property
    def rate(self) -> float:
        """Webhooks per second over the last minute, and what has passed of the present step."""
        step = activity.HOUR.step
        seconds = _LATELY * step + max(1.0, self.asked_at % step)
        return sum(received(point) for point in self.points[-_LATELY - 1 :]) / seconds

    @property
    def slowest(self) -> float | None:
        """The greatest 99th percentile of acknowledgements over the last minute."""
        found = [point.acknowledgement_p99 for point in self._lately() if point.acknowledgement_p99 is not None]
        return max(found, default=None)

    @property
    def to_document(self) -> float | None:
        """The greatest median from POST to document over the last minute."""
        found = [point.to_document_p50 for point in self._lately() if point.to_document_p50 is not None]
        return max(found, default=None)

    def _lately(self) -> list[Point]:
        return self.points[-_LATELY - 1 :]


class Concern(NamedTuple):
    """Something to do: what is so, what helps, and where to go."""

    what: str
    remedy: str
    url: str | None = None
    action: str = ""


class Vitals(NamedTuple):
    """The overview. `numbers` is None, and `away` says why, while Redis is away."""

    numbers: Numbers | None
    away: str | None
    spool: Spooled
    findings: list[Finding]
    concerns: list[Concern]
    taken_at: float


def received(point: Point) -> int:
    """Webhooks of a step that were taken, whatever came of them."""
    return point.accepted + point.duplicate + point.quarantined + point.spooled


class Gatherer:
    """Gathers vitals, at most once a second for each tenant."""

    def __init__(self) -> None:
        self._known: dict[str, Vitals] = {}
        self._lock = asyncio.Lock()

    async def vitals(self, visit: Visit) -> Vitals:
        """The vitals, at most a second old."""
        tenant = visit.tenant
        async with self._lock:
            known = self._known.get(tenant)
            if known is None or time.time() - known.taken_at > _FRESH_SECONDS:
                known = self._known[tenant] = await _gather(visit)
            return known


async def _gather(visit: Visit) -> Vitals:
    now = time.time()
    away = numbers = None
    try:
        numbers = await _numbers(visit, now)
    except StoreUnavailable as error:
        away = str(error)
    spool = await spooled(visit.service)
    findings = _findings(visit.service)
    concerns = list(_concerns(numbers, spool, findings, visit.chosen_tenant))
    return Vitals(numbers, away, spool, findings, concerns, now)


async def _numbers(visit: Visit, now: float) -> Numbers:
    tenant = visit.tenant
    pending, shifts, workers, groups, orders, points, last_event, reconciled = await visit.ask(
        side_by_side(
            due.pending(),
            due.live_shifts(),
            activity.live_workers(),
            letter_lists.groups(),
            search.counts(tenant, idle_before(visit, now)),
            activity.read(activity.HOUR, int(now)),
            activity.last_event_ms(),
            reconciling.counts([tenant]),
        )
    )
    return Numbers(
        pending=pending,
        shifts=shifts,
        workers=workers,
        letters=sum(group.count for group in groups),
        groups=sorted(groups, key=lambda group: -group.count),
        orders=orders,
        points=points,
        last_event=None if last_event is None else last_event / 1000,
        reconciled=reconciled[tenant],
        asked_at=now,
    )


def idle_before(visit: Visit, now: float) -> int:
    """Open orders without an event since then are stuck, milliseconds."""
    return int((now - visit.service.settings.stuck_days * 86_400) * 1000)


def _findings(service: Service) -> list[Finding]:
    findings = [] if service.promises is None else service.promises.findings()
    if abs(service.skew_seconds) > SKEW_SECONDS:
        what = f"its clock differs by {service.skew_seconds:.1f} s from this machine's"
        findings.append(Finding(Level.ERROR, what, "run a time service on both"))
    return findings


def _concerns(numbers: Numbers | None, spool: Spooled, findings: list[Finding], tenant: str | None) -> "list[Concern]":
    found: list[Concern] = []
    if spool.error:
        found.append(Concern("The spool cannot be used", spool.error))
    if numbers is not None:
        found += _of_work(numbers)
        found += _of_letters(numbers, tenant)
        if spool.events:
            found.append(
                Concern(f"{plural(spool.events, 'event')} in the spool", "They are being carried over to Redis.")
            )
        if (numbers.slowest or 0) > _SLOW_SECONDS:
            slow = f"Acknowledgements take up to {span(numbers.slowest or 0)}"
            found.append(Concern(slow, "Gelato gives up after about 10 seconds. See the server's health."))
    found += [
        Concern(f"Server: {finding.what}", f"Remedy: {finding.remedy}.")
        for finding in findings
        if finding.level is Level.ERROR
    ]
    return found


def _of_work(numbers: Numbers) -> list[Concern]:
    pending = numbers.pending
    waits = f"{plural(pending.due, 'order')} waiting, the oldest for {span(pending.oldest_ms / 1000)}"
    if not numbers.shifts and not numbers.workers:
        what = f"No worker is alive; {waits}" if pending.due else "No worker is alive"
        return [Concern(what, "Start `gelato-rollup worker`. Nothing is lost: events wait in Redis.")]
    if pending.due and pending.oldest_ms > _LATE_SECONDS * 1000:
        return [
            Concern(waits[0].upper() + waits[1:], "More workers (`worker --processes N`); see their logs for errors.")
        ]
    return []


def _of_letters(numbers: Numbers, tenant: str | None) -> list[Concern]:
    if not numbers.letters:
        return []
    causes = plural(len(numbers.groups), "cause")
    action = "Look at them" if numbers.letters > 1 else "Look at it"
    remedy = "Mend the cause, then replay them as a whole."
    what = f"{plural(numbers.letters, 'dead letter')} of {causes}"
    return [Concern(what, remedy, link("/console/letters", tenant=tenant), action)]
