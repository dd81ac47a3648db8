"""What is left when all faults are gone: every promise, checked against what was sent and what was acknowledged."""

import contextlib
import itertools
import subprocess
import sys
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import naive_model
import orjson
from support.polling import eventually

from faults.gelato import Attempt, Play
from faults.stage import Actor, Stage
from ops.simulator.compare import compare
from shared import canonical
from shared.store import Store, keys, orders

#: Everything must have settled so long after the last fault.
SETTLE_SECONDS = 60.0
#: A receiver looks 20 times a second how late it is.
_CLOCK_LAG_SECONDS = 0.2
#: From the journal's time to the receiver's: a busy machine, two clocks.
_TOLERANCE_SECONDS = 1.0
#: A sender that has cut its connection does not know when a busy receiver got to what it had sent; before its next try.
_UNREAD_SECONDS = 5.0


@dataclass
class Findings:
    """Each list names what is wrong; all are empty where every promise was kept."""

    acknowledged: int = 0
    #: Events that got a 2xx and are in no log.
    lost: list[str] = field(default_factory=list)
    #: Events that are in a log more than once.
    doubled: list[str] = field(default_factory=list)
    #: In a log, and neither acknowledged nor tried in vain.
    foreign: list[str] = field(default_factory=list)
    #: Documents that are not what was sent (or, of an order with events given up, what is in its log).
    wrong_rollups: list[str] = field(default_factory=list)
    rebuilt_differently: list[str] = field(default_factory=list)
    not_announced: list[str] = field(default_factory=list)
    #: Due marks, leases, spooled entries, dead letters that are left.
    left_over: list[str] = field(default_factory=list)
    #: Times of receipt at which nobody posted that event, by the clock of the receiver that took it.
    wrong_receipts: list[str] = field(default_factory=list)
    #: Orders with events that got no 2xx in three tries: not a fault of the rollup, and listed.
    given_up: dict[str, int] = field(default_factory=dict)
    #: Events that were given up and are in the log all the same: their 2xx did not arrive.
    given_up_but_kept: int = 0

    @property
    def broken(self) -> dict[str, list[str]]:
        """Every promise that was not kept, with what shows it."""
        names = (
            *("lost", "doubled", "foreign", "wrong_rollups", "rebuilt_differently", "not_announced", "left_over"),
            "wrong_receipts",
        )
        return {name: getattr(self, name) for name in names if getattr(self, name)}


def check(stage: Stage, play: Play, journal: list[Attempt]) -> Findings:
    """Look at everything."""
    findings = Findings(left_over=_left_over(stage))
    acknowledged = {attempt.event for attempt in journal if attempt.failure is None}
    tried = {attempt.event for attempt in journal}
    findings.acknowledged = len(acknowledged)
    text_of = {post.event: canonical.parse(post.body)[1] for post in play.posts}
    event_of = {text: event for event, text in text_of.items()}
    reference_of = {post.event: post.reference for post in play.posts}
    events_of: dict[str, set[int]] = {}
    for event in tried:
        events_of.setdefault(reference_of[event], set()).add(event)
    attempts: dict[int, list[Attempt]] = {}
    for attempt in journal:
        attempts.setdefault(attempt.event, []).append(attempt)
    for event in sorted(tried - acknowledged):
        findings.given_up[reference_of[event]] = findings.given_up.get(reference_of[event], 0) + 1

    kept: Counter[int] = Counter()
    announced = _announced(stage)
    store = Store.from_url(stage.server.url)
    try:
        for order in play.orders:
            log = [each for each in store.run(orders.log("default", order.reference)) if each.is_event]
            here: set[int] = set()
            for record in log:
                event = event_of.get(record.text)
                if event is None or event not in tried or reference_of[event] != order.reference:
                    findings.foreign.append(f"{order.reference}: {record.text[:80]!r}")
                    continue
                kept[event] += 1
                here.add(event)
                if not _was_posted_at(record.received / 1e6, attempts[event], stage.receivers):
                    findings.wrong_receipts.append(f"{order.reference}: received {record.received}")
            raw = store.run(orders.document("default", order.reference))
            document = orjson.loads(raw) if raw else None
            if order.reference not in findings.given_up or events_of[order.reference] <= here:
                findings.wrong_rollups += [str(each) for each in compare(order.truth, document)]
            if document is not None:
                findings.wrong_rollups += _against_model(order.reference, document, log)
                versions = set(announced.get(order.reference, ()))
                if versions != set(range(1, document["version"] + 1)):
                    missing = sorted(set(range(1, document["version"] + 1)) ^ versions)
                    findings.not_announced.append(f"{order.reference}: versions {missing[:5]} of {document['version']}")
    finally:
        store.close()
    findings.lost = [f"{reference_of[event]}: event {event}" for event in sorted(acknowledged) if not kept[event]]
    findings.doubled = [f"{reference_of[event]}: event {event}" for event, n in kept.items() if n > 1]
    findings.given_up_but_kept = sum(1 for event in kept if event not in acknowledged)
    findings.rebuilt_differently = _rebuilt(stage)
    return findings


def _left_over(stage: Stage) -> list[str]:
    """What is left of work; waits for the leases of the dead to run out."""

    def left() -> list[str]:
        patterns = ("gelato:due:*", "gelato:marks:*", "gelato:leases:*")
        found = sorted(key.decode() for pattern in patterns for key in stage.server.client.scan_iter(pattern))
        for actor in stage.receivers:
            spooled = actor.process.client.get("/readyz").json().get("spooled")  # type: ignore[attr-defined]
            found += [f"{spooled} in the spool, says {actor.name}"] if spooled else []
        return found

    with contextlib.suppress(AssertionError):
        eventually(lambda: not left(), seconds=SETTLE_SECONDS, what="everything to be done")
    letters = stage.server.client.zcard(keys.DEAD_LETTERS)
    return left() + ([f"{letters} dead letters"] if letters else [])


def _announced(stage: Stage) -> dict[str, list[int]]:
    told: dict[str, list[int]] = {}
    client: Any = stage.server.client
    start = b"-"
    while page := client.xrange(keys.CHANGES, min=start, count=5_000):
        for _, fields in page:
            told.setdefault(fields[b"orderReferenceId"].decode(), []).append(int(fields[b"version"]))
        start = b"(" + page[-1][0]
    return told


def _was_posted_at(received: float, attempts: list[Attempt], receivers: list[Actor]) -> bool:
    """Whether a time of receipt is one at which the event was posted, by that receiver's clock of that moment."""
    for attempt in attempts:
        # What was sent to a stopped receiver is received when it goes on, whether or not the sender still waits.
        paused = [ended for began, ended in receivers[attempt.receiver].paused if began <= attempt.ended <= ended]
        late = _TOLERANCE_SECONDS if attempt.failure is None else _UNREAD_SECONDS
        latest = max([attempt.ended, *paused]) + late
        offsets = [*receivers[attempt.receiver].offsets, (float("inf"), 0.0)]
        for (since, ahead), (until, _) in itertools.pairwise(offsets):
            in_force = since <= latest and attempt.began <= until + _CLOCK_LAG_SECONDS
            if in_force and attempt.began - _TOLERANCE_SECONDS <= received - ahead <= latest:
                return True
    return False


def _against_model(reference: str, document: dict[str, Any], log: list[Any]) -> list[str]:
    """The document against the second, naive fold of what the log holds, with the times that it holds."""
    received = [naive_model.Received(orjson.loads(each.text), each.received, "webhook") for each in log]
    expected = naive_model.document("default", reference, received)
    names = (set(expected) | set(document)) - {"version", "updatedAt"}
    return [
        f"{reference}: {name}: the naive model says {expected.get(name)!r}, found {document.get(name)!r}"
        for name in sorted(names)
        if expected.get(name) != document.get(name)
    ]


def _rebuilt(stage: Stage) -> list[str]:
    environment = dict(stage.workers[0].process.env) | {"REDIS_URL": stage.server.url}
    done = subprocess.run(
        [sys.executable, "-m", "ops", "orders", "rebuild", "--all", "--json"],
        env=environment,
        capture_output=True,
        timeout=300,
        check=False,
    )
    if done.returncode:
        return [done.stderr.decode()[-500:]]
    said = orjson.loads(done.stdout)
    return [str(each) for each in (*said["changed"], *said["unknown"])]
