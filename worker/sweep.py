"""The sweep: folds orders that nobody else has folded for a while. It does not depend on RQ.

A kick may be lost, RQ's server may be down or emptied, every shift may be dead: the due set knows what is to be done. The
sweep is a thread of each worker process, beside the main thread that RQ has for itself.
"""

import contextlib
import random
import threading
import time

from shared import log, tenants
from shared.errors import ConfigurationError, StoreUnavailable
from shared.settings import Settings
from shared.store import Store, due, indexes, keys
from worker.fold import fold_due
from worker.report import counted
from worker.shift import policy_of, stop_asked
from worker.turns import Turns

logger = log.get("worker.sweep")

#: An order that was due for so long while no shift is alive is nobody's. Live shifts get longer: they work through a
#: backlog, and two threads of one process fold it no sooner than one.
OVERDUE_MS = 3_000
LONG_OVERDUE_MS = 20_000
_EVERY_SECONDS = 1.0
#: A look at 500 orders of an index that often: a million orders in half a day.
_TIDY_EVERY_ROUNDS = 20
#: And at so many buckets of the index of ids: all of them in half a day, while they are small.
_BUCKETS = 8


class Sweep(threading.Thread):
    """Folds overdue orders until the process is asked to stop."""

    def __init__(self, store: Store, settings: Settings) -> None:
        super().__init__(name="sweep", daemon=True)
        self._store = store
        self._settings = settings
        self._tenants: list[str] = []
        self._reload = True
        self._tidied: dict[str, int] = {}
        #: Where to go on in the index of ids: each process begins elsewhere.
        self._bucket = (random.randrange(keys.BUCKETS), 0)
        self._turns = Turns(store, settings)

    def run(self) -> None:
        """The thread's life."""
        policy = policy_of(self._settings)
        rounds = 0
        while not stop_asked.wait(_EVERY_SECONDS):
            try:
                while not stop_asked.is_set():
                    began = time.monotonic()
                    due_for_ms = LONG_OVERDUE_MS if self._store.run(due.live_shifts()) else OVERDUE_MS
                    tally = fold_due(
                        self._store, policy, lease_seconds=self._settings.lease_seconds, due_for_ms=due_for_ms
                    )
                    if not tally.orders:
                        break
                    counted.batch(tally, time.monotonic() - began)
                    logger.warning("swept", orders=tally.orders, events=tally.events, waiting=tally.waiting)
                self._turns.look()
                rounds += 1
                if rounds % _TIDY_EVERY_ROUNDS == 0:
                    self._tidy()
            except StoreUnavailable as error:
                logger.warning("sweep waits for the server", error=str(error))
            except Exception:
                # A thread that dies in silence would leave nobody to notice lost kicks.
                logger.exception("sweep failed")

    def reload(self) -> None:
        """Read the tenants again, when they are needed next."""
        self._reload = True
        self._turns.reload()

    def _tidy(self) -> None:
        """Hold the indexes against the documents, and take out orders whose retention has ended, some at a time."""
        if self._reload:
            self._reload = False
            with contextlib.suppress(ConfigurationError):  # the turns of reconciliation have said so
                self._tenants = sorted(tenants.load(self._settings).by_name)
        for tenant in self._tenants:
            cursor = self._tidied.get(tenant, 0)
            self._tidied[tenant] = self._store.run(indexes.check_some(tenant, cursor))
        for _ in range(_BUCKETS):
            self._bucket = self._store.run(indexes.tidy_ids(*self._bucket))
