"""What the worker does with claimed orders: load, commit by compare-and-set, announce, pack the log."""

import random
from collections.abc import Sequence
from enum import Enum
from typing import Any, Final, NamedTuple

import msgspec

from shared.clock import format_time
from shared.store import due, erasing, indexes, keys
from shared.store.calls import Batch, Call, Operation, Step
from shared.store.due import Claim, Claimed
from shared.store.indexes import Entry
from shared.store.scripts import ANNOUNCED, COMMIT, LEAVE, LOAD, PACK, TAKE

#: Log records read of one order at a time, and their bytes, of one order and of a batch; the rest follows later.
MAX_RECORDS: Final = 1_000
MAX_BYTES: Final = 4 * 1024 * 1024
MAX_BATCH_BYTES: Final = 32 * 1024 * 1024
_BOUNDS: Final = (MAX_RECORDS, MAX_BYTES, MAX_BATCH_BYTES)
#: The same of what a shift hands to itself: that is one text.
OWN_BOUNDS: Final = (MAX_RECORDS, MAX_BYTES, 8 * 1024 * 1024)
#: The stream of changes keeps about this many entries.
MAX_CHANGES: Final = 1_000_000
#: The fields of its entries; finish.lua names them too.
CHANGE_FIELDS: Final = ("tenant", "orderReferenceId", "version", "status", "previousStatus", "terminal", "at")
_HEAD_DIGITS: Final = 8
_HEAD: Final = msgspec.msgpack.Decoder(list[Any])
#: Answers of `announced.lua`: a newer change waits, or was told already; the order is gone.
_OVERTAKEN: Final = 0
_GONE: Final = 2


class Loaded(NamedTuple):
    """One order as stored. `records` are those that are not folded yet, as many as the bounds allow, perhaps none."""

    name: str
    revision: bytes
    cursor: int
    packed: int
    announcement: bytes
    stored: bytes
    document_exists: bool
    log_length: int
    records: list[bytes]
    #: Tells the order from another one that had its name before, or will have it after an erasure.
    generation: bytes
    #: The dead letters whose events were replayed (`shared.store.replays`).
    replays: bytes = b""

    @property
    def has_more(self) -> bool:
        """Whether the log holds more unfolded records than were read."""
        return self.log_length > self.cursor + len(self.records)


class Announcement(msgspec.Struct):
    """A change that the stream must tell of, and the indexes. `at_us`: when the version was made, microseconds."""

    version: int
    status: str
    previous: str | None
    terminal: bool
    at_us: int
    #: For the indexes: flags now (None: not known) and before, the last event's receipt, ids that were not known before.
    flags: int | None = None
    flags_before: int = 0
    received_ms: int = 0
    ids: list[str] = []

    def encoded(self) -> bytes:
        """As kept with the order until it was announced."""
        return msgspec.json.encode(self)

    def values(self, tenant: str, reference: str) -> tuple[str | int, ...]:
        """Values of the entry in the stream of changes, in the order of `CHANGE_FIELDS`."""
        terminal = "true" if self.terminal else "false"
        return tenant, reference, self.version, self.status, self.previous or "", terminal, format_time(self.at_us)

    def entry(self, reference: str) -> Entry:
        """What the indexes note."""
        return Entry(reference, self.status, self.previous, self.flags, self.flags_before, self.received_ms)


class Change(NamedTuple):
    """A change to announce: the order's name and generation, and the `Announcement` as encoded."""

    name: str
    generation: bytes
    encoded: bytes


class Commit(NamedTuple):
    """The outcome of a fold. `document` and `announcement` only where the document has changed."""

    name: str
    generation: bytes
    revision: bytes
    stored: bytes
    cursor: int
    expires_ms: int
    document: bytes = b""
    announcement: Announcement | None = None
    #: A record to append to the log: what was parked.
    record: bytes = b""

    @property
    def change(self) -> Change | None:
        """What is to be announced."""
        if self.announcement is None:
            return None
        return Change(self.name, self.generation, self.announcement.encoded())

    @property
    def words(self) -> tuple[bytes | int, ...]:
        """As `commit_order` in committing.lua reads it."""
        return (
            self.revision,
            self.document,
            self.stored,
            self.cursor,
            b"" if self.announcement is None else self.announcement.encoded(),
            self.record,
            self.expires_ms,
            self.generation,
        )


class Written(Enum):
    """What became of a commit."""

    DONE = 1
    #: Somebody else has written meanwhile: fold again.
    CONFLICT = 0
    #: The order was erased meanwhile, or has ended; another one may have its name by now.
    GONE = 2


class Taken(NamedTuple):
    """Orders that were claimed, and what the fold needs of each."""

    claim: Claim
    loaded: list[Loaded]

    def __add__(self, more: "Taken") -> "Taken":  # type: ignore[override]
        """With what was handed over under the same claim."""
        claim = self.claim._replace(orders=self.claim.orders + more.claim.orders)
        return Taken(claim, self.loaded + more.loaded)


def take(
    most: int,
    lease_ms: int,
    claim_id: str,
    *,
    cluster: bool,
    due_for_ms: int = 0,
    has_waited: bool = False,
    waits: bool = False,
) -> Operation[Taken]:
    """Claim up to `most` orders that have been due for `due_for_ms` at least, and read what the fold needs of each.

    One round trip on one server. There a shift that `has_waited` under this claim's id does so no longer, and gets what it
    was handed meanwhile; and if there is nothing, it `waits` from now on (`wait_for_work`).
    """
    if cluster:
        claimed = yield from due.claim(most, lease_ms, claim_id, cluster=True, due_for_ms=due_for_ms)
        loaded = (yield from load([order.name for order in claimed.orders])) if claimed.orders else []
        return Taken(claimed, loaded)
    words = taking(most, lease_ms, due_for_ms)
    (answer,) = yield [Call(TAKE, (keys.hand(claim_id),), (claim_id, *words, int(has_waited), int(waits)))]
    *head, found, handed = answer
    claimed = due.read_claim(claim_id, *head)
    taken = Taken(claimed, [_loaded(order.name, each) for order, each in zip(claimed.orders, found, strict=True)])
    return taken + read_handed(claim_id, handed) if handed else taken


def taking(most: int, lease_ms: int, due_for_ms: int = 0, *, bounds: tuple[int, int, int] = _BOUNDS) -> tuple[int, ...]:
    """What may be claimed and loaded, as the scripts read it; another shard comes first each time."""
    return most, lease_ms, *bounds, random.randrange(keys.SHARDS), due_for_ms


def read_handed(claim_id: str, handed: bytes) -> Taken:
    """What a waiting shift was handed under a claim's id: as `give` in handing.lua writes it."""
    at = _HEAD_DIGITS + int(handed[:_HEAD_DIGITS])
    now_us, waiting, *orders = _HEAD.decode(handed[_HEAD_DIGITS:at])
    claimed, loaded = [], []
    for name, mark, expired, revision, cursor, packed, exists, length, generation, *lengths, records in orders:
        texts = []
        for text_length in (*lengths, *records):
            texts.append(handed[at : at + text_length])
            at += text_length
        claimed.append(Claimed(name, mark.encode(), bool(expired)))
        change, state, note, *found = texts
        loaded.append(
            Loaded(
                name,
                revision.encode(),
                cursor,
                packed,
                change,
                state,
                bool(exists),
                length,
                found,
                generation.encode(),
                note,
            )
        )
    return Taken(Claim(claim_id, now_us, waiting, claimed), loaded)


def leave(claim_id: str) -> Operation[Taken | None]:
    """Wait no longer under a claim's id, which ends the wait; or get what was handed over before and not heard of."""
    (handed,) = yield [Call(LEAVE, (keys.hand(claim_id),), (claim_id,))]
    return read_handed(claim_id, handed) if handed else None


def load(names: Sequence[str]) -> Operation[list[Loaded]]:
    """Read the state and the new records of some orders."""
    (answers,) = yield [Batch(LOAD, [(keys.of_order(name), ()) for name in names], common=_BOUNDS)]
    return [_loaded(name, answer) for name, answer in zip(names, answers, strict=True)]


def _loaded(name: str, answer: list[Any]) -> Loaded:
    revision, cursor, packed, announcement, stored, exists, length, new, generation, note = answer
    return Loaded(name, revision, cursor, packed, announcement, stored, bool(exists), length, new, generation, note)


def keep(name: str) -> Operation[None]:
    """Keep an order that cannot be folded beyond its end, for what waits in its log. A fold gives it a new end."""
    yield [Call("PERSIST", (keys.log(name),)), Call("PERSIST", (keys.meta(name),))]


def whole_log(name: str) -> Operation[list[bytes]]:
    """All stored records of an order's log."""
    (records,) = yield [Call("LRANGE", (keys.log(name),), (0, -1))]
    return list(records)


def commit(commits: Sequence[Commit]) -> Operation[list[Written]]:
    """Write the outcomes, each if its order is as it was loaded; what became of each."""
    (results,) = yield [Batch(COMMIT, [(keys.of_order(each.name), each.words) for each in commits])]
    return [Written(result) for result in results]


def announce(changes: Sequence[Change]) -> Operation[None]:
    """Tell of changes, then note that they were told: told at least once.

    What was told of an order that was erased before the note is taken back.
    """
    if not changes:
        return
    step: Step = []
    entries: dict[str, list[Entry]] = {}
    links: list[tuple[str, list[str]]] = []
    for name, _, encoded in changes:
        change = msgspec.json.decode(encoded, type=Announcement)
        tenant, reference = keys.split_order_name(name)
        fields = [word for pair in zip(CHANGE_FIELDS, change.values(tenant, reference), strict=True) for word in pair]
        step.append(Call("XADD", (keys.CHANGES,), ("MAXLEN", "~", MAX_CHANGES, "*", *fields)))
        entries.setdefault(tenant, []).append(change.entry(reference))
        links.append((name, change.ids))
    step.extend(indexes.noted(tenant, changed) for tenant, changed in entries.items())
    answers = yield step + indexes.linked(links)
    noted = Batch(ANNOUNCED, [((keys.meta(each.name),), (each.generation, each.encoded)) for each in changes])
    (results,) = yield [noted]
    for (name, ids), entry_id, result in zip(links, answers[: len(changes)], results, strict=True):
        if result == _GONE:
            yield from erasing.take_back(name, entry_id, ids)
        elif result == _OVERTAKEN:
            tenant, reference = keys.split_order_name(name)
            yield from indexes.check(tenant, [reference])


class Pack(NamedTuple):
    """Folded records of one order's log as one.

    `order` is the commit before; the first `keep` packed records stay; `left_out_bytes`: of the records that the packed one
    leaves out. `state`: the state that was committed, compressed; empty to leave it.
    """

    order: Commit
    keep: int
    packed: bytes
    left_out_bytes: int
    state: bytes = b""


def packing(packs: Sequence[Pack]) -> Operation[list[bool]]:
    """Replace folded records, each if its order is as it was committed; whether each was replaced."""
    items = [
        (
            (keys.log(order.name), keys.meta(order.name), keys.state(order.name)),
            (
                b"%d" % (int(order.revision or 0) + 1),
                order.cursor,
                keep,
                packed,
                order.generation,
                left_out_bytes,
                state,
            ),
        )
        for order, keep, packed, left_out_bytes, state in packs
    ]
    (results,) = yield [Batch(PACK, items)]
    return [result == 1 for result in results]


def folded_records(ranges: Sequence[tuple[str, int, int]]) -> Operation[list[tuple[list[bytes], bytes]]]:
    """The stored records of some orders, `(name, first, cursor)`, from the first up to the cursor; and their states."""
    if not ranges:
        return []
    answers = yield [
        call
        for name, first, cursor in ranges
        for call in (Call("LRANGE", (keys.log(name),), (first, cursor - 1)), Call("GET", (keys.state(name),)))
    ]
    return [(list(found), state or b"") for found, state in zip(answers[::2], answers[1::2], strict=True)]
