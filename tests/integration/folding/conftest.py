"""Bugs in the fold, in each of three places."""

from collections.abc import Iterator
from typing import Any

import pytest
import structlog
from support.faulty import Bug

from shared import document as documents
from shared import facts, rollup, typed


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


@pytest.fixture
def joining(monkeypatch: pytest.MonkeyPatch) -> Bug:
    """A bug in the fold, after half of the state was changed."""
    bug, right = Bug(), rollup.join

    def wrong(state: rollup.State, said: facts.Facts, *rest: Any) -> None:
        right(state, said, *rest)
        bug.bite([line.reference for line in said.lines])

    monkeypatch.setattr(rollup, "join", wrong)
    return bug


@pytest.fixture
def building(monkeypatch: pytest.MonkeyPatch) -> Bug:
    """A bug in making the document from a state that holds the item."""
    bug, right = Bug(), documents.build

    def wrong(tenant: str, reference: str, state: rollup.State, *rest: Any) -> Any:
        bug.bite([item for connected in state.orders.values() for item in connected.lines])
        return right(tenant, reference, state, *rest)

    monkeypatch.setattr(documents, "build", wrong)
    return bug


@pytest.fixture(params=["reading", "joining", "building"])
def bug(request: pytest.FixtureRequest) -> Bug:
    """The same bug in each of three places."""
    found: Bug = request.getfixturevalue(request.param)
    return found
