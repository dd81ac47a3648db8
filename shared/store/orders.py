"""Reading orders, and what operators do to them: close, erase."""

from collections.abc import Sequence

import orjson

from shared.store import dead_letters, due, indexes, keys, listing, reconciling, records, submissions
from shared.store.calls import Call, Operation
from shared.store.listing import Listed


def document(tenant: str, reference: str) -> Operation[bytes | None]:
    """The rollup document as stored; None for an unknown order."""
    (raw,) = yield [Call("GET", (keys.document_key(tenant, reference),))]
    return raw if raw is None else bytes(raw)


def documents(tenant: str, references: Sequence[str]) -> Operation[list[bytes | None]]:
    """Several rollup documents, None for each unknown order."""
    if not references:
        return []
    answers = yield [Call("GET", (keys.document_key(tenant, reference),)) for reference in references]
    return list(answers)


def log(tenant: str, reference: str) -> Operation[list[records.Record]]:
    """An order's event log, oldest record first; empty for an unknown order."""
    (stored,) = yield [Call("LRANGE", (keys.log(keys.order_name(tenant, reference)),), (0, -1))]
    return list(records.read(stored))


def newest(tenant: str, after: Listed | None, limit: int) -> Operation[list[Listed]]:
    """A tenant's orders by their last change, newest first, from the one after `after` on; fewer than `limit`: the last."""
    return listing.newest(keys.index(tenant), after, limit)


def close(tenant: str, reference: str, received: int) -> Operation[bool]:
    """Mark an order as done, until another event is received. False for an unknown order."""
    name = keys.order_name(tenant, reference)
    (known,) = yield [Call("EXISTS", (keys.log(name),))]
    if not known:
        return False
    yield [Call("RPUSHX", (keys.log(name),), (records.closed(received),))]
    yield from due.mark([name])
    return True


def erase(tenant: str, reference: str) -> Operation[int]:
    """Remove an order's keys, places in indexes, due marks, and what is known of its submit; how many keys there were.

    Its changes in the stream and its dead letters are found by looking through all: `erase_changes`, `erase_letters`.
    """
    name = keys.order_name(tenant, reference)
    shard = keys.shard_of(name)
    written = yield from document(tenant, reference)
    # The order itself goes last: whoever is interrupted finds it again.
    yield from reconciling.leave(tenant, reference)
    yield from submissions.forget(tenant, orjson.loads(written)["connectedOrderIds"] if written else [])
    yield from submissions.forget_unsettled(tenant, reference)
    answers = yield [
        Call("DEL", keys.of_order(name)),
        *indexes.forgotten(tenant, reference, written),
        Call("ZREM", (keys.due(shard),), (name,)),
        Call("HDEL", (keys.marks(shard),), (name,)),
        Call("HDEL", (keys.leases(shard),), (name,)),
        *reconciling.forget_order(tenant, reference),
    ]
    return int(answers[0])


def references(tenant: str, cursor: int = 0, at_once: int = 500) -> Operation[tuple[int, list[str]]]:
    """Some of a tenant's references, and the cursor to go on from (0: that was all). May repeat one."""
    (answer,) = yield [Call("ZSCAN", (keys.index(tenant),), (cursor, "COUNT", at_once))]
    following, found = answer
    return int(following), [keys.unescaped(name.decode()) for name, _ in found]


def some_references(tenant: str, at_once: int = 500) -> Operation[list[str]]:
    """Some of a tenant's references, those that changed longest ago; empty only if there are none."""
    (found,) = yield [Call("ZRANGE", (keys.index(tenant),), (0, at_once - 1))]
    return [keys.unescaped(name.decode()) for name in found]


def count(tenant: str) -> Operation[int]:
    """How many orders a tenant has."""
    (number,) = yield [Call("ZCARD", (keys.index(tenant),))]
    return int(number)


def unfolded(tenant: str) -> Operation[list[str]]:
    """References of a tenant's orders in the due set: some may not be in the index yet."""
    answers = yield [Call("ZRANGE", (keys.due(shard),), (0, -1)) for shard in range(keys.SHARDS)]
    names = [name.decode() for members in answers for name in members]
    return [reference for name in names for owner, reference in (keys.split_order_name(name),) if owner == tenant]


def erase_changes(tenant: str, reference: str | None, start: str = "-") -> Operation[tuple[str | None, int, int]]:
    """Delete an order's (or a tenant's) entries from one page of the stream of changes.

    Returns where to go on from (None: that was all), how many entries were looked at, and how many deleted.
    """
    (page,) = yield [Call("XRANGE", (keys.CHANGES,), (start, "+", "COUNT", 1_000))]
    ours = [
        entry_id
        for entry_id, fields in page
        if fields.get(b"tenant") == tenant.encode()
        and (reference is None or fields.get(b"orderReferenceId") == reference.encode())
    ]
    if ours:
        yield [Call("XDEL", (keys.CHANGES,), tuple(ours))]
    following = f"({page[-1][0].decode()}" if len(page) == 1_000 else None
    return following, len(page), len(ours)


def erase_letters(tenant: str, reference: str | None, cursor: int = 0) -> Operation[tuple[int, int]]:
    """Delete an order's (or a tenant's) dead letters from one page; the next cursor (0: done) and how many."""
    (answer,) = yield [Call("ZSCAN", (keys.DEAD_LETTERS,), (cursor, "COUNT", 500))]
    following, found = answer
    letters = yield from dead_letters.several([letter_id.decode() for letter_id, _ in found], whole=False)
    ours = [
        letter.id
        for letter in letters
        if letter is not None and letter.tenant == tenant and reference in (None, letter.reference)
    ]
    yield from dead_letters.remove(ours)
    return int(following), len(ours)


def forget_in_files() -> Operation[None]:
    """Ask the server to rewrite its append-only file, which still holds what was erased."""
    yield [Call("BGREWRITEAOF")]
