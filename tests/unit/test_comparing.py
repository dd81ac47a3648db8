"""What a search's summary must show for a whole answer to be asked for."""

from typing import Any

import orjson
import pytest

from shared import document
from shared.events import Usable
from shared.facts import read_facts
from shared.rollup import State, count_event, join
from shared.schema import Document
from shared.snapshots import classify_snapshot, sanitise
from shared.store.records import Record
from worker.comparing import differ, lacks, lists_items, tells_of_siblings

#: 2026-11-20T10:00:00Z
NOON = 1_795_168_800_000_000
ALL_THE_WAY = ("shipped", "in_transit", "delivered")
CREATED = "2026-11-20T10:00:00+00:00"
LATER = "2026-11-20T10:00:01+00:00"


def rollup(*events: dict[str, Any]) -> Document:
    state = State()
    for event in events:
        came_as = "webhook" if "id" in event and "object" in event else "fetched"
        join(state, read_facts(orjson.dumps(event), came_as, NOON))
        count_event(state)
    return document.build("default", "R", state, 1, NOON)


def status(value: str, *, items: bool = True, parcel: bool = False, order: str = "o-1") -> dict[str, Any]:
    parcels = [{"trackingCode": "T"}] if parcel else []
    item = {"itemReferenceId": "mug", "fulfillmentStatus": value, "fulfillments": parcels}
    return {
        "object": "orderStatus",
        "id": f"os_{value}",
        "orderId": order,
        "orderReferenceId": "R",
        "fulfillmentStatus": value,
        "created": CREATED,
        "items": [item] if items else None,
    }


def summary(value: str, **fields: Any) -> Usable:
    said = {"id": "o-1", "orderReferenceId": "R", "fulfillmentStatus": value, "updatedAt": CREATED, **fields}
    event = classify_snapshot(sanitise(said), fetched=True)
    assert isinstance(event, Usable)
    return event


@pytest.mark.parametrize(
    ("known", "said", "why"),
    [
        (None, summary("passed"), "never heard of"),
        (rollup(status("passed")), summary("passed", id="o-2"), "never heard of"),
        (
            rollup(status("passed") | {"connectedOrderIds": ["o-1", "o-2"]}),
            summary("passed", id="o-2"),
            "never heard of",
        ),
        (rollup(status("passed", items=False)), summary("passed"), "no items"),
        (rollup(status("passed")), summary("printed"), "status"),
        (rollup(status("passed")), summary("passed", updatedAt=LATER), "changed since"),
        (rollup(status("shipped")), summary("shipped"), "no parcel"),
        (rollup(status("delivered", parcel=True)), summary("delivered"), "a step was missed"),
        (
            rollup(*(status(each, parcel=True) for each in ("shipped", "delivered"))),
            summary("delivered"),
            "a step was missed",
        ),
        (rollup(*(status(each, parcel=True) for each in ALL_THE_WAY)), summary("delivered"), None),
        (rollup(status("passed")), summary("passed"), None),
        (rollup(status("Passed ")), summary("PASSED"), None),
        (rollup(status("shipped", parcel=True)), summary("shipped"), None),
        (rollup(status("passed")), summary("passed", updatedAt=None), None),
    ],
)
def test_a_whole_answer_is_asked_for_where_the_summary_shows_that_the_document_lacks_something(
    known: Document | None, said: Usable, why: str | None
) -> None:
    assert lacks(known, said, b"") == why


def test_the_log_tells_whether_the_parcels_were_listed_at_a_status() -> None:
    def log(*events: dict[str, Any]) -> list[Record]:
        return [Record("W", NOON, orjson.dumps(event)) for event in events]

    listed = status("delivered", parcel=True)
    assert lists_items(log(status("shipped"), listed), "o-1", "delivered")
    assert not lists_items(log(status("shipped")), "o-1", "delivered")
    assert not lists_items(log(status("delivered", items=False)), "o-1", "delivered")
    assert not lists_items(log(listed), "o-2", "delivered")
    snapshot = {"id": "o-1", "fulfillmentStatus": "Delivered", "items": [{"itemReferenceId": "mug"}]}
    assert lists_items([Record("F", NOON, orjson.dumps(snapshot))], "o-1", "delivered")


def test_what_was_seen_in_full_at_that_time_is_not_asked_for_again() -> None:
    known = rollup(status("shipped"))
    said = summary("shipped", updatedAt=LATER)
    assert lacks(known, said, said.digest) == "changed since"  # the summary itself is not all there was
    assert lacks(known, said, said.digest + b"another content") is None
    assert lacks(known, said, b"another content.") is None


def test_what_came_in_and_waits_to_be_folded_is_not_asked_for_again() -> None:
    said = summary("passed")
    assert lacks(None, said, b"another content.") is None
    assert lacks(None, said, said.digest) == "never heard of"


def test_a_change_within_the_second_that_was_seen_in_full_shows_by_the_status() -> None:
    assert lacks(rollup(status("shipped", parcel=True)), summary("delivered"), b"another content.") == "status"


def test_a_summary_tells_of_siblings_only_where_they_are_news() -> None:
    known = rollup(status("passed"))
    assert tells_of_siblings(known, summary("passed", connectedOrderIds=[]))
    assert not tells_of_siblings(known, summary("passed"))
    complete = rollup(status("passed") | {"connectedOrderIds": ["o-1"]})
    assert not tells_of_siblings(complete, summary("passed", connectedOrderIds=["o-1"]))
    assert tells_of_siblings(complete, summary("passed", connectedOrderIds=["o-1", "o-2"]))


def test_documents_differ_by_what_they_say_and_not_by_their_bookkeeping() -> None:
    known = rollup(status("passed"))
    assert not differ(known, {**known, "version": 7, "events": 9, "updatedAt": "x", "lastEventAt": "y"})
    assert differ(known, {**known, "status": "printed"})
    assert differ(None, known)
    assert not differ(None, None)
