"""What each event of an order changed: in order of receipt, within bounds, whatever is in the log."""

import time
from typing import Any

import orjson
import pytest
from support import events

from shared import effects, history
from shared.effects import in_words
from shared.facts import Facts
from shared.store import records
from shared.store.records import Record

BEGIN_US = 1_793_000_000_000_000


def record(event: dict[str, Any], n: int, letter: str = "W") -> Record:
    """An event received n seconds after the first."""
    return Record(letter, BEGIN_US + n * 1_000_000, orjson.dumps(event, option=orjson.OPT_SORT_KEYS))


def item(status: str, n: int, **more: Any) -> dict[str, Any]:
    return events.item_status(id=f"is_{n}", status=status, created=f"2026-10-26T07:{n:02}:00Z", **more)


def told(*log: Record) -> list[tuple[str | None, list[str] | None]]:
    """Per event its identity, and what it changed in words."""
    entries = history.explained("default", "REF-1", list(log))
    return [
        (entry["identity"], None if entry["changed"] is None else [in_words(effect) for effect in entry["changed"]])
        for entry in entries
    ]


def changed(*log: Record) -> list[list[str] | None]:
    return [words for _, words in told(*log)]


def test_each_event_says_what_it_changed() -> None:
    estimate = events.estimate(created="2026-10-26T07:02:00Z")
    assert changed(
        record(item("printed", 0), 0),
        record(item("on_hold", 1, comment="out of stock"), 1),
        record(estimate, 2),
        record(events.tracking_code(created="2026-10-26T07:03:00Z"), 3),
        record(item("shipped", 4), 4),
        record(events.order_status(fulfillmentStatus="delivered", created="2026-10-26T07:09:00Z"), 5),
    ) == [
        ["status — → printed", "order-1: — → printed", "order-1 mug: — → printed"],
        [
            "status printed → on_hold",
            "order-1: printed → on_hold",
            "order-1 mug: printed → on_hold",
            "order-1 mug: comment — → out of stock",
            "order-1 mug: attention — → on_hold",
        ],
        ["deliveryEstimate — → 2026-12-01 2026-12-03", "order-1: deliveryEstimate — → 2026-12-01 2026-12-03"],
        ["order-1: new parcel code123"],
        [
            "status on_hold → shipped",
            "order-1: on_hold → shipped",
            "order-1 mug: on_hold → shipped",
            "order-1 mug: comment out of stock → —",
            "order-1 mug: attention on_hold → —",
        ],
        [
            "status shipped → delivered",
            "terminal no → yes",
            "order-1: shipped → delivered",
            "order-1: reportedStatus — → delivered",
            "order-1 mug: shipped → delivered",
        ],
    ]


def test_the_order_is_that_of_receipt_and_a_late_event_changes_nothing() -> None:
    late = record(item("passed", 1), 9)
    assert changed(late, record(item("delivered", 5), 2))[1] == []


def test_paths_are_those_of_the_document() -> None:
    (entry,) = history.explained("default", "REF-1", [record(item("passed", 1), 0)])
    assert {"path": ["orders", "order-1", "items", "mug", "status"], "from": None, "to": "passed"} in entry["changed"]


def test_parked_replayed_repeated_and_closed() -> None:
    parked, replayed = record(item("printed", 2), 2), record(item("shipped", 3), 3)
    mark = Record(records.PARKED, 0, parked.digest + replayed.digest)
    again = replayed._replace(letter="w", received=replayed.received)
    closed = Record(records.CLOSED, BEGIN_US + 60_000_000, b"")
    assert told(record(item("passed", 1), 1), parked, replayed, mark, again, closed) == [
        ("itemStatus:is_1", ["status — → passed", "order-1: — → passed", "order-1 mug: — → passed"]),
        ("itemStatus:is_2", []),
        ("itemStatus:is_3", ["status passed → shipped", "order-1: passed → shipped", "order-1 mug: passed → shipped"]),
        (None, ["terminal no → yes"]),
    ]


def test_a_snapshot_received_again_is_listed_once_with_what_both_changed() -> None:
    snapshot = {"id": "order-1", "orderReferenceId": "REF-1", "fulfillmentStatus": "printed", "items": []}
    first = record(snapshot, 1, "S")
    ((_, words),) = told(first, record(snapshot, 9, "s"))
    assert words is not None
    assert "order-1: reportedStatus — → printed" in words


def test_an_event_that_raises_says_nothing_and_hides_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    read = effects.facts.read_facts

    def poisoned(text: bytes, came_as: str, received: int) -> Facts:
        if b"poison" in text:
            raise ZeroDivisionError
        return read(text, came_as, received)

    log = [record(item("passed", 1), 1), record(item("poison", 2), 2), record(item("printed", 3), 3)]
    with monkeypatch.context() as patched:
        patched.setattr(effects.facts, "read_facts", poisoned)
        result = effects.effects("default", "REF-1", log, set())
    assert result[1] is None
    assert next(in_words(effect) for effect in result[2] or ()) == "status passed → printed"


def test_what_a_large_order_costs_is_bounded() -> None:
    log = [record(item("passed", 1, itemReferenceId=f"item-{n}"), n) for n in range(2_000)]
    began = time.process_time()
    result = effects.effects("default", "REF-1", log, set())
    assert time.process_time() - began < 5
    assert result[0] is not None
    assert result[-1] is None
    assert len(result) == 2_000
