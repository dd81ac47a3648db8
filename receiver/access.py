"""Who may do what: webhook secrets and bearer tokens, compared in constant time.

A wrong secret and an unknown tenant take the same path and the same answer. The registry is replaced as a whole when the
configuration is read again, so that a request sees the one or the other and never a mixture.
"""

import hashlib
import hmac
import os
from collections import Counter
from enum import Enum
from typing import NamedTuple

from shared.secret import Secret
from shared.tenants import Tenant, Tenants

Headers = list[tuple[bytes, bytes]]

#: Compared with when a tenant is unknown or has no secret; nobody can send it.
_NOBODYS = hashlib.sha256(os.urandom(32)).digest()


class Role(Enum):
    """What a bearer token may do, least first."""

    READ = "read"
    TENANT = "tenant"
    OPS = "ops"


class Holder(NamedTuple):
    """Who holds a token: a role, and the tenant it is for (None for an ops token: all)."""

    role: Role
    tenant: str | None

    def may_see(self, tenant: str) -> bool:
        """Whether a tenant exists, as far as this holder is to know."""
        return self.tenant is None or self.tenant == tenant


class _Door(NamedTuple):
    header: bytes
    digests: tuple[bytes, ...]


class Access:
    """The secrets and tokens in force, hashed."""

    def __init__(self, tenants: Tenants) -> None:
        self.tenants = tenants
        self._doors = {tenant.name: _door(tenant) for tenant in tenants}
        self._no_door = _Door(b"x-webhook-secret", (_NOBODYS,))
        self._tokens: list[tuple[bytes, Holder]] = []
        if tenants.ops_token is not None:
            self._tokens.append((_digest(tenants.ops_token), Holder(Role.OPS, None)))
        for tenant in tenants:
            self._tokens += [(_digest(token), Holder(Role.TENANT, tenant.name)) for token in tenant.tenant_tokens]
            self._tokens += [(_digest(token), Holder(Role.READ, tenant.name)) for token in tenant.read_tokens]
        #: By key of an order API: for which customers it is used, once per tenant (None: for none).
        self._customers: dict[Secret | None, Counter[str | None]] = {}
        for tenant in tenants:
            self._customers.setdefault(tenant.api.key, Counter())[tenant.customer_reference] += 1

    def shares_key(self, tenant: Tenant) -> bool:
        """Whether other tenants ask their order API with the same key."""
        return self._customers.get(tenant.api.key, Counter()).total() > 1

    def is_anothers(self, tenant: Tenant, customer: str) -> bool:
        """Whether a customer reference is that of another tenant with the same key."""
        own = 1 if customer == tenant.customer_reference else 0
        return self._customers.get(tenant.api.key, Counter())[customer] > own

    def knows(self, tenant: str) -> bool:
        """Whether a tenant is configured."""
        return tenant in self.tenants.by_name

    def may_post(self, tenant: str, headers: Headers) -> bool:
        """Whether a webhook carries one of its tenant's secrets, in exactly one header of the configured name."""
        door = self._doors.get(tenant, self._no_door)
        value, sent = b"", 0
        for name, text in headers:
            if name == door.header:
                value, sent = text, sent + 1
        given = hashlib.sha256(value if sent == 1 else b"").digest()
        right = False
        for known in door.digests:  # all of them, whichever is right
            right |= hmac.compare_digest(given, known)
        if door.header == b"authorization" and value[:7].lower() == b"bearer ":
            given = hashlib.sha256(value[7:].strip() if sent == 1 else b"").digest()
            for known in door.digests:
                right |= hmac.compare_digest(given, known)
        return right

    def holder(self, headers: Headers) -> Holder | None:
        """Who holds the bearer token of a request; None without a token, or with an unknown one."""
        sent = [value for name, value in headers if name == b"authorization"]
        value = sent[0] if len(sent) == 1 else b""
        token = value[7:].strip() if value[:7].lower() == b"bearer " else b""
        return self.holder_of(token) if token else None

    def holder_of(self, token: bytes) -> Holder | None:
        """Who holds a token."""
        given = hashlib.sha256(token).digest()
        matches = [holder for known, holder in self._tokens if hmac.compare_digest(given, known)]
        return matches[0] if matches else None


def _door(tenant: Tenant) -> _Door:
    return _Door(tenant.header.encode("ascii"), tuple(map(_digest, tenant.secrets)) or (_NOBODYS,))


def _digest(secret: Secret) -> bytes:
    # Hashed first: a comparison of digests tells nothing of the secret's length either.
    return hashlib.sha256(secret.reveal().encode()).digest()
