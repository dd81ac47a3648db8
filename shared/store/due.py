"""Orders with work to do: marking, claiming by lease, releasing, and the shifts that are alive."""

import random
from collections.abc import Iterable, Sequence
from typing import Any, Final, NamedTuple

from shared.store import keys
from shared.store.calls import Batch, Call, Operation
from shared.store.scripts import BEAT, CLAIM, MARK, RELEASE, WAKE

#: The keys of each shard: due, marks, leases.
_SHARD_KEYS: Final = tuple((keys.due(shard), keys.marks(shard), keys.leases(shard)) for shard in range(keys.SHARDS))
#: The keys of all shards.
ALL_SHARDS: Final = tuple(key for each in _SHARD_KEYS for key in each)


_WAKE: Final = keys.WAKE.encode()
#: The answer of `release.lua` that an order is due again already.
_DUE_AT_ONCE: Final = 3


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
    """One order to give up; due again after `delay_ms`, where given: at once if an event comes, unless `held`."""

    order: Claimed
    delay_ms: int | None = None
    held: bool = False

    @property
    def words(self) -> str:
        """When it is due again, as the script reads it."""
        return "" if self.delay_ms is None else f"h{self.delay_ms}" if self.held else str(self.delay_ms)


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
    items = [(shard_keys(keys.shard_of(name)), (name,)) for name in names]
    if items:
        yield [Batch(MARK, items), Call(WAKE, (keys.WAKE,))]


def claim(most: int, lease_ms: int, claim_id: str, *, cluster: bool, due_for_ms: int = 0) -> Operation[Claim]:
    """Claim up to `most` orders that have been due for `due_for_ms` at least."""
    if not cluster:
        words = (most, lease_ms, claim_id, random.randrange(keys.SHARDS), due_for_ms)
        (answer,) = yield [Call(CLAIM, ALL_SHARDS, words)]
        return read_claim(claim_id, *answer)
    first = random.randrange(keys.SHARDS)
    result = Claim(claim_id, 0, 0, [])
    for n in range(keys.SHARDS):
        left = max(0, most - len(result.orders))
        call = Call(CLAIM, shard_keys((first + n) % keys.SHARDS), (left, lease_ms, claim_id, 0, due_for_ms))
        (answer,) = yield [call]
        part = read_claim(claim_id, *answer)
        result = Claim(claim_id, part.now_us, result.waiting + part.waiting, result.orders + part.orders)
    return result


def read_claim(claim_id: str, now_us: int, waiting: int, claimed: list[Any]) -> Claim:
    """The claim in a script's answer."""
    orders = [Claimed(name.decode(), mark, bool(expired)) for name, mark, expired in claimed]
    return Claim(claim_id, int(now_us), int(waiting), orders)


def release(claim_id: str, releases: Sequence[Release]) -> Operation[None]:
    """Give up leases; an order that was marked meanwhile stays due, and wakes a shift."""
    items = [
        (shard_keys(keys.shard_of(each.order.name)), (each.order.name, each.order.mark, claim_id, each.words))
        for each in releases
    ]
    (results,) = yield [Batch(RELEASE, items)]
    if _DUE_AT_ONCE in results:
        yield [Call(WAKE, (keys.WAKE,))]


def wait_for_work(seconds: float, claim_id: str = "") -> Operation[bytes | None]:
    """Block until something is due, at most for some seconds; or until orders are handed over under a claim's id.

    What was handed over (`folding.read_handed`); empty if somebody has woken this shift; None if nobody did.
    """
    hand = (keys.hand(claim_id),) if claim_id else ()
    (answer,) = yield [Call("BLPOP", (*hand, keys.WAKE), (seconds,))]
    if answer is None:
        return None
    name, brought = answer
    return b"" if name == _WAKE else bytes(brought) or None


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
    step = [Call("TIME")] + [Call("ZRANGE", (keys.due(shard),), (0, 0, "WITHSCORES")) for shard in range(keys.SHARDS)]
    time, *firsts = yield [*step]
    now_ms = _milliseconds(time)
    counts = yield [
        call
        for shard in range(keys.SHARDS)
        for call in (
            Call("ZCOUNT", (keys.due(shard),), ("-inf", now_ms)),
            Call("ZCOUNT", (keys.due(shard),), (f"({now_ms}", "+inf")),
        )
    ]
    oldest = min((float(first[1]) for first in firsts if first), default=now_ms)
    return Pending(sum(counts[0::2]), sum(counts[1::2]), max(0, int(now_ms - oldest)))


def leases(grace_ms: int) -> Operation[Leases]:
    """The orders under a lease; stuck are those whose lease ran out more than `grace_ms` ago and was not taken over."""
    time, *held = yield [Call("TIME"), *(Call("HKEYS", (keys.leases(shard),)) for shard in range(keys.SHARDS))]
    asked = [(shard, names) for shard, names in zip(range(keys.SHARDS), held, strict=True) if names]
    if not asked:
        return Leases(0, 0)
    ends = yield [Call("ZMSCORE", (keys.due(shard),), tuple(names)) for shard, names in asked]
    latest = _milliseconds(time) - grace_ms
    stuck = sum(1 for part in ends for end in part if end is not None and float(end) < latest)
    return Leases(sum(len(names) for _, names in asked), stuck)


def shard_keys(shard: int) -> tuple[str, ...]:
    """The keys of one shard: due, marks, leases."""
    return _SHARD_KEYS[shard]


def _milliseconds(time: Any) -> int:
    seconds, microseconds = time
    return int(seconds) * 1000 + int(microseconds) // 1000
