"""Dead letters: what could not be used, kept until somebody replays or discards it. See docs/way-of-an-event.md."""

import hashlib
from typing import NamedTuple

from shared.facts import WEBHOOK
from shared.store import keys
from shared.store.calls import Call, Operation
from shared.store.scripts import BURY


class DeadLetter(NamedTuple):
    """A body or event that could not be used. `received` in microseconds; `payload` None where it must not be kept."""

    id: str
    tenant: str
    reason: str
    detail: str
    payload: bytes | None
    received: int
    reference: str | None = None
    attempts: int = 0
    traceback: str | None = None
    came_as: str = WEBHOOK


def letter_id(tenant: str, body: bytes, came_as: str = WEBHOOK) -> str:
    """The id of a dead letter: 32 hexadecimal digits, a hash of tenant and body.

    The same body as a webhook and as a snapshot are two letters: of the one all is kept, of the other nothing personal.
    """
    door = b"" if came_as == WEBHOOK else came_as.encode() + b"\0"
    return hashlib.blake2b(tenant.encode() + b"\0" + door + body, digest_size=16).hexdigest()


def bury(letter: DeadLetter, *, most: int | None = None) -> Operation[int]:
    """Keep a dead letter; how often it was seen by now, 0 if there are `most` already and this one is not kept.

    Letters of events that were accepted have no limit: they were answered for.
    The letter is written before it is listed.
    """
    known, kept = yield [Call("EXISTS", (keys.dead_letter(letter.id),)), Call("ZCARD", (keys.DEAD_LETTERS,))]
    if not known and most is not None and kept >= most:
        yield [Call("HINCRBY", (keys.DEAD_LETTERS_DROPPED,), (letter.reason, 1))]
        return 0
    fields: dict[str, str | bytes | int] = {
        "tenant": letter.tenant,
        "reason": letter.reason,
        "detail": letter.detail,
        "receivedAt": letter.received,
        "attempts": letter.attempts,
        "cameAs": letter.came_as,
    }
    if letter.payload is not None:
        fields["payload"] = letter.payload
    if letter.reference is not None:
        fields["orderReferenceId"] = letter.reference
    if letter.traceback is not None:
        fields["traceback"] = letter.traceback
    words = tuple(word for field in fields.items() for word in field)
    (count, _) = yield [
        Call(BURY, (keys.dead_letter(letter.id),), (letter.received, *words)),
        Call("ZADD", (keys.DEAD_LETTERS,), ("NX", letter.received // 1000, letter.id)),
    ]
    return int(count)
