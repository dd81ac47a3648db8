"""Advance one order by its new records: the worker's step around the pure fold, without any I/O.

An event whose fold raises is set aside, with its record, in the order's own stored state: the rest of the order goes on
at once. It is tried again, after longer and longer waits, and parked as a dead letter when its tries are used up.
"""

import hashlib
import traceback
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final, NamedTuple

import msgspec
import orjson

from shared import document, rollup, typed
from shared.clock import format_time
from shared.schema import Document
from shared.store import indexes, records
from shared.store.dead_letters import DeadLetter, letter_id
from shared.store.folding import Announcement
from shared.store.records import Record
from shared.store.stored import Deferred, Stored, decode, encode
from worker import verdict
from worker.verdict import Verdict

_DAY_MS: Final = 86_400_000
#: An order whose retention has ended already (an old backup, say) is kept this long, so that it can be looked at.
_LEAST_KEPT_MS: Final = 3_600_000


class Policy(NamedTuple):
    """How patient the fold is, and how long orders are kept."""

    tries: int = 5
    backoff_ms: int = 1_000
    retention_days: int = 180
    open_retention_days: int = 730
    limits: rollup.Limits = rollup.DEFAULT_LIMITS


@dataclass
class Failed:
    """One event that could not be folded now."""

    record: Record
    attempts: int
    error: Exception


@dataclass
class Advance:
    """What became of one order."""

    stored: Stored
    #: None while nothing is known of the order: of its events none could be folded yet.
    document: Document | None
    changed: bool
    previous: str | None
    folded: int
    expires_ms: int
    #: The document as JSON.
    text: bytes = b""
    #: What becomes a dead letter, by the digest of its content.
    letters: dict[bytes, DeadLetter] = field(default_factory=dict)
    failed: list[Failed] = field(default_factory=list)
    parked: list[bytes] = field(default_factory=list)
    flags_before: int = 0
    #: What the order is found by now and was not before.
    ids: list[str] = field(default_factory=list)
    #: Events that were parked and are folded now.
    unparked: list[Record] = field(default_factory=list)

    @property
    def terminal(self) -> bool:
        """Whether the order is done."""
        return self.document is not None and self.document["terminal"]

    def announcement(self, now_us: int) -> Announcement | None:
        """What the stream and the indexes are to be told; nothing without a change."""
        if self.document is None or not self.changed:
            return None
        return Announcement(
            version=self.document["version"],
            status=self.document["status"],
            previous=self.previous,
            terminal=self.document["terminal"],
            at_us=now_us,
            flags=self.stored.flags,
            flags_before=self.flags_before,
            received_ms=self.stored.state.last_received // 1000,
            ids=self.ids,
        )

    @property
    def retry_ms(self) -> int | None:
        """The server's time (ms) of the next try of an event that was set aside; None where there is none."""
        return min((each.not_before_ms for each in self.stored.deferred), default=None)


def advance(
    tenant: str,
    reference: str,
    before: Stored,
    new: Sequence[Record],
    now_us: int,
    policy: Policy,
    raw: bytes = b"",
) -> Advance:
    """Fold new records, and those set aside whose time has come, into an order's stored state.

    `before` is used up; `raw`: what it was decoded from, where that is at hand. Raises only what says nothing about an event
    (`Verdict.GIVE_UP`), or what is wrong with the order as it was already.
    """
    now_ms = now_us // 1000
    due = [each for each in before.deferred if each.not_before_ms <= now_ms]
    before.deferred = [each for each in before.deferred if each.not_before_ms > now_ms]
    todo = [(record, each.attempts) for each in due for record in records.read([each.record])]
    todo += [(record, 0) for record in new]
    pristine = raw or encode(before, compress=False)
    ids_before = _id_count(before)
    was_parked = list(before.parked)
    try:
        after = before
        folded = 0
        for record, _ in todo:
            folded += _fold(after, record, policy)
        built = _build(tenant, reference, after)
        failed: list[Failed] = []
    except Exception as error:
        if verdict.on(error) is Verdict.GIVE_UP:
            raise
        after, failed, folded = _carefully(tenant, reference, pristine, before.deferred, todo, policy)
        built = _build(tenant, reference, after)
    result = _settle(after, built, folded, now_us, policy)
    if built is not None and result.changed and _id_count(after) != ids_before:
        known = decode(pristine) if ids_before else None
        result.ids = sorted(indexes.ids_of(built) - (rollup.ids(known.state) if known else set()))
    if was_parked:
        result.unparked = _unparked(was_parked, after, todo)
    for each in failed:
        _set_aside(result, each, tenant, reference, now_ms, policy)
    return result


def _fold(after: Stored, record: Record, policy: Policy) -> int:
    """Fold one record; 1 if it held an event."""
    if record.letter == records.CLOSED:
        after.state.closed = max(after.state.closed or 0, record.received)
        return 0
    if not record.is_event:
        return 0
    said = typed.read_facts(record.text, record.came_as, record.received)
    rollup.join(after.state, said, policy.limits)
    if not record.is_known:
        rollup.count_event(after.state)
    elif after.parked and record.digest in after.parked:
        after.parked.remove(record.digest)
        rollup.count_event(after.state)
    return 1


def _unparked(was_parked: Sequence[bytes], after: Stored, todo: Sequence[tuple[Record, int]]) -> list[Record]:
    gone = set(was_parked).difference(after.parked)
    return [record for record, _ in todo if record.is_event and record.digest in gone] if gone else []


def _id_count(stored: Stored) -> int:
    """Grows with each id by which the order may be found (and by an id that two of its lines share)."""
    orders = stored.state.orders
    return len(orders) + sum([len(line.parcels) for each in orders.values() for line in each.lines.values()])


def _carefully(
    tenant: str,
    reference: str,
    pristine: bytes,
    deferred: list[Deferred],
    todo: Sequence[tuple[Record, int]],
    policy: Policy,
) -> tuple[Stored, list[Failed], int]:
    """Fold one record at a time, building the document after each, to find those that raise.

    Begins with the order as it was, but for its `deferred` events.
    """
    after = decode(pristine) or Stored(rollup.State())
    after.deferred = deferred
    good = msgspec.msgpack.encode(after)
    _build(tenant, reference, after)  # if the order raises as it was, no event is to blame
    failed: list[Failed] = []
    folded = 0
    for record, attempts in todo:
        try:
            events = _fold(after, record, policy)
            _build(tenant, reference, after)
        except Exception as error:
            if verdict.on(error) is Verdict.GIVE_UP:
                raise
            failed.append(Failed(record, attempts + 1, error))
            after = msgspec.msgpack.decode(good, type=Stored)
        else:
            folded += events
            good = msgspec.msgpack.encode(after)
    return after, failed, folded


def _build(tenant: str, reference: str, stored: Stored) -> Document | None:
    """The document of a state, without version and time; None while nothing is known of the order."""
    return document.build(tenant, reference, stored.state, 0, 0) if stored.state.orders else None


def _settle(after: Stored, built: Document | None, folded: int, now_us: int, policy: Policy) -> Advance:
    """Decide whether the document has changed, and give it its version and time."""
    kept_ms = now_us // 1000 + _LEAST_KEPT_MS
    if built is None:
        expires_ms = max(kept_ms, now_us // 1000 + policy.open_retention_days * _DAY_MS)
        return Advance(after, None, changed=False, previous=None, folded=folded, expires_ms=expires_ms)
    text = orjson.dumps(built)
    digest = hashlib.blake2b(text, digest_size=12).digest()
    changed = digest != after.digest
    previous, flags_before = after.status, after.flags
    if changed:
        after.flags = indexes.flags_of(built)
        after.version += 1
        after.digest = digest
        after.status = built["status"]
    built["version"] = after.version
    built["updatedAt"] = format_time(now_us)
    days = policy.retention_days if built["terminal"] else policy.open_retention_days
    expires_ms = max(after.state.last_received // 1000 + days * _DAY_MS, kept_ms)
    return Advance(
        after,
        built,
        changed,
        previous,
        folded,
        expires_ms,
        text=document.dated(text, built["version"], built["updatedAt"]),
        flags_before=flags_before,
    )


def _set_aside(result: Advance, failed: Failed, tenant: str, reference: str, now_ms: int, policy: Policy) -> None:
    result.failed.append(failed)
    limited = verdict.on(failed.error) is Verdict.PARK
    digest = failed.record.digest
    # What was parked once and is replayed has had its tries: an operator waits to hear of it.
    again = digest in result.stored.parked
    # Known content is folded already, unless it is parked or waits for another try: this only repeats it.
    repeats = failed.record.is_known and not again and digest not in _deferred(result.stored)
    if not limited and not again and failed.attempts < policy.tries:
        wait_ms = policy.backoff_ms * 3 ** (failed.attempts - 1)
        result.stored.deferred.append(Deferred(failed.record.encoded(), failed.attempts, now_ms + wait_ms))
        return
    if not repeats:
        result.parked.append(digest)
    if not again and not repeats:
        result.stored.parked.append(digest)
    error = failed.error
    result.letters[digest] = DeadLetter(
        id=letter_id(tenant, failed.record.text, failed.record.came_as),
        tenant=tenant,
        reason="order-limit" if limited else "fold-error",
        detail=str(error) if limited else f"{type(error).__name__}: {error}"[:500],
        payload=failed.record.text,
        received=failed.record.received,
        reference=reference,
        attempts=failed.attempts,
        traceback=None if limited else "".join(traceback.format_exception(error))[-20_000:],
        came_as=failed.record.came_as,
    )


def _deferred(stored: Stored) -> set[bytes]:
    return {record.digest for each in stored.deferred for record in records.read([each.record])}
