"""Orders with work to do: marking, claiming by lease, releasing, and the shifts that are alive."""

import random
from collections.abc import Iterable, Sequence
from typing import Any, Final, NamedTuple

from shared.store import keys
from shared.store.calls import Batch, Call, Operation
from shared.store.scripts import BEAT, CLAIM, MARK, RELEASE, WAKE

_ALL_SHARDS: Final = range(keys.SHARDS)


class Claimed(NamedTuple):
    """One claimed order: its name, the mark it was claimed with, and whether its previous lease had run out."""

    name: str
    mark: bytes
    lease_expired: bool


class Claim(NamedTuple):
    """Orders claimed at `now_us` (the server's time); `waiting` more are due."""

    id: str
    now_us: int
    waiting: int
    orders: list[Claimed]


class Release(NamedTuple):
    """One order to give up; due again after `delay_ms`, where given."""

    order: Claimed
    delay_ms: int | None = None


class Pending(NamedTuple):
    """What waits: orders due now, orders due later or under a lease, and since when the oldest has been due (ms ago)."""

    due: int
    later: int
    oldest_ms: int


class Leases(NamedTuple):
    """Orders under a lease, and those of them whose lease ran out long ago."""

    held: int
    stuck: int


def mark(names: Iterable[str]) -> Operation[None]:
    """Mark orders as due and wake a shift."""
    items = [(_shard_keys(keys.shard_of(name)), (name,)) for name in names]
    if items:
        yield [Batch(MARK, items), Call(WAKE, (keys.WAKE,))]


def claim(most: int, lease_ms: int, claim_id: str, *, cluster: bool, due_for_ms: int = 0) -> Operation[Claim]:
    """Claim up to `most` orders that have been due for `due_for_ms` at least."""
    first = random.randrange(keys.SHARDS)
    if not cluster:
        arguments = (most, lease_ms, claim_id, first, due_for_ms)
        (answer,) = yield [Call(CLAIM, tuple(key for shard in _ALL_SHARDS for key in _shard_keys(shard)), arguments)]
        return _claim(claim_id, answer)
    result = Claim(claim_id, 0, 0, [])
    for n in _ALL_SHARDS:
        left = max(0, most - len(result.orders))
        call = Call(CLAIM, _shard_keys((first + n) % keys.SHARDS), (left, lease_ms, claim_id, 0, due_for_ms))
        (answer,) = yield [call]
        part = _claim(claim_id, answer)
        result = Claim(claim_id, part.now_us, result.waiting + part.waiting, result.orders + part.orders)
    return result


def release(claim_id: str, releases: Sequence[Release]) -> Operation[None]:
    """Give up leases; an order that was marked meanwhile stays due."""
    items = [
        (_shard_keys(keys.shard_of(order.name)), (order.name, order.mark, claim_id, "" if delay is None else delay))
        for order, delay in releases
    ]
    yield [Batch(RELEASE, items)]


def wait_for_work(seconds: float) -> Operation[bool]:
    """Block until something was marked as due, at most for some seconds."""
    (answer,) = yield [Call("BLPOP", (keys.WAKE,), (seconds,))]
    return answer is not None


def wake() -> Operation[None]:
    """Wake one idle shift."""
    yield [Call(WAKE, (keys.WAKE,))]


def beat(shift_id: str, holds_ms: int) -> Operation[int]:
    """Say that a shift is alive for some time (0: it ends); the number of live shifts."""
    (live,) = yield [Call(BEAT, (keys.SHIFTS,), (shift_id, holds_ms))]
    return int(live)


def live_shifts() -> Operation[int]:
    """The number of live shifts."""
    return beat("", 0)


def pending() -> Operation[Pending]:
    """What waits to be folded."""
    step = [Call("TIME")] + [Call("ZRANGE", (keys.due(shard),), (0, 0, "WITHSCORES")) for shard in _ALL_SHARDS]
    time, *firsts = yield [*step]
    now_ms = _milliseconds(time)
    counts = yield [
        call
        for shard in _ALL_SHARDS
        for call in (
            Call("ZCOUNT", (keys.due(shard),), ("-inf", now_ms)),
            Call("ZCOUNT", (keys.due(shard),), (f"({now_ms}", "+inf")),
        )
    ]
    oldest = min((float(first[1]) for first in firsts if first), default=now_ms)
    return Pending(sum(counts[0::2]), sum(counts[1::2]), max(0, int(now_ms - oldest)))


def leases(grace_ms: int) -> Operation[Leases]:
    """The orders under a lease; stuck are those whose lease ran out more than `grace_ms` ago and was not taken over."""
    time, *held = yield [Call("TIME"), *(Call("HKEYS", (keys.leases(shard),)) for shard in _ALL_SHARDS)]
    asked = [(shard, names) for shard, names in zip(_ALL_SHARDS, held, strict=True) if names]
    if not asked:
        return Leases(0, 0)
    ends = yield [Call("ZMSCORE", (keys.due(shard),), tuple(names)) for shard, names in asked]
    latest = _milliseconds(time) - grace_ms
    stuck = sum(1 for part in ends for end in part if end is not None and float(end) < latest)
    return Leases(sum(len(names) for _, names in asked), stuck)


def _shard_keys(shard: int) -> tuple[str, ...]:
    return keys.due(shard), keys.marks(shard), keys.leases(shard)


def _claim(claim_id: str, answer: list[Any]) -> Claim:
    now_us, waiting, *rest = answer
    orders = [
        Claimed(name.decode(), mark, bool(expired))
        for name, mark, expired in zip(rest[0::3], rest[1::3], rest[2::3], strict=True)
    ]
    return Claim(claim_id, int(now_us), int(waiting), orders)


def _milliseconds(time: Any) -> int:
    seconds, microseconds = time
    return int(seconds) * 1000 + int(microseconds) // 1000
