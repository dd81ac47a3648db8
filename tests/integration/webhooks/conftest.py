"""One receiver, with tenants of its own, for the tests of `POST /webhooks/gelato`; its server is empty for each test."""

from collections.abc import Iterator

import pytest
from support.processes import Receiver, receiving
from support.server import Server
from support.webhooks import TENANTS


@pytest.fixture(scope="session")
def process(session_server: Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Receiver]:
    with receiving(session_server.url, tmp_path_factory.mktemp("webhooks"), TENANTS) as receiver:
        yield receiver


@pytest.fixture
def receiver(process: Receiver, server: Server) -> Receiver:
    return process
