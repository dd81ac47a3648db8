"""Is everything well? One line per check, with the remedy for what is not. Works on a broken configuration too."""

import shutil
import sqlite3
import time
from collections.abc import Callable, Iterator

from redis.exceptions import RedisError

from ops import secrets
from receiver import server as receiver_server
from shared import kick
from shared.errors import ConfigurationError, GelatoRollupError
from shared.secret import SecretUrl
from shared.settings import Settings
from shared.store import Store, due, durability
from shared.store.calls import one
from shared.store.durability import Finding, Level

_SLOW_MS = 20.0
_SKEW_SECONDS = 2.0
_OVERDUE_SECONDS = 30
_LEAST_FREE_BYTES = 1 << 30

Check = Callable[[Settings], Iterator[Finding]]


def examine() -> list[tuple[str, Finding]]:
    """All checks: `(what was looked at, finding)`."""
    findings: list[tuple[str, Finding]] = []
    try:
        settings = secrets.with_generated(Settings.from_environment())
    except ConfigurationError as error:
        return [("configuration", Finding(Level.ERROR, str(error), "see `gelato-rollup config`"))]
    for name, check in _CHECKS:
        try:
            findings += [(name, finding) for finding in check(settings)]
        except (GelatoRollupError, RedisError, OSError, ValueError) as error:
            findings.append((name, Finding(Level.ERROR, str(error), _REMEDIES.get(name, ""))))
    return findings


def _configuration(settings: Settings) -> Iterator[Finding]:
    receiver_server.check(settings)
    yield Finding(Level.OK, "secrets and tenants can be used")


def _server(settings: Settings) -> Iterator[Finding]:
    with _store(settings) as store:
        took = []
        for _ in range(5):
            start = time.perf_counter()
            store.run(one("PING"))
            took.append((time.perf_counter() - start) * 1000)
        latency = min(took)
        level = Level.WARNING if latency > _SLOW_MS else Level.OK
        yield Finding(level, f"{SecretUrl(settings.where())!r} answers in {latency:.1f} ms", "bring it nearer")
        seconds, microseconds = store.run(one("TIME"))
        skew = abs(time.time() - (int(seconds) + int(microseconds) / 1e6))
        level = Level.WARNING if skew > _SKEW_SECONDS else Level.OK
        yield Finding(level, f"its clock is {skew:.1f} s from this machine's", "run a time service on both")
        yield from store.run(durability.promises()).findings()


def _work(settings: Settings) -> Iterator[Finding]:
    with _store(settings) as store:
        pending = store.run(due.pending())
        live = store.run(due.live_shifts())
        if not live:
            yield Finding(
                Level.ERROR if pending.due else Level.WARNING, "no shift is alive", "run `gelato-rollup worker`"
            )
        else:
            yield Finding(Level.OK, f"{live} shift{'s' if live > 1 else ''} alive")
        late = pending.oldest_ms / 1000 if pending.due else 0.0
        level = Level.ERROR if late > _OVERDUE_SECONDS else Level.OK
        what = f"{pending.due} orders due, the oldest for {late:.1f} s; {pending.later} leased or waiting for a retry"
        yield Finding(level, what, "more workers (`worker --processes N`); see their logs for errors")


def _queue(settings: Settings) -> Iterator[Finding]:
    client = kick.connection(settings.where_rq())
    try:
        queue = kick.queue(client)
        waiting, failed = queue.count, queue.failed_job_registry.count
        # A worker that was killed stays in the set for a while; its own key expires.
        workers = sum(bool(client.exists(key)) for key in client.smembers(f"rq:workers:{kick.QUEUE}"))
    finally:
        client.close()
    level = Level.OK if workers else Level.WARNING
    yield Finding(level, f"{workers} RQ workers, {waiting} shifts waiting", "run `gelato-rollup worker`")
    if failed:
        yield Finding(Level.WARNING, f"{failed} shifts failed", "`rq info`; their workers' logs say why")


def _spool(settings: Settings) -> Iterator[Finding]:
    if not settings.spool_persistent:
        what = "no spool: while Redis is away webhooks are answered 503, and Gelato gives up after three tries"
        yield Finding(Level.WARNING, what, "GELATO_SPOOL_PERSISTENT=yes, if GELATO_DATA_DIR outlives the container")
        return
    path = settings.data_dir / "spool" / "spool.sqlite"
    if not path.exists():
        yield Finding(Level.OK, "empty")
        return
    try:
        with sqlite3.connect(f"file:{path}?mode=ro", uri=True) as database:
            events, size = database.execute("SELECT events, bytes FROM totals").fetchone()
    except sqlite3.Error as error:
        yield Finding(Level.ERROR, f"{path} cannot be read: {error}", "move it away; its events are in it, keep it")
        return
    level = Level.WARNING if events else Level.OK
    yield Finding(level, f"{events} events, {size} bytes", "they are drained while a receiver runs and Redis is there")


def _disk(settings: Settings) -> Iterator[Finding]:
    directory = settings.data_dir if settings.data_dir.exists() else settings.data_dir.absolute().parent
    free = shutil.disk_usage(directory).free
    level = Level.WARNING if free < _LEAST_FREE_BYTES else Level.OK
    yield Finding(level, f"{free / 1e9:.1f} GB free for {settings.data_dir}", "make room: spool and database need it")


class _store:  # noqa: N801  (used like a function)
    def __init__(self, settings: Settings) -> None:
        self._store = Store.from_url(settings.where(), timeout_seconds=3.0)

    def __enter__(self) -> Store:
        return self._store

    def __exit__(self, *_: object) -> None:
        self._store.close()


_CHECKS: list[tuple[str, Check]] = [
    ("configuration", _configuration),
    ("server", _server),
    ("work", _work),
    ("queue", _queue),
    ("spool", _spool),
    ("disk", _disk),
]
_REMEDIES = {
    "server": "start it, or set REDIS_URL; `gelato-rollup up` brings its own",
    "work": "the server must answer first",
    "queue": "start it, or set RQ_REDIS_URL; workers' sweeps fold meanwhile",
}
