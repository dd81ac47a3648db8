"""When it is time to reconcile: asks RQ for a shift that does. Part of the sweep's thread.

RQ has a scheduler of its own. It forks a process from this one, which has threads; a scheduled job that is lost is not
scheduled again; and after a crash its lock delays the next by a minute. Turns that stand in Redis have none of that: they
come again until a round has ended well.
"""

import random
from typing import Final

from shared import kick, log, tenants
from shared.errors import ConfigurationError, StoreUnavailable
from shared.settings import Settings
from shared.store import Store, reconciling
from worker import shift

logger = log.get("worker.turns")

_EVERY_LOOKS: Final = 2
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
        if self._store.run(reconciling.turns(1)):
            try:
                kick.ask_for_reconciliation(self._settings.where_rq())
            except (StoreUnavailable, ConfigurationError) as error:
                logger.warning("cannot ask for a reconciling shift", error=str(error))
            else:
                shift.relief.set()  # this process can begin with it

    def _schedule(self) -> None:
        """Give tenants that have an order API their first turns."""
        self._reload = False
        every_ms = self._settings.reconcile_minutes * 60_000
        try:
            known = tenants.load(self._settings)
        except ConfigurationError as error:
            logger.error("tenants not reloaded", error=str(error))
            return
        with_api = [tenant.name for tenant in known if tenant.api.key is not None]
        if every_ms:
            self._store.run(reconciling.schedule({name: int(every_ms * random.uniform(*_FIRST)) for name in with_api}))
