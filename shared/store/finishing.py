"""What ends a batch: commit, announce, pack, release. One round trip on one server; in a cluster one step after the other.

Whichever way: a change is kept with its order until it was announced, so that whoever comes next tells it; what was not
written is neither announced nor packed; and the lease goes last.
"""

from collections.abc import Sequence
from typing import Final, NamedTuple

from shared.store import due, folding, indexes, keys
from shared.store.calls import Argument, Call, Operation
from shared.store.due import Release
from shared.store.folding import Announcement, Commit, Pack, Written
from shared.store.scripts import FINISH

#: What `finish.lua` is to do with an order.
_WRITE: Final = 1
_ANNOUNCE: Final = 2
_PACK: Final = 4
_KEEP_LEASE: Final = "k"


class End(NamedTuple):
    """The end of one order's turn. `pack` only with a commit."""

    release: Release
    commit: Commit | None = None
    pack: Pack | None = None
    #: Something is to be done before the lease is given up.
    keeps_lease: bool = False


class Next(NamedTuple):
    """The claim under which a shift goes on: the most orders that it takes, and for how long; or it waits under its id."""

    claim_id: str
    most: int
    lease_ms: int


def finish(
    claim_id: str, ends: Sequence[End], *, one_call: bool, following: Next | None = None
) -> Operation[Sequence[Written | None]]:
    """Finish some orders of a claim; what became of each commit, None where there was none.

    An order that could not be written is due again at once. `one_call`: as `Store.one_call`; in one call the shift may say
    how it goes on: `due.wait_for_work` gives it what there is, or comes.
    """
    if not one_call:
        return (yield from _step_by_step(claim_id, ends))
    used = _Used()
    words: list[Argument] = [claim_id, folding.MAX_CHANGES, indexes.MOST_ORDERS]
    if following is None:
        words += ("",)
    else:
        taking = folding.taking(following.most, following.lease_ms, bounds=folding.OWN_BOUNDS)
        words += (following.claim_id, *taking)
    for each in ends:
        todo, rest = _words(each, used.of_tenants)
        order = each.release.order
        delay = _KEEP_LEASE if each.keeps_lease else each.release.words
        words += (order.name, used.shard(order.name), order.mark, delay, todo, len(rest))
        words += rest
    (results,) = yield [Call(FINISH, tuple(used.keys), tuple(words))]
    return [None if each.commit is None else Written(result) for each, result in zip(ends, results, strict=True)]


class _Used:
    """The keys that a call uses, and where those of a shard begin."""

    def __init__(self) -> None:
        self.keys: list[str] = []
        self.of_tenants = indexes.UsedKeys(self.keys)
        self._shards: dict[int, int] = {}

    def shard(self, name: str) -> int:
        """Where the keys of an order's shard begin."""
        shard = keys.shard_of(name)
        first = self._shards.get(shard)
        if first is None:
            first = self._shards[shard] = len(self.keys) + 1
            self.keys += due.shard_keys(shard)
        return first


def _words(end: End, used: indexes.UsedKeys) -> tuple[int, list[Argument]]:
    commit, pack = end.commit, end.pack
    if commit is None:
        return 0, []
    todo = _WRITE
    words: list[Argument] = [*commit.words]
    if commit.announcement is not None:
        todo += _ANNOUNCE
        words += _announced(commit.name, commit.announcement, used)
    if pack is not None:
        todo += _PACK
        words += (pack.keep, pack.packed, pack.left_out_bytes)
    return todo, words


def _announced(name: str, change: Announcement, used: indexes.UsedKeys) -> list[Argument]:
    tenant, reference = keys.split_order_name(name)
    note = used.words(tenant, name.partition("/")[2], change.entry(reference))
    found = [word for each in change.ids for word in keys.find(tenant, each)]
    return [*change.values(tenant, reference), *note, len(change.ids), *found]


def _step_by_step(claim_id: str, ends: Sequence[End]) -> Operation[Sequence[Written | None]]:
    commits = [each.commit for each in ends if each.commit is not None]
    written = iter((yield from folding.commit(commits)) if commits else ())
    results = [None if each.commit is None else next(written) for each in ends]
    done = [each for each, result in zip(ends, results, strict=True) if result is Written.DONE]
    yield from folding.announce([change for each in done if each.commit and (change := each.commit.change)])
    releases = [
        each.release if result in (None, Written.DONE) else Release(each.release.order, 0)
        for each, result in zip(ends, results, strict=True)
        if not each.keeps_lease
    ]
    if releases:
        yield from due.release(claim_id, releases)
    if packs := [each.pack for each in done if each.pack is not None]:
        yield from folding.packing(packs)
    return results
