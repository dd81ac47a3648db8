"""A shift: the RQ job. It folds while there is work, lingers for more, and ends in time.

One job is a shift, not an event: a job per event folds some hundred events a second, a shift tens of thousands. A shift
that is idle blocks on a list in Redis, so that it is there when an event comes and costs nothing meanwhile.
"""

import os
import threading
import time
import uuid
from typing import Final

from shared import log
from shared.errors import StoreUnavailable
from shared.settings import Settings
from shared.stop import StopFlag
from shared.store import Store, due
from worker.advance import Policy
from worker.report import Report, counted
from worker.rounds import Rounds
from worker.tally import Tally

logger = log.get("worker.shift")

#: How long a shift lasts. Well below the job timeout (`shared.kick`), so that an older job is certainly dead.
SHIFT_SECONDS: Final = 30.0
#: An idle shift looks at the due set this often even if nobody woke it: retries and lost leases wake nobody.
_LOOK_SECONDS: Final = 1.0
#: A shift that has said nothing for so long counts as dead, and another may be asked for.
_ALIVE_MS: Final = 5_000
_BEAT_SECONDS: Final = 1.0

#: The shift ends after the batch it is at.
stop_asked: Final = StopFlag()

#: The shift of this process ends after the batch it is at, so that RQ can begin with what waits before the next shift.
relief: Final = threading.Event()

#: How many shifts RQ has started in this process: says whether its server has been well meanwhile.
shifts_begun = 0

_stores: dict[str, Store] = {}


def run(seconds: float = SHIFT_SECONDS) -> dict[str, int | float]:
    """The RQ job: one shift with the settings of this process's environment. What it did is the job's result."""
    global shifts_begun  # noqa: PLW0603  (a count of this process)
    shifts_begun += 1
    settings = Settings.from_environment()
    url = settings.where()
    store = _stores.get(url)
    if store is None:
        store = _stores[url] = Store.from_url(url)
    try:
        return shift(store, settings, seconds=seconds)
    finally:
        if not counted.is_reported:
            Report(store).tell()


def shift(store: Store, settings: Settings, *, seconds: float = SHIFT_SECONDS) -> dict[str, int | float]:
    """Fold while there is work, for about `seconds`. Raises `StoreUnavailable` when the server goes away."""
    shift_id = f"{os.getpid()}-{uuid.uuid4().hex[:12]}"
    policy = policy_of(settings)
    start = time.monotonic()
    total = Tally()
    busy = 0.0
    beat_at = start
    relief.clear()

    def patience() -> float:
        left = start + seconds - time.monotonic()
        is_over = stop_asked.is_set() or relief.is_set() or left <= 0
        return 0.0 if is_over else min(_LOOK_SECONDS, max(left, 0.01))

    rounds = Rounds(store, policy, lease_seconds=settings.lease_seconds, patience=patience)

    def count(tally: Tally) -> None:
        nonlocal busy
        total.add(tally)
        took = time.monotonic() - rounds.began
        if tally.orders:
            busy += took
        counted.batch(tally, took)

    try:
        while True:
            now = time.monotonic()
            if now >= beat_at:
                store.run(due.beat(shift_id, _ALIVE_MS))
                beat_at = now + _BEAT_SECONDS
            count(rounds.fold_next())
            if not patience():
                break
        count(rounds.finish())
    finally:
        rounds.close()
        counted.shift()
        _end(store, shift_id)
    result: dict[str, int | float] = {
        "orders": total.orders,
        "events": total.events,
        "changed": total.changed,
        "conflicts": total.conflicts,
        "failed": total.failed,
        "parked": total.parked,
        "leases_expired": total.leases_expired,
        "waiting": total.waiting,
        "seconds": round(time.monotonic() - start, 3),
        "busy_seconds": round(busy, 3),
    }
    logger.info("shift", shift=shift_id, **result)
    return result


def policy_of(settings: Settings) -> Policy:
    """The policy of the fold that some settings ask for."""
    return Policy(
        tries=settings.fold_tries,
        backoff_ms=int(settings.fold_backoff_seconds * 1000),
        retention_days=settings.retention_days,
        open_retention_days=settings.open_retention_days,
    )


def _end(store: Store, shift_id: str) -> None:
    try:
        store.run(due.beat(shift_id, 0))
    except StoreUnavailable as error:
        logger.warning("shift ended without saying so", shift=shift_id, error=str(error))
