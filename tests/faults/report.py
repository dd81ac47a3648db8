"""What a run found: a table for people, a dict for programs."""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from faults.checks import Findings
from faults.director import Story
from faults.gelato import Attempt, Play
from faults.stage import STOP_SECONDS, Actor, Stage

#: POST to 2xx while Redis is away and a receiver is up, ms.
OUTAGE_P99_MS = 250.0
#: A thread that wants to wake up is later than this once in a hundred times: other work has the machine.
BUSY_LAG_MS = 20.0
_SHOWN = 10


@dataclass(frozen=True)
class Report:
    """One run. Counts are of distinct events, except `posts` and `failed_attempts`; times in seconds or as named."""

    seed: int
    seconds: float
    orders: int
    sent: int
    posts: int
    acknowledged: int
    spooled: int
    failed_attempts: Mapping[str, int]
    #: Answers 5xx that nothing explains: neither a full disk nor Redis away together with the only other receiver.
    unexplained_5xx: tuple[str, ...]
    faults: Mapping[str, int]
    skipped: Mapping[str, str]
    episodes: int
    longest_heal_seconds: float
    longest_heal_of: str
    unhealed: tuple[str, ...]
    fault_errors: tuple[str, ...]
    #: SIGTERMs that took too long or did not end with 0.
    bad_stops: tuple[str, ...]
    longest_stop_seconds: float
    outage_ms: Mapping[str, float]
    calm_ms: Mapping[str, float]
    #: How late the bench itself was woken: what a busy machine adds to every latency.
    lag_ms: Mapping[str, float]
    clock_alarms: int
    lost: int
    wrong_rollups: int
    given_up: Mapping[str, int]
    given_up_but_kept: int
    broken: Mapping[str, tuple[str, ...]]

    @property
    def ok(self) -> bool:
        """Every promise was kept."""
        return not (
            self.broken or self.unhealed or self.bad_stops or self.unexplained_5xx or self.fault_errors or self.too_slow
        )

    @property
    def too_slow(self) -> bool:
        """Whether outages cost the senders too much. Not judged on a machine that is too busy to tell."""
        return self.is_judged and self.outage_ms.get("p99", 0.0) >= OUTAGE_P99_MS

    @property
    def is_judged(self) -> bool:
        """Whether the machine had time enough for its latencies to say something about the service."""
        return self.lag_ms.get("p99", 0.0) < BUSY_LAG_MS

    @classmethod
    def of(
        cls,
        seed: int,
        stage: Stage,
        play: Play,
        journal: Sequence[Attempt],
        story: Story,
        skipped: Mapping[str, str],
        findings: Findings,
        seconds: float,
        lag: Sequence[float],
    ) -> "Report":
        """Put a report together."""
        healed = [(each.healed_seconds, each) for each in story.episodes if each.healed_seconds is not None]
        longest = max(healed, key=lambda pair: pair[0], default=(0.0, None))
        stops = [(actor.name, *stop) for actor in stage.actors for stop in actor.stops]
        during, calm = _latencies(journal, story, stage.receivers)
        return cls(
            seed=seed,
            seconds=round(seconds, 1),
            orders=len(play.orders),
            sent=len({attempt.event for attempt in journal}),
            posts=len(play.posts),
            acknowledged=findings.acknowledged,
            spooled=sum(attempt.spooled for attempt in journal if attempt.failure is None),
            failed_attempts=dict(Counter(each.failure for each in journal if each.failure is not None).most_common()),
            unexplained_5xx=_unexplained(journal, story),
            faults=dict(sorted((name, n) for name, n in story.injected.items() if not name.startswith("("))),
            skipped=dict(skipped),
            episodes=len(story.episodes),
            longest_heal_seconds=round(longest[0], 2),
            longest_heal_of="; ".join(longest[1].faults) if longest[1] else "",
            unhealed=tuple("; ".join(each.faults) for each in story.episodes if each.healed_seconds is None),
            fault_errors=tuple(story.errors),
            bad_stops=tuple(
                f"{name}: exit code {code} after {took:.1f} s"
                for name, code, took in stops
                if code or took > STOP_SECONDS
            ),
            longest_stop_seconds=round(max((took for _, _, took in stops), default=0.0), 2),
            outage_ms=_percentiles(during),
            calm_ms=_percentiles(calm),
            lag_ms=_percentiles(lag),
            clock_alarms=sum(
                actor.process.log.read_bytes().count(b"the clocks of this machine") for actor in stage.receivers
            ),
            lost=len(findings.lost),
            wrong_rollups=len({each.partition(":")[0] for each in findings.wrong_rollups}),
            given_up=findings.given_up,
            given_up_but_kept=findings.given_up_but_kept,
            broken={name: tuple(rows[:_SHOWN]) for name, rows in findings.broken.items()},
        )

    def to_dict(self) -> dict[str, Any]:
        """For `--json`."""
        return {"ok": self.ok, **asdict(self)}

    def _verdict(self) -> str:
        if not self.is_judged:
            return "not judged: other work had this machine"
        return "no" if self.too_slow else "yes"

    def table(self) -> str:
        """For people, and for docs/explanation/faults.md."""
        rows: list[tuple[str, object]] = [
            ("seed", self.seed),
            ("sending", f"{self.seconds:.0f} s, {self.orders} orders, {self.posts} posts"),
            ("events sent", self.sent),
            ("events acknowledged", self.acknowledged),
            ("of these by the spool", self.spooled),
            ("lost", self.lost),
            ("wrong rollups", self.wrong_rollups),
            ("faults injected", sum(self.faults.values())),
            *((f"  {name}", n) for name, n in self.faults.items()),
            *((f"  {name}", f"skipped: {why}") for name, why in self.skipped.items()),
            ("longest time to heal", f"{self.longest_heal_seconds:.2f} s ({self.longest_heal_of})"),
            ("POST to 2xx during outages", _shown(self.outage_ms)),
            ("POST to 2xx otherwise", _shown(self.calm_ms)),
            ("lateness of this machine", _shown(self.lag_ms)),
            ("p99 during outages below 250 ms", self._verdict()),
            ("longest stop after SIGTERM", f"{self.longest_stop_seconds:.2f} s"),
            ("clock alarms logged", self.clock_alarms),
            ("failed attempts", ", ".join(f"{name} {n}" for name, n in self.failed_attempts.items()) or "none"),
            (
                "events given up after 3 tries",
                f"{sum(self.given_up.values())} in {len(self.given_up)} orders "
                f"({self.given_up_but_kept} stored all the same)",
            ),
        ]
        lines = [f"{name:58}{value}" for name, value in rows]
        wrong = {
            **self.broken,
            "never healed": self.unhealed,
            "stops": self.bad_stops,
            "unexplained 5xx": self.unexplained_5xx[:_SHOWN],
            "faults that failed": self.fault_errors,
        }
        lines += [f"WRONG {name}: {row}" for name, found in wrong.items() for row in found]
        return "\n".join([*lines, "every promise was kept" if self.ok else "NOT EVERY PROMISE WAS KEPT"])


def _latencies(journal: Sequence[Attempt], story: Story, receivers: Sequence[Actor]) -> tuple[list[float], list[float]]:
    """Of successes, in outages and otherwise; without those whose own receiver was stopped meanwhile."""
    during, calm = [], []
    for each in journal:
        if each.failure is not None or _within(each, receivers[each.receiver].paused):
            continue
        (during if _within(each, story.outages) else calm).append(each.ended - each.began)
    return during, calm


def _unexplained(journal: Sequence[Attempt], story: Story) -> tuple[str, ...]:
    return tuple(
        f"{each.failure} after {each.ended - each.began:.2f} s at {each.began:.2f}"
        for each in journal
        if each.failure is not None and each.failure.startswith("HTTP 5") and not _within(each, story.disk_full)
    )


def _within(attempt: Attempt, windows: Sequence[tuple[float, float]]) -> bool:
    return any(began <= attempt.ended and attempt.began <= ended for began, ended in windows)


def _percentiles(seconds: Sequence[float]) -> dict[str, float]:
    if not seconds:
        return {}
    ranked = sorted(seconds)
    shares = {"p50": 0.5, "p99": 0.99, "max": 1.0}
    figures = {name: round(ranked[math.ceil(len(ranked) * share) - 1] * 1000, 1) for name, share in shares.items()}
    return {**figures, "count": len(ranked)}


def _shown(figures: Mapping[str, float]) -> str:
    if not figures:
        return "none"
    return f"p50 {figures['p50']} ms, p99 {figures['p99']} ms, max {figures['max']} ms of {figures['count']}"
