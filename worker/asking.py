"""Asking the order API about one tenant's orders, and leaving out what is not that tenant's or cannot be used."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

from shared import log, ownership, snapshots
from shared.errors import InvalidJson, OrderApiError, UnusableEvent
from shared.events import Usable
from shared.facts import FETCHED
from shared.orderapi import Answer, Broken, OrderApi, Page, TimedOut, pages, to_fold
from shared.schema import Document
from shared.store import AsyncStore, dead_letters
from shared.store.dead_letters import DeadLetter, letter_id
from shared.store.intake import Incoming
from shared.store.reconciling import Counts
from shared.tenants import Tenant

logger = log.get("worker.reconcile")

#: So many gets may be on their way at once.
_AT_ONCE: Final = 4
#: A get is given so long, waiting for its turn and repeats included. So many may fail in a lot before the API counts as
#: down: one order that it cannot give must not hold up all others.
_GET_SECONDS: Final = 30.0
_MOST_FAILED: Final = 3
_UNAUTHORIZED: Final = 401
#: Answers that say that the key is not (or no longer) right.
REFUSED_KEY: Final = (401, 403)


class Summary(NamedTuple):
    """What a search says of one connected order."""

    event: Usable
    received: int


@dataclass
class Lot:
    """What became of some orders."""

    searches: int = 0
    gets: int = 0
    looked_at: set[str] = field(default_factory=set)
    healed: set[str] = field(default_factory=set)
    missing: set[str] = field(default_factory=set)
    #: Orders of which a get has failed, and how many gets have.
    unanswered: set[str] = field(default_factory=set)
    failed: int = 0

    @property
    def counts(self) -> Counts:
        """As numbers."""
        return Counts(0, len(self.looked_at), self.searches, self.gets, len(self.healed), len(self.missing))


class Asker:
    """Asks one tenant's order API. `others`: the tenants that use the same key, and so see the same orders."""

    def __init__(self, store: AsyncStore, api: OrderApi, tenant: Tenant, others: Sequence[Tenant] = ()) -> None:
        self._store = store
        self.api = api
        self.tenant = tenant
        customers = {each.customer_reference for each in others} - {None}
        self._claimant = ownership.Claimant(tenant, customers.__contains__, finds=not others)
        self._turns = asyncio.Semaphore(_AT_ONCE)

    async def search(
        self, references: Sequence[str], documents: Mapping[str, Document], lot: Lot
    ) -> dict[str, dict[str, Summary]]:
        """The summaries of some orders. A reference that the API refuses to search for holds up no others."""
        summaries: dict[str, dict[str, Summary]] = {reference: {} for reference in references}
        try:
            async for page in pages(self.api, {"orderReferenceIds": list(references)}):
                lot.searches += 1
                for reference, found in (await self.of_page(page, documents)).items():
                    if reference in summaries:
                        summaries[reference].update(found)
        except Broken as error:
            if not is_refusal(error):
                raise
            lot.searches += 1
            if len(references) == 1:
                logger.warning("the order API refuses a search", tenant=self.tenant.name, order=references[0])
            else:
                half = len(references) // 2
                for part in (references[:half], references[half:]):
                    summaries |= await self.search(part, documents, lot)
        return summaries

    async def of_page(self, page: Page, documents: Mapping[str, Document]) -> dict[str, dict[str, Summary]]:
        """The usable summaries of a page that are this tenant's, by reference and order id."""
        found: dict[str, dict[str, Summary]] = {}
        for order in await self._ours(page.orders, documents):
            part = snapshots.sanitise(order)
            try:
                event = snapshots.classify_snapshot(part, fetched=True)
            except UnusableEvent as error:
                await self.bury(error.reason, error.detail, part.text, page.answer.received, error.reference)
                continue
            if isinstance(event, Usable):
                found.setdefault(event.reference, {})[event.order_id] = Summary(event, page.answer.received)
        return found

    async def get(self, lot: Lot, reference: str, order_id: str, document: Document | None) -> list[Incoming]:
        """All that the API knows of one connected order, as events; nothing where it does not know it, or it is not ours."""
        answer = await self._get(lot, reference, order_id)
        if answer is None:
            return []
        try:
            found = answer.orders()
        except (InvalidJson, UnusableEvent) as error:
            logger.warning("the order API gave something else", tenant=self.tenant.name, id=order_id, error=str(error))
            return []
        if len(await self._ours(found, {} if document is None else {reference: document})) < len(found):
            logger.warning("the order API gave another customer's order", tenant=self.tenant.name, id=order_id)
            return []
        folded = to_fold(self.tenant.name, answer)
        for part, why in folded.unusable:
            await self.bury(why.reason, why.detail, part.text, answer.received, why.reference)
        return [each for each in folded.incoming if each.event.reference == reference]

    async def _get(self, lot: Lot, reference: str, order_id: str) -> Answer | None:
        """The answer to a get; None where there is none for this order, while others may be answered."""
        try:
            async with self._turns, asyncio.timeout(_GET_SECONDS):
                answer = await self.api.get(order_id)
        except (Broken, TimedOut, TimeoutError) as error:
            lot.failed += 1
            lot.unanswered.add(reference)
            if lot.failed > _MOST_FAILED:
                raise error if isinstance(error, OrderApiError) else TimedOut("gets are not answered in time") from None
            logger.warning("the order API fails for an order", tenant=self.tenant.name, id=order_id, error=str(error))
            return None
        if answer.is_success:
            return answer
        if answer.status == _UNAUTHORIZED:
            raise Broken(f"a get was answered with {answer.status}", answer.status)
        logger.warning(
            "the order API does not give an order that it named",
            tenant=self.tenant.name,
            id=order_id,
            status=answer.status,
        )
        return None

    async def _ours(self, found: Sequence[dict[str, Any]], documents: Mapping[str, Document]) -> list[dict[str, Any]]:
        """Those of some orders of the API that are this tenant's."""
        verdicts = await ownership.owned(self._store, self._claimant, found, documents)
        return [order for order, ours in zip(found, verdicts, strict=True) if ours]

    async def bury(self, reason: str, detail: str, text: bytes, received: int, reference: str | None) -> None:
        """Keep what of an answer cannot be used as a dead letter; `text` is free of everything personal."""
        name = self.tenant.name
        logger.warning("an answer of the order API cannot be used", tenant=name, reason=reason, detail=detail)
        letter = DeadLetter(
            letter_id(name, text, FETCHED), name, reason, detail, text, received, reference, came_as=FETCHED
        )
        await self._store.run(dead_letters.bury(letter))


def is_refusal(error: Broken) -> bool:
    """Whether the API refused a question, and not the key: it answers others."""
    return error.status is not None and 400 <= error.status < 500 and error.status not in REFUSED_KEY
