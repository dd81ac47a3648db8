"""What keeps an erased order erased, whoever was at work on it meanwhile.

- A worker that had loaded it: its commit fails, for the order's generation is gone; what it announces it takes back.
- A receiver with events of it in its spool: the erasure leaves a note, under a hash and for a while, and who drains drops
  what was received before. What is received afterwards is a new order.
"""

from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple

from shared.store import dead_letters, indexes, keys
from shared.store.calls import Call, Operation
from shared.store.dead_letters import DeadLetter
from shared.store.listing import Listed
from shared.store.scripts import BEAT

#: How long an erasure is noted: longer than events can wait in any spool.
KEPT_DAYS: Final = 30
#: A batch of a spool is carried within this time; a receiver that died with one does not hold an erasure up for longer.
_DRAIN_MS: Final = 10_000


class Received(NamedTuple):
    """What a spool holds of an order; `received` in microseconds."""

    tenant: str
    reference: str
    received: int


def note(tenant: str, reference: str | None) -> Operation[set[bytes]]:
    """Note that an order (None: all of a tenant) is being erased; the batches that may not have seen the note.

    Erase when they are done (`on_their_way`): what they carry is in Redis then, and goes with the rest.
    """
    (time,) = yield [Call("TIME")]
    now_us = int(time[0]) * 1_000_000 + int(time[1])
    yield [Call("SET", (keys.erased(tenant, reference),), (now_us, "EX", KEPT_DAYS * 86_400))]
    return (yield from on_their_way())


def on_their_way() -> Operation[set[bytes]]:
    """The batches that are being carried from spools."""
    (time,) = yield [Call("TIME")]
    now_ms = int(time[0]) * 1_000 + int(time[1]) // 1_000
    (batches,) = yield [Call("ZRANGEBYSCORE", (keys.DRAINS,), (now_ms, "+inf"))]
    return set(batches)


def begin_batch(batch: str, entries: Sequence[Received]) -> Operation[list[bool]]:
    """Say that a batch is on its way; for each of its entries whether it was received before its order was erased."""
    named = {(each.tenant, each.reference) for each in entries} | {(each.tenant, None) for each in entries}
    notes: Iterable[tuple[str, str | None]] = sorted(named, key=str)
    begun = Call(BEAT, (keys.DRAINS,), (batch, _DRAIN_MS))
    _, *times = yield [begun, *(Call("GET", (keys.erased(tenant, reference),)) for tenant, reference in notes)]
    erased = {name: int(time) for name, time in zip(notes, times, strict=True) if time is not None}
    return [
        each.received <= max(erased.get((each.tenant, each.reference), -1), erased.get((each.tenant, None), -1))
        for each in entries
    ]


def end_batch(batch: str) -> Operation[None]:
    """Say that a batch is done with."""
    yield [Call(BEAT, (keys.DRAINS,), (batch, 0))]


def take_back(name: str, entry_id: bytes, ids: Iterable[str]) -> Operation[None]:
    """Take back what was told of an order that was gone by then: its entry in the stream, its places, its ids.

    Another order that has come under the same name meanwhile keeps its places in the indexes: they are given up only where
    there is no order, and where nobody has written them since.
    """
    tenant, reference = keys.split_order_name(name)
    _, place = yield [
        Call("XDEL", (keys.CHANGES,), (entry_id,)),
        Call("ZSCORE", (keys.index(tenant),), (keys.escaped(reference),)),
    ]
    (exists,) = yield [Call("EXISTS", (keys.meta(name),))]
    if not exists:
        if place is not None:
            yield from indexes.forget(tenant, [Listed(reference, int(float(place)))])
        if unlinked := indexes.unlinked([(name, ids)]):
            yield unlinked


def take_back_letters(buried: Sequence[DeadLetter]) -> Operation[None]:
    """Remove dead letters of an order that was gone when its fold was done, but those that were seen again since."""
    found = yield from dead_letters.several([letter.id for letter in buried], whole=False)
    seen = {letter.id: letter.received if letter.seen is None else letter.seen for letter in buried}
    yield from dead_letters.remove([each.id for each in found if each is not None and each.last_seen == seen[each.id]])
