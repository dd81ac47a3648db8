"""Documents held against the truth: the contract, read naively, yields it; every difference is found; waiting for it."""

import asyncio
import random
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import naive_model
import orjson
import pytest
from support.gelato.simulated import NOW_US, SECOND_US, orders_of

from ops.simulator import Difference, SimulatedOrder, SimulatorError
from ops.simulator.compare import compare, settle


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
