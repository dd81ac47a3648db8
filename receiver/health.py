"""`/healthz` and `/readyz`: for load balancers and supervisors. They need no token and name no order."""

import asyncio

from starlette.requests import Request

from receiver.http import Json
from receiver.routes import service_of
from receiver.service import SKEW_SECONDS
from receiver.spool import Spool, SpoolUnavailable
from shared import log
from shared.errors import StoreUnavailable

logger = log.get("receiver.health")

_PATIENCE_SECONDS = 1.0


async def healthz(request: Request) -> Json:
    """Alive: the process answers."""
    return Json({"status": "alive"})


async def readyz(request: Request) -> Json:
    """Can take events, and where they go."""
    door = service_of(request).door
    spooled, trouble = await _spooled(door.spool)
    try:
        async with asyncio.timeout(_PATIENCE_SECONDS):
            await door.probe()
    except (StoreUnavailable, TimeoutError):
        if door.spool is None or trouble:
            return Json({"status": "unavailable", "detail": "neither Redis nor a spool can take events"}, 503)
        return Json({"status": "ready", "where": "spool", **spooled})
    return Json({"status": "ready", "where": "redis", **_promised(request, trouble), **spooled})


async def _spooled(spool: Spool | None) -> tuple[dict[str, int], str]:
    """What the answer says of the spool, and why it could not take an event, if it could not."""
    if spool is None:
        return {}, ""
    try:
        totals = await spool.totals()
    except SpoolUnavailable as error:
        logger.error("the spool cannot be used", error=str(error))
        return {}, "the spool cannot be used; remedy: its log line says why; its disk, most likely"
    said = {"spooled": totals.events}
    return said, "the spool is full; remedy: GELATO_SPOOL_MAX_BYTES" if spool.is_full(totals) else ""


def _promised(request: Request, trouble: str) -> dict[str, object]:
    """What the server promises, and a warning with its remedy for each weakness, the spool's too."""
    promises = service_of(request).promises
    if promises is None:
        return {"warnings": [trouble]} if trouble else {}
    service = service_of(request)
    weak = [f"{finding.what}; remedy: {finding.remedy}" for finding in promises.findings() if finding.level]
    if trouble:
        weak.append(trouble)
    if service.replicas.alone:
        weak.append("its replicas are gone; remedy: start one: until then what this server loses is lost")
    if abs(service.skew_seconds) > SKEW_SECONDS:
        weak.append(f"its clock differs by {service.skew_seconds:.1f} s; remedy: run a time service on both machines")
    told = {name: value for name, value in promises._asdict().items() if name != "now_us"}
    return {"server": told, "clockSkewSeconds": round(service.skew_seconds, 3), "warnings": weak}
