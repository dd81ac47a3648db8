"""What reconciliation remembers: when a tenant's turn is, who is at it, how far it is, what it did, whom it asked about."""

from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

import orjson

from shared.store import keys
from shared.store.calls import Call, Operation, Step
from shared.store.scripts import RECONCILE_HOLD, RECONCILE_SAVE, RECONCILE_WANT

#: At most so many orders may wait because somebody asked for them.
MAX_WANTED: Final = 10_000
#: At most so many orders per tenant are remembered as asked about, the soonest forgotten first; and no longer than this.
MAX_QUIET: Final = 100_000
MAX_QUIET_MS: Final = 30 * 86_400_000


class Counts(NamedTuple):
    """What reconciliation has done: rounds, orders compared with the API, searches, gets, and how many orders it healed:
    their documents changed because of what the API said and no webhook had said.
    """

    rounds: int = 0
    looked_at: int = 0
    searches: int = 0
    gets: int = 0
    healed: int = 0
    #: Orders that the API does not know (any more).
    missing: int = 0

    def plus(self, other: "Counts") -> "Counts":
        """The sum."""
        return Counts(*(one + another for one, another in zip(self, other, strict=True)))


class Hold(NamedTuple):
    """Whether the lease is held by who asked, and the server's time (ms)."""

    ours: bool
    now_ms: int


def schedule(tenants: Mapping[str, int]) -> Operation[None]:
    """Give each tenant that has none yet its first turn, so many milliseconds from now."""
    now = yield from now_ms()
    words = tuple(word for tenant, in_ms in tenants.items() for word in (now + in_ms, tenant))
    if words:
        yield [Call("ZADD", (keys.RECONCILE,), ("NX", *words))]


def turns(most: int = 100) -> Operation[list[str]]:
    """Tenants whose turn it is, the longest waiting first."""
    now = yield from now_ms()
    (found,) = yield [Call("ZRANGEBYSCORE", (keys.RECONCILE,), ("-inf", now, "LIMIT", 0, most))]
    return [tenant.decode() for tenant in found]


def forget(tenant: str) -> Operation[None]:
    """A tenant has no turns (any more)."""
    yield [Call("ZREM", (keys.RECONCILE,), (tenant,))]


def forget_wanted(tenant: str) -> Operation[None]:
    """Nothing that was asked for can be asked about: the tenant is gone, or has no API."""
    yield [Call("DEL", (keys.reconcile_wanted(tenant),))]


def hold(tenant: str, holder: str, lease_ms: int) -> Operation[Hold]:
    """Take a tenant's reconciliation in hand, if nobody else has it; the next look at it is when the lease ends."""
    (answer,) = yield [Call(RECONCILE_HOLD, (keys.reconcile_lease(tenant),), (holder, lease_ms))]
    held = Hold(bool(answer[0]), int(answer[1]))
    if held.ours:
        yield [Call("ZADD", (keys.RECONCILE,), ("XX", held.now_ms + lease_ms, tenant))]
    return held


def give_up(tenant: str, holder: str, next_in_ms: int | None) -> Operation[None]:
    """Let go of a tenant's reconciliation; its next turn comes after `next_in_ms` (None: stays as it was)."""
    (answer,) = yield [Call(RECONCILE_HOLD, (keys.reconcile_lease(tenant),), (holder, 0))]
    if answer[0] and next_in_ms is not None:
        yield [Call("ZADD", (keys.RECONCILE,), ("XX", int(answer[1]) + next_in_ms, tenant))]


def position(tenant: str) -> Operation[bytes | None]:
    """How far the present round is, as kept by `save`."""
    (raw,) = yield [Call("GET", (keys.reconcile_position(tenant),))]
    return raw if raw is None else bytes(raw)


def save(
    tenant: str,
    holder: str,
    lease_ms: int,
    *,
    position: bytes = b"",
    counts: Counts = Counts(),  # noqa: B008  (immutable)
    asked: Mapping[str, int] | None = None,
) -> Operation[bool]:
    """Keep a step of a round, all at once; False where somebody else has taken over. `holder` empty: none is needed.

    `asked`: references, and for how long each is left alone, milliseconds.
    """
    added = [(name, number) for name, number in counts._asdict().items() if number]
    words: tuple[Any, ...] = (holder, lease_ms, position, MAX_QUIET, MAX_QUIET_MS, len(added))
    words += tuple(word for count in added for word in count)
    words += tuple(word for reference, ms in (asked or {}).items() for word in (keys.escaped(reference), ms))
    (kept,) = yield [Call(RECONCILE_SAVE, _of_tenant(tenant), words)]
    if kept and holder:
        yield [Call("ZADD", (keys.RECONCILE,), ("XX", int(kept) + lease_ms, tenant))]
    return bool(kept)


def quiet_until(tenant: str, references: Sequence[str]) -> Operation[list[int]]:
    """For each order the time (the server's milliseconds) until which it is left alone; 0 for none."""
    if not references:
        return []
    names = tuple(keys.escaped(reference) for reference in references)
    (scores,) = yield [Call("ZMSCORE", (keys.reconcile_quiet(tenant),), names)]
    return [0 if score is None else int(float(score)) for score in scores]


def want(tenant: str, references: Sequence[str]) -> Operation[int | None]:
    """Ask for orders to be asked about soon; how many wait now, None if they would be too many (none was added)."""
    names = tuple(keys.escaped(reference) for reference in references)
    (waiting,) = yield [Call(RECONCILE_WANT, (keys.reconcile_wanted(tenant),), (MAX_WANTED, *names))]
    if waiting < 0:
        return None
    yield from hurry(tenant)
    return int(waiting)


def hurry(tenant: str) -> Operation[None]:
    """Let a tenant's turn be now."""
    now = yield from now_ms()
    yield [Call("ZADD", (keys.RECONCILE,), ("LT", now, tenant))]


def hurry_all(in_ms: int) -> Operation[None]:
    """Let the turns of all tenants that have any come after `in_ms`, where they would come later."""
    now = yield from now_ms()
    (tenants,) = yield [Call("ZRANGE", (keys.RECONCILE,), (0, -1))]
    words = tuple(word for tenant in tenants for word in (now + in_ms, tenant))
    if words:
        yield [Call("ZADD", (keys.RECONCILE,), ("XX", "LT", *words))]


def wanted(tenant: str, most: int) -> Operation[list[str]]:
    """Orders that wait because somebody asked for them, first asked first. They wait until `save` says that they were."""
    (found,) = yield [Call("ZRANGE", (keys.reconcile_wanted(tenant),), (0, most - 1))]
    return [keys.unescaped(name.decode()) for name in found]


def counts(tenants: Sequence[str]) -> Operation[dict[str, Counts]]:
    """What reconciliation has done since ever, by tenant."""
    step: Step = [Call("HMGET", (keys.reconcile_counts(tenant),), Counts._fields) for tenant in tenants]
    answers = yield step
    return {
        tenant: Counts(*(int(number or 0) for number in numbers))
        for tenant, numbers in zip(tenants, answers, strict=True)
    }


def total(by_tenant: Mapping[str, Counts]) -> Counts:
    """The sum of several tenants'."""
    result = Counts()
    for each in by_tenant.values():
        result = result.plus(each)
    return result


def forget_order(tenant: str, reference: str) -> Step:
    """The calls that make reconciliation forget an order."""
    name = keys.escaped(reference)
    return [Call("ZREM", (key,), (name,)) for key in (keys.reconcile_quiet(tenant), keys.reconcile_wanted(tenant))]


def leave(tenant: str, reference: str) -> Operation[None]:
    """Forget that a round has come to an order that is being erased: it goes on from the order's time.

    Whoever is at work on the round meanwhile may do its last lot again.
    """
    raw = yield from position(tenant)
    kept = orjson.loads(raw) if raw else {}
    if kept.get("after") and kept["after"][0] == reference:
        kept["after"][0] = ""
        yield [Call("SET", (keys.reconcile_position(tenant),), (orjson.dumps(kept),))]


def _of_tenant(tenant: str) -> tuple[str, ...]:
    return (
        keys.reconcile_lease(tenant),
        keys.reconcile_position(tenant),
        keys.reconcile_counts(tenant),
        keys.reconcile_quiet(tenant),
        keys.reconcile_wanted(tenant),
    )


def now_ms() -> Operation[int]:
    """The server's time, milliseconds."""
    (time,) = yield [Call("TIME")]
    seconds, microseconds = time
    return int(seconds) * 1000 + int(microseconds) // 1000
