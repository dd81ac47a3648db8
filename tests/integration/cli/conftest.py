"""What the tests of the command line share."""

from datetime import UTC, datetime
from typing import Any

import orjson
import pytest
from support.orders import document, fold
from support.processes import fixture
from support.seed import REFERENCE, SEED, accept_all

from shared.store import Store


@pytest.fixture
def seed_order(store: Store) -> dict[str, Any]:
    """The seed's split order, folded, with something to attend to."""
    accept_all(store, *(fixture(name) for name in SEED))
    failed = orjson.loads(fixture("itemStatus-os_3193599925.json")) | {
        "id": "os_failed",
        "status": "failed",
        "comment": "File resolution too low",
        "created": datetime.now(UTC).isoformat(),
    }
    accept_all(store, failed)
    fold(store)
    return document(store, REFERENCE)
