"""The fold: joins what events say into the state of one order. Pure: no clock, no Redis, no logging.

The state is a join-semilattice: element-wise maxima of observation times, last-writer-wins registers, unions. Joining is
commutative, associative and idempotent, so events may come in any order, any number of times, in any batches, and the
state is no bigger than the number of distinct statuses, lines and parcels. The document is made from the state by
`shared.document`. See docs/explanation/the-fold.md.
"""

from typing import Final, NamedTuple

import msgspec
import orjson

from shared import statuses
from shared.clock import Stamp
from shared.errors import OrderLimit
from shared.facts import Facts, LineFacts, ParcelFacts

#: The layout of the stored state; a state of another layout is rebuilt from the event log.
STATE_FORMAT: Final = 1


class Limits(NamedTuple):
    """How large one order may grow. An event that would go beyond becomes an `order-limit` dead letter."""

    connected_orders: int = 500
    lines: int = 2_000
    parcels: int = 10_000
    statuses: int = 64


DEFAULT_LIMITS: Final = Limits()


class Seen(msgspec.Struct, array_like=True, gc=False):
    """All observations of one status, in microseconds: greatest `lo`, greatest `hi`, least `at`."""

    lo: int
    hi: int
    at: int


class Register(msgspec.Struct, array_like=True, gc=False):
    """A value that the last writer wins, by `(hi, lo, identity, value as JSON)`."""

    hi: int
    lo: int
    identity: str
    value: str


class Parcel(msgspec.Struct, array_like=True, gc=False):
    """One parcel of one line. `code` says whether its key is a tracking code or a URL."""

    code: bool
    url: Register | None = None
    method_name: Register | None = None
    method_uid: Register | None = None


class Line(msgspec.Struct, array_like=True):
    """One item of one connected order."""

    seen: dict[str, Seen] = {}
    #: The comment of each status.
    comments: dict[str, Register] = {}
    country: Register | None = None
    state_province: Register | None = None
    facility_id: Register | None = None
    parcels: dict[str, Parcel] = {}


class Connected(msgspec.Struct, array_like=True):
    """One connected order."""

    #: Its own status.
    seen: dict[str, Seen] = {}
    #: Final observations that stand for every line, those learnt later too.
    whole: dict[str, Seen] = {}
    comments: dict[str, Register] = {}
    store_id: Register | None = None
    min_date: Register | None = None
    max_date: Register | None = None
    lines: dict[str, Line] = {}
    #: Whether any event was about it, or it was merely named by a sibling.
    heard: bool = False


class State(msgspec.Struct, array_like=True):
    """Everything the fold remembers of one order."""

    orders: dict[str, Connected] = {}
    #: The connected orders that something named as siblings; empty until something did.
    named: dict[str, bool] = {}
    events: int = 0
    first_at: int | None = None
    last_at: int | None = None
    #: Times of receipt, in microseconds: of the latest event, and of the operator's `close`.
    last_received: int = 0
    closed: int | None = None


def count_event(state: State) -> None:
    """Count one more distinct event. Apart from `join`, since joining the same event again must not count it again."""
    state.events += 1


def join(state: State, facts: Facts, limits: Limits = DEFAULT_LIMITS) -> None:
    """Join what one event says into the state, in place.

    Raises `OrderLimit` before anything is changed.
    """
    order_id = facts.order_id
    _check_limits(state, facts, limits)
    stamp = facts.stamp
    orders = state.orders
    connected = orders.get(order_id)
    if connected is None:
        connected = orders[order_id] = Connected()
    connected.heard = True
    for sibling in facts.connected:
        state.named[sibling] = True
        if sibling not in orders:
            orders[sibling] = Connected()
    if facts.status is not None:
        _observe(connected.seen, facts.status, stamp)
        if facts.speaks_for_all:
            _observe(connected.whole, facts.status, stamp)
        if facts.comment is not None:
            _write_comment(connected.comments, facts.status, facts.comment, facts)
    if facts.store_id is not None:
        connected.store_id = _last(connected.store_id, facts.store_id, facts)
    if facts.min_date is not None:
        connected.min_date = _last(connected.min_date, facts.min_date, facts)
    if facts.max_date is not None:
        connected.max_date = _last(connected.max_date, facts.max_date, facts)
    for line in facts.lines:
        _join_line(connected.lines, line, facts)
    at = stamp.at
    if state.first_at is None or at < state.first_at:
        state.first_at = at
    if state.last_at is None or at > state.last_at:
        state.last_at = at
    state.last_received = max(state.last_received, facts.received)


def ids(state: State) -> set[str]:
    """What the order is found by: Gelato's order ids and tracking codes."""
    found = set(state.orders)
    for connected in state.orders.values():
        for line in connected.lines.values():
            if line.parcels:
                found.update(key[1:] for key, parcel in line.parcels.items() if parcel.code)
    return found


def current(seen: dict[str, Seen]) -> str | None:
    """The current status of a line or a connected order; None without any observation.

    Final statuses, once seen, are the only candidates. Of the candidates for which nothing is certainly newer, the one of
    the highest rank is believed: the intervals overlap, and an order moves forward.
    """
    if not seen:
        return None
    if len(seen) == 1:
        return next(iter(seen))
    considered = [status for status in seen if status in statuses.FINAL] or list(seen)
    if len(considered) == 1:
        return considered[0]
    newest = max([seen[status].lo for status in considered])
    candidates = [status for status in considered if seen[status].hi > newest or seen[status].lo == newest]
    return candidates[0] if len(candidates) == 1 else max(candidates, key=statuses.rank_key)


def line_observations(connected: Connected, line: Line) -> dict[str, Seen]:
    """A line's observations: its own, and those of the whole order unless the line has a final one of its own."""
    if not connected.whole or any(status in statuses.FINAL for status in line.seen):
        return line.seen
    joined = dict(line.seen)
    for status, seen in connected.whole.items():
        known = joined.get(status)
        joined[status] = seen if known is None else _joined(known, seen)
    return joined


def _join_line(lines: dict[str, Line], said: LineFacts, facts: Facts) -> None:
    line = lines.get(said.reference)
    if line is None:
        line = lines[said.reference] = Line()
    if said.status is not None:
        _observe(line.seen, said.status, facts.stamp)
        if said.comment is not None:
            _write_comment(line.comments, said.status, said.comment, facts)
    for country, state_province, facility_id in said.facilities:
        if country is not None:
            line.country = _last(line.country, country, facts)
        if state_province is not None:
            line.state_province = _last(line.state_province, state_province, facts)
        if facility_id is not None:
            line.facility_id = _last(line.facility_id, facility_id, facts)
    for parcel in said.parcels:
        _join_parcel(line.parcels, parcel, facts)


def _join_parcel(parcels: dict[str, Parcel], said: ParcelFacts, facts: Facts) -> None:
    key = _parcel_key(said)
    parcel = parcels.get(key)
    if parcel is None:
        parcel = parcels[key] = Parcel(said.code is not None)
    if said.url is not None:
        parcel.url = _last(parcel.url, said.url, facts)
    if said.method_name is not None:
        parcel.method_name = _last(parcel.method_name, said.method_name, facts)
    if said.method_uid is not None:
        parcel.method_uid = _last(parcel.method_uid, said.method_uid, facts)


def _parcel_key(parcel: ParcelFacts) -> str:
    """A code and a URL that happen to be the same text are two parcels: the first character keeps them apart."""
    return ("c" if parcel.code else "u") + parcel.key


def _observe(seen: dict[str, Seen], status: str, stamp: Stamp) -> None:
    at, lo, hi = stamp
    known = seen.get(status)
    if known is None:
        seen[status] = Seen(lo, hi, at)
        return
    known.lo = max(known.lo, lo)
    known.hi = max(known.hi, hi)
    known.at = min(known.at, at)


def _joined(one: Seen, other: Seen) -> Seen:
    return Seen(max(one.lo, other.lo), max(one.hi, other.hi), min(one.at, other.at))


def _write_comment(comments: dict[str, Register], status: str, comment: str, facts: Facts) -> None:
    comments[status] = _last(comments.get(status), comment, facts)


def _last(register: Register | None, value: str, facts: Facts) -> Register:
    """The register after this event wrote `value` to it."""
    _, lo, hi = facts.stamp
    if register is None or later(register, hi, lo, facts.identity, value):
        return Register(hi, lo, facts.identity, value)
    return register


def later(register: Register, hi: int, lo: int, identity: str, value: str) -> bool:
    """Whether a write comes after the one that a register holds."""
    if hi != register.hi:
        return hi > register.hi
    if lo != register.lo:
        return lo > register.lo
    if identity != register.identity:
        return identity > register.identity
    return value != register.value and orjson.dumps(value) > orjson.dumps(register.value)


def _check_limits(state: State, facts: Facts, limits: Limits) -> None:
    orders = state.orders
    connected = orders.get(facts.order_id)
    siblings = {facts.order_id, *facts.connected} if facts.connected else (facts.order_id,)
    if len(orders) + len(siblings) > limits.connected_orders:
        new = sum(sibling not in orders for sibling in siblings)
        if new and len(orders) + new > limits.connected_orders:
            raise OrderLimit(f"order: more than {limits.connected_orders} connected orders")
    lines = connected.lines if connected else {}
    new = has_parcels = 0
    for line in facts.lines:
        known = lines.get(line.reference)
        if known is None:
            new += 1
        elif line.status is not None:
            _check_statuses(known.seen, line.status, limits)
        if line.parcels:
            has_parcels = 1
    if new and sum(len(each.lines) for each in orders.values()) + new > limits.lines:
        raise OrderLimit(f"order: more than {limits.lines} lines")
    if has_parcels:
        _check_parcels(state, facts, limits)
    if facts.status is not None and connected is not None:
        _check_statuses(connected.seen, facts.status, limits)


def _check_parcels(state: State, facts: Facts, limits: Limits) -> None:
    held = sum(len(line.parcels) for each in state.orders.values() for line in each.lines.values())
    if held + sum(len(line.parcels) for line in facts.lines) <= limits.parcels:
        return
    connected = state.orders.get(facts.order_id, Connected())
    new = {
        (said.reference, _parcel_key(parcel))
        for said in facts.lines
        for parcel in said.parcels
        if said.reference not in connected.lines or _parcel_key(parcel) not in connected.lines[said.reference].parcels
    }
    if new and held + len(new) > limits.parcels:
        raise OrderLimit(f"order: more than {limits.parcels} parcels")


def _check_statuses(seen: dict[str, Seen], status: str, limits: Limits) -> None:
    if len(seen) >= limits.statuses and status not in seen:
        raise OrderLimit(f"order: more than {limits.statuses} different statuses of one line or connected order")
