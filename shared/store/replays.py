"""Sending the events of dead letters again, and knowing which letter leaves once its event is folded.

The note of an order, in its meta hash, names the replays that are on their way: the event's content and the letter. The
worker reads it with the order, and whatever it finds there is decided by the order's state alone: folded, and the letter
goes; parked again, and it stays; to be tried again, and the note waits. So a crash anywhere repeats the decision.
"""

from collections.abc import Sequence
from typing import NamedTuple

from shared.events import identity_digest
from shared.store import due, keys, records
from shared.store.calls import Batch, Call, Operation
from shared.store.intake import MAX_BYTES_PER_ORDER, MAX_EVENTS_PER_ORDER, Incoming, Outcome, Result
from shared.store.scripts import REPLAY, SETTLE

_DIGEST, _PAIR = 16, 32


class Replay(NamedTuple):
    """One event to send again, with its first time of receipt, and the id of the letter that it comes from."""

    incoming: Incoming
    letter: str


class Underway(NamedTuple):
    """One replay that an order's note names: the content's digest, and the letter's id."""

    digest: bytes
    letter: str


def send(replays: Sequence[Replay], *, max_events: int = MAX_EVENTS_PER_ORDER) -> Operation[list[Outcome]]:
    """Put events into their orders' logs and mark the orders as due; each gets its own outcome, never a duplicate."""
    names = [keys.order_name(each.incoming.tenant, each.incoming.event.reference) for each in replays]
    items = []
    for name, (incoming, letter) in zip(names, replays, strict=True):
        event = incoming.event
        words = (
            identity_digest(event.identity),
            event.digest,
            records.letter_of(incoming.came_as),
            records.body(incoming.received, event.text),
            bytes.fromhex(letter),
        )
        items.append(((keys.log(name), keys.meta(name)), words))
    (results,) = yield [Batch(REPLAY, items, common=(max_events, MAX_BYTES_PER_ORDER))]
    yield from due.mark(dict.fromkeys(name for name, result in zip(names, results, strict=True) if result == 1))
    return [_outcome(result) for result in results]


def underway(note: bytes) -> list[Underway]:
    """The replays that a note names."""
    pairs = [note[at : at + _PAIR] for at in range(0, len(note), _PAIR)]
    return [Underway(pair[:_DIGEST], pair[_DIGEST:].hex()) for pair in pairs]


def noted(left: Sequence[Underway]) -> bytes:
    """The inverse of `underway`."""
    return b"".join(each.digest + bytes.fromhex(each.letter) for each in left)


def settle(orders: Sequence[tuple[str, bytes, Sequence[Underway]]]) -> Operation[None]:
    """Say which replays of some orders are left: name, note as it was read, those left.

    Where more were replayed meanwhile the note stays as it is: the order is due again then.
    """
    items = [((keys.meta(name),), (note, noted(left))) for name, note, left in orders]
    yield [Batch(SETTLE, items)]


def notes(orders: Sequence[tuple[str, str]]) -> Operation[list[list[Underway]]]:
    """What is on its way in some orders, `(tenant, reference)`."""
    if not orders:
        return []
    answers = yield [Call("HGET", (keys.meta(keys.order_name(*order)),), ("d",)) for order in orders]
    return [underway(answer or b"") for answer in answers]


def _outcome(result: int | bytes) -> Outcome:
    if not isinstance(result, int):
        return Outcome(None, refusal=result.decode(errors="replace"))
    return Outcome(Result.ACCEPTED if result == 1 else Result.ORDER_FULL)
