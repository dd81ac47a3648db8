"""The production fold against the naive model, on random lifelike orders, in any order, batching and repetition."""

import random
from collections.abc import Sequence
from typing import Any

import msgspec
import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from lifelike import lifelike_order
from naive_model import Received
from naive_model import document as naive_document

from shared import canonical, document, facts, rollup, snapshots
from shared.events import Usable, read_webhook

CAME_AS = {"webhook": facts.WEBHOOK, "snapshot": facts.POSTED, "fetched": facts.FETCHED}
REFERENCE = "83831IAKD2"


def stored(history: Sequence[Received]) -> list[tuple[bytes, str, int]]:
    """What intake would have stored of a history: canonical text, how it came in, receipt; webhooks only once."""
    first: dict[bytes, int] = {}
    kept: list[tuple[bytes, str, int]] = []
    for received in history:
        came_as = CAME_AS[received.source]
        body = orjson.dumps(received.event)
        if came_as == facts.WEBHOOK:
            event = read_webhook(body)
            assert isinstance(event, Usable)
            if event.digest in first:
                known = kept[first[event.digest]]
                kept[first[event.digest]] = (known[0], known[1], min(known[2], received.received_us))
                continue
            first[event.digest] = len(kept)
            kept.append((event.text, came_as, received.received_us))
        else:
            (snapshot,) = snapshots.split(canonical.parse(body)[0])
            kept.append((snapshot.text, came_as, received.received_us))
    return kept


def fold(events: Sequence[tuple[bytes, str, int]], state: rollup.State | None = None) -> rollup.State:
    """Fold events; an event is distinct by how it came in and its text."""
    state = state or rollup.State()
    for text, came_as, received in events:
        rollup.join(state, facts.read_facts(text, came_as, received))
    return state


def folded(events: Sequence[tuple[bytes, str, int]]) -> dict[str, Any]:
    state = fold(events)
    state.events = len({(text, came_as) for text, came_as, _ in events})
    return as_document(state)


def as_document(state: rollup.State) -> dict[str, Any]:
    built = orjson.loads(orjson.dumps(document.build("default", REFERENCE, state, version=1, updated_us=0)))
    del built["version"], built["updatedAt"]
    return built


@pytest.mark.parametrize("block", range(10))
def test_agrees_with_the_naive_model_on_lifelike_orders(block: int) -> None:
    for seed in range(block * 100, block * 100 + 100):
        history = lifelike_order(random.Random(seed), REFERENCE)
        expected = naive_document("default", REFERENCE, history)
        events = stored(history)
        random.Random(seed).shuffle(events)
        assert folded(events) == expected, f"seed {seed}"


@settings(max_examples=80, deadline=None)
@given(st.integers(0, 1 << 32), st.randoms(use_true_random=False), st.integers(1, 7))
def test_order_batching_and_repetition_do_not_matter(seed: int, chance: random.Random, batch: int) -> None:
    events = stored(lifelike_order(random.Random(seed), REFERENCE))
    expected = as_document(fold(events))
    shuffled = events + chance.sample(events, k=len(events) // 2)
    chance.shuffle(shuffled)
    state = rollup.State()
    for start in range(0, len(shuffled), batch):
        state = fold(shuffled[start : start + batch], state)
        # Between two batches the state is stored and read again.
        state = msgspec.msgpack.decode(msgspec.msgpack.encode(state), type=rollup.State)
    assert as_document(state) == expected
