"""Servers that are not needed by all: a cluster, an order API."""

from collections.abc import Iterator

import pytest
from support.server import Server
from support.servers import Cluster
from support.upstream import Upstream


@pytest.fixture(scope="session")
def three_nodes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    cluster = Cluster(tmp_path_factory.mktemp("cluster"))
    try:
        yield cluster.start()
    finally:
        cluster.stop()


@pytest.fixture(scope="module")
def api() -> Iterator[Upstream]:
    upstream = Upstream().start()
    yield upstream
    upstream.stop()


@pytest.fixture
def upstream(api: Upstream, server: Server) -> Iterator[Upstream]:
    """An order API without orders, in a good mood; the server of the processes that ask it is empty."""
    api.clear()
    yield api
    api.clear()
