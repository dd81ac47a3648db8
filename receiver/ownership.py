"""Whose order is it? One key may reach many customers' orders: a tenant is shown its own, and told nothing of the others.

An order is a tenant's if it was submitted here, if its `customerReferenceId` is the tenant's, or if it is named in one of
the tenant's documents. Not if another tenant submitted it. A tenant may post snapshots, and so write any order's id into a
document of its own; where the order API says that the order is another customer's, only what Gelato itself told us counts.
"""

from collections.abc import Sequence
from typing import Any

import orjson

from receiver.service import Service
from shared.errors import GelatoRollupError
from shared.events import optional_text
from shared.facts import POSTED, read_facts
from shared.store import orders, submissions
from shared.store.records import Record
from shared.tenants import Tenant


def text_of(order: dict[str, Any], field: str) -> str | None:
    """An id or reference of an order as the API has it."""
    return optional_text(order.get(field))


async def owned(service: Service, tenant: Tenant, found: Sequence[dict[str, Any]]) -> list[bool]:
    """Which of some orders are the tenant's, two round trips for all of them. Raises `StoreUnavailable`."""
    ids = [text_of(order, "id") or "" for order in found]
    references = [text_of(order, "orderReferenceId") or "" for order in found]
    submitters = await service.store.run(submissions.submitters(ids))
    # Asked whether needed or not: an order that is not the tenant's must not be told by the time that its answer takes.
    named = await _named(service, tenant, ids, references)
    verdicts = []
    for n, order in enumerate(found):
        customer = text_of(order, "customerReferenceId")
        if tenant.name in submitters[n]:
            verdict = True
        elif submitters[n] or not ids[n]:
            verdict = False
        elif customer is not None and customer == tenant.customer_reference:
            verdict = True
        elif customer is not None and is_anothers(service, tenant, customer):
            verdict = False
        elif customer is not None and tenant.customer_reference is not None:
            verdict = named[n] and await _told_by_gelato(service, tenant, ids[n], references[n])
        else:
            verdict = named[n]
        verdicts.append(verdict)
    return verdicts


def customer_to_send(service: Service, tenant: Tenant, customer: str) -> str | None:
    """The `customerReferenceId` to submit where the caller named one: never another tenant's.

    In an account of its own a tenant may name whom it likes: there it is the merchant's own customer.
    """
    if "url" in tenant.api.urls and not service.access.shares_key(tenant):
        return customer
    if tenant.customer_reference is not None:
        return tenant.customer_reference
    return None if is_anothers(service, tenant, customer) else customer


def shares_account(service: Service, tenant: Tenant) -> bool:
    """Whether other tenants ask the order API with the same key; a connector is asked for one customer alone."""
    return "url" in tenant.api.urls and service.access.shares_key(tenant)


def is_anothers(service: Service, tenant: Tenant, customer: str) -> bool:
    """Whether a customer reference is another tenant's that is asked for with the same key."""
    return service.access.is_anothers(tenant, customer)


async def _named(service: Service, tenant: Tenant, ids: Sequence[str], references: Sequence[str]) -> list[bool]:
    different = list(dict.fromkeys(references))
    documents = await service.store.run(orders.documents(tenant.name, different)) if different else []
    named = {
        reference: set(orjson.loads(raw)["connectedOrderIds"]) if raw is not None else set()
        for reference, raw in zip(different, documents, strict=True)
    }
    return [order_id in named[reference] for order_id, reference in zip(ids, references, strict=True)]


async def _told_by_gelato(service: Service, tenant: Tenant, order_id: str, reference: str) -> bool:
    """Whether a webhook, or an answer that was fetched, named an order as part of a tenant's order."""
    return any(_names(record, order_id) for record in await service.store.run(orders.log(tenant.name, reference)))


def _names(record: Record, order_id: str) -> bool:
    if not record.is_event or record.came_as == POSTED:
        return False
    try:
        facts = read_facts(record.text, record.came_as, record.received)
    except GelatoRollupError:
        return False
    return order_id == facts.order_id or order_id in facts.connected
