"""What the simulator sends, when, and how often: the schedule, and tries against a real server on loopback."""

import asyncio
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

import httpx
from support.gelato.endpoint import SECRET, Endpoint, against
from support.gelato.simulated import orders_of, post

from ops.simulator.courier import TRIES, Delivered, Post, http_clients
from ops.simulator.delivery import Sender, schedule
from ops.simulator.visibility import Visibility


def test_a_schedule_without_chances_sends_each_event_once_in_true_order() -> None:
    orders = orders_of(20)
    posts = schedule(orders, 1, duplicate=0, reorder=0, fail=0)
    assert [post.event for post in posts if post.reference == orders[3].reference] == sorted(
        post.event for post in posts if post.reference == orders[3].reference
    )
    assert len(posts) == sum(len(order.webhooks) for order in orders)
    assert not any(post.cuts for post in posts)


def test_a_schedule_follows_from_its_seed() -> None:
    orders = orders_of(10)
    chances = {"duplicate": 0.2, "reorder": 0.2, "fail": 0.2}
    assert schedule(orders, 1, **chances) == schedule(orders, 1, **chances)
    assert schedule(orders, 1, **chances) != schedule(orders, 2, **chances)


def test_duplicates_come_later_with_the_same_content() -> None:
    orders = orders_of(10)
    posts = schedule(orders, 1, duplicate=1, reorder=0, fail=0)
    assert set(Counter(post.event for post in posts).values()) == {2}
    assert len({post.body for post in posts}) == len(posts) / 2


def test_held_back_events_are_overtaken_by_later_ones_of_their_order() -> None:
    orders = orders_of(10)
    posts = schedule(orders, 1, duplicate=0, reorder=0.3, fail=0)
    for order in orders:
        sent = [post.event for post in posts if post.reference == order.reference]
        assert sorted(sent) != sent
        # Four later events may overtake it, and so may those that were held back until then.
        assert sorted(sent) == list(range(min(sent), max(sent) + 1))


def test_the_last_try_is_never_cut_off() -> None:
    posts = schedule(orders_of(10), 1, duplicate=0, reorder=0, fail=1)
    assert {len(post.cuts) for post in posts} == {TRIES - 1}


def delivered(
    endpoint: Endpoint, posts: Sequence[Post], retry_seconds: float = 0.01, visibility: Visibility | None = None
) -> Delivered:
    async def talk(url: str) -> Delivered:
        async with http_clients(32) as clients:
            sender = Sender(
                clients,
                f"{url}/webhooks/gelato",
                "X-Webhook-Secret",
                SECRET,
                retry_seconds=retry_seconds,
                observer=visibility,
            )
            return await sender.send(posts)

    result = against(endpoint, talk)
    assert isinstance(result, Delivered)
    return result


def test_every_event_arrives_once_with_the_secret_header() -> None:
    posts = schedule(orders_of(3), 1, duplicate=0, reorder=0, fail=0)
    endpoint = Endpoint()
    result = delivered(endpoint, posts)
    assert Counter(endpoint.bodies) == Counter(post.body for post in posts)
    assert all(headers["x-webhook-secret"] == SECRET for headers in endpoint.headers)
    assert all(headers["content-type"] == "application/json" for headers in endpoint.headers)
    assert result.outcomes == {"accepted": len(posts)}
    assert len(result.latencies_s) == len(posts)
    assert result.given_up == []


def test_an_error_is_tried_again_after_the_pause() -> None:
    endpoint = Endpoint([500, 503])
    result = delivered(endpoint, [post(1)], retry_seconds=0.1)
    assert endpoint.bodies == [post(1).body] * 3
    assert result.failed_attempts == {"HTTP 500": 1, "HTTP 503": 1}
    assert result.outcomes == {"duplicate": 1}
    assert result.seconds >= 0.2


def test_after_three_tries_an_event_is_given_up() -> None:
    endpoint = Endpoint([500] * 10)
    result = delivered(endpoint, [post(1), post(2)])
    assert len(endpoint.bodies) == 2 * TRIES
    assert {lost.event for lost in result.given_up} == {1, 2}


def test_an_event_whose_duplicate_arrives_is_not_given_up() -> None:
    endpoint = Endpoint([500] * 3)
    result = delivered(endpoint, [post(1), post(1)])
    assert result.given_up == []


def test_a_post_cut_off_half_way_is_not_received_and_tried_again() -> None:
    endpoint = Endpoint()
    result = delivered(endpoint, [post(1, cuts=("half-way", "half-way"))])
    assert endpoint.bodies == [post(1).body]
    assert endpoint.broken == 2
    assert result.failed_attempts == {"cut off half-way": 2}
    assert result.outcomes == {"accepted": 1}


def test_a_post_cut_off_before_the_answer_may_have_been_received() -> None:
    endpoint = Endpoint()
    posts = [replace(post(n), body=post(n).body + b" " * n, cuts=("before-the-answer",)) for n in range(20)]
    result = delivered(endpoint, posts)
    assert result.failed_attempts == {"cut off before-the-answer": 20}
    assert result.outcomes.total() == 20
    # Where the simulator waits a little before it breaks off, the endpoint has taken the event.
    assert result.outcomes["duplicate"] > 0


def test_posts_keep_to_the_rate() -> None:
    async def send() -> Delivered:
        transport = httpx.MockTransport(lambda _: httpx.Response(200, json={"result": "accepted"}))
        async with httpx.AsyncClient(transport=transport) as client:
            return await Sender([client] * 32, "http://x/", "h", "s", rate=100).send([post(n) for n in range(21)])

    assert asyncio.run(send()).seconds >= 0.2


def test_no_more_posts_are_under_way_than_allowed() -> None:
    async def send() -> int:
        under_way = most = 0

        async def answer(_: httpx.Request) -> httpx.Response:
            nonlocal under_way, most
            under_way += 1
            most = max(most, under_way)
            await asyncio.sleep(0)
            under_way -= 1
            return httpx.Response(204)

        async with httpx.AsyncClient(transport=httpx.MockTransport(answer)) as client:
            await Sender([client] * 3, "http://x/", "h", "s").send([post(n) for n in range(50)])
        return most

    assert asyncio.run(send()) == 3
