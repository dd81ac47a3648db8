"""The receiver's ASGI application: its routes, and its life from start to stop."""

import asyncio
import contextlib
import gc
import multiprocessing
import signal
from collections.abc import AsyncIterator

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from receiver import changes, dead_letters, gelato, health, order_list, orders, snapshots
from receiver.console import site as console
from receiver.http import Json
from receiver.metrics import Metrics
from receiver.openapi import serving as openapi
from receiver.routes import ByReference, Refused, RequestLog, UndecodedPath, refused
from receiver.service import Service
from receiver.webhooks import RETRY_AFTER, Webhooks
from shared import log
from shared.errors import StoreUnavailable
from shared.settings import Settings
from shared.stop import StopFlag, die_with_parent
from shared.tenants import Tenants

logger = log.get("receiver")


class Receiver:
    """The receiver's application. Webhooks go straight to their route, past Starlette's middleware.

    Starlette's router would send them to the same place; on the hot path its middleware costs an eighth of the throughput.
    """

    def __init__(self, app: Starlette, webhooks: Webhooks) -> None:
        self.app = app
        self.state = app.state
        self.webhooks = webhooks

    def stopping(self) -> None:
        """The server is asked to stop: end the answers that would go on for ever."""
        service: Service = self.state.service
        service.feed.stop()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, or live through the lifespan."""
        if scope["type"] == "http":
            tenant = self.webhooks.tenant_at(scope.get("raw_path") or scope["path"].encode())
            if tenant is not None:
                await self.webhooks(scope, receive, send, tenant)
                return
        await self.app(scope, receive, send)


def create_app(settings: Settings, found: Tenants | None = None) -> Receiver:
    """The application, with tenants that were found already or those of the settings. Raises `ConfigurationError`."""
    hung_up = StopFlag()
    with contextlib.suppress(ValueError):  # not in a test's thread: only the main thread may listen for signals
        signal.signal(signal.SIGHUP, lambda *_: hung_up.set())
    parent = multiprocessing.parent_process()
    if parent is not None and parent.pid is not None:
        die_with_parent(parent.pid)  # one of several: when uvicorn's supervisor is killed the port must become free
    log.configure(settings.log_level, settings.log_format, gathered=True)
    service = Service.start(settings, found)

    @contextlib.asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        with contextlib.suppress(RuntimeError, ValueError):  # a test's thread, as above
            asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, service.reload)
        if hung_up.is_set():  # one that came while this process started
            service.reload()
        # What start-up has made stays: the collector need not look through it again and again. A request leaves no cycles.
        gc.collect()
        gc.freeze()
        gc.set_threshold(20_000, 20, 20)
        service.begin()
        yield
        await service.stop()

    webhooks = Webhooks(service)
    app = Starlette(
        routes=[
            Route("/snapshots", snapshots.post, methods=["POST"]),
            Route("/tenants/{tenant}/snapshots", snapshots.post, methods=["POST"]),
            *_of_orders(""),
            *_of_orders("/tenants/{tenant}"),
            Route("/tenants/{tenant}/gelato/orders", gelato.submit, methods=["POST"]),
            Route("/tenants/{tenant}/gelato/orders:search", gelato.search, methods=["POST"]),
            Route("/tenants/{tenant}/gelato/orders/{order_id}", gelato.get),
            *dead_letters.ROUTES,
            Route("/healthz", health.healthz),
            Route("/readyz", health.readyz),
            Route("/metrics", Metrics().get),
            *openapi.ROUTES,
            *console.routes(),
        ],
        middleware=[Middleware(UndecodedPath), Middleware(RequestLog)],
        exception_handlers={
            HTTPException: _http_error,
            Refused: refused,
            StoreUnavailable: _unavailable,
            Exception: _failed,
        },
        lifespan=lifespan,
    )
    app.router.redirect_slashes = False
    app.state.service = service
    return Receiver(app, webhooks)


def _of_orders(before: str) -> list[Route]:
    """The routes of a tenant's orders; each of one order by its reference in the path, and by `?reference=`."""
    return [
        ByReference(f"{before}/orders", orders.one),
        ByReference(f"{before}/orders/events", orders.events),
        ByReference(f"{before}/orders/changes", changes.of_order),
        Route(f"{before}/orders", order_list.listed),
        Route(f"{before}/orders/{{reference}}", orders.one),
        Route(f"{before}/orders/{{reference}}/events", orders.events),
        Route(f"{before}/orders/{{reference}}/changes", changes.of_order),
    ]


async def _http_error(request: Request, error: Exception) -> Json:
    status = error.status_code if isinstance(error, HTTPException) else 500
    name = {404: "not-found", 405: "method-not-allowed"}.get(status, "refused")
    return Json({"error": name}, status, getattr(error, "headers", None))


async def _unavailable(request: Request, error: Exception) -> Json:
    request.scope.get("said", {}).update(result="unavailable", error=str(error))
    headers = {name.decode(): value.decode() for name, value in RETRY_AFTER}
    return Json({"error": "unavailable"}, 503, headers)


async def _failed(request: Request, error: Exception) -> Json:
    logger.error("request", result="failed", exc_info=error)
    return Json({"error": "internal"}, 500)
