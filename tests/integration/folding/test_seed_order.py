"""The seed's split order, through the whole service."""

import itertools
from collections.abc import Callable
from typing import Any

import orjson
import pytest
from support.polling import eventually
from support.processes import OPS_TOKEN, Process, Receiver, fixture
from support.seed import SEED
from support.server import Server

from shared.settings import Settings
from shared.store import Store
from worker.shift import shift

#: These tell when this test ran; all else must be the same in every order of arrival.
TIMES = ("version", "updatedAt", "lastEventAt")


def timeless(document: dict[str, Any]) -> dict[str, Any]:
    """A document without what depends on when the events were received: orderStatus has no clock here."""
    rest = {name: value for name, value in document.items() if name not in TIMES}
    for connected in rest["orders"].values():
        connected["timeline"] = sorted(connected["timeline"])
    return rest


def test_every_order_of_arrival_gives_the_same_document(receiver: Receiver, store: Store) -> None:
    bodies = {name: orjson.loads(fixture(name)) for name in SEED}
    documents = []
    for n, arrival in enumerate(itertools.permutations(SEED)):
        reference = f"83831IAKD2-{n}"
        for name in (*arrival, arrival[n % 5], arrival[(n + 2) % 5]):  # the last two are duplicates
            answer = receiver.post({**bodies[name], "orderReferenceId": reference})
            assert answer.status_code == 200
        shift(store, Settings(), seconds=0)
        document = receiver.get(f"/orders/{reference}").json()
        assert document.pop("orderReferenceId") == reference
        documents.append(timeless(document))
    assert len(documents) == 120
    assert all(document == documents[0] for document in documents)
    (first, *_) = documents
    assert first["status"] == "passed"
    assert sorted(first["items"]) == ["mug-15-oz", "phone-case", "poster-13x18"]
    assert len(first["orders"]) == 2
    assert first["events"] == 5
    assert first["complete"] is None


def test_a_worker_makes_the_document_and_a_snapshot_completes_it(
    receiver: Receiver, start: Callable[..., Process], server: Server
) -> None:
    start("worker")
    answers = [receiver.post(fixture(name)).json() for name in SEED]
    assert [answer["result"] for answer in answers] == ["accepted"] * 5
    assert answers[0]["event"] == "orderStatus:os_3193599927"
    assert answers[4]["event"] == "itemStatus:os_3193599927"

    def document(events: int) -> dict[str, Any] | None:
        raw = server.client.get("gelato:order:{default/83831IAKD2}")
        found = orjson.loads(raw) if raw else None
        return found if found and found["events"] == events else None

    assert eventually(lambda: document(5))["complete"] is None
    answer = receiver.client.post(
        "/snapshots", content=fixture("order-create-response.json"), headers={"Authorization": f"Bearer {OPS_TOKEN}"}
    )
    assert answer.json()["result"] == "accepted"
    complete = eventually(lambda: document(6))
    assert complete["complete"] is True
    assert complete["status"] == "passed"
    assert complete["deliveryEstimate"] == {"minDeliveryDate": "2022-11-10", "maxDeliveryDate": "2022-11-10"}


@pytest.mark.parametrize("name", SEED)
def test_a_duplicate_is_told_as_one(receiver: Receiver, name: str) -> None:
    first, second = receiver.post(fixture(name)), receiver.post(b" " + fixture(name))
    assert first.json()["result"] == "accepted"
    assert second.json() == {"result": "duplicate", "event": first.json()["event"]}
