"""The bug that makes dead letters."""

import pytest
from support.folding.faulty import Bug


@pytest.fixture
def bug(reading: Bug) -> Bug:
    """Until it is mended, events of the item `poison` cannot be read."""
    return reading
