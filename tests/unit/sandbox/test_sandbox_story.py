"""The sandbox's stories: they follow from the seed, split by rules, and end so that any speed can tell it."""

from collections import Counter
from datetime import UTC, datetime
from typing import Any

import pytest

from ops.sandbox.hubs import HUBS, RULES, hub_of, other_hub
from ops.sandbox.story import NO_TROUBLE, TROUBLES, Story, tell
from ops.simulator.dating import Dating
from ops.simulator.ids import Ids, uniqid_time_us
from ops.simulator.webhooks import Webhook
from shared import statuses

SECOND_US = 1_000_000
NOW_US = 1_795_000_000 * SECOND_US
LIFE_US = 4 * 86_400 * SECOND_US
ITEMS = [
    {"itemReferenceId": "poster", "productUid": "flat_130x180-mm-5r"},
    {"itemReferenceId": "mug", "productUid": "mug_product_msz_15-oz"},
    {"itemReferenceId": "case", "productUid": "phonecase_apple"},
    {"itemReferenceId": "shirt", "productUid": "apparel_product"},
]


def story(seed: str = "1", trouble: float | str = 0.5, now_us: int = NOW_US) -> Story:
    return tell(seed, "R-1", ITEMS, trouble=trouble, life_us=LIFE_US, now_us=now_us)


def happened(told: Story) -> list[Any]:
    """What happens and what is said, without the times at which delivery is promised."""
    return [
        (
            part.hub,
            part.life.order_id,
            [(moment.at_us, moment.statuses, moment.parcels) for moment in part.life.moments],
            [(telling.made_us, telling.webhook.kind, telling.fate) for telling in part.tellings],
        )
        for part in told.parts
    ]


def test_the_same_seed_tells_the_same_story_whenever_it_begins() -> None:
    assert happened(story()) == happened(story(now_us=NOW_US + 12_345_678_901))
    assert happened(story()) != happened(story("2"))


def test_products_go_to_the_hub_that_makes_them() -> None:
    parts = story(trouble=NO_TROUBLE).parts
    assert [part.life.items for part in parts] == [("poster",), ("mug", "case"), ("shirt",)]
    assert len({part.hub for part in parts}) == 3
    assert len({part.life.order_id for part in parts}) == 3


def test_every_product_has_a_hub_and_every_hub_another_one() -> None:
    assert hub_of("something new") in HUBS
    assert {hub for _, hub in RULES} == set(HUBS)
    assert all(other_hub(hub) != hub for hub in HUBS)


@pytest.mark.parametrize("trouble", [*TROUBLES, NO_TROUBLE])
def test_a_line_ends_in_a_final_status_or_in_its_highest(trouble: str) -> None:
    for seed in range(30):
        for part in story(str(seed), trouble).parts:
            for item in part.life.items:
                seen = [moment.statuses[item] for moment in part.life.moments]
                assert seen[-1] in statuses.FINAL or seen[-1] == max(seen, key=statuses.rank_key)


def test_troubles_befall_the_share_that_was_asked_for() -> None:
    befallen = Counter(story(str(seed), 0.3).trouble for seed in range(600))
    assert 0.2 < 1 - befallen[None] / 600 < 0.4
    assert set(befallen) == {None, *TROUBLES}
    assert story(trouble=0).trouble is None


def test_an_item_that_another_hub_makes_after_all_is_canceled_here_and_begins_anew_there() -> None:
    told = story(trouble="reroute")
    first = told.parts[:3]
    moved = told.parts[3:]
    assert moved
    for part in moved:
        (item,) = part.life.items
        (before,) = [each for each in first if item in each.life.items]
        assert before.life.moments[-1].statuses[item] == "canceled"
        assert part.hub == other_hub(before.hub)
        canceled = next(m.at_us for m in before.life.moments if m.statuses.get(item) == "canceled")
        assert part.life.moments[0].at_us > canceled
        assert part.life.moments[-1].statuses == {item: "delivered"}


def test_what_is_lost_at_a_lower_chance_is_lost_at_a_higher_one_too() -> None:
    fates = [telling.fate for part in story().parts for telling in part.tellings]
    lost = {chance: {n for n, fate in enumerate(fates) if fate.lose < chance} for chance in (0.2, 0.3)}
    assert lost[0.2] < lost[0.3]


# --- dates ---


def webhook(kind: Any, event_id: str, **more: Any) -> Webhook:
    return Webhook(kind, 0, {"id": event_id, "orderId": "o", **more})


def test_a_webhook_is_dated_when_it_is_made() -> None:
    dating = Dating(Ids())
    at_us = NOW_US + 250_000
    payload = dating.payload(webhook("itemStatus", "is_5b6403bd3cf1f", created="2018-08-03T07:26:52+00:00"), at_us)
    assert payload["created"] == datetime.fromtimestamp(NOW_US // SECOND_US, UTC).isoformat()
    assert uniqid_time_us(payload["id"]) == at_us
    assert payload["orderId"] == "o"


def test_an_id_without_a_clock_stays_as_it_is() -> None:
    assert Dating(Ids()).payload(webhook("orderStatus", "os_3193599927"), NOW_US)["id"] == "os_3193599927"


def test_an_item_status_shares_the_id_of_an_order_status_before_it_and_no_other() -> None:
    dating = Dating(Ids())
    planned = "os_5e5680ce494f6"
    early = dating.payload(webhook("itemStatus", planned), NOW_US)
    order = dating.payload(webhook("orderStatus", planned), NOW_US + 5)
    late = dating.payload(webhook("itemStatus", planned), NOW_US + 10)
    assert uniqid_time_us(order["id"]) == NOW_US + 5
    assert late["id"] == order["id"] != early["id"]
