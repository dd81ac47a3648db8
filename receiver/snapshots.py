"""`POST /snapshots` and `POST /tenants/{tenant}/snapshots`: responses of Gelato's order API, posted by who called it."""

import asyncio
from collections import Counter
from typing import Any, NamedTuple

from starlette.requests import Request

from receiver.access import Role
from receiver.http import CutOff, Json, TooLarge, read_body
from receiver.routes import tenant_of
from receiver.service import Service, now_us
from receiver.webhooks import RETRY_AFTER
from shared import canonical, log, snapshots
from shared.errors import InvalidJson, StoreUnavailable, UnusableEvent
from shared.events import ExampleEvent
from shared.facts import FETCHED, POSTED
from shared.snapshots import Sanitised
from shared.store.dead_letters import DeadLetter, letter_id
from shared.store.intake import FULL, Incoming, Result

logger = log.get("receiver.snapshots")


class _Answer(NamedTuple):
    status: int
    content: dict[str, Any]


async def post(request: Request) -> Json:
    """Take one response in: a single order, or the orders of a search."""
    service: Service = request.app.state.service
    received = now_us()
    tenant = tenant_of(request, least=Role.TENANT)
    limit = service.settings.max_body_bytes
    try:
        body = await read_body(request.scope, request.receive, limit)
    except TooLarge:
        return Json({"error": "too-large", "limit": limit}, 413, {"connection": "close"})
    except CutOff:
        logger.warning("snapshot", result="cut-off", tenant=tenant)
        return Json({"error": "cut-off"}, 408, {"connection": "close"})
    try:
        result = await _take(service, tenant, body, received)
    except StoreUnavailable as error:
        logger.error("snapshot", result="unavailable", tenant=tenant, error=str(error))
        headers = {name.decode(): value.decode() for name, value in RETRY_AFTER}
        return Json({"error": "unavailable"}, 503, headers)
    request.scope["said"] |= _said(result.content)
    return Json(result.content, result.status)


async def _take(service: Service, tenant: str, body: bytes, received: int) -> _Answer:
    try:
        value, _ = canonical.parse(body)
        parts = snapshots.split(value)
    except InvalidJson as error:
        # Nothing of it is kept: what cannot be read cannot be freed of names and addresses.
        kept = await _bury(service, tenant, "invalid-json", str(error), body, None, received)
        service.counts.snapshots["invalid-json",] += 1
        return _Answer(400, {"error": "invalid-json", "detail": str(error), **kept})
    except UnusableEvent as error:
        kept = await _bury(service, tenant, error.reason, error.detail, body, None, received)
        service.counts.snapshots["quarantined",] += 1
        return _quarantined(error.reason, error.detail, kept)
    answers = await asyncio.gather(*(take_in(service, tenant, part, received, POSTED) for part in parts))
    if not snapshots.is_search(value):
        return answers[0]
    return _summary(answers)


async def take_in(service: Service, tenant: str, part: Sanitised, received: int, came_as: str) -> _Answer:
    """Take one snapshot in, `posted` or `fetched`: what became of it. Raises `StoreUnavailable`."""
    answer = await _taken_in(service, tenant, part, received, came_as)
    service.counts.snapshots[answer.content["result"],] += 1
    return answer


async def _taken_in(service: Service, tenant: str, part: Sanitised, received: int, came_as: str) -> _Answer:
    async def bury(reason: str, detail: str, reference: str | None) -> dict[str, Any]:
        return await _bury(service, tenant, reason, detail, part.text, part.text, received, reference, came_as)

    try:
        event = snapshots.classify_snapshot(part, fetched=came_as == FETCHED)
    except UnusableEvent as error:
        kept = await bury(error.reason, error.detail, error.reference)
        return _quarantined(error.reason, error.detail, kept)
    if isinstance(event, ExampleEvent):
        service.counts.test_notifications += 1
        return _Answer(200, {"result": "test"})
    outcome, spooled = await service.door.event(Incoming(tenant, event, received, came_as))
    if outcome.result is Result.ORDER_FULL:
        return _quarantined("order-limit", FULL, await bury("order-limit", FULL, event.reference))
    if outcome.collision:
        service.counts.id_collisions += 1
    content: dict[str, Any] = {"result": "accepted", "event": event.identity}
    return _Answer(200, content | {"spooled": True} if spooled else content)


def _summary(answers: list[_Answer]) -> _Answer:
    """One answer for a search response: 202 if any of its orders was quarantined, and what became of each."""
    results = Counter(answer.content["result"] for answer in answers)
    result = "quarantined" if results["quarantined"] else "accepted" if results["accepted"] or not results else "test"
    status = max((answer.status for answer in answers), default=200)
    return _Answer(status, {"result": result, "snapshots": [answer.content for answer in answers]})


def _said(content: dict[str, Any]) -> dict[str, Any]:
    """What the request's log line says of an answer."""
    said = {"result": content.get("result", content.get("error"))}
    if "event" in content:
        said["identity"] = content["event"]
    if "snapshots" in content:
        said["identities"] = [each.get("event") for each in content["snapshots"][:20]]
    return said


def _quarantined(reason: str, detail: str, kept: dict[str, Any]) -> _Answer:
    return _Answer(202, {"result": "quarantined", "reason": reason, "detail": detail, **kept})


async def _bury(
    service: Service,
    tenant: str,
    reason: str,
    detail: str,
    body: bytes,
    payload: bytes | None,
    received: int,
    reference: str | None = None,
    came_as: str = POSTED,
) -> dict[str, Any]:
    letter = DeadLetter(
        letter_id(tenant, body, came_as), tenant, reason, detail, payload, received, reference, came_as=came_as
    )
    spooled = await service.door.letter(letter)
    service.counts.quarantined[reason,] += 1
    return {"deadLetter": letter.id, "spooled": True} if spooled else {"deadLetter": letter.id}
