"""`GET /metrics`, for Prometheus. Any process of an instance may answer: what it shows is of all of them.

It asks Redis at most once a second, whoever scrapes how often. Where Redis is away it shows what the instance knows.
"""

import asyncio
import hashlib
import hmac
import platform
import shutil
import time
from importlib.metadata import version
from typing import Final

from starlette.requests import Request
from starlette.responses import Response

from receiver import exposition
from receiver.access import Role
from receiver.instance import State
from receiver.routes import Refused, holder_of, service_of
from receiver.service import Service
from receiver.spool import SpoolUnavailable
from shared import log
from shared.counting import Labels, Value, Values
from shared.errors import StoreUnavailable
from shared.metrics import METRICS, Kind, Scope
from shared.secret import Secret
from shared.store import measures
from shared.store.calls import Operation
from shared.store.durability import Promises
from shared.store.measures import Measures

logger = log.get("receiver.metrics")

_PATIENCE_SECONDS: Final = 2.0
_DAY_MS: Final = 86_400_000
_KEPT_SECONDS: Final = 1.0
_VERSION: Final = version("gelato-rollup")
_NONE: Final[Labels] = ()


class Metrics:
    """The route."""

    def __init__(self) -> None:
        self._asking = asyncio.Lock()
        self._measured: Measures | None = None
        self._measured_at = float("-inf")

    async def get(self, request: Request) -> Response:
        """Answer a scrape."""
        service = service_of(request)
        _check(request, service.settings.metrics_token)
        measured = await self._measure(service)
        shown = await service.reporting.shown()
        values = {**shown.counted, **await _of_instance(service, shown.states)}
        values["gelato_redis_up"] = {_NONE: int(measured is not None)}
        if measured is not None:
            values |= _of_service(measured, service.promises)
        last_event = _last_event(measured, shown.states)
        if last_event is not None:
            values["gelato_last_event_timestamp_seconds"] = {_NONE: last_event}
        return Response(exposition.render(values), media_type=exposition.CONTENT_TYPE)

    async def _measure(self, service: Service) -> Measures | None:
        """What the service's processes share; None where Redis does not say."""
        async with self._asking:
            if service.door.breaker.is_open:
                return None
            if time.monotonic() - self._measured_at > _KEPT_SECONDS:
                self._measured = None
                try:
                    async with asyncio.timeout(_PATIENCE_SECONDS):
                        self._measured = await service.store.run(_question(service))
                except (StoreUnavailable, TimeoutError) as error:
                    logger.warning("metrics without Redis", error=str(error) or "no answer in time")
                self._measured_at = time.monotonic()
            return self._measured


def _question(service: Service) -> Operation[Measures]:
    stuck_before_ms = time.time_ns() // 1_000_000 - service.settings.stuck_days * _DAY_MS
    return measures.measure(sorted(service.access.tenants.by_name), stuck_before_ms)


def _check(request: Request, token: Secret | None) -> None:
    """Refuse who may not see metrics: with a token in force, it or the operators' is asked for."""
    if token is None:
        return
    sent = [value for name, value in request.scope["headers"] if name == b"authorization"]
    value = sent[0] if len(sent) == 1 else b""
    given = value[7:].strip() if value[:7].lower() == b"bearer " else b""
    wanted = hashlib.sha256(token.reveal().encode()).digest()
    if not hmac.compare_digest(hashlib.sha256(given).digest(), wanted) and holder_of(request).role is not Role.OPS:
        raise Refused(403, {"error": "forbidden"})


async def _of_instance(service: Service, states: list[State]) -> Values:
    gauges: dict[str, float] = {
        "gelato_receiver_processes": len(states),
        "gelato_started_timestamp_seconds": min(state.started for state in states),
        "gelato_event_streams": sum(state.streams for state in states),
        "gelato_breaker_open": sum(state.breaker_open for state in states),
    }
    if service.promises is not None:
        gauges["gelato_clock_skew_seconds"] = service.skew_seconds
    spool = service.door.spool
    if spool is not None:
        try:
            totals = await spool.totals()
        except SpoolUnavailable as error:
            logger.error("the spool cannot be used", error=str(error))
        else:
            gauges["gelato_spool_events"] = totals.events
            gauges["gelato_spool_bytes"] = totals.bytes
            waited = 0.0 if totals.oldest is None else max(0.0, time.time() - totals.oldest / 1_000_000)
            gauges["gelato_spool_oldest_seconds"] = waited
        gauges["gelato_spool_max_bytes"] = service.settings.spool_max_bytes
    directory = service.settings.data_dir
    try:
        usage = await asyncio.to_thread(shutil.disk_usage, directory if directory.exists() else directory.parent)
    except OSError as error:
        logger.warning("the disk does not say how full it is", error=str(error))
    else:
        gauges |= {"gelato_disk_free_bytes": usage.free, "gelato_disk_size_bytes": usage.total}
    server = "" if service.promises is None else service.promises.version
    build: dict[Labels, Value] = {(_VERSION, platform.python_version(), server): 1}
    return {**_plain(gauges), "gelato_build_info": build}


def _of_service(measured: Measures, promises: Promises | None) -> Values:
    gauges: dict[str, float] = {
        "gelato_workers": measured.workers,
        "gelato_live_shifts": measured.live_shifts,
        "gelato_pending_orders": measured.pending.due,
        "gelato_pending_later_orders": measured.pending.later,
        "gelato_pending_oldest_seconds": measured.pending.oldest_ms / 1000 if measured.pending.due else 0.0,
        "gelato_changes_stream_entries": measured.changes,
    }
    if promises is not None:
        gauges |= {
            "gelato_redis_memory_used_bytes": promises.memory_used,
            "gelato_redis_memory_max_bytes": promises.maxmemory,
            "gelato_redis_evicted_keys_total": promises.evicted_keys,
            "gelato_redis_noeviction": int(not promises.maxmemory or promises.maxmemory_policy == "noeviction"),
            "gelato_redis_persistent": int(promises.aof and promises.aof_written),
            "gelato_redis_fsync_always": int(promises.aof and promises.appendfsync == "always"),
            "gelato_redis_replicas": promises.replicas,
        }
    return {
        **_nothing_yet(),
        **measured.totals,
        **_plain(gauges),
        "gelato_orders": _by(measured.orders),
        "gelato_dead_letters": _by(measured.dead_letters),
        "gelato_dead_letters_dropped_total": _by(measured.dropped),
        "gelato_reconciliation_total": _by(measured.reconciled),
    }


def _nothing_yet() -> Values:
    """Zeros for what the workers count: a counter that begins with its first event would hide that event from `rate`."""
    counted = [m for m in METRICS.values() if m.scope is Scope.SERVICE and m.kind is not Kind.GAUGE and not m.labels]
    return {
        metric.name: {_NONE: [0.0] * (len(metric.bounds) + 2) if metric.kind is Kind.HISTOGRAM else 0}
        for metric in counted
        if not metric.name.startswith("gelato_redis_")
    }


def _last_event(measured: Measures | None, states: list[State]) -> float | None:
    """The latest that Redis was told of, or a process knows of."""
    known = [state.last_event for state in states if state.last_event is not None]
    if measured is not None and measured.last_event_ms is not None:
        known.append(measured.last_event_ms / 1000)
    return max(known, default=None)


def _plain(gauges: dict[str, float]) -> Values:
    return {name: {_NONE: value} for name, value in gauges.items()}


def _by(counts: dict[str, int]) -> dict[Labels, Value]:
    return {(label,): count for label, count in counts.items()}
