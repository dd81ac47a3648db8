"""The closed loop, all of it real: an order goes out through the intermediary, and comes back as webhooks."""

import re
import tomllib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import orjson
import pytest
from support.contents import all_texts
from support.polling import eventually
from support.processes import ROOT, Process, Receiver, free_port
from support.server import Server

from ops.sandbox import SandboxClient, compare_state
from ops.sandbox.answers import ADDRESS

Start = Callable[..., Process]
#: Four days of a story in three seconds.
SPEED = "115200"


@dataclass
class Loop:
    """The whole house: receiver, worker, sandbox, and the tenants that both read of."""

    receiver: Receiver
    sandbox: SandboxClient
    server: Server
    tenants: dict[str, Any]

    def submit(self, tenant: str, body: bytes) -> httpx.Response:
        """Submit an order as this tenant."""
        token = self.tenants[tenant]["tenant_tokens"][0]
        path = f"/tenants/{tenant}/gelato/orders"
        headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
        return self.receiver.client.post(path, content=body, headers=headers)

    def document(self, tenant: str, reference: str) -> dict[str, Any]:
        """The document, as downstream reads it."""
        found = self.server.client.get(f"gelato:order:{{{tenant}/{reference}}}")
        assert found is not None, "no document yet"
        document: dict[str, Any] = orjson.loads(found)
        return document


@pytest.fixture
def loop(env: dict[str, str], start: Start, server: Server, tmp_path: Path) -> Iterator[Loop]:
    port, file = free_port(), tmp_path / "tenants.toml"
    env["GELATO_TENANTS_FILE"] = str(file)
    printing = start("sandbox", "--port", str(port), "--print-tenants")
    assert printing.process is not None
    assert printing.process.wait(60) == 0
    file.write_bytes(printing.log.read_bytes())
    receiver = Receiver(env, tmp_path / "receiver.log").start()
    start("worker")
    start("sandbox", "--port", str(port), "--speed", SPEED, "--trouble", "0", "--webhook-url", receiver.base)
    with SandboxClient(f"http://127.0.0.1:{port}") as sandbox:
        eventually(sandbox.counts, seconds=60, what="the sandbox to answer")
        yield Loop(receiver, sandbox, server, tomllib.loads(file.read_text()))
    receiver.stop()


def documented_order() -> bytes:
    """The order that the how-to submits."""
    how_to = (ROOT / "docs" / "how-to" / "sandbox.md").read_text()
    (body,) = re.findall(r"gelato/orders .*?-d '(\{.*?\})'", how_to, re.DOTALL)
    return body.encode()


def test_an_order_goes_out_comes_back_in_parts_and_is_delivered(loop: Loop) -> None:
    body = documented_order()
    reference = orjson.loads(body)["orderReferenceId"]
    loop.sandbox.pause()

    ours, theirs = loop.submit("acme", body), loop.submit("globex", body)
    assert (ours.status_code, theirs.status_code) == (200, 200)
    created = eventually(lambda: loop.document("acme", reference), seconds=30, what="its document")
    assert (created["status"], created["complete"], created["terminal"]) == ("created", False, False)
    assert created["connectedOrderIds"] == sorted(ours.json()["connectedOrderIds"])
    assert sorted(order["silent"] for order in created["orders"].values()) == [False, True, True]

    loop.sandbox.resume()
    tenants = ("acme", "globex")
    done = {
        tenant: eventually(
            lambda tenant=tenant: _terminal(loop.document(tenant, reference)), seconds=60, what="both deliveries"
        )
        for tenant in tenants
    }
    eventually(loop.sandbox.ended, seconds=30, what="the end of both stories")
    for tenant, document in done.items():
        (truth,) = loop.sandbox.truths(tenant, reference)
        eventually(
            lambda tenant=tenant, truth=truth: compare_state(truth, loop.document(tenant, reference)) == [],
            seconds=30,
            what="a document that says what is true",
        )
        assert (document["status"], document["complete"], len(document["orders"])) == ("delivered", True, 3)
    assert not set(done["acme"]["orders"]) & set(done["globex"]["orders"])
    assert not set(done["acme"]["orders"]) & set(theirs.json()["connectedOrderIds"])

    personal = [word for word in map(str, ADDRESS.values()) if len(word) > 4]
    assert all(word in ours.text for word in personal)
    stored = all_texts(loop.server)
    assert reference.encode() in stored
    assert [word for word in personal if word.encode() in stored] == []


def _terminal(document: dict[str, Any]) -> dict[str, Any] | None:
    return document if document["terminal"] else None
