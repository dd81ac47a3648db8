"""Comparing orders with the order API, and folding what it knows better.

Per lot of some dozens of orders: their documents, one search (in pages), a `get` only where the summary shows that the
document lacks something (`worker.comparing`); then the answers go the way of every event, through the intake.
"""

import asyncio
from collections.abc import AsyncIterator, Coroutine, Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

import orjson

from shared import log
from shared.events import Usable
from shared.facts import FETCHED
from shared.orderapi import Page, pages
from shared.rollup import State
from shared.schema import Document
from shared.statuses import normalise
from shared.store import AsyncStore, folding, intake, keys, orders, records
from shared.store.folding import Loaded
from shared.store.intake import Incoming, Result
from shared.store.records import Record
from shared.store.stored import Stored, decode
from worker.advance import Policy, advance
from worker.asking import Asker, Lot, Summary
from worker.comparing import IN_DOUBT, differ, heard_of, lacks, lists_items, siblings, tells_of_siblings

logger = log.get("worker.reconcile")

#: After so many gets what they told is folded: a lot that is broken off loses no more.
_PART: Final = 20


class Healer:
    """Compares one tenant's orders with its order API."""

    def __init__(self, store: AsyncStore, asker: Asker, policy: Policy) -> None:
        self._store = store
        self._asker = asker
        self._tenant = asker.tenant
        self._policy = policy
        #: What became of the present lot so far.
        self.lot = Lot()

    def pages(self, query: Mapping[str, Any], offset: int) -> AsyncIterator[Page]:
        """The pages of a search, for `by_page`."""
        return pages(self._asker.api, query, offset=offset)

    async def by_references(self, references: Sequence[str]) -> Lot:
        """Compare some orders, a lot of them at most. Raises what the client raises; `lot` then says what was done."""
        lot = self.lot = Lot(looked_at=set(references))
        documents = await self._documents(references)
        summaries = await self._asker.search(references, documents, lot)
        lot.missing = {reference for reference in references if not summaries[reference]}
        unseen = {
            reference: {each for one in found.values() for each in siblings(one.event)}
            - found.keys()
            - heard_of(documents.get(reference))
            for reference, found in summaries.items()
        }
        await self._heal(summaries, documents, unseen, lot)
        return lot

    async def by_page(self, page: Page) -> Lot:
        """Compare the orders of one page of a search. Raises what the client raises; `lot` then says what was done."""
        references = {str(order.get("orderReferenceId", "")) for order in page.orders} - {""}
        documents = await self._documents(sorted(references))
        summaries = await self._asker.of_page(page, documents)
        lot = self.lot = Lot(searches=1, looked_at=set(summaries))
        await self._heal(summaries, documents, {}, lot)
        return lot

    async def _documents(self, references: Sequence[str]) -> dict[str, Document]:
        raw = await self._store.run(orders.documents(self._tenant.name, references)) if references else []
        return {
            reference: orjson.loads(each) for reference, each in zip(references, raw, strict=True) if each is not None
        }

    async def _heal(
        self,
        summaries: Mapping[str, Mapping[str, Summary]],
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
            answers = await _all(self._asker.get(lot, *each, documents.get(each[0])) for each in asked)
            learnt = {}
            for (reference, _), incoming in zip(asked, answers, strict=True):
                learnt.setdefault(reference, []).extend(incoming)
            lot.healed |= await self._fold({reference: each for reference, each in learnt.items() if each})

    async def _is_told(self, summary: Usable) -> bool:
        """Whether the log holds all parcels of a connected order at the status that a summary says."""
        log = await self._store.run(orders.log(self._tenant.name, summary.reference))
        return lists_items(log, summary.order_id, normalise(summary.content["fulfillmentStatus"]))

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
                await self._asker.bury("order-limit", detail, each.event.text, each.received, each.event.reference)
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
