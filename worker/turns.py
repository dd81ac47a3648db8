"""When it is time to reconcile: asks RQ for a shift that does. Part of the sweep's thread.

RQ has a scheduler of its own. It forks a process from this one, which has threads; a scheduled job that is lost is not
scheduled again; and after a crash its lock delays the next by a minute. Turns that stand in Redis have none of that: they
come again until a round has ended well.
"""

import random
import time
from typing import Final

from shared import kick, log, tenants
from shared.errors import ConfigurationError, StoreUnavailable
from shared.settings import Settings
from shared.store import Store, reconciling, submissions
from shared.store.submissions import Unsettled
from worker import shift

logger = log.get("worker.turns")

_EVERY_LOOKS: Final = 2
#: Submits without an answer are looked for that often, and so many at a time.
_SUBMITS_EVERY_LOOKS: Final = 20
_SUBMITS: Final = 500
#: The first turn of a tenant comes within so much of the usual time between two: not all at once.
_FIRST: Final = (0.05, 0.5)


class Turns:
    """Looks whose turn it is, now and then."""

    def __init__(self, store: Store, settings: Settings) -> None:
        self._store = store
        self._settings = settings
        self._reload = True
        self._looks = 0

    def reload(self) -> None:
        """Read the tenants again, when they are needed next."""
        self._reload = True

    def look(self) -> None:
        """To be called about once a second. Raises `StoreUnavailable`."""
        self._looks += 1
        if self._looks % _EVERY_LOOKS:
            return
        if self._reload:
            self._schedule()
        if self._looks % _SUBMITS_EVERY_LOOKS == 0:
            self._look_for_submits()
        if self._store.run(reconciling.turns(1)):
            try:
                kick.ask_for_reconciliation(self._settings.where_rq())
            except (StoreUnavailable, ConfigurationError) as error:
                logger.warning("cannot ask for a reconciling shift", error=str(error))
            else:
                shift.relief.set()  # this process can begin with it

    def _look_for_submits(self) -> None:
        """Have submits whose answer was lost searched for, once an order that they made would have appeared."""
        settings = self._settings
        patience_seconds = settings.api_timeout_seconds * 2 + settings.api_settle_seconds
        before_ms = int((time.time() - patience_seconds) * 1000)
        by_tenant: dict[str, list[Unsettled]] = {}
        for each in self._store.run(submissions.unsettled(before_ms, _SUBMITS)):
            by_tenant.setdefault(each.tenant, []).append(each)
        for tenant, found in by_tenant.items():
            if self._store.run(reconciling.want(tenant, [each.reference for each in found])) is not None:
                # From here on it is reconciliation that does not forget them.
                self._store.run(submissions.settle_members([each.member for each in found]))
                logger.warning("submits without an answer are searched for", tenant=tenant, submits=len(found))

    def _schedule(self) -> None:
        """Give tenants that have an order API their first turns."""
        every_ms = self._settings.reconcile_minutes * 60_000
        try:
            known = tenants.load(self._settings)
        except ConfigurationError as error:
            logger.error(tenants.NOT_RELOADED, error=str(error))
            self._reload = False
            return
        with_api = [tenant.name for tenant in known if tenant.api.key is not None]
        without = sorted(tenant.name for tenant in known if tenant.api.key is None)
        if without:
            logger.info("tenants without an order API are not reconciled", tenants=without[:20], number=len(without))
        if every_ms:
            self._store.run(reconciling.schedule({name: int(every_ms * random.uniform(*_FIRST)) for name in with_api}))
        self._reload = False  # not before: the server may be away
