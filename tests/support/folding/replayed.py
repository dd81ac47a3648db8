"""Replays of the dead letters of one order: `A`, whose item `poison` no fold can take."""

import time
from typing import Any

import orjson

from shared.events import Usable, read_webhook
from shared.snapshots import Sanitised, classify_snapshot
from shared.store import Store, due, intake, keys, letter_lists, orders, replays
from shared.store.dead_letters import Letter
from shared.store.intake import Incoming, Result
from shared.store.replays import Replay
from support.polling import eventually
from support.server import Server
from worker.advance import Policy
from worker.fold import fold_due
from worker.rebuild import rebuild

POLICY = Policy(tries=2, backoff_ms=1)


def body(item: str, status: str = "passed", n: int = 1, **more: object) -> bytes:
    """A webhook of the item, as it was posted."""
    event = {"id": f"{item}-{n}", "event": "order_item_status_updated", "orderId": "A-1", "orderReferenceId": "A"}
    event |= {"itemReferenceId": item, "status": status, "created": f"2026-01-01T00:00:{n:02}Z"}
    return orjson.dumps(event | more)


def webhook(raw: bytes, received: int | None = None) -> Incoming:
    """The same as the store is given it."""
    event = read_webhook(raw)
    assert isinstance(event, Usable)
    return Incoming("default", event, received or time.time_ns() // 1000)


def snapshot(received: int) -> Incoming:
    """A posted snapshot with the item `poison`."""
    content = {
        "id": "A-1",
        "orderReferenceId": "A",
        "fulfillmentStatus": "passed",
        "items": [{"id": "1", "itemReferenceId": "poison", "fulfillmentStatus": "passed"}],
    }
    event = classify_snapshot(Sanitised(content, orjson.dumps(content, option=orjson.OPT_SORT_KEYS)), fetched=False)
    assert isinstance(event, Usable)
    return Incoming("default", event, received, "posted")


def accept(store: Store, *events: Incoming) -> None:
    assert all(each.result is Result.ACCEPTED for each in store.run(intake.accept(events, cluster=False)))


def fold_all(store: Store) -> None:
    """Fold until nothing is due or delayed."""

    def done() -> bool:
        fold_due(store, POLICY, lease_seconds=5.0)
        waiting = store.run(due.pending())
        return waiting.due + waiting.later == 0

    eventually(done, what="all to be folded")


def letters(store: Store) -> list[Letter]:
    """All letters; their indexes agree."""
    assert store.run(letter_lists.in_step())
    return store.run(letter_lists.page()).letters


def replay(store: Store, letter: Letter) -> None:
    """Send a letter's payload to its order."""
    assert letter.payload is not None
    incoming = webhook(letter.payload, letter.received)
    (outcome,) = store.run(replays.send([Replay(incoming, letter.id)]))
    assert outcome.result is Result.ACCEPTED


def document(store: Store) -> dict[str, Any]:
    raw = store.run(orders.document("default", "A"))
    assert raw is not None
    found: dict[str, Any] = orjson.loads(raw)
    return found


def as_rebuilt(store: Store) -> bool:
    """Whether a rebuild changes nothing."""
    return rebuild(store, "default", "A", POLICY) is False


def note(server: Server) -> bytes | None:
    """What the order still says of replays that are on their way."""
    found: bytes | None = server.client.hget(keys.meta("default/A"), "d")
    return found
