"""Fuzzing: whatever is posted, the parser answers with one of its two errors, and the endpoint with a row of its table.

A short run is part of the tests; `FUZZ_SECONDS=180` (as `make faults` sets it) makes it a long one.
"""

import copy
import os
import time
from collections.abc import Callable
from typing import Any

import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.processes import FIXTURES, Receiver

from shared import canonical, document, facts, rollup, snapshots
from shared.errors import InvalidJson, UnusableEvent
from shared.events import Usable, read_webhook

SECONDS = float(os.environ.get("FUZZ_SECONDS", "6"))
SEEDS = [orjson.loads(each.read_bytes()) for each in sorted(FIXTURES.glob("*.json"))]
NAMES = sorted({name for seed in SEEDS for name in seed} | {"itemReferenceId", "fulfillments", "trackingCode"})
STATUSES = ["passed", "canceled", "cancelled", "DELIVERED", "in transit", "on-hold", "", " ", "x" * 65, "quality_check"]

scalars = (
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=40)
    | st.sampled_from(STATUSES)
    | st.sampled_from(["2026-11-22T08:00:00Z", "0001-01-01T00:00:00+23:59", "2026-13-01", "{{x}}", "os_5e5680ce494f6"])
)
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(st.sampled_from(NAMES) | st.text(), inner, max_size=8),
    max_leaves=25,
)


@st.composite
def mutated(draw: Callable[..., Any]) -> Any:
    """A real payload with some of it exchanged, removed or added, here or deep inside."""
    value = copy.deepcopy(draw(st.sampled_from(SEEDS)))
    for _ in range(draw(st.integers(1, 4))):
        place = value
        while isinstance(place, (dict, list)) and place:
            key = draw(st.sampled_from(sorted(place) if isinstance(place, dict) else range(len(place))))
            inner = place[key]
            if not isinstance(inner, (dict, list)) or not inner or draw(st.booleans()):
                if draw(st.booleans()):
                    place[key] = draw(values)
                else:
                    del place[key]
                break
            place = inner
    return value


bodies = st.binary(max_size=200) | st.one_of(values, mutated()).map(
    lambda value: (
        orjson.dumps(value, option=orjson.OPT_NON_STR_KEYS, default=str)
        if not _too_long(value)
        else repr(value).encode()
    )
)


def _too_long(value: Any) -> bool:
    try:
        orjson.dumps(value)
    except TypeError:
        return True
    return False


def bounded(test: Callable[[bytes], None]) -> None:
    """Run a property for its share of the time: hypothesis counts examples, we count seconds."""
    end = time.monotonic() + SECONDS / 3

    @settings(max_examples=200, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    @given(bodies)
    def property_(body: bytes) -> None:
        test(body)

    while time.monotonic() < end:
        property_()


def test_a_webhook_is_usable_or_one_of_two_errors_and_what_is_usable_can_be_folded() -> None:
    def one(body: bytes) -> None:
        try:
            event = read_webhook(body)
        except (InvalidJson, UnusableEvent):
            return
        if isinstance(event, Usable):
            state = rollup.State()
            rollup.join(state, facts.read_facts(event.text, facts.WEBHOOK, 1_795_000_000_000_000))
            orjson.dumps(document.build("default", event.reference, state, 1, 0))

    bounded(one)


def test_a_snapshot_is_usable_or_one_of_two_errors_and_what_is_usable_can_be_folded() -> None:
    def one(body: bytes) -> None:
        try:
            value, _ = canonical.parse(body)
            parts = snapshots.split(value)
        except (InvalidJson, UnusableEvent):
            return
        for part in parts:
            try:
                event = snapshots.classify_snapshot(part, fetched=False)
            except UnusableEvent:
                continue
            if isinstance(event, Usable):
                state = rollup.State()
                rollup.join(state, facts.read_facts(event.text, facts.POSTED, 1_795_000_000_000_000))
                orjson.dumps(document.build("default", event.reference, state, 1, 0))

    bounded(one)


@pytest.mark.timeout(1200)
def test_the_endpoint_answers_everything_with_a_row_of_its_table(receiver: Receiver) -> None:
    assert receiver.process is not None
    pid = receiver.pid

    def one(body: bytes) -> None:
        answer = receiver.post(body)
        content = answer.json()
        if answer.status_code == 200:
            assert content["result"] in ("accepted", "duplicate", "ignored", "test")
        elif answer.status_code == 202:
            assert set(content) == {"result", "reason", "detail", "deadLetter"}
            assert content["reason"] in ("invalid-event", "unknown-event", "order-limit")
        else:
            assert answer.status_code == 400
            assert set(content) == {"error", "detail", "deadLetter"}

    bounded(one)
    assert receiver.process.poll() is None
    assert receiver.pid == pid
