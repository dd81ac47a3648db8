"""What some folders share: a cluster, an order API, a bug."""

from collections.abc import Iterator
from typing import Any

import pytest
import structlog
from support.folding.faulty import Bug
from support.gelato.upstream import Upstream
from support.server import Server
from support.servers import Cluster

from shared import facts, typed


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


@pytest.fixture
def quiet() -> Iterator[None]:
    """Log lines are kept: drawing a hundred tracebacks takes longer than all else here."""
    with structlog.testing.capture_logs():
        yield


@pytest.fixture
def reading(monkeypatch: pytest.MonkeyPatch) -> Bug:
    """A bug in reading events."""
    bug, right = Bug(), typed.read_facts

    def wrong(*arguments: Any) -> facts.Facts:
        said = right(*arguments)
        bug.bite([line.reference for line in said.lines])
        return said

    monkeypatch.setattr(typed, "read_facts", wrong)
    return bug
