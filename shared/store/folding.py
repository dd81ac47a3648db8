"""What the worker does with claimed orders: load, commit by compare-and-set, announce, pack the log."""

from collections.abc import Sequence
from typing import Any, Final, NamedTuple

import msgspec

from shared.clock import format_time
from shared.store import keys
from shared.store.calls import Batch, Call, Operation, Step
from shared.store.scripts import ANNOUNCED, COMMIT, INDEX, LOAD, PACK

#: Log records read of one order at a time, and their bytes, of one order and of a batch; the rest follows later.
MAX_RECORDS: Final = 1_000
MAX_BYTES: Final = 4 * 1024 * 1024
MAX_BATCH_BYTES: Final = 32 * 1024 * 1024
#: The stream of changes keeps about this many entries.
MAX_CHANGES: Final = 1_000_000


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

    @property
    def has_more(self) -> bool:
        """Whether the log holds more unfolded records than were read."""
        return self.log_length > self.cursor + len(self.records)


class Announcement(msgspec.Struct):
    """A change that the stream must tell of. `at_us`: when the version was made, microseconds."""

    version: int
    status: str
    previous: str | None
    terminal: bool
    at_us: int

    def encoded(self) -> bytes:
        """As kept with the order until it was announced."""
        return msgspec.json.encode(self)


class Commit(NamedTuple):
    """The outcome of a fold. `document` and `announcement` only where the document has changed."""

    name: str
    revision: bytes
    stored: bytes
    cursor: int
    expires_ms: int
    document: bytes = b""
    announcement: bytes = b""
    #: A record to append to the log: what was parked.
    record: bytes = b""


def load(names: Sequence[str]) -> Operation[list[Loaded]]:
    """Read the state and the new records of some orders."""
    (answers,) = yield [
        Batch(LOAD, [(keys.of_order(name), ()) for name in names], common=(MAX_RECORDS, MAX_BYTES, MAX_BATCH_BYTES))
    ]
    return [
        Loaded(name, revision, cursor, packed, announcement, stored, bool(exists), length, new)
        for name, (revision, cursor, packed, announcement, stored, exists, length, new) in zip(
            names, answers, strict=True
        )
    ]


def whole_log(name: str) -> Operation[list[bytes]]:
    """All stored records of an order's log."""
    (records,) = yield [Call("LRANGE", (keys.log(name),), (0, -1))]
    return list(records)


def commit(commits: Sequence[Commit]) -> Operation[list[bool]]:
    """Write the outcomes, each if its order is as it was loaded; whether each was written."""
    items = [
        (
            keys.of_order(each.name),
            (
                each.revision,
                b"%d" % (int(each.revision or 0) + 1),
                each.document,
                each.stored,
                each.cursor,
                each.announcement,
                each.record,
                each.expires_ms,
            ),
        )
        for each in commits
    ]
    (results,) = yield [Batch(COMMIT, items)]
    return [result == 1 for result in results]


def announce(changes: Sequence[tuple[str, bytes]]) -> Operation[None]:
    """Tell of changes, `(order's name, announcement)`, then note that they were told: told at least once."""
    step: Step = []
    indexed: dict[str, list[str]] = {}
    for name, encoded in changes:
        change = msgspec.json.decode(encoded, type=Announcement)
        tenant, reference = keys.split_order_name(name)
        fields: dict[str, Any] = {
            "tenant": tenant,
            "orderReferenceId": reference,
            "version": change.version,
            "status": change.status,
            "previousStatus": change.previous or "",
            "terminal": "true" if change.terminal else "false",
            "at": format_time(change.at_us),
        }
        words = tuple(word for field in fields.items() for word in field)
        step.append(Call("XADD", (keys.CHANGES,), ("MAXLEN", "~", MAX_CHANGES, "*", *words)))
        indexed.setdefault(tenant, []).append(keys.escaped(reference))
    step.extend(Call(INDEX, (keys.index(tenant),), tuple(names)) for tenant, names in indexed.items())
    yield step
    yield [Batch(ANNOUNCED, [((keys.meta(name),), (encoded,)) for name, encoded in changes])]


def pack(name: str, revision: bytes, cursor: int, keep: int, packed: bytes) -> Operation[bool]:
    """Replace the log's folded records behind the first `keep` packed ones by one packed record."""
    (done,) = yield [Call(PACK, (keys.log(name), keys.meta(name)), (revision, cursor, keep, packed))]
    return bool(done)


def folded_records(name: str, first: int, cursor: int) -> Operation[list[bytes]]:
    """The stored records from `first` up to the cursor."""
    (records,) = yield [Call("LRANGE", (keys.log(name),), (first, cursor - 1))]
    return list(records)
