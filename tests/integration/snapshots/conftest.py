"""One receiver for each file, with the tenant acme; its server is empty for each test."""

import pytest
from support.processes import ACME, Receiver
from support.server import Server


@pytest.fixture(scope="module")
def tenants() -> str:
    return ACME


@pytest.fixture
def receiver(process: Receiver, server: Server) -> Receiver:
    return process
