"""A receiver between tenants and an order API: who they are, and how they ask."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import orjson

from support.gelato.upstream import KEY, Upstream
from support.processes import Receiver, receiving

#: Two customers of one connector, two shops with one account of the order API, one tenant without any API.
TENANTS = """
[acme]
secret = "acmes-secret"
read_token = "acme-reads"
tenant_token = "acme-posts"
customer_reference = "customer-a"
[acme.api]
key = "{key}"
submit_url = "{url}/connector/submit"
get_url = "{url}/connector/orders"
search_url = "{url}/connector/search"

[beta]
secret = "betas-secret"
read_token = "beta-reads"
tenant_token = "beta-posts"
customer_reference = "customer-b"
[beta.api]
key = "{key}"
submit_url = "{url}/connector/submit"
get_url = "{url}/connector/orders"
search_url = "{url}/connector/search"

[gamma]
secret = "gammas-secret"
read_token = "gamma-reads"
tenant_token = "gamma-posts"
[gamma.api]
key = "{key}"
url = "{url}"

[epsilon]
secret = "epsilons-secret"
tenant_token = "epsilon-posts"
[epsilon.api]
key = "{key}"
url = "{url}"

[delta]
secret = "deltas-secret"
tenant_token = "delta-posts"

[wrong]
secret = "wrongs-secret"
tenant_token = "wrong-posts"
customer_reference = "the merchant itself"
[wrong.api]
key = "a-key-that-is-wrong"
url = "{url}"
"""


class Intermediary:
    """Asks as a tenant's own systems would."""

    def __init__(self, receiver: Receiver, upstream: Upstream) -> None:
        self.receiver = receiver
        self.upstream = upstream

    def submit(self, reference: str = "REF-1", *, tenant: str = "acme", token: str | None = None, **more: Any) -> Any:
        key = more.pop("key", None)
        headers = {**more.pop("headers", {}), **({} if key is None else {"Idempotency-Key": key})}
        body = more.pop("body", None) or orjson.dumps(order(reference, **more))
        return self._ask("POST", "orders", tenant, token, headers, body)

    def get(self, order_id: str, *, tenant: str = "acme", token: str | None = None, **headers: str) -> httpx.Response:
        return self._ask("GET", f"orders/{order_id}", tenant, token, headers)

    def search(self, query: Any, *, tenant: str = "acme", token: str | None = None, **headers: str) -> httpx.Response:
        return self._ask("POST", "orders:search", tenant, token, headers, orjson.dumps(query))

    def _ask(
        self, method: str, path: str, tenant: str, token: str | None, headers: Any, body: bytes | None = None
    ) -> httpx.Response:
        headers = {"Authorization": f"Bearer {token or f'{tenant}-posts'}", **headers}
        url = f"/tenants/{tenant}/gelato/{path}"
        return self.receiver.client.request(method, url, content=body, headers=headers)


def order(reference: str, *, items: int = 2, **more: Any) -> dict[str, Any]:
    """A request to create an order, with a person's address in it."""
    return {
        "orderReferenceId": reference,
        "items": [{"itemReferenceId": f"item-{n}", "productUid": "mug", "quantity": 1} for n in range(items)],
        "shippingAddress": {"firstName": "Personal-Paul", "email": "personal@example.org"},
        **more,
    }


@contextmanager
def running(redis_url: str, home: Path, upstream: Upstream, **settings: str) -> Iterator[Intermediary]:
    """A receiver with these tenants, in front of an order API."""
    quick = {"GELATO_API_TIMEOUT_SECONDS": "1", "GELATO_API_SETTLE_SECONDS": "0.3", **settings}
    with receiving(redis_url, home, TENANTS.format(key=KEY, url=upstream.url), **quick) as receiver:
        yield Intermediary(receiver, upstream)
