"""Fill a server as the receiver would, hide a backlog and lay it open at one moment, and look at what is stored."""

import itertools
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Final

import orjson

from ops.bench.errors import BenchError
from ops.bench.lives import Event
from ops.bench.processes import Child, Stage, wait_for
from shared.events import Usable, read_webhook
from shared.settings import DEFAULT_TENANT
from shared.store import Store, due, keys, records
from shared.store.intake import Incoming, accept

_AT_ONCE: Final = 128
_HIDDEN: Final = "bench:hidden:"
_PAGE: Final = 500
_WORKING_SECONDS: Final = 1_800.0


def fill(store: Store, events: Iterable[Event], step: Callable[[int], None] = lambda _: None) -> int:
    """Store events by the receiver's own operation, without HTTP; how many. `step` is told of each batch's size."""
    total = 0
    for batch in _batched(events, _AT_ONCE):
        store.run(accept([_incoming(event) for event in batch], cluster=False))
        total += len(batch)
        step(len(batch))
    return total


def _batched(events: Iterable[Event], size: int) -> Iterator[tuple[Event, ...]]:
    iterator = iter(events)
    while batch := tuple(itertools.islice(iterator, size)):
        yield batch


def _incoming(event: Event) -> Incoming:
    usable = read_webhook(event.body)
    if not isinstance(usable, Usable):
        raise BenchError(f"the bench made an event that cannot be used: {usable}")
    return Incoming(DEFAULT_TENANT, usable, time.time_ns() // 1000)


def hide(store: Store) -> None:
    """Take what is due out of the workers' sight."""
    for shard in range(keys.SHARDS):
        if store.client.exists(keys.due(shard)):
            store.client.rename(keys.due(shard), f"{_HIDDEN}{shard}")


def lay_open(store: Store) -> None:
    """Make due what was hidden, at one moment, and wake the workers."""
    with store.client.pipeline(transaction=True) as pipeline:
        for shard in range(keys.SHARDS):
            if store.client.exists(f"{_HIDDEN}{shard}"):
                pipeline.rename(f"{_HIDDEN}{shard}", keys.due(shard))
        pipeline.execute()
    store.run(due.wake())


def waiting(store: Store) -> int:
    """How many orders are due, leased or waiting for a retry."""
    with store.client.pipeline(transaction=False) as pipeline:
        for shard in range(keys.SHARDS):
            pipeline.zcard(keys.due(shard))
        return sum(pipeline.execute())


def wait_until_folded(store: Store, children: list[Child], seconds: float = _WORKING_SECONDS) -> None:
    """Wait until nothing is due."""
    wait_for(lambda: waiting(store) == 0, children, what="the workers to fold everything", seconds=seconds)


def fold_all(stage: Stage, processes: int = 2) -> None:
    """Have real workers fold everything that is due, then end them."""
    worker = stage.worker(processes)
    wait_until_folded(stage.store, [worker])
    stage.stop()


def stored_events(store: Store) -> Iterator[bytes]:
    """The text of every event in every order's log, repeats of known content left out."""
    for page in _pages(store, keys.log("*")):
        for log in _each(store, "LRANGE", page, 0, -1):
            yield from (record.text for record in records.read(log) if record.is_event and not record.is_known)


def documents(store: Store, pattern: str = "") -> Iterator[bytes]:
    """Every document; those of a baseline by the pattern of their keys."""
    for page in _pages(store, pattern or keys.document("*")):
        yield from (raw for raw in store.client.mget(page) if raw is not None)


def folded_events(store: Store, pattern: str = "") -> int:
    """The number of events in all documents."""
    return sum(orjson.loads(raw)["events"] for raw in documents(store, pattern))


def _pages(store: Store, pattern: str) -> Iterator[list[bytes]]:
    found: Iterator[bytes] = store.client.scan_iter(match=pattern, count=10_000)
    while page := list(itertools.islice(found, _PAGE)):
        yield page


def _each(store: Store, command: str, names: list[bytes], *arguments: int) -> list[list[bytes]]:
    with store.client.pipeline(transaction=False) as pipeline:
        for name in names:
            pipeline.execute_command(command, name, *arguments)
        return list(pipeline.execute())
