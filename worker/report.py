"""What the workers count: handed to Redis about once a second, where every receiver shows it for the whole service.

Workers have no HTTP, and a scrape would find only those that live just now. What a worker has counted since its last report
is lost if it is killed: a second's worth. What was reported stays.
"""

import os
import threading
import time
import uuid
from typing import Final

from shared import log
from shared.counting import Histogram, Values
from shared.errors import StoreUnavailable
from shared.metrics import BATCH_BOUNDS, DOCUMENT_BOUNDS
from shared.stop import StopFlag
from shared.store import Store, activity
from worker.tally import Tally

logger = log.get("worker.report")

_EVERY_SECONDS: Final = 1.0
#: A worker that has not reported for so long counts as dead.
_ALIVE_MS: Final = 10_000


class Counted:
    """What this process has counted and not reported. Shift and sweep count in two threads."""

    def __init__(self) -> None:
        #: Whether a thread of this process reports; a foreign RQ worker's has none.
        self.is_reported = False
        self._lock = threading.Lock()
        self._clear()

    def batch(self, tally: Tally, seconds: float) -> None:
        """Count a batch that took so long."""
        if not tally.orders:
            return
        with self._lock:
            self._total.add(tally)
            self._batches.observe(seconds)

    def shift(self) -> None:
        """Count a shift that ended."""
        with self._lock:
            self._shifts += 1

    def take(self) -> tuple[Values, dict[str, int]]:
        """What was counted since the last time: for the totals, and for the activity."""
        with self._lock:
            total, batches, shifts = self._total, self._batches, self._shifts
            self._clear()
        values: Values = {
            "gelato_events_folded_total": {(): total.events},
            "gelato_orders_folded_total": {(): total.orders},
            "gelato_documents_changed_total": {(): total.changed},
            "gelato_shifts_total": {(): shifts},
            "gelato_fold_conflicts_total": {(): total.conflicts},
            "gelato_fold_failures_total": {(): total.failed},
            "gelato_events_parked_total": {(): total.parked},
            "gelato_leases_expired_total": {(): total.leases_expired},
            "gelato_fold_seconds": {(): batches.value()},
            "gelato_time_to_document_seconds": {(): total.to_document.value()},
        }
        happened = {activity.FOLDED: total.events, activity.BURIED: total.parked}
        happened |= activity.fields_of(activity.DOCUMENT, DOCUMENT_BOUNDS, total.to_document.counts)
        return values, {field: number for field, number in happened.items() if number}

    def _clear(self) -> None:
        self._total = Tally()
        self._batches = Histogram(BATCH_BOUNDS)
        self._shifts = 0


#: What this process has counted.
counted: Final = Counted()


class Report(threading.Thread):
    """Reports what this process has counted, and that it is alive."""

    def __init__(self, store: Store) -> None:
        super().__init__(name="report", daemon=True)
        self._store = store
        self._id = f"{os.getpid()}-{uuid.uuid4().hex[:12]}"
        self._ended = StopFlag()
        self._totals: dict[str, int] = {}
        self._happened: dict[int, dict[str, int]] = {}

    def run(self) -> None:
        """The thread's life."""
        counted.is_reported = True
        while True:
            self.tell(_ALIVE_MS)
            if self._ended.wait(_EVERY_SECONDS):
                break
        self.tell(0)

    def end(self) -> None:
        """Report for the last time."""
        self._ended.set()
        self.join(timeout=3.0)

    def tell(self, alive_ms: int = 0) -> None:
        """Report what was counted, and for how long this process counts as alive."""
        values, happened = counted.take()
        _add(self._totals, activity.total_fields(values))
        if happened:
            step = activity.HOUR.step
            _add(self._happened.setdefault(int(time.time()) // step * step, {}), happened)
        while len(self._happened) > activity.HOUR.span // activity.HOUR.step:
            del self._happened[min(self._happened)]
        try:
            self._store.run(activity.report(self._happened, self._totals, self._id, alive_ms))
        except StoreUnavailable as error:
            logger.debug("the report waits for the server", error=str(error))
        except Exception:
            logger.exception("report failed")  # and is tried again: a thread that ended would tell nobody
        else:
            self._totals, self._happened = {}, {}


def _add(to: dict[str, int], more: dict[str, int]) -> None:
    for field, number in more.items():
        to[field] = to.get(field, 0) + number
