"""Comparing orders with the order API, and folding what it knows better.

Per lot of some dozens of orders: their documents, one search (in pages), a `get` only where the summary shows that the
document lacks something (`worker.comparing`); then the answers go the way of every event, through the intake.
"""

import asyncio
from collections.abc import Coroutine, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

import orjson

from shared import log, snapshots
from shared.errors import UnusableEvent
from shared.events import Usable, optional_text
from shared.facts import FETCHED
from shared.orderapi import Answer, Broken, OrderApi, Page, pages, to_fold
from shared.rollup import State
from shared.schema import Document
from shared.statuses import normalise
from shared.store import AsyncStore, dead_letters, folding, intake, keys, orders, records, submissions
from shared.store.dead_letters import DeadLetter, letter_id
from shared.store.folding import Loaded
from shared.store.intake import Incoming, Result
from shared.store.reconciling import Counts
from shared.store.records import Record
from shared.store.stored import Stored, decode
from shared.tenants import Tenant
from worker.advance import Policy, advance
from worker.comparing import IN_DOUBT, differ, lacks, lists_items, siblings, tells_of_siblings

logger = log.get("worker.reconcile")

#: So many gets may be on their way at once.
_AT_ONCE: Final = 4
#: After so many gets what they told is folded: a lot that is broken off loses no more.
_PART: Final = 20
_NOT_FOUND: Final = 404


class _Summary(NamedTuple):
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

    @property
    def counts(self) -> Counts:
        """As numbers."""
        return Counts(0, len(self.looked_at), self.searches, self.gets, len(self.healed), len(self.missing))


class Healer:
    """Compares one tenant's orders with its order API.

    `others`: the tenants that use the same key, and so see the same orders.
    """

    def __init__(
        self, store: AsyncStore, api: OrderApi, tenant: Tenant, policy: Policy, others: Sequence[Tenant] = ()
    ) -> None:
        self._store = store
        self.api = api
        self._tenant = tenant
        self._policy = policy
        self._alone = not others
        self._others = {each.customer_reference for each in others} - {None}
        self._turns = asyncio.Semaphore(_AT_ONCE)
        #: What became of the present lot so far.
        self.lot = Lot()

    async def by_references(self, references: Sequence[str]) -> Lot:
        """Compare some orders, a lot of them at most. Raises what the client raises; `lot` then says what was done."""
        lot = self.lot = Lot(looked_at=set(references))
        documents = await self._documents(references)
        summaries: dict[str, dict[str, _Summary]] = {reference: {} for reference in references}
        async for page in pages(self.api, {"orderReferenceIds": list(references)}):
            lot.searches += 1
            for reference, found in (await self._of_page(page, documents)).items():
                summaries.setdefault(reference, {}).update(found)
        lot.missing = {reference for reference in references if not summaries[reference]}
        unseen = {
            reference: {each for one in found.values() for each in siblings(one.event)} - found.keys()
            for reference, found in summaries.items()
        }
        await self._heal(summaries, documents, unseen, lot)
        return lot

    async def by_page(self, page: Page) -> Lot:
        """Compare the orders of one page of a search. Raises what the client raises; `lot` then says what was done."""
        references = {str(order.get("orderReferenceId", "")) for order in page.orders} - {""}
        documents = await self._documents(sorted(references))
        summaries = await self._of_page(page, documents)
        lot = self.lot = Lot(searches=1, looked_at=set(summaries))
        await self._heal(summaries, documents, {}, lot)
        return lot

    async def _documents(self, references: Sequence[str]) -> dict[str, Document]:
        raw = await self._store.run(orders.documents(self._tenant.name, references)) if references else []
        return {
            reference: orjson.loads(each) for reference, each in zip(references, raw, strict=True) if each is not None
        }

    async def _of_page(self, page: Page, documents: Mapping[str, Document]) -> dict[str, dict[str, _Summary]]:
        """The usable summaries of a page that are this tenant's, by reference and order id."""
        found: dict[str, dict[str, _Summary]] = {}
        for order in await self._ours(page.orders, documents):
            part = snapshots.sanitise(order)
            try:
                event = snapshots.classify_snapshot(part, fetched=True)
            except UnusableEvent as error:
                await self._bury(error.reason, error.detail, part.text, page.answer.received, error.reference)
                continue
            if isinstance(event, Usable):
                found.setdefault(event.reference, {})[event.order_id] = _Summary(event, page.answer.received)
        return found

    async def _heal(
        self,
        summaries: Mapping[str, Mapping[str, _Summary]],
        documents: Mapping[str, Document],
        unseen: Mapping[str, Iterable[str]],
        lot: Lot,
    ) -> None:
        """Ask for what the documents lack, and fold it."""
        flat = [each for found in summaries.values() for each in found.values()]
        known = await self._store.run(
            intake.contents(self._tenant.name, [(each.event.reference, each.event.identity) for each in flat])
        )
        to_ask: dict[str, list[str]] = {reference: sorted(ids) for reference, ids in unseen.items()}
        learnt: dict[str, list[Incoming]] = {}
        for each, digests in zip(flat, known, strict=True):
            reference = each.event.reference
            why = lacks(documents.get(reference), each.event, digests)
            if why == IN_DOUBT and await self._is_told(each.event):
                why = None
            if why is not None:
                to_ask.setdefault(reference, []).append(each.event.order_id)
                logger.debug("to be asked for", tenant=self._tenant.name, order=reference, why=why)
        for each in flat:
            document = documents.get(each.event.reference)
            if document and not to_ask.get(each.event.reference) and tells_of_siblings(document, each.event):
                learnt[each.event.reference] = [Incoming(self._tenant.name, each.event, each.received, FETCHED)]
        lot.healed |= await self._fold(learnt)
        for some in _in_parts(to_ask):
            asked = [(reference, order_id) for reference, ids in some.items() for order_id in ids]
            lot.gets += len(asked)
            answers = await _all(self._ask(*each, documents.get(each[0])) for each in asked)
            learnt = {}
            for (reference, _), incoming in zip(asked, answers, strict=True):
                learnt.setdefault(reference, []).extend(incoming)
            lot.healed |= await self._fold({reference: each for reference, each in learnt.items() if each})

    async def _is_told(self, summary: Usable) -> bool:
        """Whether the log holds all parcels of a connected order at the status that a summary says."""
        log = await self._store.run(orders.log(self._tenant.name, summary.reference))
        return lists_items(log, summary.order_id, normalise(summary.content["fulfillmentStatus"]))

    async def _ask(self, reference: str, order_id: str, document: Document | None) -> list[Incoming]:
        """All that the API knows of one connected order, as events; nothing where it does not know it, or it is not ours."""
        async with self._turns:
            answer = await self.api.get(order_id)
        if not answer.is_success:
            if answer.status != _NOT_FOUND:
                raise Broken(f"a get was answered with {answer.status}", answer.status)
            logger.warning("the order API does not know an order that it named", tenant=self._tenant.name, id=order_id)
            return []
        found = _orders(answer)
        if len(await self._ours(found, {} if document is None else {reference: document})) < len(found):
            logger.warning("the order API gave another customer's order", tenant=self._tenant.name, id=order_id)
            return []
        folded = to_fold(self._tenant.name, answer)
        for part, error in folded.unusable:
            await self._bury(error.reason, error.detail, part.text, answer.received, error.reference)
        return [each for each in folded.incoming if each.event.reference == reference]

    async def _fold(self, learnt: Mapping[str, list[Incoming]]) -> set[str]:
        """Give answers to the intake; the orders whose documents they change."""
        if not learnt:
            return set()
        names = [keys.order_name(self._tenant.name, reference) for reference in learnt]
        loaded = await self._store.run(folding.load(names))
        events = [each for incoming in learnt.values() for each in incoming]
        outcomes = await self._store.run(intake.accept(events, cluster=self._store.cluster))
        refused: set[str] = set()
        for each, outcome in zip(events, outcomes, strict=True):
            if outcome.result is Result.ORDER_FULL:
                detail = "order: has as many events as an order may have"
                await self._bury("order-limit", detail, each.event.text, each.received, each.event.reference)
            if outcome.result is not Result.ACCEPTED:
                refused.add(each.event.reference)
                if outcome.refusal:
                    logger.error("an answer was refused", tenant=self._tenant.name, why=outcome.refusal)
        healed = set()
        for (reference, incoming), order in zip(learnt.items(), loaded, strict=True):
            if reference not in refused and self._changes(reference, order, incoming):
                healed.add(reference)
                logger.info("healed", tenant=self._tenant.name, order=reference)
        return healed

    def _changes(self, reference: str, order: Loaded, incoming: Sequence[Incoming]) -> bool:
        """Whether answers change what an order's document says, beside what waits to be folded anyway."""
        stored = decode(order.stored) if order.stored else Stored(State())
        if stored is None:
            return False  # of another version: there is nothing to compare with until it was folded again
        now_us = max(each.received for each in incoming)
        waiting = list(records.read(order.records))
        fetched = [Record(records.letter_of(FETCHED), each.received, each.event.text) for each in incoming]
        before = advance(self._tenant.name, reference, stored, waiting, now_us, self._policy)
        said = before.document
        after = advance(self._tenant.name, reference, before.stored, fetched, now_us, self._policy)
        return differ(said, after.document)

    async def _ours(self, found: Sequence[dict[str, Any]], documents: Mapping[str, Document]) -> list[dict[str, Any]]:
        """Those of some orders of the API that are this tenant's."""
        ids = [optional_text(order.get("id")) or "" for order in found]
        submitters = await self._store.run(submissions.submitters(ids))
        return [
            order
            for order, order_id, by in zip(found, ids, submitters, strict=True)
            if (self._tenant.name in by if by else self._is_ours(order, order_id, documents))
        ]

    def _is_ours(self, order: Mapping[str, Any], order_id: str, documents: Mapping[str, Document]) -> bool:
        """Whether an order that nobody submitted here is this tenant's: its customer's, or no other tenant has the key.

        Being named in the tenant's document is enough only where the API does not say that it is another customer's: a
        tenant can post snapshots, and so write any id into a document of its own.
        """
        wanted, given = self._tenant.customer_reference, optional_text(order.get("customerReferenceId"))
        if wanted is not None and given is not None:
            return given == wanted
        if self._alone:
            return True
        document = documents.get(optional_text(order.get("orderReferenceId")) or "")
        return given not in self._others and document is not None and order_id in document["connectedOrderIds"]

    async def _bury(self, reason: str, detail: str, text: bytes, received: int, reference: str | None) -> None:
        name = self._tenant.name
        logger.warning("an answer of the order API cannot be used", tenant=name, reason=reason, detail=detail)
        letter = DeadLetter(
            letter_id(name, text, FETCHED), name, reason, detail, text, received, reference, came_as=FETCHED
        )
        await self._store.run(dead_letters.bury(letter))


def _orders(answer: Answer) -> list[dict[str, Any]]:
    try:
        return answer.orders()
    except UnusableEvent as error:
        raise Broken(f"a get was answered with something else: {error}") from None


def _in_parts(to_ask: Mapping[str, list[str]]) -> Iterator[dict[str, list[str]]]:
    """What is asked for at a time: whole orders, some gets of them together, so that what is learnt is soon safe."""
    part: dict[str, list[str]] = {}
    for reference, ids in to_ask.items():
        part[reference] = ids
        if sum(map(len, part.values())) >= _PART:
            yield part
            part = {}
    if part:
        yield part


async def _all(asked: Iterable[Coroutine[Any, Any, list[Incoming]]]) -> list[list[Incoming]]:
    """All results; where one raises, the others are ended."""
    tasks = [asyncio.create_task(each) for each in asked]
    try:
        return await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
