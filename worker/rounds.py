"""Batch after batch, with the server and this process at work at the same time.

In a backlog the server finishes the batch before and claims the one behind while this one is folded: neither waits for the
other. A worker that dies leaves two batches under lease then, where it would have left one.

Where there is no backlog, the call that finishes the last batch takes what has become due meanwhile, or says that the shift
waits for work, and whoever brings the next event hands its order over, claimed and loaded
(`shared/store/scripts/handing.lua`): from one event to the next there is one way to the server and back.
"""

import itertools
import time
import uuid
from collections import deque
from collections.abc import Callable, Sequence
from typing import Final, NamedTuple

from shared.store import Store, due, folding
from shared.store.finishing import Next
from shared.store.folding import Taken, Written
from shared.store.line import Line, Ticket
from worker import fold, pack
from worker.advance import Policy
from worker.fold import Ending
from worker.pack import ToPack
from worker.tally import Tally

#: So many orders' logs are packed together: that takes two more ways to the server.
_PACKED_TOGETHER: Final = 16
_LEAST_WAIT_SECONDS: Final = 0.01  # 0 would be for ever
#: So many may wait for that: an order that is done often gets its last few events one soon after the other. They are all
#: packed when the shift ends, which takes some 70 ms, and whatever comes then waits.
_MOST_TO_PACK: Final = 200
#: Ends of parts that may be on their way: what they wrote is held in memory until the server has said what came of it.
_MOST_ON_THEIR_WAY: Final = 2


class _Ahead(NamedTuple):
    """A claim that is on its way, and since when (monotonic seconds)."""

    ticket: Ticket[Taken]
    since: float


class _Wait(NamedTuple):
    """A wait for work, and the claim's id under which something may be handed over. No ticket where it has yet to begin."""

    claim_id: str
    ticket: Ticket[bytes | None] | None
    seconds: float


class Rounds:
    """Folds batches over a connection of its own, for one thread.

    `patience` is asked for how long to wait where nothing is due, seconds: 0 not to wait.
    """

    def __init__(
        self, store: Store, policy: Policy, *, lease_seconds: float, patience: Callable[[], float] = lambda: 0.0
    ) -> None:
        self._store = store
        self._policy = policy
        self._lease_seconds = lease_seconds
        self._patience = patience
        self._line = Line(store)
        self._id = uuid.uuid4().hex
        self._claims = 0
        self._ahead: _Ahead | None = None
        self._wait: _Wait | None = None
        self._on_their_way: deque[tuple[Ending, Ticket[Sequence[Written | None]]]] = deque()
        #: Logs to pack, by their orders' names: whatever comes after the documents.
        self._to_pack: dict[str, ToPack] = {}
        #: When the last batch was claimed, monotonic seconds.
        self.began = 0.0

    def fold_next(self) -> Tally:
        """Fold the next batch: what was done since the last call, `orders` 0 where nothing was due.

        First waits until something is due, if the last call has found no backlog. Raises as `fold_due`.
        """
        return self._fold(self._next())

    def finish(self) -> Tally:
        """Fold what was claimed ahead or handed over, and hear of all that is on its way."""
        tally = Tally()
        taken = self._leave()
        if self._ahead is not None:
            taken = self._claimed(self._ahead)
        if taken is not None:
            tally = self._fold(taken, is_last=True)
        self._end(tally)
        while self._to_pack:
            self._pack_some()
        return tally

    def close(self) -> None:
        """Give the connection back. What was claimed and not folded is due again when its lease runs out."""
        self._line.close()

    def _fold(self, taken: Taken, *, is_last: bool = False) -> Tally:
        claim = taken.claim
        tally = Tally(waiting=claim.waiting)
        parts = fold.parts(claim, taken.loaded, self.began)
        if claim.waiting and not is_last:
            self._line.start(due.wake())  # more than one batch: let an idle shift help
            if not parts[-1].is_large:  # these take their time: what was claimed would wait under its lease
                self._ahead = self._claim()
        goes_on = parts and not claim.waiting and not is_last and self._patience() > 0
        following = Next(self._claim_id(), fold.BATCH, int(self._lease_seconds * 1000)) if goes_on else None
        for part in parts:
            ending = fold.fold(self._store, part, self._policy, tally)
            and_then = following if part is parts[-1] else None
            finishing = fold.finish(ending, one_call=self._store.one_call, following=and_then)
            self._on_their_way.append((ending, self._line.start(finishing, hold=and_then is not None)))
            if and_then is None:
                self._end(tally, but=_MOST_ON_THEIR_WAY - 1)
        if following is not None:
            self._begin_to_wait(following.claim_id)
        if self._ahead is None:
            self._end(tally)
        return tally

    def _next(self) -> Taken:
        waited_as = ""
        if self._wait is not None:
            (waited_as, ticket, seconds), self._wait = self._wait, None
            handed = self._line.wait(ticket or self._line.start(due.wait_for_work(seconds)))
            if handed:
                self.began = time.monotonic()
                return folding.read_handed(waited_as, handed)
        waits = self._patience() > 0 and not self._to_pack
        taken = self._claimed(self._ahead or self._claim(waited_as=waited_as, waits=waits))
        if not taken.claim.orders:
            self._pack_some()
            if waits:
                self._begin_to_wait(taken.claim.id)
        return taken

    def _claim(self, *, waited_as: str = "", waits: bool = False) -> _Ahead:
        claimed = fold.take(
            lease_seconds=self._lease_seconds,
            cluster=self._store.cluster,
            claim_id=waited_as or self._claim_id(),
            has_waited=bool(waited_as),
            waits=waits,
        )
        return _Ahead(self._line.start(claimed), time.monotonic())

    def _claimed(self, ahead: _Ahead) -> Taken:
        self._ahead = None
        self.began = ahead.since
        return self._line.wait(ahead.ticket)

    def _begin_to_wait(self, claim_id: str) -> None:
        """Block on what may be handed over under a claim's id, behind all that is on its way."""
        seconds = max(self._patience(), _LEAST_WAIT_SECONDS)
        if not self._store.one_call:  # then nobody hands anything over, and steps still to come would wait behind this
            self._wait = _Wait("", None, seconds)
        else:
            self._wait = _Wait(claim_id, self._line.start(due.wait_for_work(seconds, claim_id)), seconds)

    def _leave(self) -> Taken | None:
        """Wait no longer; what was handed over by then."""
        claim_id, ticket, _ = self._wait or _Wait("", None, 0.0)
        self._wait = None
        if ticket is None:
            return None
        left = self._store.run(folding.leave(claim_id))
        handed = self._line.wait(ticket)
        if handed:
            return folding.read_handed(claim_id, handed)
        if handed is not None:  # somebody else has to look then
            self._line.run(due.wake())
        return left

    def _end(self, tally: Tally, but: int = 0) -> None:
        """Hear what came of the parts on their way, the last ones left out."""
        while len(self._on_their_way) > but:
            ending, ticket = self._on_their_way.popleft()
            for each in fold.end(self._store, ending, self._line.wait(ticket), tally):
                self._to_pack.pop(each.commit.name, None)  # it goes to the end: its last event may not be the last
                self._to_pack[each.commit.name] = each.without_texts()
        while len(self._to_pack) > _MOST_TO_PACK:
            self._pack_some()

    def _pack_some(self) -> None:
        names = list(itertools.islice(self._to_pack, _PACKED_TOGETHER))
        pack.pack(self._store, [self._to_pack.pop(name) for name in names])

    def _claim_id(self) -> str:
        self._claims += 1
        return f"{self._id}-{self._claims}"
