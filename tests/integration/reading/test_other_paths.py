"""Paths and methods that there are not."""

import httpx
import pytest
from support.processes import OPS_TOKEN, Receiver


class TestOtherPaths:
    @pytest.mark.parametrize(
        "path",
        ["/", "/nowhere", "/orders/", "/orders/a/b/c", "/orders/a/events/", "/tenants", "/tenants/default", "//"],
    )
    @pytest.mark.parametrize("method", ["GET", "POST", "DELETE"])
    def test_unknown_ones_are_not_found_in_json(self, receiver: Receiver, method: str, path: str) -> None:
        url = httpx.URL(receiver.base).copy_with(raw_path=path.encode())
        answer = receiver.client.request(method, url)
        assert answer.status_code == 404
        assert answer.headers["content-type"] == "application/json"
        assert answer.json()["error"]

    @pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE"])
    @pytest.mark.parametrize("path", ["/orders", "/orders/x", "/orders/x/events", "/healthz"])
    def test_other_methods_are_refused_in_json(self, receiver: Receiver, method: str, path: str) -> None:
        answer = receiver.client.request(method, path, headers={"Authorization": f"Bearer {OPS_TOKEN}"})
        assert answer.status_code == 405
        assert "GET" in answer.headers["allow"]
        assert answer.json() == {"error": "method-not-allowed"}
