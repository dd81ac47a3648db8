"""The data on a real cluster of three primaries, empty for each test; RQ's queue on a plain server beside it."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from support.processes import environment
from support.server import Server
from support.servers import Cluster

from shared.store import Store


@pytest.fixture
def cluster(three_nodes: Cluster) -> Cluster:
    """A real cluster, empty."""
    three_nodes.empty()
    return three_nodes


@pytest.fixture
def store(cluster: Cluster) -> Iterator[Store]:
    store = Store.from_url(cluster.url)
    yield store
    store.close()


@pytest.fixture
def env(cluster: Cluster, server: Server, tmp_path: Path) -> dict[str, str]:
    return environment(cluster.url, tmp_path / "var", RQ_REDIS_URL=server.url, GELATO_LEASE_SECONDS="1")
