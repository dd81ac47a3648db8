"""An answer of an order API, and what of it may be kept."""

from typing import Any, Final, NamedTuple

from shared import canonical, snapshots
from shared.errors import UnusableEvent
from shared.events import Usable
from shared.facts import FETCHED
from shared.snapshots import Sanitised
from shared.store.intake import Incoming

#: A fetched snapshot is taken to be at most this much older than its receipt (CONTRACT.md section 4, clock, rule 4).
FETCHED_AGE_US: Final = 5_000_000


class Answer:
    """A 2xx or 4xx answer. `received`: its time of receipt for the fold, microseconds. Shows itself without its body."""

    __slots__ = ("_content", "body", "content_type", "received", "status")

    def __init__(self, status: int, body: bytes, content_type: str = "application/json", received: int = 0) -> None:
        self.status = status
        self.body = body
        self.content_type = content_type
        self.received = received
        self._content: Any = None

    @property
    def is_success(self) -> bool:
        """Whether the status is 2xx."""
        return 200 <= self.status < 300

    def content(self) -> Any:
        """The body as JSON, read once: not to be changed. Raises `InvalidJson`."""
        if self._content is None:
            self._content = canonical.parse(self.body)[0]
        return self._content

    def orders(self) -> list[dict[str, Any]]:
        """The orders in a successful answer: that of a get or submit, or those of a search. Personal data included.

        Raises `InvalidJson` or `UnusableEvent` where the answer is neither.
        """
        content = self.content()
        if not isinstance(content, dict):
            raise UnusableEvent("invalid-event", "body: must be a JSON object")
        if not snapshots.is_search(content):
            return [content]
        if not isinstance(content["orders"], list) or not all(isinstance(each, dict) for each in content["orders"]):
            raise UnusableEvent("invalid-event", "orders: must be a list of objects")
        return list(content["orders"])

    def __repr__(self) -> str:
        return f"Answer({self.status}, {len(self.body)} bytes)"


def received_us(asked_us: int, answered_us: int) -> int:
    """The time of receipt of an answer, for the fold.

    What it says was true at some moment after it was asked for; the fold takes it to have been within five seconds of the
    receipt. Of an answer that took longer only the first five seconds are certain to be no lie.
    """
    return min(answered_us, asked_us + FETCHED_AGE_US)


class Folded(NamedTuple):
    """What there is to store of an answer: its snapshots, and those that cannot be used, with the reason."""

    incoming: list[Incoming]
    unusable: list[tuple[Sanitised, UnusableEvent]]


def to_fold(tenant: str, answer: Answer) -> Folded:
    """The snapshots in an answer, freed of everything personal, as events of a tenant for `intake.accept`.

    Nothing for an answer that is no success. The caller must have made sure that its orders are the tenant's. Raises
    `InvalidJson` or `UnusableEvent` where the answer as a whole is not what an order API answers.
    """
    folded = Folded([], [])
    if not answer.is_success:
        return folded
    for part in snapshots.split(answer.content()):
        try:
            event = snapshots.classify_snapshot(part, fetched=True)
        except UnusableEvent as error:
            folded.unusable.append((part, error))
            continue
        if isinstance(event, Usable):  # else it is one of the documentation's examples
            folded.incoming.append(Incoming(tenant, event, answer.received, FETCHED))
    return folded
