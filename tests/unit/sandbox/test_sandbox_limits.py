"""The sandbox's own time, its limits, and what submissions it takes."""

import re

import pytest

from ops.sandbox.bodies import BadBody, checked, made_up
from ops.sandbox.clock import StoryClock
from ops.sandbox.limits import Breakage, RateLimit

SECOND_US = 1_000_000
ITEMS = [{"itemReferenceId": "mug", "productUid": "mug_product_msz_15-oz"}]


# --- time ---


class Hands:
    """A clock that a test moves."""

    def __init__(self) -> None:
        self.seconds = 100.0

    def __call__(self) -> float:
        return self.seconds


def test_story_time_runs_at_its_speed_stands_and_is_put_forward() -> None:
    hands = Hands()
    clock = StoryClock(3600, hands)
    hands.seconds += 2
    assert clock.now_us() == 7200 * SECOND_US
    assert clock.seconds_until(10_800 * SECOND_US) == 1.0
    clock.pause()
    hands.seconds += 50
    assert clock.now_us() == 7200 * SECOND_US
    assert clock.seconds_until(10_800 * SECOND_US) is None
    clock.advance(60)
    clock.resume()
    hands.seconds += 1
    assert clock.now_us() == (7200 + 60 + 3600) * SECOND_US


# --- limits ---


def test_a_key_has_so_many_calls_a_second() -> None:
    hands = Hands()
    limit = RateLimit(10, hands)
    assert [limit.retry_after("k") for _ in range(10)] == [None] * 10
    assert limit.retry_after("k") == pytest.approx(0.1)
    assert limit.retry_after("another") is None
    hands.seconds += 0.125
    assert limit.retry_after("k") is None
    assert limit.retry_after("k") is not None


def test_zero_is_no_limit() -> None:
    limit = RateLimit(0)
    assert {limit.retry_after("k") for _ in range(1000)} == {None}


def test_a_share_of_the_calls_that_were_named_is_broken() -> None:
    breakage = Breakage()
    assert breakage.befalls("get") is None
    breakage.break_("error", share=0.5, calls=frozenset({"get"}))
    befallen = [breakage.befalls("get") for _ in range(200)]
    assert 60 < befallen.count("error") < 140
    assert breakage.befalls("submit") is None
    breakage.mend()
    assert breakage.befalls("get") is None


# --- submissions ---


@pytest.mark.parametrize(
    ("change", "names"),
    [
        ({"orderReferenceId": ""}, "orderReferenceId"),
        ({"orderReferenceId": None}, "orderReferenceId"),
        ({"items": []}, "items"),
        ({"items": [{"itemReferenceId": "a"}]}, "items[0].productUid"),
        ({"items": [{"productUid": "mug"}]}, "items[0].itemReferenceId"),
        ({"items": [{"itemReferenceId": "a", "productUid": "mug", "quantity": 0}]}, "items[0].quantity"),
        ({"items": [{"itemReferenceId": "a", "productUid": "mug"}] * 2}, "items[1].itemReferenceId"),
        ({"shippingAddress": "home"}, "shippingAddress"),
        ({"orderType": "draft"}, "orderType"),
        ({"metadata": [{"key": "sandbox-trouble", "value": "fire"}]}, "sandbox-trouble"),
    ],
)
def test_a_body_that_cannot_be_used_is_refused_by_the_name_of_its_field(change: dict[str, object], names: str) -> None:
    with pytest.raises(BadBody, match=re.escape(names)):
        checked({"orderReferenceId": "R-1", "items": ITEMS, **change})


def test_an_order_made_up_is_one_that_would_be_taken() -> None:
    for number in range(50):
        assert checked(made_up(1, number, "C-1"))["customerReferenceId"] == "C-1"
    assert made_up(1, 3, None) == made_up(1, 3, None) != made_up(2, 3, None)
