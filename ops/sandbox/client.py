"""Speaks with a running sandbox, wherever it runs: asks for its truth, tells it what to do."""

from types import TracebackType
from typing import Any, Self

import httpx

from ops.simulator.truth import View


class SandboxClient:
    """A client of the routes of `ops.sandbox.control`; `base` is the sandbox's URL. Raises httpx.HTTPError."""

    def __init__(self, base: str, timeout_seconds: float = 30.0) -> None:
        self.base = base.rstrip("/")
        self._http = httpx.Client(base_url=self.base, timeout=timeout_seconds, trust_env=False)

    @property
    def v4_url(self) -> str:
        """The base URL of the order API v4 (`api.url` of a tenant)."""
        return self.base

    @property
    def connector_urls(self) -> dict[str, str]:
        """The connector's three URLs (`api.submit_url`, `api.get_url`, `api.search_url` of a tenant)."""
        return connector_urls(self.base)

    def truths(self, tenant: str | None = None, reference: str | None = None) -> list[View]:
        """What the rollups must show; hold each document against one with `ops.simulator.compare.compare_state`."""
        wanted = {"tenant": tenant, "reference": reference}
        orders: list[View] = self._get("/sandbox/truth", {k: v for k, v in wanted.items() if v is not None})["orders"]
        return orders

    def ended(self) -> bool:
        """Whether all stories are over, and every webhook is delivered or given up."""
        return bool(self.counts()["ended"])

    def counts(self) -> dict[str, Any]:
        """`orders`, `connectedOrders`, `ended`, `webhooks`, `answers`, `calls`, `outcomes`."""
        return self._get("/sandbox/counts", {})

    def make_orders(self, count: int, tenant: str | None = None, trouble: str | None = None) -> list[str]:
        """Let it make orders as if merchants had placed them elsewhere; their references."""
        wanted = {"count": count, "tenant": tenant, "trouble": trouble}
        made: list[str] = self._tell("orders", **{k: v for k, v in wanted.items() if v is not None})[
            "orderReferenceIds"
        ]
        return made

    def break_(self, mode: str, **how: Any) -> None:
        """Break the API: `error` (`status`, `retryAfter`), `hang`, `reset`, `lost-answer`; `share`, `calls`."""
        self._tell("break", mode=mode, **how)

    def mend(self) -> None:
        """Mend the API."""
        self._tell("mend")

    def lose(self, share: float) -> None:
        """From now on this share of webhooks is never posted."""
        self._tell("lose", share=share)

    def pause(self) -> None:
        """Stop the story's clock."""
        self._tell("pause")

    def resume(self) -> None:
        """Let the story's clock go on."""
        self._tell("resume")

    def advance(self, seconds: float) -> None:
        """Put the story's clock forward by so many of its seconds."""
        self._tell("advance", seconds=seconds)

    def close(self) -> None:
        """Close the connection."""
        self._http.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _get(self, path: str, query: dict[str, str]) -> dict[str, Any]:
        answer: dict[str, Any] = self._http.get(path, params=query).raise_for_status().json()
        return answer

    def _tell(self, what: str, **body: Any) -> dict[str, Any]:
        answer: dict[str, Any] = self._http.post(f"/sandbox/{what}", json=body).raise_for_status().json()
        return answer


def connector_urls(base: str) -> dict[str, str]:
    """The three URLs of the connector of the sandbox at `base`."""
    return {
        "submit_url": f"{base}/connector/submit-order",
        "get_url": f"{base}/connector/get-order",
        "search_url": f"{base}/connector/search-orders",
    }
