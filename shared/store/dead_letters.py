"""Dead letters: what could not be used, kept until somebody replays or discards it.

Each is a hash of its own; `shared.store.letter_index` keeps the lists by which they are found. A letter is written before
it is listed and taken off the lists before it is deleted; a list that names a letter which is gone is mended when read.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

from shared.facts import WEBHOOK
from shared.store import keys, letter_index
from shared.store.calls import Call, Operation
from shared.store.letter_index import Place
from shared.store.scripts import AMEND, BURY, TRIED

INVALID_JSON: Final = "invalid-json"
INVALID_EVENT: Final = "invalid-event"
UNKNOWN_EVENT: Final = "unknown-event"
FOLD_ERROR: Final = "fold-error"
ORDER_LIMIT: Final = "order-limit"
REASONS: Final = (INVALID_JSON, INVALID_EVENT, UNKNOWN_EVENT, FOLD_ERROR, ORDER_LIMIT)

#: The most bytes that the payloads of all dead letters together may have: whoever knows a secret may send a megabyte at a
#: time, and a full Redis takes nobody's events.
MAX_BYTES: Final = 1 << 30

_FIELDS: Final = (
    "tenant",
    "reason",
    "detail",
    "receivedAt",
    "lastSeenAt",
    "count",
    "attempts",
    "orderReferenceId",
    "cameAs",
)


class DeadLetter(NamedTuple):
    """A body or event that could not be used. `received` in microseconds; `payload` None where it must not be kept.

    `seen`: when this happened, where that is not the receipt: a replayed event that was parked again.
    """

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
    seen: int | None = None


@dataclass(frozen=True, slots=True)
class Letter:
    """A dead letter as kept. Times in microseconds.

    `payload` and `traceback` are None where there is none, and where they were not asked for.
    """

    id: str
    tenant: str
    reason: str
    detail: str
    received: int
    last_seen: int
    count: int
    attempts: int
    reference: str | None
    came_as: str
    payload: bytes | None = None
    traceback: str | None = None

    @property
    def place(self) -> Place:
        """Where it belongs in the lists."""
        return Place(self.id, self.tenant, self.reason, self.detail, self.reference, self.received, self.last_seen)


def letter_id(tenant: str, body: bytes, came_as: str = WEBHOOK) -> str:
    """The id of a dead letter: 32 hexadecimal digits, a hash of tenant and body.

    The same body as a webhook and as a snapshot are two letters: of the one all is kept, of the other nothing personal.
    """
    door = b"" if came_as == WEBHOOK else came_as.encode() + b"\0"
    return hashlib.blake2b(tenant.encode() + b"\0" + door + body, digest_size=16).hexdigest()


def bury(letter: DeadLetter, *, most: int | None = None) -> Operation[int]:
    """Keep a dead letter; how often it was seen by now, 0 if there are `most` already and this one is not kept.

    Nor is it where their payloads are `MAX_BYTES` long already. Letters of events that were accepted have no limit: they
    were answered for.
    """
    known, kept, held = yield [
        Call("EXISTS", (keys.dead_letter(letter.id),)),
        Call("ZCARD", (keys.DEAD_LETTERS,)),
        Call("GET", (keys.DEAD_LETTERS_BYTES,)),
    ]
    too_long = kept and int(held or 0) + len(letter.payload or b"") > MAX_BYTES
    if not known and most is not None and (kept >= most or too_long):
        yield [Call("HINCRBY", (keys.DEAD_LETTERS_DROPPED,), (letter.reason, 1))]
        return 0
    (count,) = yield from bury_all([letter])
    return count


def bury_all(letters: Sequence[DeadLetter]) -> Operation[list[int]]:
    """Keep dead letters, however many there are; how often each was seen by now."""
    answers = yield [_bury(letter) for letter in letters]
    places = []
    for letter, (_, received, last_seen, reason, detail, reference) in zip(letters, answers, strict=True):
        now = Place(
            letter.id, letter.tenant, letter.reason, letter.detail, letter.reference, int(received), int(last_seen)
        )
        former = None
        if reason:  # it was kept already
            former = now._replace(reason=_text(reason), detail=_text(detail), reference=_text(reference) or None)
            now = now._replace(reference=letter.reference or former.reference)
        places.append((now, former))
    longer = sum(len(letter.payload or b"") for letter, (_, former) in zip(letters, places, strict=True) if not former)
    yield [Call("INCRBY", (keys.DEAD_LETTERS_BYTES,), (longer,))]
    yield from letter_index.place(places)
    return [int(count) for count, *_ in answers]


def _bury(letter: DeadLetter) -> Call:
    fate: dict[str, str | bytes | int] = {
        "reason": letter.reason,
        "detail": letter.detail,
        "attempts": letter.attempts,
    }
    if letter.reference is not None:
        fate["orderReferenceId"] = letter.reference
    if letter.traceback is not None:
        fate["traceback"] = letter.traceback
    once: dict[str, str | bytes | int] = {"tenant": letter.tenant, "cameAs": letter.came_as}
    if letter.payload is not None:
        once["payload"] = letter.payload
    words = tuple(word for fields in (fate, once) for field in fields.items() for word in field)
    seen = letter.received if letter.seen is None else letter.seen
    return Call(BURY, (keys.dead_letter(letter.id),), (letter.received, seen, 2 * len(fate), *words))


def one(letter_id: str) -> Operation[Letter | None]:
    """A dead letter with all that is kept of it; None for an unknown one."""
    (found,) = yield from several([letter_id], whole=True)
    return found


def several(ids: Sequence[str], *, whole: bool) -> Operation[list[Letter | None]]:
    """Some dead letters, None for each that is gone. `whole`: with payload and traceback, which may be long."""
    fields = (*_FIELDS, "payload", "traceback") if whole else _FIELDS
    if not ids:
        return []
    answers = yield [Call("HMGET", (keys.dead_letter(each),), fields) for each in ids]
    return [_letter(letter_id, answer) for letter_id, answer in zip(ids, answers, strict=True)]


def sizes(ids: Sequence[str]) -> Operation[list[int]]:
    """How many bytes the payloads and tracebacks of some dead letters have."""
    if not ids:
        return []
    answers = yield [
        Call("HSTRLEN", (keys.dead_letter(each),), (field,)) for each in ids for field in ("payload", "traceback")
    ]
    return [one + other for one, other in zip(answers[0::2], answers[1::2], strict=True)]


def remove(ids: Sequence[str]) -> Operation[list[Letter | None]]:
    """Delete dead letters; what they were (without their payloads), None for each that was gone already.

    Off the lists first: a crash between the two is mended by repeating it.
    """
    letters = yield from several(ids, whole=False)
    there = [letter for letter in letters if letter is not None]
    if there:
        yield from letter_index.unplace([letter.place for letter in there])
        lengths = yield [Call("HSTRLEN", (keys.dead_letter(letter.id),), ("payload",)) for letter in there]
        gone = yield [Call("DEL", (keys.dead_letter(letter.id),)) for letter in there]
        shorter = sum(length for length, deleted in zip(lengths, gone, strict=True) if deleted)
        yield [Call("DECRBY", (keys.DEAD_LETTERS_BYTES,), (shorter,))]
    return letters


def tried(letters: Sequence[tuple[Letter, str, str]], *, times: int = 1) -> Operation[None]:
    """Note that letters were tried again: each with the reason and the detail of now."""
    answers = yield [
        Call(TRIED, (keys.dead_letter(letter.id),), (reason, detail, times)) for letter, reason, detail in letters
    ]
    yield from letter_index.place(
        [
            (letter.place._replace(reason=reason, detail=detail), letter.place)
            for (letter, reason, detail), attempts in zip(letters, answers, strict=True)
            if attempts and (reason, detail) != (letter.reason, letter.detail)
        ]
    )


def amend(letter: Letter, payload: bytes, reference: str) -> Operation[bool]:
    """Give a letter a mended payload, of an order that may be another; False if the letter is gone."""
    ((done, *before),) = yield [Call(AMEND, (keys.dead_letter(letter.id),), (payload, reference))]
    if done:
        yield [Call("INCRBY", (keys.DEAD_LETTERS_BYTES,), (len(payload) - int(before[1]),))]
        now = letter.place._replace(reference=reference)
        yield from letter_index.place([(now, now._replace(reference=_text(before[0]) or None))])
    return bool(done)


def dropped() -> Operation[dict[str, int]]:
    """How many dead letters were not kept because there were too many, by reason."""
    (answer,) = yield [Call("HGETALL", (keys.DEAD_LETTERS_DROPPED,))]
    pairs = answer.items() if isinstance(answer, dict) else zip(answer[0::2], answer[1::2], strict=True)
    return {reason.decode(): int(number) for reason, number in pairs}


def _letter(letter_id: str, answer: Sequence[bytes | None]) -> Letter | None:
    tenant, reason, detail, received, last_seen, count, attempts, reference, came_as, *rest = answer
    if tenant is None or received is None:
        return None
    payload, traceback = rest or (None, None)
    return Letter(
        id=letter_id,
        tenant=_text(tenant),
        reason=_text(reason or b""),
        detail=_text(detail or b""),
        received=int(received),
        last_seen=int(last_seen or received),
        count=int(count or 1),
        attempts=int(attempts or 0),
        reference=None if reference is None else _text(reference),
        came_as=WEBHOOK if came_as is None else _text(came_as),
        payload=None if payload is None else bytes(payload),
        traceback=None if traceback is None else _text(traceback),
    )


def _text(value: bytes) -> str:
    return value.decode(errors="replace")
