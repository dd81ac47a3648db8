"""Sending mended dead letters back: the lines of an export, edited, through the same door as new events."""

import base64
import binascii
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice
from typing import Any, Final

import orjson

from shared import replay
from shared.clock import parse_time
from shared.errors import GelatoRollupError, InvalidJson, UnusableEvent
from shared.events import ExampleEvent, Ignored, Usable
from shared.facts import FETCHED, POSTED, WEBHOOK
from shared.replay import Fate
from shared.settings import DEFAULT_TENANT
from shared.store import Store, dead_letters
from shared.store.dead_letters import INVALID_EVENT, REASONS, DeadLetter, Letter, letter_id
from shared.tenants import NAME

_LOT: Final = 100
_LOT_SECONDS: Final = 10.0
_LOOK_SECONDS: Final = 0.02
_ID_DIGITS: Final = 32


class BadLine(GelatoRollupError):
    """A line that cannot be sent: what is wrong with it, and where."""


@dataclass
class Mended:
    """What became of the lines of a file: how many of each fate, and what is wrong with which line."""

    counts: "Counter[Fate]" = field(default_factory=Counter)
    problems: list[tuple[int, str]] = field(default_factory=list)


def send_lines(store: Store, lines: Iterable[bytes], told: Callable[[int], None]) -> Mended:
    """Send the letters of some lines. `told` is called with the number of lines that were dealt with.

    A letter that is still there gets the payload of its line, keeps its time of receipt, and leaves once its event is
    folded. One that is not there is kept again first. Of a line that cannot be used nothing is changed.
    """
    result = Mended()
    numbered = ((number, line) for number, line in enumerate(lines, 1) if line.strip())
    seen: dict[str, int] = {}
    while lot := list(islice(numbered, _LOT)):
        ready: dict[str, Letter] = {}
        for number, line in lot:
            try:
                letter, event = _read(store, line)
                if letter.id in seen:
                    raise BadLine(f"id: the same as in line {seen[letter.id]}")
                seen[letter.id] = number
                ready[letter.id] = _put(store, letter, event)
            except BadLine as error:
                result.problems.append((number, str(error)))
        result.counts.update(_sent(store, list(ready.values())))
        told(len(lot))
    return result


def _read(store: Store, line: bytes) -> tuple[Letter, Usable | Ignored | ExampleEvent]:
    """The letter of a line, with the line's payload; as it is kept, where it is."""
    try:
        content = orjson.loads(line)
    except orjson.JSONDecodeError as error:
        raise BadLine(f"not JSON: {error}") from None
    if not isinstance(content, dict):
        raise BadLine("must be a JSON object, as export writes it")
    payload = _payload(content)
    came_as = content.get("cameAs", WEBHOOK)
    if came_as not in (WEBHOOK, POSTED, FETCHED):
        raise BadLine(f"cameAs: must be one of {WEBHOOK}, {POSTED}, {FETCHED}")
    tenant = content.get("tenant", DEFAULT_TENANT)
    if not isinstance(tenant, str) or not NAME.fullmatch(tenant):
        raise BadLine("tenant: must be a tenant's name")
    given = content.get("id", letter_id(tenant, payload, came_as))
    if not isinstance(given, str) or len(given) != _ID_DIGITS or set(given) - set("0123456789abcdef"):
        raise BadLine(f"id: must be {_ID_DIGITS} hexadecimal digits, as exported")
    letter = store.run(dead_letters.one(given))
    if letter is None:
        letter = _new(content, given, tenant, came_as)
    elif (letter.tenant, letter.came_as) != (tenant, came_as):
        raise BadLine("tenant and cameAs cannot be mended: they are not those of the dead letter of that id")
    try:
        event = replay.read(payload, came_as)
    except InvalidJson as error:
        raise BadLine(f"payload: {error}") from None
    except UnusableEvent as error:
        raise BadLine(f"payload: {error.detail}") from None
    if isinstance(event, Usable) and came_as != WEBHOOK:
        payload = event.text  # nothing personal is kept of a snapshot
    return replace(letter, payload=payload), event


def _payload(content: dict[str, Any]) -> bytes:
    text, encoded = content.get("payload"), content.get("payloadBase64")
    if isinstance(text, str) and encoded is None:
        try:
            return text.encode()
        except UnicodeEncodeError:
            raise BadLine("payload: not a text") from None
    if isinstance(text, dict) and encoded is None:
        return orjson.dumps(text)  # written out as an object: easier to mend than a text with escapes
    if isinstance(encoded, str) and text is None:
        try:
            return base64.b64decode(encoded, validate=True)
        except binascii.Error:
            raise BadLine("payloadBase64: not base64") from None
    raise BadLine("payload: must be a text or an object (or payloadBase64 a text in its place)")


def _new(content: dict[str, Any], given: str, tenant: str, came_as: str) -> Letter:
    received = parse_time(content.get("receivedAt"))
    if received is None or not 0 < received <= time.time_ns() // 1000 + 300_000_000:
        raise BadLine("receivedAt: must be the time of receipt, ISO 8601: the dead letter itself is no longer there")
    reason, detail = content.get("reason"), content.get("detail")
    return Letter(
        id=given,
        tenant=tenant,
        reason=reason if reason in REASONS else INVALID_EVENT,
        detail=detail[:500] if isinstance(detail, str) else "imported",
        received=received,
        last_seen=received,
        count=0,
        attempts=0,
        reference=None,
        came_as=came_as,
    )


def _put(store: Store, letter: Letter, event: Usable | Ignored | ExampleEvent) -> Letter:
    """Keep the mended payload in its dead letter before it is sent: whatever happens next, it is not lost."""
    reference = event.reference if isinstance(event, Usable) else (letter.reference or "")
    payload = letter.payload or b""
    if letter.count and store.run(dead_letters.amend(letter, payload, reference)):
        return letter
    dead = DeadLetter(
        letter.id,
        letter.tenant,
        letter.reason,
        letter.detail,
        payload,
        letter.received,
        reference or None,
        came_as=letter.came_as,
    )
    store.run(dead_letters.bury(dead))
    return letter


def _sent(store: Store, letters: Sequence[Letter]) -> Iterator[Fate]:
    sent = store.run(replay.send(letters)) if letters else []
    deadline = time.monotonic() + _LOT_SECONDS
    while any(each.fate is Fate.WAITING for each in sent) and time.monotonic() < deadline:
        time.sleep(_LOOK_SECONDS)
        waiting = {each.letter: each for each in store.run(replay.look([s for s in sent if s.fate is Fate.WAITING]))}
        sent = [waiting.get(each.letter, each) for each in sent]
    return iter([each.fate for each in sent])
