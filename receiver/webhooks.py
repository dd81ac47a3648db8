"""`POST /webhooks/gelato` and `POST /webhooks/gelato/{tenant}`: each case in the order in which it is checked.

Bare ASGI: this is the hot path, and a request object is a third of the time that it takes.
"""

import time

import orjson
from starlette.types import Receive, Scope, Send

from receiver.counts import NO_KIND
from receiver.http import CutOff, TooLarge, answer, read_body, refuse_body
from receiver.service import Service, now_us
from shared import log
from shared.errors import InvalidJson, StoreUnavailable, UnusableEvent
from shared.events import ExampleEvent, Ignored, read_webhook
from shared.store.dead_letters import DeadLetter, letter_id
from shared.store.intake import FULL, Incoming, Result

logger = log.get("receiver.webhooks")

_UNAUTHORIZED = b'{"error":"unauthorized"}'
_UNAVAILABLE = b'{"error":"unavailable"}'
#: Gelato tries again after five seconds by itself; proxies and others read this.
RETRY_AFTER = [(b"retry-after", b"5")]


class Webhooks:
    """The ASGI application behind the webhook routes."""

    def __init__(self, service: Service) -> None:
        self._service = service

    async def __call__(self, scope: Scope, receive: Receive, send: Send, tenant: str) -> None:
        """Answer one request for a tenant, known or not."""
        start = time.perf_counter()
        try:
            await self._answer(scope, receive, send, tenant, start)
        except Exception:
            logger.exception("webhook", result="failed", ms=_ms(start))
            self._count("failed", start)
            await answer(send, 500, b'{"error":"internal"}')

    async def _answer(self, scope: Scope, receive: Receive, send: Send, tenant: str, start: float) -> None:
        if scope["method"] != "POST":
            await answer(send, 405, b'{"error":"method-not-allowed"}', [(b"allow", b"POST")])
            self._count("not-post", start)
            return
        received = now_us()
        service = self._service
        if not service.access.may_post(tenant, scope["headers"]):
            await answer(send, 401, _UNAUTHORIZED)
            # The tenant asked for is the sender's text: only a known one is worth writing down.
            known = tenant if service.access.knows(tenant) else None
            logger.warning("webhook", result="unauthorized", tenant=known, ms=_ms(start))
            self._count("unauthorized", start)
            return
        limit = service.settings.max_body_bytes
        try:
            body = await read_body(scope, receive, limit)
        except TooLarge:
            await refuse_body(receive, send, limit)
            logger.warning("webhook", result="too-large", tenant=tenant, ms=_ms(start))
            self._count("too-large", start)
            return
        except CutOff:
            logger.warning("webhook", result="cut-off", tenant=tenant, ms=_ms(start))
            self._count("cut-off", start)
            return
        try:
            status, content, said = await self._take(tenant, body, received)
        except StoreUnavailable as error:
            await answer(send, 503, _UNAVAILABLE, RETRY_AFTER)
            logger.error("webhook", result="unavailable", tenant=tenant, error=str(error), ms=_ms(start))
            self._count("unavailable", start)
            return
        await answer(send, status, content)
        logger.info("webhook", tenant=tenant, ms=_ms(start), **said)
        result = "spooled" if "spooled" in said and "identity" in said else str(said["result"])
        self._count(result, start, str(said.get("identity", NO_KIND)))

    async def _take(self, tenant: str, body: bytes, received: int) -> tuple[int, bytes, dict[str, object]]:
        """Status, body, and what the log says."""
        try:
            event = read_webhook(body)
        except InvalidJson as error:
            detail = str(error)
            kept = await self._bury(tenant, "invalid-json", detail, body, received)
            content = {"error": "invalid-json", "detail": detail, **kept}
            return 400, orjson.dumps(content), {"result": "invalid-json", **kept}
        except UnusableEvent as error:
            return await self._quarantine(tenant, error.reason, error.detail, body, received, error.reference)
        if isinstance(event, Ignored):
            return 200, orjson.dumps({"result": "ignored", "event": event.name}), {"result": "ignored"}
        if isinstance(event, ExampleEvent):
            self._service.counts.test_notifications += 1
            return 200, b'{"result":"test"}', {"result": "test", "identity": event.identity}
        outcome, spooled = await self._service.door.event(Incoming(tenant, event, received))
        said: dict[str, object] = {"order": event.reference, "identity": event.identity}
        if outcome.result is Result.ORDER_FULL:
            detail = FULL
            return await self._quarantine(tenant, "order-limit", detail, body, received, event.reference)
        if outcome.collision:
            self._service.counts.id_collisions += 1
            said["id_collision"] = True
        result = "duplicate" if outcome.result is Result.DUPLICATE else "accepted"
        content = {"result": result, "event": event.identity}
        if spooled:
            content["spooled"] = said["spooled"] = True
        return 200, orjson.dumps(content), {"result": result, **said}

    async def _quarantine(
        self, tenant: str, reason: str, detail: str, body: bytes, received: int, reference: str | None
    ) -> tuple[int, bytes, dict[str, object]]:
        kept = await self._bury(tenant, reason, detail, body, received, reference)
        content = {"result": "quarantined", "reason": reason, "detail": detail, **kept}
        return 202, orjson.dumps(content), {**content, "order": reference}

    async def _bury(
        self, tenant: str, reason: str, detail: str, body: bytes, received: int, reference: str | None = None
    ) -> dict[str, object]:
        """Keep a dead letter: what the answer says of it."""
        letter = DeadLetter(letter_id(tenant, body), tenant, reason, detail, body, received, reference)
        spooled = await self._service.door.letter(letter)
        self._service.counts.quarantined[reason,] += 1
        return {"deadLetter": letter.id, "spooled": True} if spooled else {"deadLetter": letter.id}

    def _count(self, result: str, start: float, identity: str = NO_KIND) -> None:
        """Count an answered webhook; its kind is the first part of its event's identity."""
        self._service.counts.webhook(result, identity.partition(":")[0], time.perf_counter() - start)


def _ms(start: float) -> float:
    return round((time.perf_counter() - start) * 1000, 2)
