"""A document is held against Gelato's own state: every difference that matters is found, and nothing else is looked at."""

import copy
from typing import Any

import pytest

from ops.sandbox import compare_state
from ops.simulator.truth import ConnectedTruth, LineTruth, OrderTruth, state_view

TRUTH = state_view(
    OrderTruth(
        "R-1",
        (
            ConnectedTruth("a", "delivered", (LineTruth("mug", "delivered", tracking_codes=frozenset({"T1"})),)),
            ConnectedTruth("b", "failed", (LineTruth("shirt", "failed", comment="out of stock"),)),
        ),
        events=0,
    )
)


def line(status: str, *codes: str) -> dict[str, Any]:
    return {"status": status, "comment": None, "fulfillments": [{"trackingCode": code} for code in codes]}


def connected(status: str, **items: Any) -> dict[str, Any]:
    own = {"status": status, "reportedStatus": None, "disagrees": False, "deliveryEstimate": None}
    return {**own, "items": items}


DOCUMENT: dict[str, Any] = {
    "orderReferenceId": "R-1",
    "status": "partially_delivered",
    "terminal": False,
    "complete": True,
    "connectedOrderIds": ["a", "b"],
    "counts": {"delivered": 1, "failed": 1},
    "attention": [],
    "deliveryEstimate": None,
    "events": 17,
    "items": {"mug": {"status": "delivered", "orderIds": ["a"]}, "shirt": {"status": "failed", "orderIds": ["b"]}},
    "packages": [{"orderId": "a", "trackingCode": "T1", "itemReferenceIds": ["mug"]}],
    "orders": {
        "a": connected("delivered", mug=line("delivered", "T1")),
        "b": connected("failed", shirt=line("failed")),
    },
}


def changed(path: tuple[Any, ...], value: Any) -> dict[str, Any]:
    document = copy.deepcopy(DOCUMENT)
    place = document
    for step in path[:-1]:
        place = place[step]
    place[path[-1]] = value
    return document


def test_a_document_that_says_what_is_true_differs_in_nothing() -> None:
    assert compare_state(TRUTH, DOCUMENT) == []
    assert compare_state({**TRUTH, "tenant": "acme", "ended": True}, DOCUMENT) == []


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("status",), "delivered"),
        (("terminal",), True),
        (("complete",), None),
        (("complete",), False),
        (("connectedOrderIds",), ["a"]),
        (("counts",), {"delivered": 2}),
        (("items", "mug", "status"), "shipped"),
        (("items", "shirt", "orderIds"), ["a"]),
        (("packages",), []),
        (("packages", 0, "itemReferenceIds"), ["shirt"]),
        (("orders", "a", "status"), "shipped"),
        (("orders", "b", "items", "shirt", "status"), "on_hold"),
        (("orders", "a", "items", "mug", "fulfillments"), []),
        (("orders", "c"), connected("created")),
    ],
)
def test_every_difference_is_found(path: tuple[Any, ...], value: Any) -> None:
    assert compare_state(TRUTH, changed(path, value))


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("events",), 3),
        (("deliveryEstimate",), {"minDeliveryDate": None, "maxDeliveryDate": "2026-12-01"}),
        (("orders", "a", "reportedStatus"), "shipped"),
        (("orders", "b", "items", "shirt", "comment"), "out of stock"),
    ],
)
def test_what_only_webhooks_say_is_not_looked_at(path: tuple[Any, ...], value: Any) -> None:
    assert compare_state(TRUTH, changed(path, value)) == []


def test_a_missing_or_strange_document_is_a_difference() -> None:
    assert [difference.path for difference in compare_state(TRUTH, None)] == ["(document)"]
    assert [difference.path for difference in compare_state(TRUTH, {"status": "created"})] == ["(document)"]
