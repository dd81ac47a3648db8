"""One receiver in front of one order API for all tests of a file; both are empty for each."""

from collections.abc import Iterator

import pytest
from support.intermediary import Intermediary, running
from support.server import Server
from support.upstream import Upstream


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
