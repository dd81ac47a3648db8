"""Rebuild an order's state, document and index entries from its event log. Changes nothing where the fold was right."""

from shared.errors import GelatoRollupError
from shared.rollup import State
from shared.store import Store, folding, indexes, keys, records
from shared.store.calls import one
from shared.store.folding import Change, Commit, Written
from shared.store.stored import Stored, decode, encode
from worker import afresh
from worker.advance import Policy

_TRIES = 20


class CannotFold(GelatoRollupError):
    """An event that the order's document is made of cannot be folded any more: the order is left as it is."""


class Busy(GelatoRollupError):
    """An order got new events faster than it could be rebuilt."""


def rebuild(store: Store, tenant: str, reference: str, policy: Policy) -> bool | None:
    """Rebuild one order; whether its document has changed, None for an unknown order.

    Raises `Busy`, and `CannotFold` where an event raises: the order stays as it is then.
    """
    name = keys.order_name(tenant, reference)
    for _ in range(_TRIES):
        (loaded,) = store.run(folding.load([name]))
        if loaded.announcement:  # of a worker that died before it could tell
            store.run(folding.announce([Change(name, loaded.generation, loaded.announcement)]))
        whole = store.run(folding.whole_log(name))
        if not whole:
            return None
        seconds, microseconds = store.run(one("TIME"))
        now_us = int(seconds) * 1_000_000 + int(microseconds)
        old = decode(loaded.stored) or Stored(State(), version=int(loaded.revision or 0))
        outcome = afresh.rebuild(tenant, reference, old, records.read(whole), now_us, policy)
        if outcome.failed:
            error = outcome.failed[0].error
            raise CannotFold(
                f"order {reference!r} of {tenant}: {len(outcome.failed)} of its events cannot be folded "
                f"({type(error).__name__}); it is left as it is"
            ) from error
        document = outcome.document
        if document is None:
            return False
        commit = Commit(
            name=name,
            generation=loaded.generation,
            revision=loaded.revision,
            stored=encode(outcome.stored, compress=document["terminal"]),
            cursor=len(whole),
            expires_ms=outcome.expires_ms,
            document=outcome.text if outcome.changed or not loaded.document_exists else b"",
            announcement=outcome.announcement(now_us),
        )
        (written,) = store.run(folding.commit([commit]))
        if written is Written.DONE:
            store.run(folding.announce([change] if (change := commit.change) else []))
            store.run(indexes.check(tenant, [reference]))
            return outcome.changed
    raise Busy(f"order {reference!r} of {tenant}: got new events in each of {_TRIES} tries; try again later")
