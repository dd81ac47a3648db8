"""What the token-guarded routes share: who asks, for which tenant, for which order.

Paths are routed as they were sent, percent-encoding and all (`UndecodedPath`): a slash inside a reference, sent as `%2F`,
stays a part of the reference. References and tenants are decoded here. A reference may stand in `?reference=` instead
(`ByReference`): clients and proxies on the way resolve `.` and `..`, and some decode or refuse `%2F`.
"""

import math
import re
import time
from typing import Any
from urllib.parse import unquote, unquote_to_bytes

from starlette.requests import Request
from starlette.routing import Match, Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from receiver.access import Holder, Role
from receiver.http import Json
from receiver.service import Service
from shared import log
from shared.clock import parse_time
from shared.settings import DEFAULT_TENANT

logger = log.get("receiver.http")

#: Asked for every few seconds, by machines: no line each.
_QUIET = ("/healthz", "/readyz", "/metrics")
_COLON = re.compile("%3a", re.IGNORECASE)
_RANK = {Role.READ: 0, Role.TENANT: 1, Role.OPS: 2}


class Refused(Exception):
    """A request that is answered with an error: status, body, headers."""

    def __init__(self, status: int, content: dict[str, Any], headers: dict[str, str] | None = None) -> None:
        super().__init__(content.get("error"))
        self.status = status
        self.content = content
        self.headers = headers


async def refused(request: Request, error: Exception) -> Json:
    """The answer to a refused request."""
    if not isinstance(error, Refused):
        raise error
    return Json(error.content, error.status, error.headers)


class UndecodedPath:
    """Middleware: routes see the path as it was sent. A path that is not ASCII is none of ours.

    But for the colon, which some clients encode: it parts nothing from anything. `orders%3Asearch` is `orders:search`, and
    within a reference, which is decoded later, it means the same.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on with its raw path."""
        raw: bytes | None = scope.get("raw_path")
        if scope["type"] == "http" and raw is not None:
            path = _COLON.sub(":", raw.partition(b"?")[0].decode("ascii", errors="replace"))
            if path != scope["path"]:
                scope = {**scope, "path": path}
        await self._app(scope, receive, send)


class ByReference(Route):
    """A route of one order that is named by `?reference=`; without that, the path belongs to the routes behind this one."""

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        """Whether a request is meant for this route."""
        match, found = super().matches(scope)
        if match is Match.NONE or _references(scope):
            return match, found
        return Match.NONE, {}


class RequestLog:
    """Middleware: one line per request, with what the route learnt of it, and its count. Webhooks have their own."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, and write its line when it was answered."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        counts = scope["app"].state.service.counts  # an application mounted further in puts itself there
        start = time.perf_counter()
        said = scope["said"] = {"status": 0}
        seconds = 0.0

        async def noting(message: Message) -> None:
            nonlocal seconds
            if message["type"] == "http.response.start":
                said["status"] = message["status"]
                seconds = time.perf_counter() - start
            await send(message)

        try:
            await self._app(scope, receive, noting)
        finally:
            route = _template(scope)
            counts.request(route, scope["method"], said["status"], seconds)
            if scope["path"] not in _QUIET:
                ms = round((time.perf_counter() - start) * 1000, 2)
                logger.info("request", method=scope["method"], route=route, ms=ms, **said)


def _template(scope: Scope) -> str | None:
    """The route of a request, without what stands in its path."""
    route = scope.get("route") or getattr(scope.get("endpoint"), "__qualname__", None)
    return getattr(route, "path", route)


def service_of(request: Request) -> Service:
    """The service of this process."""
    service: Service = request.app.state.service
    return service


def holder_of(request: Request) -> Holder:
    """Who asks. Refuses with 401 without a known token."""
    holder = service_of(request).access.holder(request.scope["headers"])
    if holder is None:
        raise Refused(401, {"error": "unauthorized"}, {"www-authenticate": "Bearer"})
    return holder


def tenant_of(request: Request, *, least: Role = Role.READ, unknown: str = "not-found") -> str:
    """The tenant of a path, if the token may see it and may do this: else 401, 404 (as if there were none), or 403."""
    holder = holder_of(request)
    tenant = unquote(request.path_params.get("tenant", DEFAULT_TENANT))
    if not holder.may_see(tenant) or not service_of(request).access.knows(tenant):
        raise Refused(404, {"error": unknown})
    request.scope["said"]["tenant"] = tenant
    if _RANK[holder.role] < _RANK[least]:
        raise Refused(403, {"error": "forbidden"})
    wait = 0.0 if holder.role is Role.OPS else service_of(request).quota.take(tenant)
    if wait:
        raise Refused(429, {"error": "too-many-requests"}, {"retry-after": str(math.ceil(wait))})
    return tenant


def reference_of(request: Request) -> str:
    """The reference in a path, or in `?reference=`. Refuses with 404 what cannot be one, several with 400."""
    escaped = request.path_params.get("reference")
    given = _references(request.scope) if escaped is None else [unquote_to_bytes(escaped)]
    if len(given) != 1:
        raise Refused(400, {"error": "invalid-query", "detail": "reference: given more than once"})
    try:
        reference = given[0].decode()
    except UnicodeDecodeError:
        reference = ""
    if not reference:
        raise Refused(404, {"error": "unknown-order"})
    request.scope["said"]["order"] = reference
    return reference


def _references(scope: Scope) -> list[bytes]:
    """The references in a query string, decoded to bytes: what is no UTF-8 must not be taken for some other reference."""
    parts = [part.partition(b"=") for part in scope["query_string"].replace(b"+", b" ").split(b"&")]
    return [unquote_to_bytes(value) for name, _, value in parts if unquote_to_bytes(name) == b"reference"]


def query_flag(request: Request, name: str) -> bool | None:
    """A yes-or-no filter of the query string; None where it is absent."""
    text = request.query_params.get(name)
    if text is None:
        return None
    value = {"true": True, "1": True, "false": False, "0": False}.get(text.lower())
    if value is None:
        raise Refused(400, {"error": "invalid-query", "detail": f"{name}: must be true or false"})
    return value


def query_number(request: Request, name: str, default: int, most: int) -> int:
    """A whole number of the query string, from 1 to `most`."""
    text = request.query_params.get(name)
    if text is None:
        return default
    if not text.isascii() or not text.isdigit() or len(text) > 9 or not 1 <= int(text) <= most:
        raise Refused(400, {"error": "invalid-query", "detail": f"{name}: must be a number from 1 to {most}"})
    return int(text)


def query_time(request: Request, name: str) -> int | None:
    """A moment of the query string (ISO 8601), in microseconds; None where it is absent."""
    text = request.query_params.get(name)
    if text is None:
        return None
    moment = parse_time(text.replace(" ", "+"))  # a "+" that was not escaped arrives as a blank
    if moment is None:
        raise Refused(400, {"error": "invalid-query", "detail": f"{name}: must be ISO 8601"})
    return moment
