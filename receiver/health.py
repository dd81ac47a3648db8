"""`/healthz` and `/readyz`: for load balancers and supervisors. They need no token and name no order."""

from starlette.requests import Request

from receiver.http import Json
from receiver.routes import service_of
from shared.errors import StoreUnavailable
from shared.store.calls import one


async def healthz(request: Request) -> Json:
    """Alive: the process answers."""
    return Json({"status": "alive"})


async def readyz(request: Request) -> Json:
    """Can take events, and where they go."""
    try:
        await service_of(request).store.run(one("PING"))
    except StoreUnavailable:
        return Json({"status": "unavailable", "detail": "Redis cannot be reached"}, 503)
    return Json({"status": "ready", "where": "redis"})
