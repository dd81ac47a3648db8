"""The production fold against the naive model, on random lifelike orders, in any order, batching and repetition."""

import random

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from lifelike import lifelike_order
from naive_model import document as naive_document
from support.folding.pure import REFERENCE, as_document, fold, folded, stored

from shared import rollup


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
