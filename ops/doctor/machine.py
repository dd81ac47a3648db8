"""What is this machine's own: the spool and the disk."""

import os
import shutil
import sqlite3
import time
from collections.abc import Iterator

import httpx

from shared.settings import Settings
from shared.store.durability import Finding, Level

_LEAST_FREE_BYTES = 1 << 30
_HARDLY_ANY_BYTES = 64 << 20
_NEARLY_FULL = 0.8
_TIMEOUT_SECONDS = 2.0


def spool(settings: Settings) -> Iterator[Finding]:
    """Whether there is one that can be read, and what waits in it."""
    if not settings.spool_persistent:
        elsewhere = _spooled_at(settings.base_url())
        if elsewhere is not None:  # the operator's settings are not the receiver's
            yield Finding(Level.OK, f"the receiver at {settings.base_url()} has one; {elsewhere} events in it")
            return
        what = "no spool: while Redis is away webhooks are answered 503, and Gelato gives up after three tries"
        yield Finding(Level.WARNING, what, "GELATO_SPOOL_PERSISTENT=yes, if GELATO_DATA_DIR outlives the container")
        return
    path = settings.data_dir / "spool" / "spool.sqlite"
    if not path.exists():
        yield Finding(Level.OK, "empty")
        return
    try:
        with sqlite3.connect(f"file:{path}?mode=ro", uri=True) as database:
            query = "SELECT events, bytes, (SELECT min(received) FROM entries) FROM totals"
            events, size, oldest = database.execute(query).fetchone()
    except sqlite3.Error as error:
        yield Finding(Level.ERROR, f"{path} cannot be read: {error}", "move it away; its events are in it, keep it")
        return
    if not events:
        yield Finding(Level.OK, "empty")
        return
    waited = max(0.0, time.time() - oldest / 1e6)
    what = f"{events} events, {size} bytes, the oldest for {waited:.0f} s"
    if size > settings.spool_max_bytes * _NEARLY_FULL or events > settings.spool_max_events * _NEARLY_FULL:
        yield Finding(Level.ERROR, f"{what}: nearly full, then webhooks are refused", "bring Redis back")
    else:
        yield Finding(Level.WARNING, what, "they are drained while a receiver runs and Redis is there")


def _spooled_at(base: str) -> int | None:
    """How many events wait in the spool of a receiver; None where none answers, or it has no spool."""
    try:
        said = httpx.get(f"{base}/readyz", timeout=_TIMEOUT_SECONDS, trust_env=False).json()
    except (httpx.HTTPError, httpx.InvalidURL, ValueError):
        return None
    return said.get("spooled") if isinstance(said, dict) else None


def disk(settings: Settings) -> Iterator[Finding]:
    """Whether there is room, and it may be written."""
    directory = settings.data_dir.absolute()
    while not directory.exists():
        directory = directory.parent
    free = shutil.disk_usage(directory).free
    level = Level.OK
    if free < _LEAST_FREE_BYTES:
        level = Level.ERROR if free < _HARDLY_ANY_BYTES else Level.WARNING
    yield Finding(level, f"{free / 1e9:.1f} GB free for {settings.data_dir}", "make room: spool and database need it")
    if settings.spool_persistent and not os.access(directory, os.W_OK | os.X_OK):
        yield Finding(
            Level.ERROR, f"{directory} cannot be written", "give it to the receiver's user, or the spool fails"
        )
