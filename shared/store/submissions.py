"""What is remembered of orders submitted here: their ids, what became of idempotency keys, and what is not settled yet.

Never anything of the order itself: ids, a digest, times.
"""

import hashlib
from collections.abc import Iterable, Sequence
from enum import Enum
from typing import Final, NamedTuple

from shared.store import keys
from shared.store.calls import Call, Operation
from shared.store.scripts import SUBMIT, SUBMIT_END

#: Beyond these the oldest unsettled submits are forgotten; reconciliation settles them within minutes.
_MOST_UNSETTLED: Final = 100_000
_DAY_MS: Final = 86_400_000


class Found(Enum):
    """What an idempotency key stands for; see `submit.lua`."""

    NEW = "new"
    UNKNOWN = "unknown"
    DONE = "done"
    BUSY = "busy"
    OTHER = "other"


class Begun(NamedTuple):
    """What was found. `wait_seconds` where it is busy; `since_us`: the server's time of the first claim."""

    found: Found
    order_id: str
    wait_seconds: float
    since_us: int


class Times(NamedTuple):
    """Bounds of a claim: how long it holds, how long an order may take to appear, how long all is kept."""

    claim_seconds: float
    settle_seconds: float
    kept_days: int


class Unsettled(NamedTuple):
    """A submit that was sent, and of whose answer nothing was noted: `since_ms`, when."""

    member: str
    tenant: str
    reference: str
    since_ms: int


def submit_name(tenant: str, idempotency_key: str) -> str:
    """The name of a submit with an idempotency key."""
    return f"{tenant}/{hashlib.blake2b(idempotency_key.encode(), digest_size=16).hexdigest()}"


def begin(name: str, digest: bytes, claim: str, times: Times) -> Operation[Begun]:
    """Claim a submit for an order with this digest, or tell what became of it."""
    arguments = (
        digest,
        claim,
        round(times.claim_seconds * 1_000_000),
        round(times.settle_seconds * 1_000_000),
        times.kept_days * _DAY_MS,
    )
    ((found, order_id, wait_us, since_us),) = yield [Call(SUBMIT, (keys.submit(name),), arguments)]
    return Begun(Found(found.decode()), order_id.decode(), int(wait_us) / 1_000_000, int(since_us))


def done(name: str, claim: str, order_id: str) -> Operation[None]:
    """The order was taken."""
    yield [Call(SUBMIT_END, (keys.submit(name),), (claim, "d", order_id))]


def unknown(name: str, claim: str) -> Operation[None]:
    """It is not known whether the order was taken."""
    yield [Call(SUBMIT_END, (keys.submit(name),), (claim, "u", ""))]


def not_taken(name: str, claim: str) -> Operation[None]:
    """The order was certainly not taken: the key is as if it had never been used."""
    yield [Call(SUBMIT_END, (keys.submit(name),), (claim, "-", ""))]


def remember(tenant: str, order_ids: Iterable[str], submit: str, kept_days: int) -> Operation[None]:
    """Remember orders as submitted here by a tenant; `submit` is the name of the submit, empty without a key."""
    ids = list(dict.fromkeys(order_ids))
    if ids:
        yield [
            *(Call("HSET", (keys.submitted(each),), (tenant, submit)) for each in ids),
            *(Call("PEXPIRE", (keys.submitted(each),), (kept_days * _DAY_MS,)) for each in ids),
        ]


def submitters(order_ids: Sequence[str]) -> Operation[list[set[str]]]:
    """Which tenants submitted each of some orders here."""
    if not order_ids:
        return []
    answers = yield [Call("HKEYS", (keys.submitted(each),)) for each in order_ids]
    return [{tenant.decode() for tenant in found} for found in answers]


def forget(tenant: str, order_ids: Iterable[str]) -> Operation[None]:
    """Forget that a tenant submitted some orders, and their idempotency keys."""
    ids = list(order_ids)
    if not ids:
        return
    submits = yield [Call("HGET", (keys.submitted(each),), (tenant,)) for each in ids]
    names = {name.decode() for name in submits if name}
    yield [
        *(Call("DEL", (keys.submit(name),)) for name in names),
        *(Call("HDEL", (keys.submitted(each),), (tenant,)) for each in ids),
    ]


def forget_unsettled(tenant: str, reference: str) -> Operation[None]:
    """Forget that submits of an order are not settled. Looks through all that are not: a few, as a rule."""
    cursor = None
    while cursor != 0:
        (answer,) = yield [Call("ZSCAN", (keys.UNSETTLED,), (cursor or 0, "COUNT", 1_000))]
        cursor, found = int(answer[0]), [member.decode() for member, _ in answer[1]]
        ours = [each for each in found if each.partition(":")[2] == keys.order_name(tenant, reference)]
        yield from settle_members(ours)


def note(tenant: str, reference: str, claim: str, now_ms: int) -> Operation[None]:
    """Note, before it is sent, that a submit is on its way: if its answer is lost, reconciliation searches for it."""
    yield [
        Call("ZADD", (keys.UNSETTLED,), (now_ms, _member(tenant, reference, claim))),
        Call("ZREMRANGEBYRANK", (keys.UNSETTLED,), (0, -_MOST_UNSETTLED - 1)),
    ]


def settle(tenant: str, reference: str, claim: str) -> Operation[None]:
    """The outcome of a noted submit is known."""
    yield [Call("ZREM", (keys.UNSETTLED,), (_member(tenant, reference, claim),))]


def unsettled(before_ms: int, limit: int) -> Operation[list[Unsettled]]:
    """Submits sent before some time whose outcome is not known, oldest first."""
    (answer,) = yield [
        Call("ZRANGEBYSCORE", (keys.UNSETTLED,), ("-inf", before_ms, "WITHSCORES", "LIMIT", 0, limit)),
    ]
    found = []
    for raw, score in zip(answer[0::2], answer[1::2], strict=True):
        member = raw.decode()
        tenant, reference = keys.split_order_name(member.partition(":")[2])
        found.append(Unsettled(member, tenant, reference, int(float(score))))
    return found


def settle_members(members: Sequence[str]) -> Operation[None]:
    """The outcome of some of `unsettled` has been found out."""
    if members:
        yield [Call("ZREM", (keys.UNSETTLED,), tuple(members))]


def _member(tenant: str, reference: str, claim: str) -> str:
    return f"{claim}:{keys.order_name(tenant, reference)}"
