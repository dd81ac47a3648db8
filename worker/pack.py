"""Pack the folded part of an order's log: two dozen events of one order say much the same, and compress to a tenth.

Beside the way of an event: an order that could not be packed now is packed later or never, which costs memory and nothing
else.
"""

from collections.abc import Sequence
from typing import Final, NamedTuple

from shared.store import Store, folding, records
from shared.store.folding import Commit, Loaded, Pack
from shared.store.stored import compressed

#: Single records of an open order that are packed together. Packing them in lots keeps the cost per event flat.
LOT: Final = 32
#: So many packed records of a terminal order are packed anew together: nearly always all.
_TOGETHER: Final = 64


class ToPack(NamedTuple):
    """An order whose log is to be packed after a commit."""

    loaded: Loaded
    commit: Commit
    terminal: bool

    def without_texts(self) -> "ToPack":
        """For later: what it says of the log alone."""
        commit = self.commit._replace(document=b"", stored=b"", announcement=None)
        return self._replace(loaded=self.loaded._replace(records=[], stored=b""), commit=commit)

    @property
    def keep(self) -> int:
        """How many packed records stay as they are, in front."""
        return max(0, self.loaded.packed - _TOGETHER) if self.terminal else self.loaded.packed


def is_worth_it(loaded: Loaded, commit: Commit, *, terminal: bool) -> bool:
    """Whether an order's log should be packed after this commit."""
    single = commit.cursor - loaded.packed
    return not commit.record and (single >= LOT or (single > 0 and terminal))


def is_loaded(order: ToPack) -> bool:
    """Whether all records that are to be packed were loaded with the order."""
    return order.keep >= _loaded_from(order)


def of_loaded(order: ToPack) -> Pack:
    """Pack the records that were loaded with an order."""
    return _packed(order, order.loaded.records)


def pack(store: Store, orders: Sequence[ToPack]) -> None:
    """Pack the folded records of some orders that were written; those that have moved on since stay as they are."""
    if orders:
        store.run(folding.packing(prepare(store, orders)))


def prepare(store: Store, orders: Sequence[ToPack]) -> list[Pack]:
    """Pack the folded records of some orders. What was not loaded with them is read, of all in one round trip."""
    ranges = [(each.commit.name, each.keep, _loaded_from(each)) for each in orders]
    before = store.run(folding.folded_records(ranges))
    return [
        _packed(
            each,
            [*found, *(each.loaded.records if loaded_from < each.commit.cursor else ())],
            compressed(state) if each.terminal else b"",
        )
        for each, (found, state), (_, _, loaded_from) in zip(orders, before, ranges, strict=True)
    ]


def _loaded_from(order: ToPack) -> int:
    """Where in the log the records begin that were loaded, and need not be read again."""
    loaded, cursor = order.loaded, order.commit.cursor
    return loaded.cursor if loaded.cursor + len(loaded.records) == cursor else cursor


def _packed(order: ToPack, stored: list[bytes], state: bytes = b"") -> Pack:
    if records.are_plain(stored):
        return Pack(order.commit, order.keep, records.pack_plain(stored), 0, state)
    folded = list(records.read(stored))
    left_out = _size(folded) - _size(records.without_repeats(folded))
    return Pack(order.commit, order.keep, records.pack(folded), left_out, state)


def _size(unpacked: list[records.Record]) -> int:
    return sum(len(each.text) for each in unpacked)
