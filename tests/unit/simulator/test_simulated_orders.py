"""What the simulator makes: orders that follow from a seed, and webhooks that are usable."""

from collections.abc import Iterable

import orjson
from support.gelato.simulated import DAY_US, NOW_US, SECOND_US, orders_of

from ops.simulator import SimulatedOrder
from ops.simulator.ids import uniqid, uniqid_time_us
from ops.simulator.plans import TROUBLES
from shared.events import Usable, read_webhook


def test_the_same_arguments_make_the_same_orders() -> None:
    assert orders_of(20) == orders_of(20)
    assert orders_of(20, seed=2) != orders_of(20)


def test_another_run_with_the_same_seed_plays_the_same_lives_under_new_names() -> None:
    first, second = orders_of(30, run="a"), orders_of(30, run="b")

    def ids(orders: Iterable[SimulatedOrder], field: str) -> set[str]:
        return {webhook.payload[field] for order in orders for webhook in order.webhooks}

    for field in ("orderId", "orderReferenceId"):
        assert not ids(first, field) & ids(second, field)
    lives = [
        [[(order.trouble, webhook.kind, webhook.made_us) for webhook in order.webhooks] for order in orders]
        for orders in (first, second)
    ]
    assert lives[0] == lives[1]


def test_references_and_identities_are_unique() -> None:
    orders = orders_of(200)
    assert len({order.reference for order in orders}) == 200
    events = [(webhook.kind, webhook.payload["id"]) for order in orders for webhook in order.webhooks]
    assert len(set(events)) == len(events)


def test_some_ids_belong_to_an_order_status_and_an_item_status() -> None:
    kinds: dict[str, set[str]] = {}
    for order in orders_of(100):
        for webhook in order.webhooks:
            kinds.setdefault(webhook.payload["id"], set()).add(webhook.kind)
    assert {"orderStatus", "itemStatus"} in kinds.values()


def test_every_webhook_is_usable() -> None:
    for order in orders_of(150):
        for webhook in order.webhooks:
            event = read_webhook(orjson.dumps(webhook.payload))
            assert isinstance(event, Usable)
            assert event.reference == order.reference


def test_all_kinds_names_and_troubles_occur() -> None:
    orders = orders_of(300, trouble=0.9)
    payloads = [webhook.payload for order in orders for webhook in order.webhooks]
    assert {order.trouble for order in orders} == {None, *TROUBLES}
    assert {p["object"] for p in payloads if "object" in p} == {"orderStatus", "itemStatus", "trackingCode"}
    assert len({p["event"] for p in payloads if "event" in p}) == 4


def test_true_times_lie_between_ten_minutes_and_five_days_ago() -> None:
    times = [webhook.made_us for order in orders_of(200) for webhook in order.webhooks]
    assert min(times) >= NOW_US - 5 * DAY_US
    # Events of the last moment are made up to 3 s after it.
    assert max(times) <= NOW_US - 590 * SECOND_US


def test_an_id_with_a_clock_says_when_its_event_was_made() -> None:
    assert uniqid_time_us("is_5b6403bd3cf1f") == 1_533_281_213_249_631
    assert uniqid("is", 1_533_281_213_249_631) == "is_5b6403bd3cf1f"
    assert uniqid_time_us("os_3193599927") is None
    seen = 0
    for order in orders_of(50):
        for webhook in order.webhooks:
            at_us = uniqid_time_us(webhook.payload["id"])
            if webhook.kind == "orderStatus" and at_us is not None:
                # A microsecond later for each id that was taken.
                assert 0 <= at_us - webhook.made_us < 10
                seen += 1
    assert seen > 300


def test_different_statuses_of_one_line_are_at_least_a_minute_apart() -> None:
    for order in orders_of(100, trouble=0.9):
        last: dict[tuple[str, str], tuple[str, int]] = {}
        for webhook in order.webhooks:
            if webhook.kind == "itemStatus":
                payload = webhook.payload
                line = payload["orderId"], str(payload["itemReferenceId"])
                status, at_us = last.get(line, ("", -DAY_US))
                assert payload["status"] == status or webhook.made_us - at_us >= 60 * SECOND_US
                last[line] = payload["status"], webhook.made_us
