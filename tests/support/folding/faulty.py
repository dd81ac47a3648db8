"""Bugs in the fold, for tests, and events that meet them."""

from typing import Any

from shared.store.intake import Incoming
from support import events
from worker.advance import Policy

POISON = "poison"
#: Tries follow each other fast.
FAST = Policy(tries=3, backoff_ms=30)
#: The second try is far away.
SLOW = Policy(tries=3, backoff_ms=60_000)


class Bug:
    """A bug in the code, for events that speak of the item `poison`, until it is mended."""

    def __init__(self) -> None:
        self.mended = False
        self.error: Exception = ValueError("a bug for tests")

    def bite(self, items: Any) -> None:
        if not self.mended and POISON in items:
            raise self.error


def webhook(reference: str, item: str, status: str = "passed", n: int = 1) -> Incoming:
    return events.webhook(reference, n, id=f"{item}-{n}", itemReferenceId=item, status=status)
