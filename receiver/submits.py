"""Submitting an order once, however often it is asked for. This is the story of an `Idempotency-Key`.

1. It is claimed before anything is sent. Who comes with it meanwhile gets 409; with another order, 422.
2. The order is sent. Its answer settles the key: done, with the order's id and nothing else; or free again, if the order
   was certainly not taken.
3. No answer: nobody knows. The next who comes with the key, a while later, searches for the order first. Found: that is
   the answer. Not found: it is sent. A process that dies between 1 and 2 leaves a claim that runs out; then the same holds.

A key that is done is answered with the order as it is now. With or without a key, each submit is noted before it is sent:
if its answer is lost, reconciliation searches for it.
"""

import hashlib
import math
import time
import uuid
from typing import Any, Final, NamedTuple

from receiver.ownership import is_anothers
from receiver.routes import Refused
from receiver.service import Service
from shared import log
from shared.clock import parse_time
from shared.errors import InvalidJson, OrderApiError, StoreUnavailable, UnusableEvent
from shared.events import optional_text
from shared.orderapi import Answer, OrderApi, OutcomeUnknown
from shared.store import submissions
from shared.store.calls import Operation
from shared.store.submissions import Begun, Found, Times
from shared.tenants import Tenant

logger = log.get("receiver.submits")

#: A claim outlives all that its holder may do: search, submit and get, each at most one and a half timeouts.
_CLAIM_TIMEOUTS: Final = 6
#: The API's clock and ours may differ by so much: an order made earlier than that is not the one that was submitted.
_CLOCKS_US: Final = 300_000_000


class Order(NamedTuple):
    """An order to submit: the body to send, its reference, and a digest of what it says."""

    body: bytes
    reference: str
    digest: bytes


def order_of(body: bytes, canonical_text: bytes, content: dict[str, Any]) -> Order:
    """The order in a body."""
    digest = hashlib.blake2b(canonical_text, digest_size=16).digest()
    return Order(body, optional_text(content.get("orderReferenceId")) or "", digest)


class Submit:
    """One request to submit an order."""

    def __init__(self, service: Service, tenant: Tenant, api: OrderApi, order: Order, key: str | None) -> None:
        self._service = service
        self._tenant = tenant
        self._api = api
        self._order = order
        self._claim = uuid.uuid4().hex
        self._name = None if key is None else submissions.submit_name(tenant.name, key)
        #: Whether the answer is of an order that was submitted before.
        self.repeated = False

    async def answer(self) -> Answer:
        """The API's answer. Raises `OrderApiError`, `Refused`, and `StoreUnavailable` where a key cannot be claimed."""
        if self._name is None:
            return await self._send()
        settings = self._service.settings
        times = Times(
            settings.api_timeout_seconds * _CLAIM_TIMEOUTS, settings.api_settle_seconds, settings.open_retention_days
        )
        begun = await self._service.store.run(submissions.begin(self._name, self._order.digest, self._claim, times))
        if begun.found is Found.OTHER:
            detail = "Idempotency-Key: was used for another order"
            raise Refused(422, {"error": "idempotency-key-reused", "detail": detail})
        if begun.found is Found.BUSY:
            detail = "this order is being submitted, or its outcome is not known yet"
            headers = {"retry-after": str(math.ceil(begun.wait_seconds))}
            raise Refused(409, {"error": "in-progress", "detail": detail}, headers)
        if begun.found is Found.DONE:
            self.repeated = True
            return await self._api.get(begun.order_id)
        if begun.found is Found.UNKNOWN and (order_id := await self._search(begun)) is not None:
            self.repeated = True
            return await self._api.get(order_id)
        return await self._send()

    async def _send(self) -> Answer:
        order, tenant = self._order, self._tenant.name
        if order.reference:
            noted = submissions.note(tenant, order.reference, self._claim, time.time_ns() // 1_000_000)
            await self._keep(noted)
        try:
            answer = await self._api.submit(order.body)
        except OutcomeUnknown:
            await self._end(submissions.unknown)
            raise
        except OrderApiError:
            await self._end(submissions.not_taken)
            await self._settled()
            raise
        if not answer.is_success:
            await self._end(submissions.not_taken)
            await self._settled()
            return answer
        ids = _ids(answer)
        if not ids:  # taken, most likely, and nobody knows as what
            await self._end(submissions.unknown)
            return answer
        await self._taken(ids)
        return answer

    async def _search(self, begun: Begun) -> str | None:
        """The id of the order that an unanswered submit has made, if it has. The claim is given back if that fails."""
        try:
            answer = await self._api.search({"orderReferenceIds": [self._order.reference]})
            if not answer.is_success:
                raise OutcomeUnknown(f"the search for the order was answered with {answer.status}", answer.status)
            found = [order for order in answer.orders() if self._may_be(order, begun.since_us)]
            ids = [str(order["id"]) for order in found]
            known = await self._service.store.run(submissions.submitters(ids))
        except (InvalidJson, UnusableEvent):
            await self._end(submissions.unknown)
            raise OutcomeUnknown("the search for the order was answered with something else") from None
        except (OrderApiError, StoreUnavailable):
            await self._end(submissions.unknown)
            raise
        # One that was submitted here before is the answer to another submit.
        new = [each for each, submitters in zip(ids, known, strict=True) if not submitters]
        if not new:
            return None
        await self._taken(new)
        return new[0]

    def _may_be(self, order: dict[str, Any], since_us: int) -> bool:
        customer = optional_text(order.get("customerReferenceId"))
        ours = self._tenant.customer_reference
        if customer is not None and is_anothers(self._service, self._tenant, customer):
            return False
        created = parse_time(order.get("createdAt"))
        return (
            optional_text(order.get("id")) is not None
            and optional_text(order.get("orderReferenceId")) == self._order.reference
            and (ours is None or customer in (None, ours))
            and (created is None or created >= since_us - _CLOCKS_US)
        )

    async def _taken(self, ids: list[str]) -> None:
        """The order was taken as the first of these ids; the others are its siblings."""
        kept_days = self._service.settings.open_retention_days
        await self._keep(submissions.remember(self._tenant.name, ids, self._name or "", kept_days))
        if self._name is not None:
            await self._keep(submissions.done(self._name, self._claim, ids[0]))
        await self._settled()

    async def _settled(self) -> None:
        await self._keep(submissions.settle(self._tenant.name, self._order.reference, self._claim))

    async def _end(self, how: Any) -> None:
        if self._name is not None:
            await self._keep(how(self._name, self._claim))

    async def _keep(self, operation: Operation[None]) -> None:
        """Note something, if that can be done: the caller's answer does not depend on it.

        What is not noted is found out: a claim runs out and is searched for, an order's own document names it.
        """
        try:
            await self._service.store.run(operation)
        except StoreUnavailable as error:
            logger.error("a submit could not be noted", tenant=self._tenant.name, error=str(error))


def _ids(answer: Answer) -> list[str]:
    """The id of the order that was made, and those of its siblings."""
    try:
        (order,) = answer.orders()
    except (InvalidJson, UnusableEvent, ValueError):
        return []
    order_id = optional_text(order.get("id"))
    if order_id is None:
        return []
    connected = order.get("connectedOrderIds")
    siblings = [text for each in connected if (text := optional_text(each))] if isinstance(connected, list) else []
    return list(dict.fromkeys([order_id, *siblings]))
