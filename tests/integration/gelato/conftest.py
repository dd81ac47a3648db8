"""One receiver in front of one order API for all tests of a file; both are empty for each."""

from collections.abc import Iterator

import pytest
from support.gelato.hostile import REFERENCE, Victim
from support.gelato.intermediary import Intermediary, running
from support.gelato.upstream import Upstream
from support.orders import document, fold
from support.server import Server

from shared.store import Store


@pytest.fixture(scope="module")
def process(session_server: Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Intermediary]:
    api = Upstream().start()
    with running(session_server.url, tmp_path_factory.mktemp("gelato"), api) as intermediary:
        yield intermediary
    api.stop()


@pytest.fixture
def gelato(process: Intermediary, server: Server) -> Iterator[Intermediary]:
    process.upstream.clear()
    yield process
    process.upstream.clear()


@pytest.fixture
def upstream(gelato: Intermediary) -> Upstream:
    return gelato.upstream


@pytest.fixture
def victim(gelato: Intermediary, upstream: Upstream, store: Store) -> Victim:
    """acme, with an order that was submitted here and one that was not."""
    upstream.split = 2
    made = gelato.submit(REFERENCE, key="acmes-key").json()
    upstream.split = 1
    elsewhere = upstream.add("ACME-ELSEWHERE", "customer-a")["id"]
    event = {"object": "orderStatus", "id": "e-1", "orderId": made["id"], "orderReferenceId": REFERENCE}
    gelato.receiver.post({**event, "fulfillmentStatus": "printed"}, tenant="acme", secret="acmes-secret")
    letter = gelato.receiver.post({**event, "orderId": None}, tenant="acme", secret="acmes-secret").json()["deadLetter"]
    fold(store)
    assert document(store, REFERENCE, "acme")["status"] == "created"
    gelato.submit("BETAS-OWN", tenant="beta")
    fold(store)
    upstream.asked.clear()
    return Victim(made["id"], made["connectedOrderIds"][1], elsewhere, letter)
