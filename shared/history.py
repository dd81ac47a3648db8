"""An order's event log as others may read it: each raw event with its times, and what the fold made of it."""

from typing import Any

import orjson

from shared import effects, facts
from shared.clock import SECOND, format_time
from shared.effects import Effect
from shared.errors import InvalidJson, UnusableEvent
from shared.store.records import CLOSED, PARKED, Record


def described(log: list[Record]) -> list[dict[str, Any]]:
    """The events of a log as others may read them, by time of receipt, UTC with microseconds.

    `event` is the raw event as canonical JSON text; `as_json` makes it part of the JSON around it.
    """
    parked = _parked(log)
    return [_entry(record, record.digest in parked) for record in _listed(log)]


def explained(tenant: str, reference: str, log: list[Record]) -> list[dict[str, Any]]:
    """As `described`, each with what it `changed` (`shared.effects`), null where that would cost too much.

    A snapshot that was received several times is listed with its last receipt, and with what all of them changed.
    """
    by_receipt = sorted(log, key=lambda record: record.received)
    told = effects.effects(tenant, reference, by_receipt, _parked(log))
    changed: dict[bytes, list[Effect] | None] = {}
    for record, effect in zip(by_receipt, told, strict=True):
        key = record.encoded() if record.letter == CLOSED else record.digest
        known = changed.get(key, [])
        changed[key] = None if known is None or effect is None else known + effect
    entries = described(log)
    for record, entry in zip(_listed(log), entries, strict=True):
        entry["changed"] = changed[record.encoded() if record.letter == CLOSED else record.digest]
    return entries


def _listed(log: list[Record]) -> list[Record]:
    """What is listed of a log, by time of receipt."""
    # A snapshot received again replaces the first; an event that was replayed is listed with its first record.
    latest = {record.digest: record for record in log if record.is_event}
    return [
        record
        for record in sorted(log, key=lambda record: record.received)
        if record.letter == CLOSED
        or (
            record.is_event
            and (not record.is_known if record.came_as == facts.WEBHOOK else record is latest[record.digest])
        )
    ]


def _entry(record: Record, is_parked: bool) -> dict[str, Any]:
    if record.letter == CLOSED:
        return {"identity": None, "cameAs": "close", "receivedAt": precise_time(record.received)}
    entry: dict[str, Any] = {"cameAs": record.came_as, "receivedAt": precise_time(record.received)}
    try:
        said = facts.read_facts(record.text, record.came_as, record.received)
        entry |= {"identity": said.identity, "orderId": said.order_id, "at": format_time(said.stamp.at)}
    except (InvalidJson, UnusableEvent) as error:
        entry |= {"identity": None, "error": str(error)}
    if is_parked:
        entry["parked"] = True
    entry["event"] = record.text
    return entry


def as_json(entries: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Described events, for orjson: the raw events as they are, whatever numbers are in them."""
    return [entry | {"event": orjson.Fragment(entry["event"])} if "event" in entry else entry for entry in entries]


def precise_time(microseconds: int) -> str:
    """ISO 8601 UTC with six decimals: receipts decide the fold, so they are shown in full."""
    return f"{format_time(microseconds)[:-1]}.{microseconds % SECOND:06d}Z"


def _parked(log: list[Record]) -> set[bytes]:
    parked: set[bytes] = set()
    for record in log:
        if record.letter == PARKED:
            parked.update(record.parked)
        elif record.is_event and record.is_known:
            parked.discard(record.digest)
    return parked
