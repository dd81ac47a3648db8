"""Sending dead letters through the same door as new events, and telling what became of them.

A letter's payload is read and checked as a webhook's or a snapshot's body is, and goes into its order's log with its first
time of receipt, whether its content is known or not. The letter leaves once the worker has folded the event.
"""

import uuid
from collections.abc import Sequence
from enum import StrEnum
from typing import Final, NamedTuple

from shared import canonical, snapshots
from shared.errors import GelatoRollupError, InvalidJson, UnusableEvent
from shared.events import ExampleEvent, Ignored, Usable, classify_webhook
from shared.facts import FETCHED, WEBHOOK
from shared.store import dead_letters, erasing, replays
from shared.store.calls import Operation
from shared.store.dead_letters import INVALID_JSON, ORDER_LIMIT, Letter
from shared.store.erasing import Received
from shared.store.intake import FULL, Incoming, Result
from shared.store.replays import Replay, Underway

NO_PAYLOAD: Final = "nothing was kept of its payload: it cannot be replayed; have it sent again, or discard it"


class Fate(StrEnum):
    """What became of a letter."""

    #: Its event is in its order's document, and the letter is gone.
    FOLDED = "folded"
    #: It cannot be used, still: it stays, with the reason of now.
    DEAD = "dead"
    #: Its event is in its order's log, and waits for a worker (for its next try, perhaps).
    WAITING = "waiting"
    #: It is a documented event that is not about an order: the letter is gone.
    IGNORED = "ignored"
    #: It is a test notification: the letter is gone.
    TEST = "test"
    #: Nothing was kept of its payload.
    UNREPLAYABLE = "unreplayable"
    #: It left the dead letters meanwhile: discarded, erased, or replayed by somebody else.
    GONE = "gone"


class NoPayload(GelatoRollupError):
    """Nothing was kept of a letter's payload: what cannot be read cannot be freed of names and addresses."""


class Sent(NamedTuple):
    """A letter that was sent; where its fate is `WAITING`, its order and its content, by which it is looked for."""

    letter: str
    fate: Fate
    order: tuple[str, str] = ("", "")
    digest: bytes = b""


def read(payload: bytes | None, came_as: str) -> Usable | Ignored | ExampleEvent:
    """Check a letter's payload as a new one. Raises `NoPayload`, `InvalidJson`, `UnusableEvent`."""
    if payload is None:
        raise NoPayload(NO_PAYLOAD)
    content, text = canonical.parse(payload)
    if came_as == WEBHOOK:
        return classify_webhook(content, text)
    # Once more freed of what is not kept: the payload may have been mended in an editor.
    kept = snapshots.sanitise(content if isinstance(content, dict) else {})
    return snapshots.classify_snapshot(kept, fetched=came_as == FETCHED)


def send(letters: Sequence[Letter]) -> Operation[list[Sent]]:
    """Send letters, with their payloads, to their orders' logs; what became of each at once, in order.

    Every letter is counted as tried. One that cannot be used stays, with the reason and detail of now.
    """
    fates: dict[str, Sent] = {}
    again: list[tuple[Letter, str, str]] = []
    usable: list[tuple[Letter, Usable]] = []
    leave: list[Letter] = []
    for letter in letters:
        try:
            event = read(letter.payload, letter.came_as)
        except NoPayload:
            fates[letter.id] = Sent(letter.id, Fate.UNREPLAYABLE)
            again.append((letter, letter.reason, letter.detail))
        except InvalidJson as error:
            fates[letter.id] = Sent(letter.id, Fate.DEAD)
            again.append((letter, INVALID_JSON, str(error)))
        except UnusableEvent as error:
            fates[letter.id] = Sent(letter.id, Fate.DEAD)
            again.append((letter, error.reason, error.detail))
        else:
            if isinstance(event, Usable):
                usable.append((letter, event))
            else:
                fates[letter.id] = Sent(letter.id, Fate.IGNORED if isinstance(event, Ignored) else Fate.TEST)
                leave.append(letter)
    yield from dead_letters.remove([letter.id for letter in leave])
    if again or usable:
        yield from dead_letters.tried(again + [(letter, letter.reason, letter.detail) for letter, _ in usable])
    if usable:
        fates |= yield from _into_logs(usable)
    return [fates[letter.id] for letter in letters]


def look(sent: Sequence[Sent]) -> Operation[list[Sent]]:
    """What became by now of letters whose events were on their way."""
    notes = yield from replays.notes([each.order for each in sent])
    # Behind the notes: a worker removes the letter first.
    letters = yield from dead_letters.several([each.letter for each in sent], whole=False)
    result = []
    for each, note, letter in zip(sent, notes, letters, strict=True):
        if letter is None:
            result.append(each._replace(fate=Fate.FOLDED))
        elif Underway(each.digest, each.letter) in note:
            result.append(each)
        else:
            result.append(each._replace(fate=Fate.DEAD))
    return result


def _into_logs(usable: Sequence[tuple[Letter, Usable]]) -> Operation[dict[str, Sent]]:
    batch = uuid.uuid4().hex
    received = [Received(letter.tenant, event.reference, letter.received) for letter, event in usable]
    erased = yield from erasing.begin_batch(batch, received)
    fates = {letter.id: Sent(letter.id, Fate.GONE) for (letter, _), gone in zip(usable, erased, strict=True) if gone}
    left = [each for each, gone in zip(usable, erased, strict=True) if not gone]
    full: list[tuple[Letter, str, str]] = []
    if left:
        outcomes = yield from replays.send(
            [Replay(Incoming(each.tenant, event, each.received, each.came_as), each.id) for each, event in left]
        )
        for (letter, event), outcome in zip(left, outcomes, strict=True):
            if outcome.result is Result.ACCEPTED:
                order = (letter.tenant, event.reference)
                fates[letter.id] = Sent(letter.id, Fate.WAITING, order, event.digest)
            else:
                fates[letter.id] = Sent(letter.id, Fate.DEAD)
                if outcome.result is Result.ORDER_FULL:
                    full.append((letter, ORDER_LIMIT, FULL))
    yield from erasing.end_batch(batch)
    if full:
        yield from dead_letters.tried(full, times=0)  # counted already
    return fates
