"""The typed reader for downstream Python; import it as `gelato_rollup`.

from gelato_rollup import Reader

reader = Reader("redis://127.0.0.1:6379/0")
document = reader.get("83831IAKD2")
for change in reader.watch(group="shipping", consumer="shipping-1"):
    ...  # acknowledged when the loop asks for the next one
"""

from collections.abc import Iterator, Sequence
from types import TracebackType
from typing import Final

import orjson

from shared.schema import Change, Document
from shared.settings import DEFAULT_TENANT
from shared.store import Store, changes, orders
from shared.store.changes import Entry

_PAGE: Final = 100
_BLOCK_MS: Final = 1_000
#: Index and stream are written one after the other: look a little further back than the last entry.
_OVERLAP_MS: Final = 5_000


class Reader:
    """Reads documents and follows changes. Not safe to share between threads while watching."""

    def __init__(self, url: str, *, tenants: Sequence[str] = (DEFAULT_TENANT,)) -> None:
        """`url`: the data server (`redis://`, `rediss://`, `unix://`, `redis+sentinel://`, `redis+cluster://`).

        `tenants`: whose orders to catch up on when the stream was trimmed; changes of others are passed on as they come.
        """
        self._store = Store.from_url(url)
        self._tenants = tuple(tenants)

    def get(self, reference: str, *, tenant: str = DEFAULT_TENANT) -> Document | None:
        """One document; None for an unknown order. Raises `StoreUnavailable`."""
        raw = self._store.run(orders.document(tenant, reference))
        return None if raw is None else orjson.loads(raw)

    def watch(self, group: str, consumer: str, *, take_over_seconds: float = 60.0) -> Iterator[Change]:
        """Follow all changes as one consumer of a group, for ever, going on where the group left off.

        A group that is new begins now. Each change comes at least once: it is acknowledged when the next one is asked
        for; what a consumer was given before it died comes again, to itself at once, to others after
        `take_over_seconds`. Where the stream was trimmed before the group had read it, the orders that changed meanwhile
        come first, each as one change of its present version (`previousStatus` None). Raises `StoreUnavailable`; a new
        call goes on.
        """
        run = self._store.run
        idle_ms = int(take_over_seconds * 1000)
        if not run(changes.create_group(group)):
            while entries := run(changes.read_group(group, consumer, "0", _PAGE, None)):
                yield from self._acknowledging(group, entries)
        while True:
            yield from self._acknowledging(group, run(changes.take_over(group, consumer, idle_ms, _PAGE)))
            position = run(changes.position(group))
            if position is not None and position.may_have_missed:
                yield from self._catch_up(position.last_delivered[0])
            yield from self._acknowledging(group, run(changes.read_group(group, consumer, ">", _PAGE, _BLOCK_MS)))

    def follow(self) -> Iterator[Change]:
        """Follow all changes from now on, without a group; what comes while nobody follows is not seen."""
        last = self._store.run(changes.last_id())
        while True:
            for entry in self._store.run(changes.read(last, _PAGE, _BLOCK_MS)):
                last = entry.id
                if entry.change is not None:
                    yield entry.change

    def _acknowledging(self, group: str, entries: list[Entry]) -> Iterator[Change]:
        trimmed = [entry.milliseconds for entry in entries if entry.change is None]
        if trimmed:  # given to somebody, and trimmed before it was acknowledged
            yield from self._catch_up(min(trimmed))
        for entry in entries:
            if entry.change is not None:
                yield entry.change
            self._store.run(changes.acknowledge(group, [entry.id]))

    def _catch_up(self, since_ms: int) -> Iterator[Change]:
        """The orders that changed since a time, each as one change of its present version."""
        for tenant in self._tenants:
            score, seen, at_once = since_ms - _OVERLAP_MS, set[str](), _PAGE
            while True:
                page = self._store.run(changes.changed_since(tenant, score, at_once))
                fresh = [listed.reference for listed in page if listed.reference not in seen]
                seen.update(fresh)
                for raw in self._store.run(orders.documents(tenant, fresh)) if fresh else ():
                    if raw is not None:
                        yield _as_change(orjson.loads(raw))
                if len(page) < at_once:
                    break
                # On from the last time that was met, inclusive; an order that changes meanwhile is met again, later.
                score = page[-1].changed_ms
                if not fresh:  # more orders of one time than a page holds
                    at_once *= 2

    def close(self) -> None:
        """Close all connections."""
        self._store.close()

    def __enter__(self) -> "Reader":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()


def _as_change(document: Document) -> Change:
    return Change(
        tenant=document["tenant"],
        orderReferenceId=document["orderReferenceId"],
        version=document["version"],
        status=document["status"],
        previousStatus=None,
        terminal=document["terminal"],
        at=document["updatedAt"],
    )
