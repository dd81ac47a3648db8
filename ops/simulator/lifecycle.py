"""The life of one connected order: what truly happens to its items, moment by moment.

A moment is an instant at which one or more items change. Moments of a connected order are at least `GAP_US`
apart, and what is said about a moment is dated at most `webhooks.SPREAD_US` after it. So two different
statuses of one line are never within 60 s of each other, and the clock rules of docs/explanation/the-fold.md (which see
whole seconds) can only decide one way. Nothing here knows how a moment is announced.
"""

import random
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

from ops.simulator.plans import UNKNOWN, USUAL, Step
from ops.simulator.truth import ATTENTION, FINAL, ConnectedTruth, LineTruth

SECOND_US = 1_000_000
DAY_US = 86_400 * SECOND_US
GAP_US = 70 * SECOND_US
"""Least time between two moments of one connected order."""
QUIET_US = 600 * SECOND_US
"""No moment lies in the last ten minutes: an event without a clock counts from 30 s before its receipt, and
must be newer than all that was dated.
"""

_METHODS = (
    ("DHL Express", "dhl_express"),
    ("UPS Surepost", "ups_surepost"),
    ("SmartPost", "fed_ex_smart_post"),
)


@dataclass(frozen=True)
class Parcel:
    """One parcel; several lines of a connected order can be in it."""

    code: str
    url: str
    method_name: str
    method_uid: str


@dataclass(frozen=True)
class Moment:
    """What is true after this moment, and what made it one.

    `changed`: lines with a new status, `late_scans`: delivered lines that are scanned again, `comments`:
    reasons for the changes, `parcels`: all parcels of each line so far, `fresh`: those that are new,
    `estimate`: a delivery estimate made now as (earliest or None if unchanged, latest).
    """

    at_us: int
    statuses: Mapping[str, str]
    reported: str
    changed: tuple[str, ...]
    late_scans: tuple[str, ...] = ()
    comments: Mapping[str, str] = field(default_factory=dict)
    parcels: Mapping[str, tuple[Parcel, ...]] = field(default_factory=dict)
    fresh: tuple[tuple[str, Parcel], ...] = ()
    estimate: tuple[str | None, str] | None = None


@dataclass(frozen=True)
class Life:
    """All moments of one connected order, oldest first; at least one."""

    order_id: str
    items: tuple[str, ...]
    moments: tuple[Moment, ...]

    def truth(self) -> ConnectedTruth:
        """What is true in the end."""
        last = self.moments[-1]
        return ConnectedTruth(
            order_id=self.order_id,
            reported=last.reported,
            lines=tuple(
                LineTruth(
                    item_reference=item,
                    status=last.statuses[item],
                    comment=self._comment(item, last.statuses[item]),
                    tracking_codes=frozenset(parcel.code for parcel in last.parcels.get(item, ())),
                )
                for item in self.items
            ),
            estimate=self._estimate(),
        )

    def ends_once(self) -> bool:
        """Whether every line, and the order, reaches exactly one final status ever, and ends in it.

        Then no time can matter: once a final status was seen only final ones are considered, and there is
        one.
        """
        histories = [[moment.statuses[item] for moment in self.moments] for item in self.items]
        histories.append([moment.reported for moment in self.moments])
        return all({status for status in seen if status in FINAL} == {seen[-1]} for seen in histories)

    def _comment(self, item: str, status: str) -> str | None:
        comment = None
        for moment in self.moments:
            if item in moment.changed and moment.statuses[item] == status:
                comment = moment.comments.get(item) or comment
        return comment

    def _estimate(self) -> tuple[str, str] | None:
        low: str | None = None
        high: str | None = None
        for moment in self.moments:
            if moment.estimate:
                low = moment.estimate[0] or low
                high = moment.estimate[1]
        return None if low is None or high is None else (low, high)


def reported_status(statuses: Iterable[str]) -> str:
    """What Gelato says of a connected order whose lines have these statuses.

    Its least advanced line, troubles first.
    """
    lines = [status for status in statuses if status != "canceled"]
    if not lines:
        return "canceled"
    for status in ATTENTION:
        if status in lines:
            return status
    if set(lines) == {"returned"}:
        return "returned"
    advance = ("created", "uploading", "digitizing", *USUAL[2:])
    known = {"returned": "delivered", UNKNOWN: "printed"}
    return min((known.get(status, status) for status in lines), key=advance.index)


def live(
    rng: random.Random,
    names: random.Random,
    order_id: str,
    steps: Mapping[str, Sequence[Step]],
    start_us: int,
    end_us: int,
    cancel: bool = False,
) -> Life:
    """Plays one connected order from `start_us` to about `end_us` (microseconds since 1970).

    `steps`: per item what it goes through; items lag one another. `cancel`: all of it is canceled at some
    moment before anything is printed. `rng` decides what happens, `names` only how tracking codes read.
    """
    player = _Player(rng, names, steps)
    player.play(cancel)
    times = _times(rng, len(player.drafts), start_us, end_us)
    moments = tuple(
        replace(draft, at_us=at_us, estimate=_dates(at_us, promise))
        for at_us, (draft, promise) in zip(times, player.drafts, strict=True)
    )
    return Life(order_id, tuple(steps), moments)


_Promise = tuple[int | None, int]
"""A delivery estimate in days from its moment: (earliest or None if unchanged, latest)."""


class _Player:
    """Decides what happens, in order.

    Its drafts are moments without a time: when is decided once all are known.
    """

    def __init__(self, rng: random.Random, names: random.Random, steps: Mapping[str, Sequence[Step]]) -> None:
        self.drafts: list[tuple[Moment, _Promise | None]] = []
        self._rng, self._names = rng, names
        self._left = {item: list(todo) for item, todo in steps.items()}
        self._statuses: dict[str, str] = {}
        self._parcels: dict[str, tuple[Parcel, ...]] = {}
        self._promised = False

    def play(self, cancel: bool) -> None:
        self._advance(list(self._left))
        while waiting := [item for item, todo in self._left.items() if todo]:
            printing = any(self._left[item][0].status == "printed" for item in waiting)
            if cancel and (printing or self._rng.random() < 0.3):
                self._left = {item: [Step("canceled")] for item in self._left}
                self._advance(list(self._left))
                return
            together = self._rng.random() < 0.5
            some = [item for item in waiting if together or self._rng.random() < 0.5]
            self._advance(some or [self._rng.choice(waiting)])

    def _advance(self, items: list[str]) -> None:
        changed, late, comments = [], [], {}
        for item in items:
            step = self._left[item].pop(0)
            if step.late:
                late.append(item)
                continue
            self._statuses[item] = step.status
            changed.append(item)
            if step.comment:
                comments[item] = step.comment
        fresh = self._pack(changed)
        draft = Moment(
            at_us=0,
            statuses=dict(self._statuses),
            reported=reported_status(self._statuses.values()),
            changed=tuple(changed),
            late_scans=tuple(late),
            comments=comments,
            parcels=dict(self._parcels),
            fresh=tuple(fresh),
        )
        self.drafts.append((draft, self._promise()))

    def _pack(self, changed: list[str]) -> list[tuple[str, Parcel]]:
        """Parcels of the lines that ship now: one or several each, or one that two lines share."""
        fresh: list[tuple[str, Parcel]] = []
        last: Parcel | None = None
        for item in changed:
            status = self._statuses[item]
            if status == "shipped" and last is not None and self._rng.random() < 0.5:
                fresh.append((item, last))
            elif status == "shipped":
                # One line in ten goes as a letter without tracking.
                for _ in range(self._rng.choices((0, 1, 2, 3), (10, 65, 20, 5))[0]):
                    last = self._parcel()
                    fresh.append((item, last))
            elif status == "in_transit" and self._rng.random() < 0.1:
                fresh.append((item, self._parcel()))
        for item, parcel in fresh:
            self._parcels[item] = (*self._parcels.get(item, ()), parcel)
        return fresh

    def _parcel(self) -> Parcel:
        code = f"SIM{self._names.getrandbits(64):016X}"
        name, uid = self._rng.choice(_METHODS)
        return Parcel(code, f"https://tracking.example/{code}", name, uid)

    def _promise(self) -> _Promise | None:
        if self._rng.random() > (0.1 if self._promised else 0.3):
            return None
        days = self._rng.randint(2, 9)
        low = days if not self._promised or self._rng.random() < 0.7 else None
        self._promised = True
        return low, days + self._rng.randint(1, 4)


def _times(rng: random.Random, count: int, start_us: int, end_us: int) -> list[int]:
    """`count` times from `start_us` on, `GAP_US` or more apart, the last before `end_us` if there is room."""
    spare = max(0, end_us - start_us - count * GAP_US)
    offsets = sorted(rng.randrange(spare + 1) for _ in range(count - 1))
    return [start_us, *(start_us + (n + 1) * GAP_US + offset for n, offset in enumerate(offsets))]


def _dates(at_us: int, days: _Promise | None) -> tuple[str | None, str] | None:
    if days is None:
        return None
    day = datetime.fromtimestamp(at_us // SECOND_US, UTC).date()
    low, high = days
    return (
        None if low is None else (day + timedelta(days=low)).isoformat(),
        (day + timedelta(days=high)).isoformat(),
    )
