"""When an event was made, rule by rule: docs/explanation/the-fold.md."""

import re
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.clock import SECOND, Stamp, event_stamp, format_time, parse_time, snapshot_stamp, uniqid_time

DAY = 86_400 * SECOND
RECEIVED = 1_790_000_000 * SECOND + 123_456
MOMENTS = st.datetimes(timezones=st.sampled_from([UTC]))


def text(microseconds: int) -> str:
    """ISO 8601 with microseconds."""
    return (datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=microseconds)).isoformat()


def uniqid(microseconds: int, prefix: str = "os") -> str:
    """An id of PHP's uniqid()."""
    return f"{prefix}_{microseconds // SECOND:08x}{microseconds % SECOND:05x}"


def test_the_documentations_id_decodes_to_the_microsecond() -> None:
    made = uniqid_time("is_5b6403bd3cf1f")
    assert made == parse_time("2018-08-03T07:26:53.249631Z")


@pytest.mark.parametrize(
    "event_id",
    [
        "os_3193599927",  # ten digits, and no clock
        "5b6403bd3cf1f",  # no letters
        "is-5b6403bd3cf1f",
        "is_5B6403BD3CF1F",  # upper case
        "is_5b6403bd3cf1",
        "is_5b6403bd3cf1f0",
        "i5_5b6403bd3cf1f",  # not only letters
        "is_5b6403bd3cf1f\n",
        "is_５b6403bd3cf1f",  # a digit of another script
        "",
    ],
)
def test_other_ids_hold_no_clock(event_id: str) -> None:
    assert uniqid_time(event_id) is None


def test_created_is_the_clock_of_an_event_that_has_it() -> None:
    made = RECEIVED - 9 * DAY
    assert event_stamp(text(made), uniqid(RECEIVED), RECEIVED) == Stamp(made, made, made + SECOND)


@pytest.mark.parametrize("late", [0, 300 * SECOND])
def test_created_may_be_300_s_after_receipt(late: int) -> None:
    made = RECEIVED + late
    assert event_stamp(text(made), None, RECEIVED) == Stamp(made, made, made + SECOND)


def test_created_later_than_that_is_not_believed() -> None:
    made = RECEIVED + 300 * SECOND + 1
    assert event_stamp(text(made), None, RECEIVED) == Stamp(RECEIVED, RECEIVED - 30 * SECOND, RECEIVED)
    assert event_stamp(text(made), uniqid(RECEIVED - 5), RECEIVED).at == RECEIVED - 5


def test_a_time_without_offset_is_utc_and_offsets_count() -> None:
    utc = parse_time("2026-11-22T08:00:00+00:00")
    assert parse_time("2026-11-22T08:00:00") == parse_time("2026-11-22T08:00:00Z") == utc
    assert parse_time("2026-11-22T09:30:00+01:30") == utc
    assert parse_time("2026-11-22 08:00:00") == utc
    assert parse_time("2026-11-22T08:00:00.000001Z") == (utc or 0) + 1


@pytest.mark.parametrize(
    "created", [None, "", "yesterday", 1_790_000_000, True, [], {}, "2026-13-01T00:00:00Z", "0001-01-01T00:00:00+01:00"]
)
def test_what_is_no_time_is_no_clock(created: object) -> None:
    assert parse_time(created) is None
    assert event_stamp(created, None, RECEIVED) == Stamp(RECEIVED, RECEIVED - 30 * SECOND, RECEIVED)


@pytest.mark.parametrize("away", [-7 * DAY, -1, 0, 300 * SECOND])
def test_an_id_with_a_clock_is_believed_from_7_days_before_receipt_to_300_s_after(away: int) -> None:
    made = RECEIVED + away
    assert event_stamp(None, uniqid(made), RECEIVED) == Stamp(made, made - SECOND, made)


@pytest.mark.parametrize("away", [-7 * DAY - 1, 300 * SECOND + 1])
def test_an_id_whose_clock_is_farther_away_is_not_believed(away: int) -> None:
    assert event_stamp(None, uniqid(RECEIVED + away), RECEIVED) == Stamp(RECEIVED, RECEIVED - 30 * SECOND, RECEIVED)


def test_an_event_without_any_clock_was_made_in_the_30_s_before_its_receipt() -> None:
    expected = Stamp(RECEIVED, RECEIVED - 30 * SECOND, RECEIVED)
    assert event_stamp(None, "os_3193599927", RECEIVED) == expected
    assert event_stamp(None, None, RECEIVED) == expected


@pytest.mark.parametrize(
    ("updated", "created", "expected"),
    [
        (text(RECEIVED - DAY), None, Stamp(RECEIVED - DAY, RECEIVED - DAY, RECEIVED)),
        (text(RECEIVED + DAY), None, Stamp(RECEIVED + DAY, RECEIVED, RECEIVED)),  # at most the receipt
        (None, text(RECEIVED - DAY), Stamp(RECEIVED, RECEIVED - DAY, RECEIVED)),
        ("nonsense", text(RECEIVED - DAY), Stamp(RECEIVED, RECEIVED - DAY, RECEIVED)),
        (None, text(RECEIVED + DAY), Stamp(RECEIVED, RECEIVED, RECEIVED)),
        (None, None, Stamp(RECEIVED, 0, RECEIVED)),
    ],
)
def test_a_posted_snapshot_is_true_from_its_update_to_its_receipt(
    updated: str | None, created: str | None, expected: Stamp
) -> None:
    assert snapshot_stamp(updated, created, RECEIVED, fetched=False) == expected


def test_a_fetched_snapshot_is_true_of_the_5_s_before_its_receipt() -> None:
    updated = RECEIVED - DAY
    assert snapshot_stamp(text(updated), None, RECEIVED, fetched=True) == Stamp(
        updated, RECEIVED - 5 * SECOND, RECEIVED
    )
    assert snapshot_stamp(None, None, RECEIVED, fetched=True) == Stamp(RECEIVED, RECEIVED - 5 * SECOND, RECEIVED)


@given(MOMENTS)
def test_every_time_that_can_be_read_can_be_written(moment: datetime) -> None:
    microseconds = parse_time(moment.isoformat())
    assert microseconds is not None
    written = format_time(microseconds)
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", written)
    assert parse_time(written) == microseconds - microseconds % SECOND


@given(st.text(max_size=40), st.text(max_size=20), st.integers(RECEIVED - DAY, RECEIVED + DAY))
def test_a_stamp_lies_in_its_interval_whatever_an_event_says(created: str, event_id: str, received: int) -> None:
    stamp = event_stamp(created, event_id, received)
    assert stamp.lo <= stamp.at <= stamp.hi
