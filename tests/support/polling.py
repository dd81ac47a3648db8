"""Wait for a condition by polling, with a bound."""

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


def eventually(look: Callable[[], T | None], *, seconds: float = 15.0, what: str = "the condition") -> T:
    """The first truthy result of `look`; fails when there is none in time. A look that raises is a look that failed."""
    deadline = time.monotonic() + seconds
    error: Exception | None = None
    while True:
        try:
            if found := look():
                return found
            error = None
        except Exception as raised:
            error = raised
        if time.monotonic() > deadline:
            raise AssertionError(f"waited {seconds} s for {what}") from error
        time.sleep(0.01)
