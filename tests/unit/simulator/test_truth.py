"""What is true of a simulated order, whatever is told of it: lines, reported status, headline."""

import random
from collections.abc import Sequence

import pytest
from support.gelato.simulated import DAY_US, NOW_US

from ops.simulator.lifecycle import live, reported_status
from ops.simulator.plans import Step
from ops.simulator.truth import ConnectedTruth, LineTruth, OrderTruth, expected_view, headline


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
