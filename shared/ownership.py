"""Whose order is it? One key may reach many customers' orders: a tenant is shown its own, and told nothing of the others.

An order is a tenant's if it was submitted here, if its `customerReferenceId` is the tenant's, or if it is named in one of
the tenant's documents. Not if another tenant submitted it. A tenant may post snapshots, and so write any order's id into a
document of its own; where the order API says that the order is another customer's, only what Gelato itself told us counts.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import orjson

from shared.errors import GelatoRollupError
from shared.events import optional_text
from shared.facts import POSTED, read_facts
from shared.schema import Document
from shared.store import AsyncStore, orders, submissions
from shared.store.records import Record
from shared.tenants import Tenant


class Claimant(NamedTuple):
    """Who says that orders are its own."""

    tenant: Tenant
    #: Whether a customer reference is that of another tenant who sees the same orders.
    is_anothers: Callable[[str], bool]
    #: Whether an order that nobody else claims may be taken for this tenant's: reconciliation finds what was never heard of.
    #: Only where no other tenant sees the same orders.
    finds: bool = False


async def owned(
    store: AsyncStore,
    claimant: Claimant,
    found: Sequence[Mapping[str, Any]],
    documents: Mapping[str, Document] | None = None,
) -> list[bool]:
    """Which of some orders of the order API are a tenant's, two round trips for all of them. Raises `StoreUnavailable`.

    `documents`: those of the orders' references, where the caller has them already.
    """
    tenant = claimant.tenant
    ids = [optional_text(order.get("id")) or "" for order in found]
    references = [optional_text(order.get("orderReferenceId")) or "" for order in found]
    submitters = await store.run(submissions.submitters(ids))
    # Asked whether needed or not: an order that is not the tenant's must not be told by the time that its answer takes.
    if documents is None:
        documents = await _documents(store, tenant, references)
    verdicts = []
    for order, order_id, reference, by in zip(found, ids, references, submitters, strict=True):
        customer = optional_text(order.get("customerReferenceId"))
        named = reference in documents and order_id in documents[reference]["connectedOrderIds"]
        if by:
            verdict = tenant.name in by
        elif customer is not None and customer == tenant.customer_reference:
            verdict = True
        elif customer is not None and claimant.is_anothers(customer):
            verdict = False
        elif customer is not None and tenant.customer_reference is not None:
            verdict = named and await _told_by_gelato(store, tenant, order_id, reference)
        else:
            verdict = named or claimant.finds
        verdicts.append(verdict)
    return verdicts


async def _documents(store: AsyncStore, tenant: Tenant, references: Sequence[str]) -> dict[str, Document]:
    different = list(dict.fromkeys(references))
    raw = await store.run(orders.documents(tenant.name, different))
    return {reference: orjson.loads(each) for reference, each in zip(different, raw, strict=True) if each is not None}


async def _told_by_gelato(store: AsyncStore, tenant: Tenant, order_id: str, reference: str) -> bool:
    """Whether a webhook, or an answer that was fetched, named an order as part of a tenant's order."""
    return any(_names(record, order_id) for record in await store.run(orders.log(tenant.name, reference)))


def _names(record: Record, order_id: str) -> bool:
    if not record.is_event or record.came_as == POSTED:
        return False
    try:
        facts = read_facts(record.text, record.came_as, record.received)
    except GelatoRollupError:
        return False
    return order_id == facts.order_id or order_id in facts.connected
