"""Bugs in the fold, in each of three places."""

from typing import Any

import pytest
from support.folding.faulty import Bug

from shared import document as documents
from shared import facts, rollup


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
