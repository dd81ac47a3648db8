"""Servers of one's own: a primary with replicas and Sentinels, a plain one on TCP."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from support.servers import Node, Replicated


@pytest.fixture
def replicated(tmp_path: Path) -> Iterator[Replicated]:
    servers = Replicated(tmp_path / "servers")
    try:
        yield servers.start()
    finally:
        servers.stop()


@pytest.fixture
def node(tmp_path: Path) -> Iterator[Node]:
    node = Node(tmp_path / "node").start()
    yield node
    node.stop()
