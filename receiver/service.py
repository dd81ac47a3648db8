"""What the routes share while the receiver runs: settings, who may do what, the store, intake, and kicks."""

import asyncio
import contextlib
import time
from dataclasses import dataclass, field

from receiver.access import Access
from receiver.counts import Counts
from receiver.door import Door
from receiver.drain import Drain
from receiver.feed import Feed
from receiver.in_flight import InFlight
from receiver.quota import Quota
from receiver.readiness import Readiness
from receiver.replicas import Replicas
from receiver.reporting import Reporting
from receiver.spool import Spool
from shared import kick, log, tenants
from shared.errors import ConfigurationError, StoreUnavailable
from shared.orderapi import OrderApis
from shared.settings import Settings
from shared.store import AsyncStore, due, durability, outages, reconciling
from shared.store.durability import Promises
from shared.store.intake import Acknowledgement
from shared.tenants import Tenants

logger = log.get("receiver")

#: Kicks are hints; more than this many a second tell nothing new.
_KICK_EVERY_SECONDS = 0.25
_PATIENCE_WITHOUT_SPOOL = 10
_WATCH_EVERY_SECONDS = 5.0
_WATCH_CLOSELY_SECONDS = 1.0
#: Replicas and disk get this share of the patience.
_ACK_SHARE = 0.7
#: A server that hangs must not hold up the end.
_LAST_WORD_SECONDS = 0.5
#: Reconciliation begins so long after an outage: another receiver may yet say that it was ready all the time.
_AFTER_OUTAGE_MS = 20_000
#: Beyond this the clocks' difference is alarmed.
SKEW_SECONDS = 2.0


@dataclass
class Service:
    """One receiver process."""

    settings: Settings
    access: Access
    store: AsyncStore
    door: Door = field(init=False)
    quota: Quota = field(init=False)
    feed: Feed = field(init=False)
    apis: OrderApis = field(init=False)
    in_flight: InFlight = field(init=False)
    replicas: Replicas = field(init=False)
    counts: Counts = field(default_factory=Counts)
    reporting: Reporting = field(init=False)
    readiness: Readiness = field(default_factory=Readiness)
    _kicking: "asyncio.Task[None] | None" = None

    #: What the server promises, as it last said; None before it was asked.
    promises: Promises | None = None
    #: How far this machine's clock was ahead of the server's.
    skew_seconds: float = 0.0
    _drain: Drain | None = None
    _watching: "asyncio.Task[None] | None" = None
    _look_now: asyncio.Event = field(default_factory=asyncio.Event)

    def __post_init__(self) -> None:
        settings = self.settings
        self.quota = Quota(settings.requests_per_second)
        self.feed = Feed(self.store, most=settings.max_streams, most_per_tenant=settings.max_streams_per_tenant)
        self.apis = OrderApis(self.store, settings)
        self.in_flight = InFlight(settings.api_concurrency)
        spool = None
        if settings.spool_persistent:
            spool = Spool(
                settings.data_dir / "spool", max_events=settings.spool_max_events, max_bytes=settings.spool_max_bytes
            )
        patience = settings.patience_seconds * (1 if spool else _PATIENCE_WITHOUT_SPOOL)
        self.replicas = Replicas(self.store, settings.ack_replicas)
        self.door = Door(
            self.store, spool, patience, settings.max_dead_letters, self.kick, self._outage, self.readiness.refused
        )
        self.door.acknowledgement = self._acknowledgement(self.replicas.at_first, fsync=settings.ack_fsync)
        self.reporting = Reporting(self.counts, self.door, self.feed)

    @classmethod
    def start(cls, settings: Settings, found: Tenants | None = None) -> "Service":
        """Make the service of a process. Raises `ConfigurationError`; connects on first use."""
        return cls(settings, Access(found or tenants.load(settings)), AsyncStore.from_url(settings.where()))

    def reload(self) -> None:
        """Read tenants, secrets and tokens again. A configuration that cannot be used changes nothing."""
        try:
            self.access = Access(tenants.load(self.settings))
        except ConfigurationError as error:
            logger.error(tenants.NOT_RELOADED, error=str(error))
        else:
            logger.info("tenants reloaded", tenants=len(self.access.tenants.by_name))

    def kick(self) -> None:
        """Ask RQ for a shift if none is alive: beside the answer, never in its way."""
        if self._kicking is None:
            self._kicking = asyncio.create_task(self._kick())

    def begin(self) -> None:
        """Begin what runs beside the requests."""
        self._watching = asyncio.create_task(self._watch_server())
        self.reporting.start()
        if self.door.spool is not None:
            self._drain = Drain(self.door.spool, self.door)
            self._drain.start()

    async def stop(self) -> None:
        """Finish what is on its way, and close."""
        await self.feed.close()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_LAST_WORD_SECONDS):
                await self._tell_readiness()  # until now
        await self.door.drain()
        if self._drain is not None:
            await self._drain.stop()
        if self.door.spool is not None:
            await self.door.spool.close()
        await self.reporting.stop()
        if self._watching is not None:
            self._watching.cancel()
        if self._kicking is not None:
            await asyncio.wait([self._kicking], timeout=2.0)
        await self.apis.close()
        await self.store.close()

    async def _watch_server(self) -> None:
        """Ask the server now and then what it promises, and wait for a replica if there is one."""
        while True:
            await self._tell_readiness()
            try:
                self.promises = await self.store.run(durability.promises())
            except StoreUnavailable as error:
                logger.debug("the server does not say what it promises", error=str(error))
            else:
                replicas = await self.replicas.needed(self.promises)
                fsync = self.settings.ack_fsync and self.promises.waits_for_fsync
                self.door.acknowledgement = self._acknowledgement(replicas, fsync=fsync)
                self._compare_clocks(self.promises)
            seconds = _WATCH_CLOSELY_SECONDS if self.replicas.unsettled else _WATCH_EVERY_SECONDS
            self._look_now.clear()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._look_now.wait(), seconds)

    def _outage(self, away: bool) -> None:
        if away:
            self._look_now.set()  # it may have lost its replicas

    async def _tell_readiness(self) -> None:
        """Say that this receiver takes events; the gaps between such reports are this service's outages."""
        ready_ms = self.readiness.looked()
        try:
            ended = await self.store.run(outages.ready(ready_ms, kept_days=self.settings.open_retention_days))
        except StoreUnavailable as error:
            logger.debug("readiness not told", error=str(error))
            if self.door.spool is None:
                self.readiness.refused()
            return
        self.readiness.told()
        if ended is not None:
            seconds = round((ended.to_ms - ended.from_ms) / 1000, 1)
            logger.warning("no receiver was ready for a while; reconciliation asks for what it missed", seconds=seconds)
            await self._hurry_reconciliation()

    async def _hurry_reconciliation(self) -> None:
        try:
            await self.store.run(reconciling.hurry_all(_AFTER_OUTAGE_MS))
        except StoreUnavailable as error:
            logger.warning("reconciliation comes in its own time", error=str(error))

    def _compare_clocks(self, promises: Promises) -> None:
        """Times of receipt are this machine's: an event without a clock of its own is dated by them."""
        self.skew_seconds = (now_us() - promises.now_us) / 1_000_000
        if abs(self.skew_seconds) > SKEW_SECONDS:
            logger.error("the clocks of this machine and of Redis differ", seconds=round(self.skew_seconds, 1))

    def _acknowledgement(self, replicas: int, *, fsync: bool) -> Acknowledgement:
        return Acknowledgement(replicas, fsync, int(self.settings.patience_seconds * 1000 * _ACK_SHARE))

    async def _kick(self) -> None:
        try:
            if not await self.store.run(due.live_shifts()):
                await asyncio.to_thread(_ask_for_shift, self.settings.where_rq())
            await asyncio.sleep(_KICK_EVERY_SECONDS)
        except (StoreUnavailable, ConfigurationError) as error:
            logger.warning("no shift asked for; the workers' sweep will find the order", error=str(error))
        finally:
            self._kicking = None


def _ask_for_shift(url: str) -> None:
    client = kick.connection(url)
    try:
        kick.ask_for_shift(kick.queue(client))
    finally:
        client.close()


def now_us() -> int:
    """The time of receipt of what comes in now, microseconds."""
    return time.time_ns() // 1000
