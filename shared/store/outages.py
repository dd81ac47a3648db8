"""When no receiver could take events: what the sender tried then, and gave up, has to be asked for."""

from typing import Final, NamedTuple

from shared.store import keys
from shared.store.calls import Call, Operation
from shared.store.scripts import READY

#: The sender tries for about ten seconds: a shorter gap has lost nothing.
GAP_MS: Final = 10_000
_MOST_KEPT: Final = 1_000
_DAY_MS: Final = 86_400_000


class Outage(NamedTuple):
    """A time in which no receiver was ready, in the server's milliseconds."""

    from_ms: int
    to_ms: int


def ready(ready_ms: int, *, kept_days: int) -> Operation[Outage | None]:
    """Say that a receiver can take events, and has been able to for `ready_ms`; the outage that this has ended, if any.

    `kept_days`: how long outages are remembered.
    """
    arguments = (ready_ms, GAP_MS, kept_days * _DAY_MS, _MOST_KEPT)
    (ended,) = yield [Call(READY, (keys.READY, keys.OUTAGES), arguments)]
    return Outage(int(ended[0]), int(ended[1])) if ended else None


def since(after_ms: int) -> Operation[list[Outage]]:
    """The outages that ended after a time (the server's milliseconds), first ended first."""
    (members,) = yield [Call("ZRANGEBYSCORE", (keys.OUTAGES,), (f"({after_ms}", "+inf"))]
    return [_outage(member) for member in members]


def _outage(member: bytes) -> Outage:
    began, _, ended = member.decode().partition("-")
    return Outage(int(began), int(ended))
