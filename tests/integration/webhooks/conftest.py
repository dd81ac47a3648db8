"""One receiver, with tenants of its own, for the tests of `POST /webhooks/gelato`; its server is empty for each test."""

from collections.abc import Iterator

import pytest
from support.processes import Receiver, environment
from support.server import Server
from support.webhooks import TENANTS


@pytest.fixture(scope="session")
def process(session_server: Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Receiver]:
    home = tmp_path_factory.mktemp("webhooks")
    tenants = home / "tenants.toml"
    tenants.write_text(TENANTS)
    env = environment(session_server.url, home / "var", GELATO_TENANTS_FILE=str(tenants))
    receiver = Receiver(env, home / "receiver.log").start()
    yield receiver
    receiver.stop()


@pytest.fixture
def receiver(process: Receiver, server: Server) -> Receiver:
    return process
