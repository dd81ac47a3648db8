"""Which orders a tenant is shown, and which customer it may name, where it asks the order API through this service."""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from receiver.service import Service
from shared import ownership
from shared.tenants import Tenant


async def owned(service: Service, tenant: Tenant, found: Sequence[Mapping[str, Any]]) -> list[bool]:
    """Which of some orders are the tenant's, two round trips for all of them. Raises `StoreUnavailable`."""
    claimant = ownership.Claimant(tenant, partial(is_anothers, service, tenant))
    return await ownership.owned(service.store, claimant, found)


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
