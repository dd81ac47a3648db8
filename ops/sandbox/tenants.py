"""From the service's own tenants to the sandbox's customers, and a tenants file to begin with."""

import secrets
from collections.abc import Iterable
from urllib.parse import urlsplit

from ops.sandbox.client import connector_urls
from ops.sandbox.options import Customer, Via
from ops.simulator.courier import Target
from shared.errors import ConfigurationError
from shared.settings import DEFAULT_TENANT
from shared.tenants import Tenant

#: The key of a tenant that has none of its own.
KEY = "sandbox-key:sandbox-secret"
_DEMO = (("acme", "913818322"), ("globex", "770011223"))


def customers_of(tenants: Iterable[Tenant], webhook_url: str, secret: str | None = None) -> tuple[Customer, ...]:
    """The customers that these tenants are: at the connector, or at the order API v4 where `api.url` says so.

    A tenant without `api` and `customer_reference` is none, but for the default one if there is no other. `webhook_url`:
    the default tenant's, the others' names follow it; without a path, the receiver's own is meant. `secret`: for tenants
    that have none. Raises ConfigurationError.
    """
    if urlsplit(webhook_url).scheme not in ("http", "https"):
        raise ConfigurationError("--webhook-url must begin with http:// or https://, e.g. http://127.0.0.1:8000")
    base = webhook_url.rstrip("/")
    if not urlsplit(base).path:
        base += "/webhooks/gelato"
    tenants = list(tenants)
    named = [tenant for tenant in tenants if tenant.api.urls or tenant.api.key or tenant.customer_reference]
    return tuple(
        Customer(tenant.name, _via(tenant), tenant.api.key.reveal() if tenant.api.key else KEY, tenant.customer_reference,
                 _target(tenant, base, secret))
        for tenant in named or [tenant for tenant in tenants if tenant.name == DEFAULT_TENANT]
    )  # fmt: skip


def tenants_file(base: str) -> str:
    """A tenants file with two customers of the sandbox at `base`, with secrets made anew."""
    urls = "".join(f'{name} = "{url}"\n' for name, url in connector_urls(base).items())
    return "\n".join(
        f'[{name}]\nsecrets = ["{secrets.token_urlsafe(24)}"]\ntenant_tokens = ["{secrets.token_urlsafe(24)}"]\n'
        f'customer_reference = "{reference}"\n[{name}.api]\nkey = "{KEY}"\n{urls}'
        for name, reference in _DEMO
    )


def _via(tenant: Tenant) -> Via:
    if "url" in tenant.api.urls or tenant.customer_reference is None:
        return "v4"
    return "connector"


def _target(tenant: Tenant, base: str, secret: str | None) -> Target | None:
    known = tenant.secrets[0].reveal() if tenant.secrets else secret
    if known is None:
        return None
    return Target(base if tenant.name == DEFAULT_TENANT else f"{base}/{tenant.name}", tenant.header, known)
