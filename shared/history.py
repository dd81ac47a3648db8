"""An order's event log as others may read it: each raw event with its times, and what the fold made of it."""

from typing import Any

import orjson

from shared import facts
from shared.clock import SECOND, format_time
from shared.errors import InvalidJson, UnusableEvent
from shared.store.records import CLOSED, PARKED, Record


def described(log: list[Record]) -> list[dict[str, Any]]:
    """The events of a log as others may read them, by time of receipt, UTC with microseconds.

    `event` is the raw event as canonical JSON text; `as_json` makes it part of the JSON around it.
    """
    parked = _parked(log)
    latest = {
        record.digest: record for record in log if record.is_event
    }  # a snapshot received again replaces the first
    result = []
    for record in sorted(log, key=lambda record: record.received):
        if record.letter == CLOSED:
            result.append({"identity": None, "cameAs": "close", "receivedAt": precise_time(record.received)})
        if not record.is_event or (record is not latest[record.digest] and record.came_as != facts.WEBHOOK):
            continue
        if record.is_known and record.came_as == facts.WEBHOOK:
            continue  # replayed: it is listed with its first record
        entry: dict[str, Any] = {"cameAs": record.came_as, "receivedAt": precise_time(record.received)}
        try:
            said = facts.read_facts(record.text, record.came_as, record.received)
            entry |= {"identity": said.identity, "orderId": said.order_id, "at": format_time(said.stamp.at)}
        except (InvalidJson, UnusableEvent) as error:
            entry |= {"identity": None, "error": str(error)}
        if record.digest in parked:
            entry["parked"] = True
        entry["event"] = record.text
        result.append(entry)
    return result


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
