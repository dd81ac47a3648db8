"""The proxy of `deploy/compose/`, a real one in front of a real receiver: what gets through, how, and what does not."""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import httpx
import orjson
import pytest
from support.deployed import DEPLOY, tool
from support.polling import eventually
from support.processes import OPS_TOKEN, SECRET, Receiver, fixture, free_port
from support.seed import accept_all, item

from shared.store import Store


@pytest.fixture
def proxy(receiver: Receiver, tmp_path: Path) -> Iterator[httpx.Client]:
    """A client of the proxy, over TLS."""
    port = free_port()
    env = {
        "PATH": os.environ["PATH"],
        "HOME": str(tmp_path),
        "XDG_DATA_HOME": str(tmp_path),
        "DOMAIN": f"https://localhost:{port}",
        "HTTP_PORT": str(free_port()),
        "RECEIVER": f"127.0.0.1:{receiver.port}",
    }
    with (tmp_path / "caddy.log").open("wb") as log:
        command = [tool("caddy"), "run", "--config", DEPLOY / "compose" / "Caddyfile", "--adapter", "caddyfile"]
        process = subprocess.Popen(command, env=env, stdout=log, stderr=log)

    def answers() -> bool:
        assert process.poll() is None, (tmp_path / "caddy.log").read_text()
        try:
            return client.get("/").status_code == 404
        except httpx.TransportError:
            return False

    with httpx.Client(base_url=f"https://localhost:{port}", verify=False, trust_env=False) as client:
        try:
            eventually(answers, what="the proxy to answer")
            yield client
        finally:
            process.terminate()
            process.wait(10)


def test_the_proxy_lets_webhooks_and_readers_through_as_they_are_and_keeps_the_rest_inside(
    proxy: httpx.Client, receiver: Receiver, store: Store, tmp_path: Path
) -> None:
    event = fixture("itemStatus-os_3193599925.json")
    answer = proxy.post("/webhooks/gelato", content=event, headers={"X-Webhook-Secret": SECRET})
    assert (answer.status_code, answer.json()["result"]) == (200, "accepted")
    assert proxy.post("/webhooks/gelato", content=event).status_code == 401

    # A reference with a slash, dots and a percent sign: one segment, as it was sent.
    accept_all(store, item("a/../b%2F c"))
    as_operator = {"Authorization": f"Bearer {OPS_TOKEN}"}
    path = "/orders/a%2F..%2Fb%252F%20c/events"
    assert receiver.client.get(path, headers=as_operator).status_code == 200
    assert proxy.get(path, headers=as_operator).status_code == 200
    assert proxy.get("/orders", headers=as_operator).status_code == 200

    for inside in ("/metrics", "/console", "/console/orders", "/dead-letters", "/healthz", "/readyz", "/"):
        assert proxy.get(inside, headers=as_operator).status_code == 404, inside
    # Not around a corner either.
    for around in (
        "/orders/../metrics",
        "/orders/%2e%2e/metrics",
        "/orders//../../metrics",
        "//metrics",
        "/orders/..%2fmetrics",
    ):
        answer = proxy.send(proxy.build_request("GET", "/", extensions={"target": around.encode()}))
        assert answer.status_code in (400, 401, 404), around
        assert b"gelato_" not in answer.content, around

    body = orjson.dumps({"id": "x" * (5 << 20)})
    # What is left of the body when it is refused would be the next request of this connection: a client has to close it.
    too_large = {"X-Webhook-Secret": SECRET, "Connection": "close"}
    assert proxy.post("/webhooks/gelato", content=body, headers=too_large).status_code == 413
    answer = proxy.get("/orders?q=MY-CUSTOMER", headers=as_operator)
    assert answer.headers["Strict-Transport-Security"]
    said = (tmp_path / "caddy.log").read_text()
    assert "handled request" in said
    assert not [word for word in (SECRET, OPS_TOKEN, "MY-CUSTOMER") if word in said]
