"""Carrying replays of dead letters: lot by lot, at the pace that live events leave, resumed where another one died.

A thread of each worker process, beside the shifts that fold what it sends. A lot is read and noted at a time, so that a
replay of any size holds no more than a lot in memory. While live events come it is sent in small slices, each only when
little waits to be folded, with a rest of several times what the slice took: a live event waits behind a slice at most.
(With whole lots of 100 live events waited 16 ms in the middle for their documents instead of 1.)
"""

import os
import threading
import time
import uuid
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple

from shared import log, replay
from shared.errors import StoreUnavailable
from shared.replay import Fate, Sent
from shared.store import Store, activity, audit, dead_letters, due, letter_lists, replay_runs
from shared.store.calls import Operation
from shared.store.dead_letters import Letter
from shared.store.letter_lists import MAX_PAGE_BYTES, Position
from shared.store.replay_runs import Run
from worker.shift import stop_asked

logger = log.get("worker.replays")

#: Letters read and noted at a time.
LOT: Final = 100
#: Letters sent at a time while live events come, and while none do; and bytes of them.
_SLICE: Final = 2
_LARGE_SLICE: Final = 50
_SLICE_BYTES: Final = 64 * 1024
#: The rest after a slice while live events come: at least so long, and so many times as long as the slice took. (With
#: slices of 8 and twice their time the p99 of live events was seven times what it is without a replay.)
_REST_SECONDS: Final = 0.006
_REST_TIMES: Final = 6
#: Live events come if the last one is no older.
_LIVE_MS: Final = 3_000
#: While more orders than this are due, nothing more is sent.
_BACKLOG: Final = 8
_LEASE_MS: Final = 10_000
_LOOK_SECONDS: Final = 0.02
#: A lot that is not dealt with by then (events that wait for their next try) is looked at again later.
_LOT_SECONDS: Final = 3.0
#: Letters that are looked at again later: so many, and for so long after the last lot.
_MAX_OPEN: Final = 2_000
_OPEN_SECONDS: Final = 90.0
_IDLE_SECONDS: Final = 1.0
#: Behind every letter.
_END: Final = Position(1 << 60, "")
#: The lists are held against each other this often.
_MEND_SECONDS: Final = 60.0


class NotOurs(Exception):
    """The run was stopped, or somebody else carries it."""


class _Lot(NamedTuple):
    """Letters to send; `size` counts those, too, that were named and are gone."""

    letters: list[Letter]
    size: int
    after: Position | None


class Replays(threading.Thread):
    """Carries replays, and mends the lists of dead letters, until the process is asked to stop."""

    def __init__(self, store: Store) -> None:
        super().__init__(name="replays", daemon=True)
        self._store = store
        self._holder = f"{os.getpid()}-{uuid.uuid4().hex[:12]}"
        self._mend_at = 0.0

    def run(self) -> None:
        """The thread's life."""
        while not stop_asked.is_set():
            try:
                for run_id in self._store.run(replay_runs.running()):
                    Carrier(self._store, run_id, self._holder).carry()
                self._mend()
                if not stop_asked.is_set():
                    self._store.run(replay_runs.wait(_IDLE_SECONDS))
            except StoreUnavailable as error:
                logger.warning("replays wait for the server", error=str(error))
                stop_asked.wait(_IDLE_SECONDS)
            except Exception:
                # A thread that dies in silence would leave nobody to carry on.
                logger.exception("replays failed")
                stop_asked.wait(_IDLE_SECONDS)

    def _mend(self) -> None:
        if time.monotonic() < self._mend_at:
            return
        self._mend_at = time.monotonic() + _MEND_SECONDS
        if not self._store.run(letter_lists.in_step()) and self._store.run(letter_lists.may_mend()):
            logger.warning("lists of dead letters mended", letters=self._store.run(letter_lists.mend()))


class Carrier:
    """Carries one replay."""

    def __init__(self, store: Store, run_id: str, holder: str, *, lot: int = LOT) -> None:
        self._store = store
        self._run_id = run_id
        self._holder = holder
        self._lot = lot
        #: Letters of earlier lots that wait for their next try.
        self._open: list[Sent] = []

    def carry(self) -> None:
        """Carry on until it is done or stopped, or the process is to stop; nothing where somebody else carries it."""
        run = self._store.run(replay_runs.claim(self._run_id, self._holder, _LEASE_MS))
        if run is None:
            return
        logger.info("replay carried on", run=run.id, selected=run.selected, counts=run.counts)
        try:
            position = run.position
            if run.lot:
                position = self._repeat(run)
            while (after := self._next(run, position)) is not None:
                position = after
            self._close_open()
        except NotOurs:
            if stop_asked.is_set():
                self._store.run(replay_runs.note(run.id, self._holder, 0))  # whoever is alive may take it over at once
            return
        if self._store.run(replay_runs.finish(run.id)):
            done = self._store.run(replay_runs.one(run.id)) or run
            self._store.run(audit.note(run.who, "replayed", {"run": run.id}, done.counts))
            logger.info("replay done", run=run.id, counts=done.counts)

    def _next(self, run: Run, position: Position | None) -> Position | None:
        """Send the lot behind a position; its end, None if that was all."""
        lot = self._store.run(_lot(run, position, self._lot))
        if not lot.size and lot.after is None:
            return None
        end = lot.after or _END
        self._note(lot=lot.size, lotEnd=replay_runs.position_text(end))
        self._deal_with(lot.letters, lot.size, end)
        return lot.after

    def _repeat(self, run: Run) -> Position | None:
        """Deal with a lot that another carrier had begun: what is left of it is sent again."""
        if run.lot_end is None:
            return run.position
        left = self._store.run(_lot(run, run.position, run.lot)).letters
        if not run.ids:
            left = [each for each in left if Position(each.received // 1000, each.id) <= run.lot_end]
        self._deal_with(left, run.lot, run.lot_end)
        return run.lot_end

    def _deal_with(self, letters: Sequence[Letter], size: int, end: Position) -> None:
        """Send letters and see what becomes of them. `size`: how many there were when the lot was begun."""
        counts = Counter({Fate.GONE: size - len(letters)})
        live = self._live()
        slices = _slices(letters, _SLICE if live else _LARGE_SLICE)
        sent = [each for slice_ in slices for each in self._send(slice_, rest=live)]
        waiting = [each for each in sent if each.fate is Fate.WAITING]
        counts.update(each.fate for each in sent if each.fate is not Fate.WAITING)
        deadline = time.monotonic() + _LOT_SECONDS
        while waiting:
            looked = self._store.run(replay.look(waiting))
            waiting = [each for each in looked if each.fate is Fate.WAITING]
            counts.update(each.fate for each in looked if each.fate is not Fate.WAITING)
            if not waiting or time.monotonic() > deadline:
                break
            self._pause(_LOOK_SECONDS)
        counts[Fate.WAITING] += len(waiting)
        self._open = (self._open + waiting)[-_MAX_OPEN:]
        self._note(counts, position=replay_runs.position_text(end), lot=0)

    def _live(self) -> bool:
        """Whether live events come, which share the server, the workers, and this process."""
        last_ms = self._store.run(activity.last_event_ms())
        return last_ms is not None and time.time() * 1000 - last_ms < _LIVE_MS

    def _send(self, letters: Sequence[Letter], *, rest: bool) -> list[Sent]:
        self._wait_for_room()
        began = time.monotonic()
        sent = self._store.run(replay.send(letters))
        if rest:
            stop_asked.wait(max(_REST_SECONDS, _REST_TIMES * (time.monotonic() - began)))
        return sent

    def _close_open(self) -> None:
        """Look again at what waited for its next try: it was counted as waiting."""
        deadline = time.monotonic() + _OPEN_SECONDS
        while self._open:
            looked = self._store.run(replay.look(self._open))
            settled: Counter[Fate] = Counter()
            settled.update(each.fate for each in looked if each.fate is not Fate.WAITING)
            self._open = [each for each in looked if each.fate is Fate.WAITING]
            settled[Fate.WAITING] = -settled.total()
            self._note(settled)
            if time.monotonic() > deadline:
                break
            self._pause(1.0)

    def _wait_for_room(self) -> None:
        noted = time.monotonic()
        while self._store.run(due.pending()).due > _BACKLOG:
            self._pause(_LOOK_SECONDS)
            if time.monotonic() > noted + _LEASE_MS / 4_000:
                noted = time.monotonic()
                self._note()

    def _pause(self, seconds: float) -> None:
        if stop_asked.wait(seconds):
            raise NotOurs

    def _note(self, counts: "Counter[Fate] | None" = None, **fields: str | int) -> None:
        named = {fate.value: number for fate, number in (counts or {}).items()}
        noted = replay_runs.note(self._run_id, self._holder, _LEASE_MS, named, fields)
        if self._store.run(noted) != 1 or stop_asked.is_set():
            raise NotOurs


def _slices(letters: Sequence[Letter], most: int) -> Iterator[list[Letter]]:
    held: list[Letter] = []
    size = 0
    for letter in letters:
        if held and (len(held) == most or size > _SLICE_BYTES):
            yield held
            held, size = [], 0
        held.append(letter)
        size += len(letter.payload or b"")
    if held:
        yield held


def _lot(run: Run, position: Position | None, limit: int) -> Operation[_Lot]:
    """The letters of a run behind a position, with their payloads. Of letters named one by one the position is a number."""
    if not run.ids:
        page = yield from letter_lists.page(run.selection, position, limit, oldest_first=True)
        return _Lot(page.letters, len(page.letters), page.after)
    first = 0 if position is None else position.received_ms
    ids = run.ids[first : first + limit]
    lengths = yield from dead_letters.sizes(ids)
    taken = size = 0
    while taken < len(ids) and (taken == 0 or size + lengths[taken] <= MAX_PAGE_BYTES):
        size += lengths[taken]
        taken += 1
    letters = yield from dead_letters.several(ids[:taken], whole=True)
    after = first + taken
    found = [letter for letter in letters if letter is not None]
    return _Lot(found, taken, Position(after, "") if after < len(run.ids) else None)
