"""The simulator: what it makes is true and usable, and what it sends is sent as Gelato sends it."""

import asyncio
import io
import random
import socket
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import replace
from typing import Any

import httpx
import naive_model
import orjson
import pytest
import uvicorn
from rich.console import Console
from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from ops.simulator import Difference, Options, SimulatedOrder, SimulatorError, make_orders, simulate
from ops.simulator.compare import compare, settle
from ops.simulator.courier import TRIES, Delivered, Post, http_clients
from ops.simulator.delivery import Sender, schedule
from ops.simulator.ids import uniqid, uniqid_time_us
from ops.simulator.lifecycle import TROUBLES, Step, live, reported_status
from ops.simulator.report import GivenUp, Percentiles, Report
from ops.simulator.run import _knock, _sample
from ops.simulator.truth import ConnectedTruth, LineTruth, OrderTruth, expected_view, headline
from ops.simulator.visibility import Visibility
from shared.errors import ConfigurationError
from shared.events import Usable, read_webhook

SECOND_US = 1_000_000
DAY_US = 86_400 * SECOND_US
NOW_US = 1_795_000_000 * SECOND_US
SECRET = "a secret"


def orders_of(n: int, seed: int = 1, trouble: float = 0.5, run: str = "run") -> list[SimulatedOrder]:
    return make_orders(n, seed, 4, trouble, run=run, now_us=NOW_US)


# --- what is made ---


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


def test_arguments_that_make_no_sense_are_refused() -> None:
    with pytest.raises(ValueError, match="0 parts"):
        make_orders(1, 1, 0)
    with pytest.raises(ConfigurationError, match="from 0 to 1"):
        options(fail=1.5)


# --- the truth ---


def played(**steps: Sequence[Step]) -> ConnectedTruth:
    life = live(random.Random(1), random.Random(2), "o1", steps, NOW_US - 2 * DAY_US, NOW_US - DAY_US)
    return life.truth()


def steps(*statuses: str, comment: str | None = None) -> list[Step]:
    return [*(Step(status) for status in statuses[:-1]), Step(statuses[-1], comment)]


def test_a_line_ends_in_its_last_step() -> None:
    truth = played(mug=steps("created", "passed"), card=steps("created", "shipped", "delivered"))
    assert {line.item_reference: line.status for line in truth.lines} == {
        "mug": "passed",
        "card": "delivered",
    }
    assert truth.reported == "passed"


def test_a_late_scan_does_not_take_the_delivery_back() -> None:
    truth = played(mug=[*steps("created", "shipped", "delivered"), Step("in_transit", late=True)])
    assert truth.lines[0].status == truth.reported == "delivered"


def test_a_comment_belongs_to_the_current_status_only() -> None:
    held = steps("created", "on_hold", comment="Out of stock")
    assert played(mug=held).lines[0].comment == "Out of stock"
    assert played(mug=[*held, Step("passed")]).lines[0].comment is None
    # Held again without a reason: an empty comment never replaces one.
    assert played(mug=[*held, Step("passed"), Step("on_hold")]).lines[0].comment == "Out of stock"


def test_a_line_that_left_the_hold_is_not_on_hold() -> None:
    truth = played(mug=[*steps("created", "passed", "on_hold"), Step("passed")])
    assert truth.lines[0].status == truth.reported == "passed"


@pytest.mark.parametrize(
    ("statuses", "reported"),
    [
        (["delivered", "shipped", "canceled"], "shipped"),
        (["delivered", "returned"], "delivered"),
        (["returned", "canceled"], "returned"),
        (["printed", "failed", "on_hold"], "failed"),
        (["canceled", "canceled"], "canceled"),
        (["quality_check", "shipped"], "printed"),
    ],
)
def test_gelato_reports_the_least_advanced_line_and_troubles_first(statuses: list[str], reported: str) -> None:
    assert reported_status(statuses) == reported


@pytest.mark.parametrize(
    ("statuses", "expected"),
    [
        ("canceled canceled", "canceled"),
        ("returned canceled", "returned"),
        ("delivered canceled", "delivered"),
        ("delivered returned", "partially_returned"),
        ("delivered failed", "partially_delivered"),
        ("delivered returned printed", "partially_delivered"),
        ("returned shipped", "partially_returned"),
        ("in_transit in_transit", "in_transit"),
        ("in_transit shipped", "shipped"),
        ("shipped on_hold", "partially_shipped"),
        ("on_hold failed created", "failed"),
        ("pending_personalization pending_approval", "pending_approval"),
        ("printed not_connected", "not_connected"),
        ("printed passed zzz", "passed"),
        ("zzz aaa canceled", "aaa"),
    ],
)
def test_headline(statuses: str, expected: str) -> None:
    assert headline(statuses.split()) == expected


def test_what_a_rollup_must_show() -> None:
    truth = OrderTruth(
        "r",
        (
            ConnectedTruth(
                "b",
                "delivered",
                (
                    LineTruth("mug", "delivered", None, frozenset({"P1"})),
                    LineTruth("card", "delivered", None, frozenset({"P1", "P2"})),
                ),
                ("2026-01-02", "2026-01-05"),
            ),
            ConnectedTruth("a", "failed", (LineTruth("mug", "failed", "torn"),), ("2026-01-03", "2026-01-04")),
        ),
        events=9,
    )
    view = expected_view(truth)
    assert view["status"] == "partially_delivered"
    assert view["terminal"] is False
    assert view["connectedOrderIds"] == ["a", "b"]
    assert view["counts"] == {"delivered": 2, "failed": 1}
    assert view["attention"] == {"a mug": {"status": "failed", "comment": "torn"}}
    assert view["deliveryEstimate"] == {"minDeliveryDate": "2026-01-03", "maxDeliveryDate": "2026-01-05"}
    assert view["items"]["mug"] == {"status": "partially_delivered", "orderIds": ["a", "b"]}
    assert view["packages"] == {"b P1": ["card", "mug"], "b P2": ["card"]}


# --- the proof: the contract, read naively, yields the truth ---


def naive_document(order: SimulatedOrder, rng: random.Random, shuffled_within_us: int) -> dict[str, Any]:
    """Folds all events; 0: received at once and in true order, else in any order within that time."""
    webhooks = list(order.webhooks)
    if shuffled_within_us:
        rng.shuffle(webhooks)
    received = [
        naive_model.Received(webhook.payload, NOW_US + rng.randrange(shuffled_within_us + 1), "webhook")
        for webhook in webhooks
    ]
    return naive_model.document("default", order.reference, received)


@pytest.mark.parametrize("shuffled_within_s", [0, 5, 7200])
@pytest.mark.parametrize(("seed", "trouble"), [(1, 0.15), (2, 0.9)])
def test_the_truth_is_what_the_contract_yields(seed: int, trouble: float, shuffled_within_s: int) -> None:
    rng = random.Random(seed)
    for order in orders_of(300, seed, trouble):
        document = naive_document(order, rng, shuffled_within_s * SECOND_US)
        assert compare(order.truth, document) == [], order.trouble


def test_a_lost_event_shows_as_a_difference() -> None:
    """The comparison is not empty talk: without its last event no order agrees."""
    rng = random.Random(1)
    for order in orders_of(50):
        document = naive_document(replace(order, webhooks=order.webhooks[:-1]), rng, 0)
        assert "events" in {difference.path for difference in compare(order.truth, document)}


def changed(document: dict[str, Any], path: Sequence[str], value: Any) -> dict[str, Any]:
    copy = orjson.loads(orjson.dumps(document))
    inner = copy
    for name in path[:-1]:
        inner = inner[name]
    inner[path[-1]] = value
    return copy  # type: ignore[no-any-return]


def test_each_part_of_a_document_is_compared() -> None:
    order = next(o for o in orders_of(100, trouble=1.0) if o.trouble == "failed" and o.truth.events > 20)
    document = naive_document(order, random.Random(1), 0)
    first = order.truth.connected[0]
    line = first.lines[0].item_reference
    for path, value in (
        (["status"], "zzz"),
        (["terminal"], None),
        (["connectedOrderIds"], []),
        (["counts"], {"zzz": 1}),
        (["attention"], []),
        (["deliveryEstimate"], {"minDeliveryDate": "zzz"}),
        (["items", line, "orderIds"], []),
        (["packages"], [{"orderId": "zzz", "trackingCode": "zzz", "itemReferenceIds": []}]),
        (["orders", first.order_id, "reportedStatus"], "zzz"),
        (["orders", first.order_id, "items", line, "status"], "zzz"),
        (["orders", first.order_id, "items", line, "comment"], "zzz"),
        (["events"], 0),
    ):
        if path[-1] == "comment":
            troubled = [(c, at) for c in order.truth.connected for at in c.lines if at.status == "failed"]
            path = ["orders", troubled[0][0].order_id, "items", troubled[0][1].item_reference, "comment"]
        differences = compare(order.truth, changed(document, path, value))
        assert any(difference.path.startswith("/".join(path)) for difference in differences), path


def test_a_missing_or_strange_document_is_one_difference() -> None:
    truth = orders_of(1)[0].truth
    assert [difference.path for difference in compare(truth, None)] == ["(document)"]
    assert [difference.path for difference in compare(truth, {"status": "created"})] == ["(document)"]


# --- waiting for the rollups ---


async def _settled_after(
    orders: Sequence[SimulatedOrder], reads_needed: int, settle_seconds: float
) -> tuple[tuple[Difference, ...], list[int]]:
    documents = {order.reference: naive_document(order, random.Random(1), 0) for order in orders}
    reads: list[int] = []

    async def read(references: Sequence[str]) -> dict[str, dict[str, Any] | None]:
        reads.append(len(references))
        if len(reads) == 1:
            raise SimulatorError("Redis is away")
        return {reference: documents[reference] if len(reads) > reads_needed else None for reference in references}

    settled = await settle([order.truth for order in orders], read, settle_seconds)
    return settled.differences, reads


def test_it_waits_until_the_rollups_agree_and_outlives_an_absence_of_redis() -> None:
    differences, reads = asyncio.run(_settled_after(orders_of(3), 3, settle_seconds=30))
    assert differences == ()
    assert len(reads) == 5  # one error, two too early, one that agrees, and the last pass over all


def test_it_does_not_wait_for_ever() -> None:
    differences, _ = asyncio.run(_settled_after(orders_of(3), 10**6, settle_seconds=0.2))
    assert len(differences) == 3


# --- what is sent, and when ---


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


# --- delivery, against a real server on loopback ---


class Service:
    """A tiny receiver: remembers the bodies it got, answers as told, by how often it saw one."""

    def __init__(self, statuses: Sequence[int] = ()) -> None:
        self.bodies: list[bytes] = []
        self.headers: list[dict[str, str]] = []
        self.broken = 0
        self._statuses = list(statuses)

    async def receive(self, request: Request) -> Response:
        try:
            body = await request.body()
        except ClientDisconnect:
            self.broken += 1
            return Response(status_code=400)
        if request.headers.get("x-webhook-secret") != SECRET:
            return JSONResponse({"error": "unauthorized"}, 401)
        if b"{{" in body:
            return JSONResponse({"result": "test"})
        seen = self.bodies.count(body)
        self.bodies.append(body)
        self.headers.append(dict(request.headers))
        status = self._statuses[seen] if seen < len(self._statuses) else 200
        return JSONResponse({"result": "duplicate" if seen else "accepted"}, status)


def against(service: Service, talk: Callable[[str], Awaitable[Any]]) -> Any:
    """Runs the service on a free port of loopback while `talk` talks to it at the given base URL."""

    async def run() -> Any:
        with socket.socket() as listener:
            listener.bind(("127.0.0.1", 0))
            app = Starlette(routes=[Route("/webhooks/gelato", service.receive, methods=["POST"])])
            server = uvicorn.Server(uvicorn.Config(app, log_level="critical", lifespan="off"))
            serving = asyncio.create_task(server.serve(sockets=[listener]))
            try:
                return await asyncio.wait_for(talk(f"http://127.0.0.1:{listener.getsockname()[1]}"), 60)
            finally:
                server.should_exit = True
                await serving

    return asyncio.run(run())


def delivered(
    service: Service, posts: Sequence[Post], retry_seconds: float = 0.01, visibility: Visibility | None = None
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

    result = against(service, talk)
    assert isinstance(result, Delivered)
    return result


def post(event: int, **fields: Any) -> Post:
    return Post("r", event, orjson.dumps({"event": event, "padding": "x" * 1000}), **fields)


def test_every_event_arrives_once_with_the_secret_header() -> None:
    posts = schedule(orders_of(3), 1, duplicate=0, reorder=0, fail=0)
    service = Service()
    result = delivered(service, posts)
    assert Counter(service.bodies) == Counter(post.body for post in posts)
    assert all(headers["x-webhook-secret"] == SECRET for headers in service.headers)
    assert all(headers["content-type"] == "application/json" for headers in service.headers)
    assert result.outcomes == {"accepted": len(posts)}
    assert len(result.latencies_s) == len(posts)
    assert result.given_up == []


def test_an_error_is_tried_again_after_the_pause() -> None:
    service = Service([500, 503])
    result = delivered(service, [post(1)], retry_seconds=0.1)
    assert service.bodies == [post(1).body] * 3
    assert result.failed_attempts == {"HTTP 500": 1, "HTTP 503": 1}
    assert result.outcomes == {"duplicate": 1}
    assert result.seconds >= 0.2


def test_after_three_tries_an_event_is_given_up() -> None:
    service = Service([500] * 10)
    result = delivered(service, [post(1), post(2)])
    assert len(service.bodies) == 2 * TRIES
    assert {lost.event for lost in result.given_up} == {1, 2}


def test_an_event_whose_duplicate_arrives_is_not_given_up() -> None:
    service = Service([500] * 3)
    result = delivered(service, [post(1), post(1)])
    assert result.given_up == []


def test_a_post_cut_off_half_way_is_not_received_and_tried_again() -> None:
    service = Service()
    result = delivered(service, [post(1, cuts=("half-way", "half-way"))])
    assert service.bodies == [post(1).body]
    assert service.broken == 2
    assert result.failed_attempts == {"cut off half-way": 2}
    assert result.outcomes == {"accepted": 1}


def test_a_post_cut_off_before_the_answer_may_have_been_received() -> None:
    service = Service()
    posts = [replace(post(n), body=post(n).body + b" " * n, cuts=("before-the-answer",)) for n in range(20)]
    result = delivered(service, posts)
    assert result.failed_attempts == {"cut off before-the-answer": 20}
    assert result.outcomes.total() == 20
    # Where the simulator waits a little before it breaks off, the service has taken the event.
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


# --- visibility ---


def test_only_what_is_sure_is_measured() -> None:
    visibility = Visibility(None, None, "default", ["r"])  # type: ignore[arg-type]
    visibility.succeeded(post(1), 10.0)
    visibility.succeeded(post(1), 10.5)  # a duplicate
    visibility.succeeded(post(2), 11.0)
    visibility.failed(post(3))
    visibility.succeeded(post(3), 16.0)
    visibility.succeeded(replace(post(4), reference="not watched"), 17.0)
    visibility.saw("r", 1, 10.25)
    visibility.saw("r", 3, 12.0)
    assert visibility.latencies_s() == [0.25, 1.0]


def test_orders_without_planned_failures_are_watched_first() -> None:
    orders = orders_of(250)
    posts = schedule(orders, 1, duplicate=0, reorder=0, fail=0.02)
    watched = _sample(orders, posts)
    calm = {order.reference for order in orders} - {post.reference for post in posts if post.cuts}
    assert len(watched) == len(set(watched)) == 200
    assert calm
    assert calm <= set(watched)


# --- a run, and its report ---


def options(**fields: Any) -> Options:
    return Options(
        **{
            "url": "http://127.0.0.1:9",
            "secret": SECRET,
            "redis_url": "redis://:hush@127.0.0.1:9/0",
            **fields,
        }
    )


def test_options_show_no_secret() -> None:
    assert SECRET not in repr(options())
    assert "hush" not in repr(options())


def test_tenants_have_their_own_path() -> None:
    assert options().webhook_url == "http://127.0.0.1:9/webhooks/gelato"
    assert options(url="http://x/", tenant="acme").webhook_url == "http://x/webhooks/gelato/acme"


def test_a_missing_redis_is_one_clear_error_that_shows_no_password() -> None:
    with pytest.raises(SimulatorError, match=r"Redis at 127\.0\.0\.1:9") as redis_away:
        asyncio.run(simulate(options()))
    assert "hush" not in str(redis_away.value)


async def knock(url: str, **fields: Any) -> None:
    async with httpx.AsyncClient(trust_env=False) as client:
        await _knock(client, options(url=url, **fields))


def test_a_service_that_is_down_is_one_clear_error() -> None:
    with pytest.raises(SimulatorError, match=r"no answer from .*is the receiver running"):
        asyncio.run(knock("http://127.0.0.1:9"))


def test_a_refused_secret_is_one_clear_error() -> None:
    with pytest.raises(SimulatorError, match="refused the secret"):
        against(Service(), lambda url: knock(url, secret="wrong"))


def test_a_path_that_does_not_exist_is_one_clear_error() -> None:
    with pytest.raises(SimulatorError, match="HTTP 404"):
        against(Service(), lambda url: knock(url, tenant="nobody"))


def test_the_first_knock_touches_nothing() -> None:
    service = Service()
    against(service, knock)
    assert service.bodies == []


def report(**fields: Any) -> Report:
    return Report(
        run="r",
        seed=1,
        orders=1,
        connected_orders=1,
        troubled_orders=0,
        events=1,
        posts=1,
        spooled=0,
        watched_orders=1,
        outcomes={"accepted": 1},
        failed_attempts={},
        sending_seconds=0.5,
        settling_seconds=0.1,
        post_ms=Percentiles.of_seconds([0.001 * n for n in range(1, 101)]),
        visible_ms=Percentiles.of_seconds([]),
        **fields,
    )


def test_percentiles_are_figures_that_occurred() -> None:
    assert report().post_ms == Percentiles(100, 50.0, 90.0, 99.0, 100.0)
    assert Percentiles.of_seconds([0.002]) == Percentiles(1, 2.0, 2.0, 2.0, 2.0)
    assert report().visible_ms == Percentiles(0)


def test_a_report_is_ok_without_differences_and_losses() -> None:
    assert report().ok
    assert not report(differences=(Difference("r", "status", "shipped", "[red]printed"),)).ok
    assert not report(given_up=(GivenUp("r", 2),)).ok


def test_a_report_reads_as_a_table_and_as_json() -> None:
    wrong = report(differences=(Difference("r[bold]", "status", "shipped", None),) * 30, given_up=(GivenUp("lost", 2),))
    console = Console(width=120, record=True, file=io.StringIO())
    console.print(wrong)
    text = console.export_text()
    assert "r[bold]: status: expected 'shipped', found None" in text  # data is no markup
    assert "and 10 more" in text
    assert "lost: 2 event(s)" in text
    plain = orjson.loads(orjson.dumps(wrong.to_dict()))
    assert plain["ok"] is False
    assert plain["postMs"]["p99"] == 99.0
    assert plain["differences"][0] == {
        "reference": "r[bold]",
        "path": "status",
        "expected": "shipped",
        "found": None,
    }
