"""Fold a whole event log from scratch: gives the document that folding event by event gave."""

from collections.abc import Iterable, Sequence

from shared import rollup
from shared.store import records
from shared.store.records import Record
from shared.store.stored import Deferred, Stored
from worker.advance import Advance, Policy, advance


def rebuild(tenant: str, reference: str, old: Stored, log: Iterable[Record], now_us: int, policy: Policy) -> Advance:
    """Fold a whole event log from scratch. Version and status go on from the old state.

    What was parked is skipped, but for what came of it later: nothing of a content was folded before the mark that says it
    was parked. What waits for its next try goes on waiting. Content counts once, however often the log holds it.
    """
    todo: list[Record] = []
    parked: dict[bytes, None] = {}
    seen: set[bytes] = set()
    for record in _without_those_before_their_mark(_without(list(log), old.deferred)):
        if record.letter == records.PARKED:
            parked.update(dict.fromkeys(record.parked))
        elif record.is_event:
            digest = record.digest
            letter = record.letter.lower() if digest in seen else record.letter.upper()
            todo.append(record._replace(letter=letter))
            parked.pop(digest, None)
            seen.add(digest)
        else:
            todo.append(record)
    fresh = Stored(rollup.State(), old.version, old.status, old.digest, [], list(parked), old.flags)
    result = advance(tenant, reference, fresh, todo, now_us, policy)
    result.unparked = []  # they were so before
    result.stored.deferred = [*_counting_once(old.deferred, {*seen, *parked}), *result.stored.deferred]
    return result


def _without(log: Sequence[Record], deferred: Iterable[Deferred]) -> list[Record]:
    """A log without the records that wait for another try: of several of one content and receipt the last."""
    waiting = [record for each in deferred for record in records.read([each.record])]
    kept = []
    for record in reversed(log):
        same = next((each for each in waiting if _is_same(each, record)), None) if waiting else None
        if same is None:
            kept.append(record)
        else:
            waiting.remove(same)
    return kept[::-1]


def _is_same(one: Record, other: Record) -> bool:
    return (one.letter.upper(), one.received, one.text) == (other.letter.upper(), other.received, other.text)


def _without_those_before_their_mark(log: Sequence[Record]) -> list[Record]:
    marked: set[bytes] = set()
    kept = []
    for record in reversed(log):
        if record.letter == records.PARKED:
            marked.update(record.parked)
        elif record.is_event and marked and record.digest in marked:
            continue
        kept.append(record)
    return kept[::-1]


def _counting_once(deferred: Iterable[Deferred], known: set[bytes]) -> list[Deferred]:
    """Deferred events such that each content counts once: those that a rebuild has left out are new to it."""
    result = []
    for each in deferred:
        (record,) = records.read([each.record])
        letter = record.letter.lower() if record.digest in known else record.letter.upper()
        known.add(record.digest)
        result.append(Deferred(record._replace(letter=letter).encoded(), each.attempts, each.not_before_ms))
    return result
