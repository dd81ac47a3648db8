"""Where a tenant's orders are asked for: the URLs and headers of Gelato's order API, or of a GelatoConnect connector.

The two differ in their URLs alone. Source: GELATO.md (*The order API*, *GelatoConnect's customer-agnostic connector*).
"""

import hashlib
from dataclasses import dataclass
from typing import Final
from urllib.parse import quote, urlsplit, urlunsplit

from shared.orderapi.errors import NotConfigured
from shared.secret import Secret
from shared.tenants import Tenant

KEY_HEADER: Final = "X-API-KEY"
CUSTOMER_HEADER: Final = "Customer-Reference-ID"
_PLACEHOLDER: Final = "{orderId}"


@dataclass(frozen=True)
class Upstream:
    """One tenant's way to its orders. `name` stands for the key where calls are counted, and does not tell it."""

    submit_url: str
    get_url: str
    search_url: str
    key: Secret
    customer_reference: str | None

    @property
    def name(self) -> str:
        """Eight bytes, hexadecimal: the same for all tenants that share a key."""
        return hashlib.blake2b(self.key.reveal().encode(), digest_size=8).hexdigest()

    def url_of(self, order: str) -> str:
        """The URL of one order, by its id (of a connector: or its reference)."""
        escaped = quote(order, safe="")
        if _PLACEHOLDER in self.get_url:
            return self.get_url.replace(_PLACEHOLDER, escaped)
        parts = urlsplit(self.get_url)
        return urlunsplit(parts._replace(path=f"{parts.path.rstrip('/')}/{escaped}"))

    def headers(self) -> dict[str, str]:
        """The headers of each call: made when it is sent, and kept nowhere."""
        headers = {KEY_HEADER: self.key.reveal()}
        if self.customer_reference is not None:
            headers[CUSTOMER_HEADER] = self.customer_reference
        return headers


def can_be_asked_for(order: str) -> bool:
    """Whether a text can be an order's id or reference in a URL: none that could lead to another path."""
    parts = order.replace("\\", "/").split("/")
    return 0 < len(order) <= 255 and not any(part in (".", "..") for part in parts)


def upstream_of(tenant: Tenant) -> Upstream:
    """A tenant's upstream. Raises `NotConfigured`."""
    key, urls = tenant.api.key, tenant.api.urls
    if key is None:
        raise NotConfigured(
            f"tenant {tenant.name} has no order API: set [{tenant.name}.api] key in GELATO_TENANTS_FILE"
        )
    if "submit_url" in urls:
        return Upstream(urls["submit_url"], urls["get_url"], urls["search_url"], key, tenant.customer_reference)
    base = urls["url"].rstrip("/")
    orders = f"{base}/v4/orders"
    return Upstream(orders, orders, f"{orders}:search", key, tenant.customer_reference)
