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
from collections.abc import Sequence
from typing import NamedTuple

from shared import log
from shared.rollup import State
from shared.store import Store, due, erasing, finishing, folding, keys, records
from shared.store.calls import Operation
from shared.store.dead_letters import bury_all, remove
from shared.store.due import Claim, Claimed, Release
from shared.store.finishing import End, Next
from shared.store.folding import Change, Commit, Loaded, Pack, Taken, Written
from shared.store.stored import Stored, compressed, decode, encode
from worker import pack, replayed, verdict
from worker.advance import Advance, Policy, advance
from worker.afresh import rebuild
from worker.pack import ToPack
from worker.tally import Tally
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


class Folded(NamedTuple):
    """What a fold made of one order."""

    loaded: Loaded
    outcome: Advance
    #: How far into the log this reaches.
    cursor: int
    #: When the new events were received, microseconds.
    received: list[int]


class Part(NamedTuple):
    """Orders of a batch that are folded and finished together."""

    claim: Claim
    #: When it was claimed, by this process's monotonic clock.
    began: float
    orders: list[tuple[Claimed, Loaded]]
    is_large: bool


class Ending(NamedTuple):
    """A part of a batch that is folded, and is to be finished. `folded`: None where an order has nothing to write."""

    part: Part
    ends: list[End]
    folded: list[Folded | None]
    #: Logs to pack of which records must be read first.
    to_pack: list[ToPack]


def fold_due(store: Store, policy: Policy, *, lease_seconds: float, due_for_ms: int = 0, batch: int = BATCH) -> Tally:
    """Claim up to `batch` orders that have been due for `due_for_ms`, and fold them.

    Raises `StoreUnavailable`, and what says nothing about an event (RQ's timeout); claimed orders are due again then, at
    the latest when their lease runs out.
    """
    began = time.monotonic()
    claim, loaded = store.run(
        take(lease_seconds=lease_seconds, due_for_ms=due_for_ms, batch=batch, cluster=store.cluster)
    )
    tally = Tally(waiting=claim.waiting)
    if claim.waiting:  # more than one batch: let an idle shift help
        store.run(due.wake())
    for part in parts(claim, loaded, began):
        ending = fold(store, part, policy, tally)
        pack.pack(store, end(store, ending, store.run(finish(ending, one_call=store.one_call)), tally))
    return tally


def take(
    *,
    lease_seconds: float,
    cluster: bool,
    due_for_ms: int = 0,
    batch: int = BATCH,
    claim_id: str = "",
    has_waited: bool = False,
    waits: bool = False,
) -> Operation[Taken]:
    """Claim up to `batch` orders that have been due for `due_for_ms`, and read what the fold needs of them.

    `has_waited`, `waits`: as in `folding.take`, under this claim's id.
    """
    return folding.take(
        batch,
        int(lease_seconds * 1000),
        claim_id or uuid.uuid4().hex,
        cluster=cluster,
        due_for_ms=due_for_ms,
        has_waited=has_waited,
        waits=waits,
    )


def parts(claim: Claim, loaded: Sequence[Loaded], began: float) -> list[Part]:
    """A batch in parts: the usual orders together, then large ones, one by one."""
    usual: list[tuple[Claimed, Loaded]] = []
    large: list[tuple[Claimed, Loaded]] = []
    for pair in zip(claim.orders, loaded, strict=True):
        (large if len(pair[1].stored) > LARGE_BYTES else usual).append(pair)
    together = [Part(claim, began, usual, is_large=False)] if usual else []
    return together + [Part(claim, began, [pair], is_large=True) for pair in large]


def fold(store: Store, part: Part, policy: Policy, tally: Tally) -> Ending:
    """Fold the orders of a part; what cannot be folded becomes a dead letter. Raises as `fold_due`."""
    worked = time.thread_time()
    now_us = part.claim.now_us
    tally.orders += len(part.orders)
    tally.leases_expired += sum(claimed.lease_expired for claimed, _ in part.orders)
    _announce_what_waited(store, [order for _, order in part.orders])
    ending = Ending(part, [], [], [])
    for claimed, order in part.orders:
        folded: Folded | None = None
        try:
            folded = _advance(store, order, now_us, policy)
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
            store.run(folding.keep(order.name))
            ended = End(Release(claimed, _TROUBLED_MS))
        else:
            if folded is None:
                ended = End(Release(claimed, _waits(order, now_us)))
            else:
                _keep_letters(store, folded, now_us, tally)
                ended = _end(claimed, folded, now_us, ending.to_pack)
        ending.folded.append(folded)
        ending.ends.append(ended)
    if part.is_large:
        seconds = time.thread_time() - worked
        ending.ends[:] = [each._replace(release=_held(each.release, seconds)) for each in ending.ends]
    return ending


def finish(ending: Ending, *, one_call: bool, following: Next | None = None) -> Operation[Sequence[Written | None]]:
    """Commit, announce and release what was folded; `following`: as `finishing.finish`."""
    return finishing.finish(ending.part.claim.id, ending.ends, one_call=one_call, following=following)


def end(store: Store, ending: Ending, written: Sequence[Written | None], tally: Tally) -> list[ToPack]:
    """Take note of what came of a part, and do what is left; the orders whose logs are to be packed.

    Raises `StoreUnavailable`.
    """
    part = ending.part
    now_us = part.claim.now_us
    visible_us = now_us + int((time.monotonic() - part.began) * 1_000_000)
    settled: list[tuple[Loaded, int, Stored]] = []
    gone: list[Folded] = []
    releases: list[Release] = []
    done: set[str] = set()
    for each, ended, result in zip(ending.folded, ending.ends, written, strict=True):
        if each is None:
            continue
        if result is Written.DONE:
            done.add(each.loaded.name)
            tally.events += each.outcome.folded
            tally.changed += ended.commit is not None and ended.commit.announcement is not None
            tally.to_document.observe_all(max(0, visible_us - received) / 1_000_000 for received in each.received)
            if each.loaded.replays:
                settled.append((each.loaded, each.cursor, each.outcome.stored))
        else:
            tally.conflicts += 1
            if result is Written.GONE:
                gone.append(each)
        if ended.keeps_lease:
            releases.append(ended.release if result is Written.DONE else Release(ended.release.order, 0))
    _take_back_letters(store, gone, now_us)
    replayed.settle(store, settled)
    if releases:
        store.run(due.release(part.claim.id, releases))
    return [each for each in ending.to_pack if each.commit.name in done]


def _end(claimed: Claimed, folded: Folded, now_us: int, to_pack: list[ToPack]) -> End:
    """What is to be written of one order. Adds to what is to be packed afterwards."""
    commit = _commit(folded, now_us)
    terminal = folded.outcome.terminal
    packed: Pack | None = None
    later = False
    if pack.is_worth_it(folded.loaded, commit, terminal=terminal):
        packable = ToPack(folded.loaded, commit, terminal)
        if pack.is_loaded(packable):
            packed = pack.of_loaded(packable)
        else:
            later = True
            to_pack.append(packable)
    if terminal and not later:
        commit = commit._replace(stored=compressed(commit.stored))
    # Replayed letters are settled while the order is held: whoever comes after a crash finds it due.
    return End(Release(claimed, _due_again(folded, now_us)), commit, packed, keeps_lease=bool(folded.loaded.replays))


def _held(release: Release, seconds: float) -> Release:
    """A large order that took so long to fold waits for its next turn, so that it cannot make the others wait."""
    hold_ms = min(MOST_HELD_MS, int(seconds * 1000 * HELD_TIMES))
    return Release(release.order, max(hold_ms, release.delay_ms or 0), held=True)


def _advance(store: Store, order: Loaded, now_us: int, policy: Policy) -> Folded | None:
    """Fold one loaded order; None where there is nothing to do."""
    if not order.log_length:
        return None  # the order is gone, only its mark was left
    before = decode(order.stored)
    tenant, reference = keys.split_order_name(order.name)
    if before is None and order.revision:
        # The state is gone (it expired a moment before a late event came), or another version wrote it.
        lost = Stored(State(), version=int(order.revision))
        whole = store.run(folding.whole_log(order.name))
        return Folded(order, rebuild(tenant, reference, lost, records.read(whole), now_us, policy), len(whole), [])
    before = before or Stored(State())
    new = list(records.read(order.records))
    tries = any(each.not_before_ms <= now_us // 1000 for each in before.deferred)
    if not new and not tries and (order.document_exists or not before.state.orders):
        if order.replays:  # of a worker that died before it could settle them
            replayed.settle(store, [(order, order.cursor, before)])
        return None
    outcome = advance(tenant, reference, before, new, now_us, policy, raw=order.stored)
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
    return Folded(order, outcome, order.cursor + len(order.records), received)


def _take_back_letters(store: Store, gone: Sequence[Folded], now_us: int) -> None:
    """Remove the letters of orders that were erased while they were folded."""
    letters = [letter for each in gone for letter in replayed.letters_to_bury(each.loaded, each.outcome, now_us)]
    if letters:
        store.run(erasing.take_back_letters(letters))


def _keep_letters(store: Store, folded: Folded, now_us: int, tally: Tally) -> None:
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


def _commit(folded: Folded, now_us: int) -> Commit:
    order, outcome = folded.loaded, folded.outcome
    document = outcome.document
    write = document is not None and (outcome.changed or not order.document_exists)
    return Commit(
        name=order.name,
        generation=order.generation,
        revision=order.revision,
        stored=encode(outcome.stored, compress=False),
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


def _due_again(folded: Folded, now_us: int) -> int | None:
    if folded.loaded.log_length > folded.cursor:
        return 0  # more records than one load carries
    retry_ms = folded.outcome.retry_ms
    return None if retry_ms is None else max(0, retry_ms - now_us // 1000)


def _announce_what_waited(store: Store, loaded: Sequence[Loaded]) -> None:
    """Tell of changes whose worker died before it could, ahead of any newer one of the same order."""
    waiting = [Change(order.name, order.generation, order.announcement) for order in loaded if order.announcement]
    if waiting:
        store.run(folding.announce(waiting))
