"""The records of an event log: what is written is read again, packed or not."""

from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.facts import FETCHED, POSTED, WEBHOOK
from shared.store import records
from shared.store.records import Record

RECEIPTS = st.integers(0, 2**63)
TEXTS = st.sampled_from([orjson.dumps({"id": n, "status": "shipped"}) for n in range(4)]) | st.binary(max_size=300)
EVENTS = st.builds(Record, st.sampled_from("WSF"), RECEIPTS, TEXTS)
KNOWN = st.builds(Record, st.sampled_from("wsf"), RECEIPTS, TEXTS)
CLOSES = st.builds(lambda received: Record("C", received, b""), RECEIPTS)
PARKS = st.builds(lambda digests: Record("P", 0, b"".join(digests)), st.lists(st.binary(min_size=16, max_size=16)))


def stored(record: Record) -> bytes:
    """A record as the store writes it."""
    return records.parked([record.text]) if record.letter == "P" else record.encoded()


@given(st.lists(EVENTS | KNOWN | CLOSES | PARKS))
def test_records_are_read_as_they_were_written(log: list[Record]) -> None:
    assert list(records.read([stored(each) for each in log])) == log


@given(st.lists(EVENTS | CLOSES | PARKS))
def test_packed_records_are_read_as_they_were_before(log: list[Record]) -> None:
    assert list(records.read([records.pack(records.read(map(stored, log)))])) == log


def test_a_park_names_the_same_events_after_it_was_packed() -> None:
    event = Record("W", 5, b"{}")
    log = [event.encoded(), records.parked([event.digest])]
    _, park = records.read([records.pack(records.read(log))])
    assert park.text == event.digest


@given(st.lists(EVENTS | CLOSES | PARKS), st.lists(EVENTS))
def test_a_log_may_be_packed_in_part_and_packed_again(old: list[Record], new: list[Record]) -> None:
    read = list(records.read([records.pack(old), *(each.encoded() for each in new)]))
    assert list(records.read([records.pack(read)])) == read == old + new


@given(st.lists(EVENTS | KNOWN))
def test_of_repeats_the_first_and_the_last_are_kept_where_the_first_was(log: list[Record]) -> None:
    kept = list(records.read([records.pack(log)]))
    assert [each for each in kept if not each.is_known] == [each for each in log if not each.is_known]
    last = {each.digest: each for each in log if each.is_known}
    assert {each.digest: each for each in kept if each.is_known} == last
    assert sum(each.is_known for each in kept) == len(last)


def test_a_repeat_on_either_side_of_a_park_is_kept() -> None:
    event, digest = Record("W", 1, b"{}"), b"0" * 16
    log = [event, Record("w", 2, b"{}"), Record("w", 3, b"{}"), Record("P", 0, digest), Record("w", 4, b"{}")]
    kept = list(records.read([records.pack(log)]))
    assert [(each.letter, each.received) for each in kept] == [("W", 1), ("w", 3), ("P", 0), ("w", 4)]


@pytest.mark.parametrize(("letter", "came_as"), [("W", WEBHOOK), ("S", POSTED), ("F", FETCHED)])
def test_a_letter_says_how_an_event_came_and_whether_it_was_known(letter: str, came_as: str) -> None:
    new, known = Record(letter, 1, b"{}"), Record(letter.lower(), 2, b"{}")
    assert records.letter_of(came_as) == letter
    assert new.came_as == known.came_as == came_as
    assert (new.is_event, known.is_event) == (True, True)
    assert (new.is_known, known.is_known) == (False, True)
    assert new.digest == known.digest


def test_the_same_content_that_came_another_way_is_another_event() -> None:
    assert len({Record(letter, 1, b"{}").digest for letter in "WSF"}) == 3


@pytest.mark.parametrize("record", [Record("C", 5, b""), Record("P", 0, b"0" * 16)])
def test_a_close_and_a_park_are_no_events(record: Record) -> None:
    assert not record.is_event
    assert list(records.read([records.closed(5)])) == [Record("C", 5, b"")]


def test_a_usual_log_is_packed_to_a_third() -> None:
    def event(n: int) -> dict[str, Any]:
        return {
            "object": "itemStatus",
            "id": f"os_{n}",
            "orderId": "2b8b2b0d-1383-44ac-a650-4b04ea5e0b2f",
            "orderReferenceId": "83831IAKD2",
            "itemReferenceId": "mug-15-oz",
            "status": "passed",
            "created": "2026-11-22T08:00:00+00:00",
        }

    log = [Record("W", n, orjson.dumps(event(n))) for n in range(8)]
    assert len(records.pack(log)) < sum(len(each.encoded()) for each in log) / 3
