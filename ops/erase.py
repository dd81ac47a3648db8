"""Erasing orders without a trace, while receivers and workers go on working."""

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from ops.cli.common import progress
from receiver.drain import read_entry
from receiver.spool import Entry, Spool
from shared.errors import GelatoRollupError, StoreUnavailable
from shared.settings import Settings
from shared.store import Store, erasing, orders
from shared.store.calls import side_by_side
from shared.store.dead_letters import DeadLetter

_LOOK_SECONDS: Final = 0.02
#: So many orders are erased side by side: each takes five ways to the server.
_TOGETHER: Final = 50


@dataclass
class Erased:
    """What was found, and is gone."""

    orders: int = 0
    changes: int = 0
    letters: int = 0
    spooled: int = 0
    #: Why the server could not be asked to rewrite its append-only file; empty where it was.
    left_in_files: str = ""

    @property
    def anything(self) -> bool:
        """Whether anything was found."""
        return bool(self.orders or self.changes or self.letters or self.spooled)

    def __str__(self) -> str:
        return (
            f"{self.orders} orders, {self.changes} changes, {self.letters} dead letters, {self.spooled} spooled events"
        )


def erase_all(store: Store, settings: Settings, tenant: str, reference: str | None) -> Erased:
    """Erase an order, or (None) all of a tenant's.

    The order of the steps matters: once the erasure is noted no spool brings anything back, and what a spool had on its way
    to Redis by then is waited for. Raises `StoreUnavailable`, and `SpoolUnavailable` for this machine's spool.
    """
    erased = Erased()
    unseen = store.run(erasing.note(tenant, reference))
    erased.spooled = asyncio.run(_erase_spooled(settings.data_dir / "spool", tenant, reference))
    while unseen & store.run(erasing.on_their_way()):
        time.sleep(_LOOK_SECONDS)
    with progress() as bar:
        task = bar.add_task("orders", total=None)
        while True:
            names = [reference] if reference is not None else _everything(store, tenant)
            for first in range(0, len(names), _TOGETHER):
                some = names[first : first + _TOGETHER]
                erased.orders += _erase(store, tenant, some)
                bar.advance(task, len(some))
            if reference is not None or not names:
                break
        task = bar.add_task("changes", total=None)
        start: str | None = "-"
        while start is not None:
            start, looked, gone = store.run(orders.erase_changes(tenant, reference, start))
            erased.changes += gone
            bar.advance(task, looked)
        task = bar.add_task("dead letters", total=None)
        cursor = None
        while cursor != 0:
            cursor, gone = store.run(orders.erase_letters(tenant, reference, cursor or 0))
            erased.letters += gone
    try:
        store.run(orders.forget_in_files())
    except GelatoRollupError as error:
        erased.left_in_files = str(error)
    return erased


def _erase(store: Store, tenant: str, references: Sequence[str]) -> int:
    """Erase some orders; how many there were. Where one cannot be, those before it are. Raises `StoreUnavailable`."""
    try:
        found = store.run(side_by_side(*(orders.erase(tenant, each) for each in references)))
    except StoreUnavailable:
        found = [store.run(orders.erase(tenant, each)) for each in references]
    return sum(held > 0 for held in found)


def _everything(store: Store, tenant: str) -> list[str]:
    """A tenant's references, indexed or merely due. Those due that are gone already are erased from the due set."""
    indexed = store.run(orders.some_references(tenant))
    return list(dict.fromkeys([*indexed, *store.run(orders.unfolded(tenant))]))


async def _erase_spooled(directory: Path, tenant: str, reference: str | None) -> int:
    """Erase what this machine's spool holds, if there is one here."""

    def is_erased(entry: Entry) -> bool:
        return reference is None or _reference_of(entry) == reference

    if not (directory / "spool.sqlite").exists():
        return 0
    spool = Spool(directory, max_events=0, max_bytes=0)
    try:
        return await spool.erase(tenant, is_erased)
    finally:
        await spool.close()


def _reference_of(entry: Entry) -> str | None:
    try:
        content = read_entry(entry)
    except Exception:  # nobody can read it: it says nothing of any order
        return None
    return content.reference if isinstance(content, DeadLetter) else content.event.reference
