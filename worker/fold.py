"""Fold a batch of due orders: claim, load, fold, commit, announce, release.

Each step is a round trip for the whole batch. A worker may die between any two of them: the lease runs out, the orders are
due again, and repeating the work changes nothing. What a step relies on:

- *claim*    a lease, by the server's clock; it only saves double work, nothing depends on it.
- *commit*   compare-and-set on the order's revision: of two workers one wins, the other folds again.
- *announce* the change waits with the order until it was told, so that whoever comes next tells it.
- *release*  only if the mark is still the one that was claimed: an event that came meanwhile keeps the order due.
"""

import time
import uuid
from dataclasses import dataclass, field
from typing import NamedTuple

from shared import log
from shared.counting import Histogram
from shared.metrics import DOCUMENT_BOUNDS
from shared.rollup import State
from shared.store import Store, due, erasing, folding, keys, records
from shared.store.dead_letters import bury_all, remove
from shared.store.due import Claim, Claimed, Release
from shared.store.folding import Change, Commit, Loaded, Written
from shared.store.stored import Stored, decode, encode
from worker import pack, replayed, verdict
from worker.advance import Advance, Policy, advance
from worker.afresh import rebuild
from worker.pack import ToPack
from worker.verdict import Verdict

logger = log.get("worker.fold")

#: Orders claimed at a time.
BATCH = 100
#: An order whose stored state is larger than this (some 200 lines) is folded behind all others of its batch, and then waits:
#: so many times as long as it took, so that less than a hundredth of the time is spent on it, however many events it gets.
LARGE_BYTES = 32_768
HELD_TIMES = 150
MOST_HELD_MS = 10_000
#: An order that cannot be folded at all (not: an event of it) is tried again after this.
_TROUBLED_MS = 10_000


@dataclass
class Tally:
    """What a batch, or a shift of batches, did."""

    orders: int = 0
    events: int = 0
    changed: int = 0
    conflicts: int = 0
    failed: int = 0
    parked: int = 0
    leases_expired: int = 0
    #: Orders still due when the batch was claimed.
    waiting: int = 0
    #: From each event's receipt to its document.
    to_document: Histogram = field(default_factory=lambda: Histogram(DOCUMENT_BOUNDS))

    def add(self, other: "Tally") -> None:
        """Add another tally to this one; `waiting` is the latest."""
        for name in ("orders", "events", "changed", "conflicts", "failed", "parked", "leases_expired"):
            setattr(self, name, getattr(self, name) + getattr(other, name))
        self.waiting = other.waiting
        self.to_document.add(other.to_document)


class _Folded(NamedTuple):
    claimed: Claimed
    loaded: Loaded
    outcome: Advance
    #: How far into the log this reaches.
    cursor: int
    #: When the new events were received, microseconds.
    received: list[int]


def fold_due(store: Store, policy: Policy, *, lease_seconds: float, due_for_ms: int = 0, batch: int = BATCH) -> Tally:
    """Claim up to `batch` orders that have been due for `due_for_ms`, and fold them.

    Raises `StoreUnavailable`, and what says nothing about an event (RQ's timeout); claimed orders are due again then, at
    the latest when their lease runs out.
    """
    claim_id = uuid.uuid4().hex
    claim, loaded = store.run(
        folding.take(batch, int(lease_seconds * 1000), claim_id, cluster=store.cluster, due_for_ms=due_for_ms)
    )
    tally = Tally(waiting=claim.waiting)
    if not claim.orders:
        return tally
    if claim.waiting:  # more than one batch: let an idle shift help
        store.run(due.wake())
    tally.orders = len(claim.orders)
    tally.leases_expired = sum(claimed.lease_expired for claimed in claim.orders)
    pairs = list(zip(claim.orders, loaded, strict=True))
    usual = [(claimed, order) for claimed, order in pairs if not _is_large(order)]
    if usual:
        _fold_claimed(store, claim, usual, policy, tally)
    for claimed, order in pairs:  # one by one, behind all others
        if _is_large(order):
            _fold_claimed(store, claim, [(claimed, order)], policy, tally)
    return tally


def _is_large(order: Loaded) -> bool:
    return len(order.stored) > LARGE_BYTES


def _fold_claimed(
    store: Store, claim: Claim, pairs: list[tuple[Claimed, Loaded]], policy: Policy, tally: Tally
) -> None:
    began = time.monotonic()
    worked = time.thread_time()
    _announce_what_waited(store, [order for _, order in pairs])

    folded: list[_Folded] = []
    releases: list[Release] = []
    for claimed, order in pairs:
        try:
            result = _advance(store, order, claim.now_us, policy)
        except Exception as error:
            if verdict.on(error) is Verdict.GIVE_UP:
                raise
            tally.failed += 1
            logger.error(
                "order cannot be folded",
                order=order.name,
                error=type(error).__name__,
                where=verdict.where(error),
                retry_ms=_TROUBLED_MS,
            )
            releases.append(Release(claimed, _TROUBLED_MS))
            continue
        if result is None:
            releases.append(Release(claimed, _waits(order, claim.now_us)))
        else:
            folded.append(_Folded(claimed, order, *result))

    committed = _commit_all(store, folded, claim.now_us, began, tally, releases) if folded else _Committed([], [], [])
    if folded and _is_large(pairs[0][1]):
        releases = [_held(each, time.thread_time() - worked) for each in releases]
    release = due.releasing(claim.id, releases)
    if committed.settled or not committed.changes:
        _announce(store, committed.changes)
        replayed.settle(store, committed.settled)
        store.run(due.release(claim.id, releases))
    else:
        store.run(folding.announce(committed.changes, then=[release]))
    if committed.to_pack:
        store.run(folding.packing(pack.prepare(store, committed.to_pack)))


def _held(release: Release, seconds: float) -> Release:
    """A large order that took so long to fold waits for its next turn, so that it cannot make the others wait."""
    hold_ms = min(MOST_HELD_MS, int(seconds * 1000 * HELD_TIMES))
    return Release(release.order, max(hold_ms, release.delay_ms or 0), held=True)


class _Committed(NamedTuple):
    """What is left to do after a commit."""

    changes: list[Change]
    #: Orders of which replayed events may have been folded.
    settled: list[tuple[Loaded, int, Stored]]
    to_pack: list[ToPack]


def _commit_all(
    store: Store, folded: list[_Folded], now_us: int, began: float, tally: Tally, releases: list[Release]
) -> _Committed:
    """Commit what was folded. Adds to the releases."""
    for each in folded:
        _keep_letters(store, each, now_us, tally)
    commits = [_commit(each, now_us) for each in folded]
    written = store.run(folding.commit(commits))
    _take_back_letters(store, folded, written, now_us)
    result = _Committed([], _replayed(folded, written), [])
    visible_us = now_us + int((time.monotonic() - began) * 1_000_000)
    for each, commit, done in zip(folded, commits, written, strict=True):
        if done is not Written.DONE:
            tally.conflicts += 1
            releases.append(Release(each.claimed, 0))
            continue
        tally.events += each.outcome.folded
        tally.to_document.observe_all(max(0, visible_us - received) / 1_000_000 for received in each.received)
        if commit.announcement:
            tally.changed += 1
            result.changes.append(Change(commit.name, commit.generation, commit.announcement))
        releases.append(Release(each.claimed, _due_again(each, now_us)))
        if pack.is_worth_it(each.loaded, commit, terminal=each.outcome.terminal):
            result.to_pack.append(ToPack(each.loaded, commit, each.outcome.terminal))
    return result


def _advance(store: Store, order: Loaded, now_us: int, policy: Policy) -> tuple[Advance, int, list[int]] | None:
    """Fold one loaded order: the outcome, how far into the log it reaches, and when its new events were received.

    None where there is nothing to do.
    """
    if not order.log_length:
        return None  # the order is gone, only its mark was left
    before = decode(order.stored)
    tenant, reference = keys.split_order_name(order.name)
    if before is None and order.revision:
        # The state is gone (it expired a moment before a late event came), or another version wrote it.
        lost = Stored(State(), version=int(order.revision))
        whole = store.run(folding.whole_log(order.name))
        return rebuild(tenant, reference, lost, records.read(whole), now_us, policy), len(whole), []
    before = before or Stored(State())
    new = list(records.read(order.records))
    tries = any(each.not_before_ms <= now_us // 1000 for each in before.deferred)
    if not new and not tries and (order.document_exists or not before.state.orders):
        if order.replays:  # of a worker that died before it could settle them
            replayed.settle(store, [(order, order.cursor, before)])
        return None
    outcome = advance(tenant, reference, before, new, now_us, policy)
    for each in outcome.failed:
        # Neither the message nor the traceback: an error may quote the event. The dead letter has both.
        logger.warning(
            "event cannot be folded",
            tenant=tenant,
            order=reference,
            attempts=each.attempts,
            error=type(each.error).__name__,
            where=verdict.where(each.error),
        )
    failed = [each.record for each in outcome.failed]
    received = [record.received for record in new if record.is_event and not (failed and record in failed)]
    if order.replays:
        received = []  # first received long ago: they say nothing of the fold's speed
    return outcome, order.cursor + len(order.records), received


def _take_back_letters(store: Store, folded: list[_Folded], written: list[Written], now_us: int) -> None:
    """Remove the letters of orders that were erased while they were folded."""
    gone = [each for each, done in zip(folded, written, strict=True) if done is Written.GONE]
    letters = [letter for each in gone for letter in replayed.letters_to_bury(each.loaded, each.outcome, now_us)]
    store.run(erasing.take_back_letters(letters))


def _replayed(folded: list[_Folded], written: list[Written]) -> list[tuple[Loaded, int, Stored]]:
    return [
        (each.loaded, each.cursor, each.outcome.stored)
        for each, done in zip(folded, written, strict=True)
        if each.loaded.replays and done is Written.DONE
    ]


def _keep_letters(store: Store, folded: _Folded, now_us: int, tally: Tally) -> None:
    # Before the commit: a crash between the two buries the letter twice, the other way round would lose it.
    tally.failed += len(folded.outcome.failed)
    if folded.outcome.unparked:
        tenant, _ = keys.split_order_name(folded.loaded.name)
        store.run(remove(replayed.letters_to_remove(folded.loaded, folded.outcome, tenant)))
    letters = replayed.letters_to_bury(folded.loaded, folded.outcome, now_us)
    if letters:
        store.run(bury_all(letters))
    for letter in letters:
        tally.parked += 1
        logger.error(
            "event became a dead letter",
            tenant=letter.tenant,
            order=letter.reference,
            dead_letter=letter.id,
            reason=letter.reason,
            attempts=letter.attempts,
        )


def _commit(folded: _Folded, now_us: int) -> Commit:
    order, outcome = folded.loaded, folded.outcome
    document = outcome.document
    write = document is not None and (outcome.changed or not order.document_exists)
    return Commit(
        name=order.name,
        generation=order.generation,
        revision=order.revision,
        stored=encode(outcome.stored, compress=outcome.terminal),
        cursor=folded.cursor,
        expires_ms=outcome.expires_ms,
        document=outcome.text if write else b"",
        announcement=outcome.announcement(now_us),
        record=records.parked(outcome.parked) if outcome.parked else b"",
    )


def _waits(order: Loaded, now_us: int) -> int | None:
    """When an order with nothing to do now is due again (ms): more records than were read, or a try still to come."""
    if order.has_more:
        return 0
    stored = decode(order.stored)
    tries = [each.not_before_ms for each in stored.deferred] if stored else []
    return max(0, min(tries) - now_us // 1000) if tries else None


def _due_again(folded: _Folded, now_us: int) -> int | None:
    if folded.loaded.log_length > folded.cursor:
        return 0  # more records than one load carries
    retry_ms = folded.outcome.retry_ms
    return None if retry_ms is None else max(0, retry_ms - now_us // 1000)


def _announce_what_waited(store: Store, loaded: list[Loaded]) -> None:
    """Tell of changes whose worker died before it could, ahead of any newer one of the same order."""
    _announce(
        store, [Change(order.name, order.generation, order.announcement) for order in loaded if order.announcement]
    )


def _announce(store: Store, changes: list[Change]) -> None:
    if changes:
        store.run(folding.announce(changes))
