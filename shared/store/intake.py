"""Taking events in: the duplicate check and the event log in one, then the mark that the order is due."""

from collections.abc import Sequence
from enum import Enum
from functools import lru_cache
from typing import Final, NamedTuple

import msgspec

from shared.events import Usable, identity_digest
from shared.facts import WEBHOOK
from shared.store import due, durability, keys, records
from shared.store.calls import Argument, Batch, Call, Operation
from shared.store.scripts import ACCEPT

#: The most distinct events one order may have; a real one has a few dozen.
MAX_EVENTS_PER_ORDER: Final = 10_000
#: The most bytes of them, before they are packed. An order of the most lines that one may have, and whose events list them
#: all, has room for some forty such events; and a rebuild holds all of an order in a worker's memory.
MAX_BYTES_PER_ORDER: Final = 32 * 1024 * 1024
#: What a dead letter of an event over either bound says.
FULL: Final = "order: has as many events, or bytes of them, as an order may have"

_STORED, _TO_MARK, _COLLIDED, _FULL = 1, 2, 4, 8


class Incoming(msgspec.Struct, frozen=True):
    """An event as received: `received` in microseconds; `came_as` is `webhook`, `posted` or `fetched`."""

    tenant: str
    event: Usable
    received: int
    came_as: str = WEBHOOK


class Result(Enum):
    """What became of an event."""

    ACCEPTED = "accepted"
    DUPLICATE = "duplicate"
    #: Its order has as many events, or bytes of them, as an order may have.
    ORDER_FULL = "order-full"


class Outcome(NamedTuple):
    """What became of an event, and whether its identity was known with other content; or the server's refusal."""

    result: Result | None
    collision: bool = False
    refusal: str = ""


#: What nearly every event becomes, by what the script says of it.
_USUAL: Final[dict[int | bytes, Outcome]] = {
    _STORED + _TO_MARK: Outcome(Result.ACCEPTED),
    _TO_MARK: Outcome(Result.DUPLICATE),
    0: Outcome(Result.DUPLICATE),
}


class Acknowledgement(NamedTuple):
    """What must have an event before it counts as stored, besides the server's memory and its own fsync policy."""

    replicas: int = 0
    fsync: bool = False
    timeout_ms: int = 100


def accept(
    events: Sequence[Incoming],
    *,
    cluster: bool,
    acknowledgement: Acknowledgement = Acknowledgement(),  # noqa: B008  (immutable)
    max_events: int = MAX_EVENTS_PER_ORDER,
    max_bytes: int = MAX_BYTES_PER_ORDER,
) -> Operation[list[Outcome]]:
    """Store events and mark their orders as due; each gets its own outcome, in order.

    Where replicas or the disk do not acknowledge in time, all are refused: they are stored, but not as safely as asked.

    One round trip on one server. In a cluster the marks live in other slots and follow in a second step: if the first
    was carried out alone, the event's next delivery is a duplicate that is not folded yet, and marks the order then.
    """
    names: list[str] = []
    items: list[tuple[tuple[str, ...], tuple[Argument, ...]]] = []
    shards: dict[int, int] = {}  # where the keys of each begin
    for incoming in events:
        event = incoming.event
        name, log, meta, shard = _of_order(incoming.tenant, event.reference)
        names.append(name)
        record = records.of_event(incoming.came_as, incoming.received, event.text)
        arguments: tuple[Argument, ...] = (identity_digest(event.identity), event.digest, record)
        if not cluster:
            first = shards.get(shard)
            if first is None:
                first = shards[shard] = 2 * len(events) + 3 * len(shards) + 1
            arguments += (name, first)
        items.append(((log, meta), arguments))
    if cluster:
        batch = Batch(ACCEPT, items, common=(0, max_events, max_bytes))
    else:
        marked = [key for shard in shards for key in due.shard_keys(shard)]
        batch = Batch(ACCEPT, items, common=(1, max_events, max_bytes), tail=tuple(marked))
    wait = durability.wait_for(
        acknowledgement.replicas, fsync=acknowledgement.fsync, timeout_ms=acknowledgement.timeout_ms
    )
    results, *answers = yield [batch, *([] if cluster else wait)]
    if answers and not durability.waited(answers, acknowledgement.replicas, fsync=acknowledgement.fsync):
        return [Outcome(None, refusal="NOREPLICAS stored, but not acknowledged by replicas or disk in time")] * len(
            events
        )
    if cluster:
        to_mark = [
            name for name, flags in zip(names, results, strict=True) if isinstance(flags, int) and flags & _TO_MARK
        ]
        yield from due.mark(dict.fromkeys(to_mark))
    return [_outcome(flags) for flags in results]


@lru_cache(maxsize=4096)  # an order's events often come soon after one another
def _of_order(tenant: str, reference: str) -> tuple[str, str, str, int]:
    name = keys.order_name(tenant, reference)
    return name, keys.log(name), keys.meta(name), keys.shard_of(name)


def contents(tenant: str, events: Sequence[tuple[str, str]]) -> Operation[list[bytes]]:
    """For each event, given as its order's reference and its identity: the digests (16 bytes each) of its known contents."""
    if not events:
        return []
    names = [(keys.order_name(tenant, reference), identity) for reference, identity in events]
    answers = yield [Call("HGET", (keys.meta(name),), (identity_digest(identity),)) for name, identity in names]
    return [digests or b"" for digests in answers]


def _outcome(flags: int | bytes) -> Outcome:
    usual = _USUAL.get(flags)
    if usual is not None:
        return usual
    if not isinstance(flags, int):
        return Outcome(None, refusal=flags.decode(errors="replace"))
    if flags & _FULL:
        return Outcome(Result.ORDER_FULL)
    return Outcome(Result.ACCEPTED if flags & _STORED else Result.DUPLICATE, collision=bool(flags & _COLLIDED))
