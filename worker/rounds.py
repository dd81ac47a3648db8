"""Batch after batch, with the server and this process at work at the same time.

In a backlog the server finishes the batch before and claims the one behind while this one is folded: neither waits for the
other. A worker that dies leaves two batches under lease then, where it would have left one.
"""

import time
from collections import deque
from collections.abc import Sequence
from typing import Final, NamedTuple

from shared.store import Store, due
from shared.store.due import Claim
from shared.store.folding import Loaded, Written
from shared.store.line import Line, Ticket
from worker import fold
from worker.advance import Policy
from worker.fold import Ending
from worker.tally import Tally

#: Ends of parts that may be on their way: what they wrote is held in memory until the server has said what came of it.
_MOST_ON_THEIR_WAY: Final = 2


class _Ahead(NamedTuple):
    """A claim that is on its way, and since when (monotonic seconds)."""

    ticket: Ticket[tuple[Claim, list[Loaded]]]
    since: float


class Rounds:
    """Folds batches over a connection of its own, for one thread."""

    def __init__(self, store: Store, policy: Policy, *, lease_seconds: float) -> None:
        self._store = store
        self._policy = policy
        self._lease_seconds = lease_seconds
        self._line = Line(store)
        self._ahead: _Ahead | None = None
        self._on_their_way: deque[tuple[Ending, Ticket[Sequence[Written | None]]]] = deque()
        #: When the last batch was claimed, monotonic seconds.
        self.began = 0.0

    def fold_next(self, *, wait_seconds: float = 0.0, is_last: bool = False) -> Tally:
        """Fold the next batch: what was done since the last call, `orders` 0 where nothing was due.

        First waits until something is due, for `wait_seconds` at most, if nothing was claimed ahead. After one that
        `is_last` nothing is claimed that is not folded. Raises as `fold_due`.
        """
        if wait_seconds and self._ahead is None:
            # The claim could follow the wait without another round trip. But then the server would carry it out before it
            # answers whoever brought the event, and a worker that stands still would claim orders all the same.
            self._line.run(due.wait_for_work(wait_seconds))
        claiming, self._ahead = self._ahead or self._claim(), None
        self.began = claiming.since
        claim, loaded = self._line.wait(claiming.ticket)
        tally = Tally(waiting=claim.waiting)
        parts = fold.parts(claim, loaded, self.began)
        if claim.waiting and not is_last:
            self._line.start(due.wake())  # more than one batch: let an idle shift help
            if not parts[-1].is_large:  # these take their time: what was claimed would wait under its lease
                self._ahead = self._claim()
        for part in parts:
            ending = fold.fold(self._store, part, self._policy, tally)
            finished = self._line.start(fold.finish(ending, one_call=self._store.one_call))
            self._on_their_way.append((ending, finished))
            self._end(tally, but=_MOST_ON_THEIR_WAY - 1)
        if self._ahead is None:
            self._end(tally)
        return tally

    def finish(self) -> Tally:
        """Fold what was claimed ahead, and hear of all that is on its way."""
        tally = self.fold_next(is_last=True) if self._ahead is not None else Tally()
        self._end(tally)
        return tally

    def close(self) -> None:
        """Give the connection back. What was claimed and not folded is due again when its lease runs out."""
        self._line.close()

    def _claim(self) -> _Ahead:
        claimed = fold.take(lease_seconds=self._lease_seconds, cluster=self._store.cluster)
        return _Ahead(self._line.start(claimed), time.monotonic())

    def _end(self, tally: Tally, but: int = 0) -> None:
        """Hear what came of the parts on their way, the last ones left out."""
        while len(self._on_their_way) > but:
            ending, ticket = self._on_their_way.popleft()
            fold.end(self._store, ending, self._line.wait(ticket), tally)
