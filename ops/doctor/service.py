"""What all machines share: the server, the workers and their work, dead letters, RQ's queue."""

import time
from collections.abc import Iterator
from contextlib import contextmanager

from shared import kick
from shared.errors import StoreUnavailable
from shared.secret import SecretUrl
from shared.settings import Settings
from shared.store import Store, activity, due, durability, keys, letter_lists, probe
from shared.store.calls import one
from shared.store.durability import Finding, Level

_SLOW_MS = 20.0
_SLOW_WRITE_MS = 100.0
_SKEW_SECONDS = 2.0
_OVERDUE_SECONDS = 30


def server(settings: Settings) -> Iterator[Finding]:
    """How fast it answers and takes writes, and what it promises."""
    with _store(settings) as store:
        latency = min(_milliseconds(store, "PING") for _ in range(5))
        level = Level.WARNING if latency > _SLOW_MS else Level.OK
        yield Finding(level, f"{SecretUrl(settings.where())!r} answers in {latency:.1f} ms", "bring it nearer")
        yield _writes(store)
        seconds, microseconds = store.run(one("TIME"))
        skew = abs(time.time() - (int(seconds) + int(microseconds) / 1e6))
        level = Level.WARNING if skew > _SKEW_SECONDS else Level.OK
        yield Finding(level, f"its clock is {skew:.1f} s from this machine's", "run a time service on both")
        yield from store.run(durability.promises()).findings()


def work(settings: Settings) -> Iterator[Finding]:
    """Whether anybody is there to fold, whether anything waits for too long, when something was received."""
    with _store(settings) as store:
        pending = store.run(due.pending())
        yield _alive(store.run(activity.live_workers()), store.run(due.live_shifts()), pending.due)
        late = pending.oldest_ms / 1000 if pending.due else 0.0
        level = Level.ERROR if late > _OVERDUE_SECONDS else Level.OK
        what = f"{pending.due} orders due, the oldest for {late:.1f} s; {pending.later} leased or waiting for a retry"
        yield Finding(level, what, "more workers (`worker --processes N`); see their logs for errors")
        leases = store.run(due.leases(int(settings.lease_seconds * 1000)))
        if leases.stuck:
            what = f"{leases.stuck} of {leases.held} leases ran out long ago, and nobody took the orders over"
            yield Finding(Level.ERROR, what, "run `gelato-rollup worker`; its sweep folds what nobody else does")
        else:
            yield Finding(Level.OK, f"{leases.held} leases held")
        last = store.run(one("GET", keys.LAST_EVENT))
        said = "never" if last is None else f"{max(0.0, time.time() - int(last) / 1000):.0f} s ago"
        yield Finding(Level.OK, f"last usable webhook: {said}")


def letters(settings: Settings) -> Iterator[Finding]:
    """What could not be used, by reason."""
    with _store(settings) as store:
        counts: dict[str, int] = {}
        for (_, reason), count in store.run(letter_lists.counts()).items():
            counts[reason] = counts.get(reason, 0) + count
    if counts:
        what = ", ".join(f"{count} {reason}" for reason, count in sorted(counts.items()))
        yield Finding(Level.WARNING, what, "`gelato-rollup dead-letters list` groups them by cause")
    else:
        yield Finding(Level.OK, "none")


def queue(settings: Settings) -> Iterator[Finding]:
    """What RQ knows: its workers, waiting and failed shifts."""
    client = kick.connection(settings.where_rq())
    try:
        shifts = kick.queue(client)
        waiting, failed = shifts.count, shifts.failed_job_registry.count
        # A worker that was killed stays in the set for a while; its own key expires.
        workers = sum(bool(client.exists(key)) for key in client.smembers(f"rq:workers:{kick.QUEUE}"))
    finally:
        client.close()
    level = Level.OK if workers else Level.WARNING
    yield Finding(level, f"{workers} RQ workers, {waiting} shifts waiting", "run `gelato-rollup worker`")
    if failed:
        yield Finding(Level.WARNING, f"{failed} shifts failed", "`rq info`; their workers' logs say why")


def _alive(workers: int, shifts: int, orders_due: int) -> Finding:
    what = f"{_plural(workers, 'worker')} and {_plural(shifts, 'shift')} alive"
    if workers or shifts:
        return Finding(Level.OK, what)
    if orders_due:
        return Finding(
            Level.ERROR, f"no worker is alive, and {orders_due} orders are due", "run `gelato-rollup worker`"
        )
    return Finding(Level.WARNING, "no worker is alive", "run `gelato-rollup worker`")


def _writes(store: Store) -> Finding:
    start = time.perf_counter()
    try:
        store.run(probe.write())
    except StoreUnavailable as error:
        return Finding(Level.ERROR, f"it takes no writes: {error}", "its memory, its disk, or its role is the reason")
    took = (time.perf_counter() - start) * 1000
    level = Level.WARNING if took > _SLOW_WRITE_MS else Level.OK
    return Finding(level, f"it takes a write in {took:.1f} ms", "a faster disk: each answer waits for its sync")


def _milliseconds(store: Store, command: str) -> float:
    start = time.perf_counter()
    store.run(one(command))
    return (time.perf_counter() - start) * 1000


def _plural(count: int, noun: str) -> str:
    return f"{count} {noun}{'' if count == 1 else 's'}"


@contextmanager
def _store(settings: Settings) -> Iterator[Store]:
    store = Store.from_url(settings.where(), timeout_seconds=3.0)
    try:
        yield store
    finally:
        store.close()
