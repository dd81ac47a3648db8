"""Pack the folded part of an order's log: two dozen events of one order say much the same, and compress to a tenth.

Beside the way of an event: it runs after the leases are given up, and an order that could not be packed now is packed
later or never, which costs memory and nothing else.
"""

from typing import Final

from shared import log
from shared.store import Store, folding, records
from shared.store.folding import Commit, Loaded
from worker.advance import Advance

logger = log.get("worker.pack")

#: Single records of an open order that are packed together. Packing them in lots keeps the cost per event flat.
LOT: Final = 32
#: So many packed records of a terminal order are packed anew together: nearly always all.
_TOGETHER: Final = 64


def is_worth_it(loaded: Loaded, commit: Commit, outcome: Advance) -> bool:
    """Whether an order's log should be packed after this commit."""
    single = commit.cursor - loaded.packed
    return single >= LOT or (single > 0 and outcome.terminal)


def pack(store: Store, loaded: Loaded, commit: Commit, outcome: Advance) -> bool:
    """Pack an order's folded records; False if the order has moved on."""
    keep = max(0, loaded.packed - _TOGETHER) if outcome.terminal else loaded.packed
    folded = list(records.read(store.run(folding.folded_records(commit.name, keep, commit.cursor))))
    left_out = _size(folded) - _size(records.without_repeats(folded))
    return store.run(folding.pack(commit, keep, records.pack(folded), left_out))


def _size(unpacked: list[records.Record]) -> int:
    return sum(len(each.text) for each in unpacked)
