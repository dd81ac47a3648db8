"""Turns to call an order API, shared by all processes: no key is used more often than its API allows."""

from typing import NamedTuple

from shared.store import keys
from shared.store.calls import Call, Operation
from shared.store.scripts import HOLD, PACE

_SECOND_US = 1_000_000


class Turn(NamedTuple):
    """Whether the turn is the caller's; how long to wait for it, or before asking again where it is not (seconds)."""

    granted: bool
    wait_seconds: float


class Rate(NamedTuple):
    """At most `per_second` turns in any second, `background_share` (0 to 1) of them for calls in the background."""

    per_second: float
    background_share: float

    @property
    def interval_us(self) -> int:
        """The time between two turns. A tenth of the turns may come at once, so the others are a little further apart."""
        return round(_SECOND_US / (self.per_second - self._at_once))

    @property
    def tolerance_us(self) -> int:
        """How much earlier than spaced a turn may come."""
        return max(0, self._at_once - 1) * self.interval_us

    @property
    def background_us(self) -> int:
        """The time between two turns in the background."""
        return round(_SECOND_US / (self.per_second * self.background_share))

    @property
    def _at_once(self) -> int:
        return int(self.per_second / 10)


def turn(upstream: str, rate: Rate, longest_seconds: float, *, background: bool) -> Operation[Turn]:
    """Ask for a turn, which may be up to `longest_seconds` away for a live call, and must be now in the background."""
    longest_us = max(0, round(longest_seconds * _SECOND_US))
    apart_us = rate.background_us if background else 0
    arguments = (rate.interval_us, rate.tolerance_us, longest_us, apart_us)
    ((granted, wait_us),) = yield [Call(PACE, (keys.pace(upstream),), arguments)]
    return Turn(bool(granted), int(wait_us) / _SECOND_US)


def hold(upstream: str, seconds: float) -> Operation[None]:
    """Let nobody call for some seconds: the API said that there were too many."""
    yield [Call(HOLD, (keys.pace(upstream),), (round(seconds * _SECOND_US),))]
