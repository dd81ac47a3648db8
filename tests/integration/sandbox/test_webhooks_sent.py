"""The webhooks of the sandbox: what is posted where, how often, and what is not."""

from collections import Counter
from collections.abc import Callable
from typing import Any

import orjson
from support.gelato.catcher import Catcher
from support.gelato.sandbox import Played, order
from support.polling import eventually

from ops.simulator.ids import uniqid_time_us
from shared.events import Usable, read_webhook

Play = Callable[..., Played]
DAY = 86_400


def lived(sandbox: Played) -> None:
    """Let all that is going to happen happen now."""
    sandbox.advance(60 * DAY)
    sandbox.resume()
    eventually(sandbox.ended, seconds=60, what="all stories to end")


def story(event: dict[str, Any]) -> tuple[Any, ...]:
    """An event without its dates."""
    return (
        event.get("event") or event["object"],
        event["orderId"],
        event.get("status"),
        event.get("fulfillmentStatus"),
    )


def test_webhooks_go_to_their_customer_with_its_secret(play: Play, catcher: Catcher) -> None:
    sandbox = play()
    ours = sandbox.connector("submit", order("SAME")).json()["connectedOrderIds"]
    theirs = sandbox.connector("submit", order("SAME"), customer="G-2").json()["connectedOrderIds"]
    lived(sandbox)
    came = {(each.path, each.headers["x-webhook-secret"], each.event["orderId"]) for each in catcher.caught}
    assert came == {("/webhooks/gelato/acme", "acmes-secret", each) for each in ours} | {
        ("/webhooks/gelato/globex", "globexs-secret", each) for each in theirs
    }


def test_every_webhook_can_be_used_and_both_generations_of_names_occur(play: Play, catcher: Catcher) -> None:
    sandbox = play(trouble=0.5)
    sandbox.make_orders(30, "merchant")
    lived(sandbox)
    assert all(isinstance(read_webhook(_json(event)), Usable) for event in catcher.events())
    assert {"event", "object"} <= {name for event in catcher.events() for name in event}
    assert {"order_item_tracking_code_updated", "order_delivery_estimate_updated"} <= {
        event.get("event") for event in catcher.events()
    }


def test_clocks_in_ids_tell_the_order_in_which_events_were_made(play: Play, catcher: Catcher) -> None:
    sandbox = play(speed=20 * DAY)
    sandbox.submit()
    eventually(sandbox.ended, seconds=60)
    made = [time for event in catcher.events() if (time := uniqid_time_us(event["id"]))]
    assert len(made) > 10
    assert len(set(made)) == len(made)


def test_the_same_seed_posts_the_same_webhooks_at_any_speed(play: Play, catcher: Catcher) -> None:
    stories = []
    for speed in (20.0 * DAY, 200.0 * DAY):
        catcher.caught.clear()
        sandbox = play(speed=speed, seed=5, trouble=0.9)
        sandbox.make_orders(5, "merchant")
        eventually(sandbox.ended, seconds=60)
        stories.append(Counter(map(story, catcher.events())))
    assert stories[0] == stories[1]
    assert stories[0].total() > 50


def test_lost_webhooks_are_never_posted(play: Play, catcher: Catcher) -> None:
    sandbox = play(lose=0.3)
    sandbox.make_orders(20, "merchant")
    lived(sandbox)
    webhooks = sandbox.counts()["webhooks"]
    assert 0.2 < webhooks["lost"] / webhooks["made"] < 0.4
    assert len(catcher.caught) == webhooks["made"] - webhooks["lost"] == webhooks["delivered"]


def test_all_are_lost_from_when_it_is_told_so(play: Play, catcher: Catcher) -> None:
    sandbox = play()
    sandbox.submit()
    sandbox.lose(1.0)
    lived(sandbox)
    assert catcher.caught == []
    assert sandbox.truths()[0]["status"] == "delivered"


def test_duplicates_are_posted_twice_and_say_the_same(play: Play, catcher: Catcher) -> None:
    sandbox = play(duplicate=1.0)
    sandbox.submit()
    lived(sandbox)
    assert set(Counter(_json(event) for event in catcher.events()).values()) == {2}


def test_held_back_webhooks_are_overtaken(play: Play, catcher: Catcher) -> None:
    sandbox = play(reorder=0.5, speed=20 * DAY)
    sandbox.submit()
    eventually(sandbox.ended, seconds=60)
    made = [time for event in catcher.events() if (time := uniqid_time_us(event["id"]))]
    assert made != sorted(made)
    assert sandbox.counts()["webhooks"]["heldBack"] > 0


def test_a_webhook_that_is_refused_is_tried_three_times_and_given_up(play: Play, catcher: Catcher) -> None:
    catcher.status = 500
    sandbox = play()
    sandbox.submit()
    lived(sandbox)
    assert set(Counter(_json(event) for event in catcher.events()).values()) == {3}
    webhooks = sandbox.counts()["webhooks"]
    assert webhooks["givenUp"] == webhooks["made"]
    assert webhooks["delivered"] == 0


def test_while_its_clock_stands_nothing_happens(play: Play, catcher: Catcher) -> None:
    sandbox = play()
    sandbox.submit()
    assert sandbox.truths()[0]["counts"] == {"created": 3}
    assert not sandbox.ended()
    sandbox.advance(60 * DAY)
    eventually(lambda: sandbox.truths()[0]["counts"] == {"delivered": 3})
    (truth,) = sandbox.truths("merchant", "R-1")
    assert (truth["status"], truth["terminal"], truth["complete"]) == ("delivered", True, True)
    assert sandbox.truths("acme") == []


def test_a_cancellation_is_said_and_nothing_after_it(play: Play, catcher: Catcher) -> None:
    sandbox = play()
    first = sandbox.submit()["id"]
    sandbox.v4("POST", f"/{first}:cancel")
    lived(sandbox)
    said = [event for event in catcher.events() if event["orderId"] == first]
    statuses = {event.get("fulfillmentStatus") or event.get("status") for event in said}
    assert {str(status).replace("cancelled", "canceled").lower() for status in statuses if status} == {"canceled"}


def _json(event: dict[str, Any]) -> bytes:
    return orjson.dumps(event)
