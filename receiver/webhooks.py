"""`POST /webhooks/gelato` and `POST /webhooks/gelato/{tenant}`: every way in which a webhook may be answered.

Bare ASGI: this is the hot path, and a request object is a third of the time that it takes. Nearly all webhooks do not even
come by ASGI: see `receiver.direct`.
"""

import asyncio
import time
from collections.abc import Callable
from functools import partial
from typing import Final
from urllib.parse import unquote

import msgspec
import orjson
from starlette.types import Receive, Scope, Send

from receiver.access import Headers
from receiver.counts import NO_KIND
from receiver.http import CutOff, TooLarge, answer, read_body, refuse_body
from receiver.service import Service, now_us
from shared import log
from shared.errors import GelatoRollupError, InvalidJson, StoreUnavailable, UnusableEvent
from shared.events import ExampleEvent, Ignored, Usable, read_webhook
from shared.settings import DEFAULT_TENANT
from shared.store.dead_letters import DeadLetter, letter_id
from shared.store.intake import FULL, Incoming, Outcome, Result

logger = log.get("receiver.webhooks")
_log_line = log.quick("receiver.webhooks")

_PATH: Final = b"/webhooks/gelato"
_UNAUTHORIZED: Final = b'{"error":"unauthorized"}'
_UNAVAILABLE: Final = b'{"error":"unavailable"}'
_FAILED: Final = b'{"error":"internal"}'
#: Gelato tries again after five seconds by itself; proxies and others read this.
RETRY_AFTER: Final = [(b"retry-after", b"5")]
#: Bodies up to this length may go the short way; reading a longer one pauses while it is worked on.
_DIRECT_BYTES: Final = 65_536

#: Sends an answer: status, body, further header lines.
Reply = Callable[[int, bytes, bytes], None]


class _Answer(msgspec.Struct, frozen=True):
    """An answer, what the log says of it (which `_say` uses up), and what it is counted as."""

    status: int
    body: bytes
    said: dict[str, object]
    result: str
    kind: str = NO_KIND


class Webhooks:
    """Takes webhooks in: as an ASGI application, or by the short way."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._late: set[asyncio.Task[None]] = set()
        self.direct_bytes = min(_DIRECT_BYTES, service.settings.max_body_bytes)

    @staticmethod
    def tenant_at(path: bytes) -> str | None:
        """The tenant that a path (as sent, perhaps with a query) names, known or not; None if it is no webhook's path."""
        if path == _PATH:
            return DEFAULT_TENANT
        if not path.startswith(_PATH):
            return None
        tenant = path.partition(b"?")[0][len(_PATH) :]
        if not tenant:
            return DEFAULT_TENANT
        if tenant[:1] != b"/" or b"/" in tenant[1:]:
            return None
        return unquote(tenant[1:].decode("ascii", "replace"))

    def may_post(self, tenant: str, headers: Headers) -> bool:
        """Whether a request's headers carry a secret of its tenant."""
        return self._service.access.may_post(tenant, headers)

    def take(self, tenant: str, body: bytes, received: int, start: float, reply: Reply) -> bool:
        """Take a webhook by the short way, and answer it later by `reply`; False where it has to go the usual way.

        It was found to be allowed. `received` in microseconds, `start` by `time.perf_counter`.
        """
        door = self._service.door
        if door.breaker.is_open:
            return False
        try:
            event = read_webhook(body)
        except GelatoRollupError:
            return False
        except Exception as error:  # a bug; the usual way meets it again, and answers for it
            logger.debug("the short way failed", error=type(error).__name__)
            return False
        if not isinstance(event, Usable):
            return False
        incoming = Incoming(tenant, event, received)
        door.offer(incoming, partial(self._told, incoming, body, start, reply))
        return True

    def cut_off(self, tenant: str, start: float) -> None:
        """Note that a client went away in the middle of its body: nothing of it is kept."""
        logger.warning("webhook", result="cut-off", tenant=tenant, ms=_ms(start))
        self._count("cut-off", start)

    def _told(self, incoming: Incoming, body: bytes, start: float, reply: Reply, outcome: Outcome | Exception) -> None:
        """Answer a webhook of the short way: at once if Redis has it."""
        if isinstance(outcome, Outcome) and outcome.result is not Result.ORDER_FULL:
            result = self._stored(incoming, outcome, spooled=False)
            reply(200, result.body, b"")
            self._say(incoming.tenant, start, result)
            return
        task = asyncio.get_running_loop().create_task(self._answer_late(incoming, body, start, reply, outcome))
        self._late.add(task)
        task.add_done_callback(self._late.discard)

    async def _answer_late(
        self, incoming: Incoming, body: bytes, start: float, reply: Reply, outcome: Outcome | Exception
    ) -> None:
        try:
            spooled = not isinstance(outcome, Outcome)
            if isinstance(outcome, StoreUnavailable):
                await self._service.door.spool_event(incoming, outcome)
                outcome = Outcome(Result.ACCEPTED)
            elif not isinstance(outcome, Outcome):
                raise outcome
            result = await self._concluded(incoming, body, outcome, spooled=spooled)
        except StoreUnavailable as error:
            reply(503, _UNAVAILABLE, b"".join(b"%b: %b\r\n" % header for header in RETRY_AFTER))
            self._say_unavailable(incoming.tenant, start, error)
        except Exception:
            logger.exception("webhook", result="failed", ms=_ms(start))
            self._count("failed", start)
            reply(500, _FAILED, b"")
        else:
            reply(result.status, result.body, b"")
            self._say(incoming.tenant, start, result)

    async def __call__(self, scope: Scope, receive: Receive, send: Send, tenant: str) -> None:
        """Answer one request for a tenant, known or not."""
        start = time.perf_counter()
        try:
            await self._answer(scope, receive, send, tenant, start)
        except Exception:
            logger.exception("webhook", result="failed", ms=_ms(start))
            self._count("failed", start)
            await answer(send, 500, _FAILED)

    async def _answer(self, scope: Scope, receive: Receive, send: Send, tenant: str, start: float) -> None:
        if scope["method"] != "POST":
            await answer(send, 405, b'{"error":"method-not-allowed"}', [(b"allow", b"POST")])
            self._count("not-post", start)
            return
        received = now_us()
        service = self._service
        if not self.may_post(tenant, scope["headers"]):
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
            self.cut_off(tenant, start)
            return
        try:
            result = await self._take(tenant, body, received)
        except StoreUnavailable as error:
            await answer(send, 503, _UNAVAILABLE, RETRY_AFTER)
            self._say_unavailable(tenant, start, error)
            return
        await answer(send, result.status, result.body)
        self._say(tenant, start, result)

    async def _take(self, tenant: str, body: bytes, received: int) -> _Answer:
        try:
            event = read_webhook(body)
        except InvalidJson as error:
            detail = str(error)
            kept = await self._bury(tenant, "invalid-json", detail, body, received)
            content = {"error": "invalid-json", "detail": detail, **kept}
            return _Answer(400, orjson.dumps(content), {"result": "invalid-json", **kept}, "invalid-json")
        except UnusableEvent as error:
            return await self._quarantine(tenant, error.reason, error.detail, body, received, error.reference)
        if isinstance(event, Ignored):
            return _Answer(
                200, orjson.dumps({"result": "ignored", "event": event.name}), {"result": "ignored"}, "ignored"
            )
        if isinstance(event, ExampleEvent):
            self._service.counts.test_notifications += 1
            said: dict[str, object] = {"result": "test", "identity": event.identity}
            return _Answer(200, b'{"result":"test"}', said, "test", event.identity.partition(":")[0])
        incoming = Incoming(tenant, event, received)
        outcome, spooled = await self._service.door.event(incoming)
        return await self._concluded(incoming, body, outcome, spooled=spooled)

    async def _concluded(self, incoming: Incoming, body: bytes, outcome: Outcome, *, spooled: bool) -> _Answer:
        """The answer to an event that the door has kept, or found no room for in its order."""
        if outcome.result is Result.ORDER_FULL:
            reference = incoming.event.reference
            return await self._quarantine(incoming.tenant, "order-limit", FULL, body, incoming.received, reference)
        return self._stored(incoming, outcome, spooled=spooled)

    def _stored(self, incoming: Incoming, outcome: Outcome, *, spooled: bool) -> _Answer:
        event = incoming.event
        result = "duplicate" if outcome.result is Result.DUPLICATE else "accepted"
        content: dict[str, object] = {"result": result, "event": event.identity}
        said: dict[str, object] = {"result": result, "order": event.reference, "identity": event.identity}
        if outcome.collision:
            self._service.counts.id_collisions += 1
            said["id_collision"] = True
        if spooled:
            content["spooled"] = said["spooled"] = True
        return _Answer(200, orjson.dumps(content), said, "spooled" if spooled else result, event.kind)

    def _say(self, tenant: str, start: float, result: _Answer) -> None:
        """Log and count an answered webhook."""
        seconds = time.perf_counter() - start
        said = result.said
        said["tenant"], said["ms"] = tenant, round(seconds * 1000, 2)
        _log_line("webhook", said)
        self._service.counts.webhook(result.result, result.kind, seconds)

    def _say_unavailable(self, tenant: str, start: float, error: StoreUnavailable) -> None:
        logger.error("webhook", result="unavailable", tenant=tenant, error=str(error), ms=_ms(start))
        self._count("unavailable", start)

    def _count(self, result: str, start: float) -> None:
        """Count a webhook of which nothing is known."""
        self._service.counts.webhook(result, NO_KIND, time.perf_counter() - start)

    async def _quarantine(
        self, tenant: str, reason: str, detail: str, body: bytes, received: int, reference: str | None
    ) -> _Answer:
        kept = await self._bury(tenant, reason, detail, body, received, reference)
        content = {"result": "quarantined", "reason": reason, "detail": detail, **kept}
        return _Answer(202, orjson.dumps(content), {**content, "order": reference}, "quarantined")

    async def _bury(
        self, tenant: str, reason: str, detail: str, body: bytes, received: int, reference: str | None = None
    ) -> dict[str, object]:
        """Keep a dead letter: what the answer says of it."""
        letter = DeadLetter(letter_id(tenant, body), tenant, reason, detail, body, received, reference)
        spooled = await self._service.door.letter(letter)
        self._service.counts.quarantined[reason,] += 1
        return {"deadLetter": letter.id, "spooled": True} if spooled else {"deadLetter": letter.id}


def _ms(start: float) -> float:
    return round((time.perf_counter() - start) * 1000, 2)
