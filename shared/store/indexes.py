"""Writing the indexes: a tenant's orders by time, status and flags, and the ids that lead to an order.

The worker writes them where it announces a change, in the same round trip, by what the announcement says: a change that was
not told because its worker died is told, and indexed, by whoever comes next. Entries may still be behind: a worker that
stood still between commit and announcement may tell its old change after a newer one, and orders expire by themselves. So
readers hold what they find against the documents, and the sweep compares some entries at a time (`check`, `tidy_ids`).
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, NamedTuple

import orjson

from shared.clock import parse_time
from shared.schema import Document
from shared.store import keys
from shared.store.calls import Batch, Call, Operation, Step
from shared.store.listing import Listed
from shared.store.scripts import FORGET, INDEX, LINK, MEND, UNLINK

#: One id leads to so many orders at most, the last ones. (A parcel with two orders in it is rare enough.)
MOST_ORDERS: Final = 32
#: Documents that are read together: the largest are a megabyte.
_DOCUMENTS: Final = 25
_STATUS: Final = {status: n for n, status in enumerate(keys.STATUSES)}
_OTHER: Final = len(keys.STATUSES) - 1
#: Where the statuses' sets begin among `keys.indexes`.
_FIRST_STATUS: Final = 2 + len(keys.FLAGS)


class Entry(NamedTuple):
    """What a change does to a tenant's indexes. `flags` None: nothing is known but that there was a change."""

    reference: str
    status: str
    previous: str | None
    flags: int | None
    flags_before: int
    received_ms: int


def flags_of(document: Document | dict[str, Any]) -> int:
    """The flags of a document: a bit for each of `keys.FLAGS`."""
    disagrees = any(connected["disagrees"] for connected in document["orders"].values())
    return (
        (not document["terminal"])
        | bool(document["attention"]) << 1
        | (document["complete"] is False) << 2
        | disagrees << 3
    )


def ids_of(document: Mapping[str, Any]) -> set[str]:
    """What an order is found by: Gelato's order ids and tracking codes."""
    codes = (package["trackingCode"] for package in document["packages"])
    return {*document["connectedOrderIds"], *filter(None, codes)}


def noted(tenant: str, entries: Iterable[Entry]) -> Call:
    """The call that notes changes of a tenant's orders."""
    used = UsedKeys()
    words = [word for each in entries for word in used.words(tenant, keys.escaped(each.reference), each)[1:]]
    return Call(INDEX, tuple(used.keys), tuple(words))


class UsedKeys:
    """The keys that some notes in indexes need, and the words of these notes, which say where the keys stand.

    They are added to those that a call uses anyway.
    """

    def __init__(self, used: list[str] | None = None) -> None:
        self.keys = [] if used is None else used
        #: Per tenant: where its keys begin, and those of its statuses.
        self._positions: dict[str, tuple[int, dict[str | None, int]]] = {}

    def words(self, tenant: str, escaped: str, entry: Entry) -> tuple[str | int, ...]:
        """Where a tenant's keys begin, and the words of one note, as `note_order` in indexed.lua reads them."""
        if tenant not in self._positions:
            self._positions[tenant] = self._next(), {None: 0}
            self.keys += keys.indexes(tenant)[:_FIRST_STATUS]
        first, statuses = self._positions[tenant]
        for status in (entry.status, entry.previous):
            if status is not None and status not in statuses:
                statuses[status] = self._next()
                self.keys.append(keys.indexes(tenant)[_FIRST_STATUS + _STATUS.get(status, _OTHER)])
        flags = "" if entry.flags is None else entry.flags
        known = statuses[entry.status], statuses[entry.previous]
        return (first, escaped, flags, entry.flags_before, entry.received_ms, *known)

    def _next(self) -> int:
        return len(self.keys) + 1


def linked(names: Iterable[tuple[str, Iterable[str]]]) -> Step:
    """The step that notes which ids lead to which order, `(order's name, ids)`; empty without any id."""
    items = list(_links(names))
    return [Batch(LINK, items, common=(MOST_ORDERS,))] if items else []


def unlinked(names: Iterable[tuple[str, Iterable[str]]]) -> Step:
    """The step that notes that ids no longer lead to orders; empty without any id."""
    items = list(_links(names))
    return [Batch(UNLINK, items)] if items else []


def forget(tenant: str, gone: Sequence[Listed]) -> Operation[None]:
    """Take orders that are gone (their retention has ended) out of a tenant's indexes, unless they came back meanwhile."""
    if gone:
        words = tuple(word for each in gone for word in (keys.escaped(each.reference), each.changed_ms))
        yield [Call(FORGET, keys.indexes(tenant), words)]


def forgotten(tenant: str, reference: str, document: bytes | None) -> Step:
    """The step that takes an order, with its ids, out of all indexes, whatever they say of it."""
    ids = ids_of(orjson.loads(document)) if document else set()
    place = Call(FORGET, keys.indexes(tenant), (keys.escaped(reference), ""))
    return [place, *unlinked([(keys.order_name(tenant, reference), ids)])]


def check(tenant: str, references: Sequence[str]) -> Operation[int]:
    """Hold a tenant's indexes against the documents of some orders; how many entries were mended."""
    mended = 0
    all_keys = keys.indexes(tenant)
    for at in range(0, len(references), _DOCUMENTS):
        some = references[at : at + _DOCUMENTS]
        # The times first: an order that changes after that is left to whoever announces the change.
        (times,) = yield [Call("ZMSCORE", (all_keys[0],), tuple(keys.escaped(each) for each in some))]
        documents = yield [Call("GET", (keys.document_key(tenant, each),)) for each in some]
        looked = list(zip(some, times, documents, strict=True))
        yield from forget(
            tenant, [Listed(each, int(float(t))) for each, t, raw in looked if raw is None and t is not None]
        )
        found = [(each, t, orjson.loads(raw)) for each, t, raw in looked if raw is not None]
        if not found:
            continue
        words: list[str | int] = []
        for reference, time, document in found:
            status = _FIRST_STATUS + _STATUS.get(document["status"], _OTHER) + 1
            received_ms = (parse_time(document["updatedAt"]) or 0) // 1000
            looked_ms = "" if time is None else int(float(time))
            words += (keys.escaped(reference), looked_ms, flags_of(document), received_ms, status)
        names = [(keys.order_name(tenant, reference), ids_of(document)) for reference, _, document in found]
        results = yield [Call(MEND, all_keys, tuple(words)), *linked(names)]
        mended += results[0] + sum(sum(result) for result in results[1:])
    return mended


def check_some(tenant: str, cursor: int, at_once: int = 500) -> Operation[int]:
    """Look at some orders of a tenant's index, mend what is wrong, take out what is gone; the cursor to go on from."""
    (answer,) = yield [Call("ZSCAN", (keys.index(tenant),), (cursor, "COUNT", at_once))]
    following, found = answer
    yield from check(tenant, [keys.unescaped(name.decode()) for name, _ in found])
    return int(following)


def tidy_ids(bucket: int, cursor: int, at_once: int = 500) -> Operation[tuple[int, int]]:
    """Look at some ids, and take out those whose orders are gone; bucket and cursor to go on from."""
    (answer,) = yield [Call("HSCAN", (keys.find_bucket(bucket),), (cursor, "COUNT", at_once))]
    following, found = answer
    links = [(digest, name.decode()) for digest, names in found.items() for name in names.split()]
    names = sorted({name for _, name in links})
    if names:
        exist = yield [Call("EXISTS", (keys.document(name),)) for name in names]
        gone = {name for name, there in zip(names, exist, strict=True) if not there}
        items = [((keys.find_bucket(bucket),), (digest, name)) for digest, name in links if name in gone]
        if items:
            yield [Batch(UNLINK, items)]
    return (bucket, int(following)) if int(following) else ((bucket + 1) % keys.BUCKETS, 0)


def _links(names: Iterable[tuple[str, Iterable[str]]]) -> Iterable[tuple[tuple[str, ...], tuple[bytes | str, ...]]]:
    for name, ids in names:
        tenant = name.partition("/")[0]
        for each in ids:
            bucket, digest = keys.find(tenant, each)
            yield (bucket,), (digest, name)
