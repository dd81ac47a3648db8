"""A running sandbox as the systems of a merchant or a print house call it."""

from typing import Any

import httpx

from ops.sandbox import SandboxClient

KEY, CONNECTOR_KEY = "a-key", "a-key:a-secret"


class Played(SandboxClient):
    """A sandbox, and the calls that a merchant's or a print house's system would make."""

    def v4(self, method: str, path: str, body: Any = None, key: str = KEY, **options: Any) -> httpx.Response:
        """Call the order API v4."""
        url = f"{self.base}/v4/orders{path}"
        return httpx.request(
            method, url, json=body, headers={"X-API-KEY": key}, trust_env=False, verify=False, **options
        )

    def connector(
        self, what: str, argument: Any, customer: str | None = "A-1", key: str = CONNECTOR_KEY
    ) -> httpx.Response:
        """Call the connector: `submit` and `search` with a body, `get` with an id or reference."""
        headers = {"X-API-KEY": key, **({"Customer-Reference-ID": customer} if customer else {})}
        url = self.connector_urls[f"{what}_url"]
        if what == "get":
            return httpx.get(f"{url}/{argument}", headers=headers, trust_env=False, verify=False)
        return httpx.post(url, json=argument, headers=headers, trust_env=False, verify=False)

    def submit(self, reference: str = "R-1", **more: Any) -> dict[str, Any]:
        """Submit an order of three hubs to v4; the answer."""
        answer = self.v4("POST", "", order(reference, **more))
        assert answer.status_code == 200, answer.text
        content: dict[str, Any] = answer.json()
        return content


def order(reference: str = "R-1", trouble: str = "none", **more: Any) -> dict[str, Any]:
    """An order that is made in three places."""
    items = (("poster", "flat_130x180-mm-5r"), ("mug", "mug_product_msz_15-oz"), ("shirt", "apparel_product_gca"))
    return {
        "orderReferenceId": reference,
        "items": [{"itemReferenceId": item, "productUid": product, "quantity": 1} for item, product in items],
        "metadata": [{"key": "sandbox-trouble", "value": trouble}],
        **more,
    }
