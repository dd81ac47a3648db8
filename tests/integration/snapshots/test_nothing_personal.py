"""`POST /snapshots`: nothing personal is kept of what is posted, usable or not."""

import copy
import re
from collections.abc import Iterator
from typing import Any

import orjson
import pytest
from support.contents import all_texts
from support.gelato.posted import CREATED, GOT, SEARCHED, post
from support.processes import Receiver, fixture
from support.server import Server

from shared.settings import Settings
from shared.store import Store
from worker.shift import shift

#: What may stay: ids, references, statuses, tracking, dates. All other texts and numbers of a response must go.
KEPT = {
    "id",
    "orderReferenceId",
    "fulfillmentStatus",
    "storeId",
    "createdAt",
    "updatedAt",
    "itemReferenceId",
    "minDeliveryDate",
    "maxDeliveryDate",
    "shipmentMethodName",
    "shipmentMethodUid",
    "trackingCode",
    "trackingUrl",
    "orderItemIds",
    "connectedOrderIds",
    "orderedAt",
    "orderId",
    "referenceId",
}


def texts(value: Any, name: str = "") -> Iterator[tuple[str, str]]:
    """Every text and number of a response with the name it stands under."""
    if isinstance(value, dict):
        for key, each in value.items():
            yield from texts(each, key)
    elif isinstance(value, list):
        for each in value:
            yield from texts(each, name)
    elif isinstance(value, (str, float)) and not isinstance(value, bool):
        yield name, str(value)


def personal(response: Any) -> set[str]:
    """The texts that must not be found afterwards, long enough not to be found by chance."""
    kept = {text for name, text in texts(response) if name in KEPT}
    found = {text for name, text in texts(response) if name not in KEPT and text not in kept}
    statuses = {"created", "pending", "shipped", "printed", "paid", "order", "draft", "default", "shipment", "api"}
    return {
        text for text in found if len(text) >= 4 and text not in statuses and not any(text in each for each in kept)
    }


def assert_nothing_personal(server: Server, receiver: Receiver, response: Any, *, at_least: int) -> None:
    wanted = personal(response)
    assert len(wanted) >= at_least, "the payload has what is looked for"
    ours, said = all_texts(server, "gelato:*"), all_texts(server) + receiver.log.read_bytes()
    found = []
    for text in sorted(wanted):
        if re.fullmatch(r"[0-9.]+", text):  # a price; RQ and the log hold durations, which look alike
            pattern = rb"(?<![0-9.])" + re.escape(text).encode() + rb"(?![0-9])"
            found += [text] if re.search(pattern, ours) else []
        elif text.encode() in said or orjson.dumps(text)[1:-1] in said or text.encode("unicode_escape") in said:
            found.append(text)
    assert found == []


UNUSABLE: list[tuple[Any, str]] = [
    *[
        ({**CREATED, field: value}, field)
        for field in ("id", "orderReferenceId", "fulfillmentStatus")
        for value in (None, "", True, 1.5, {"firstName": "Hidden-Name"}, ["Hidden-Name"])
    ],
    ({**CREATED, "fulfillmentStatus": "x" * 65}, "fulfillmentStatus"),
    ({**CREATED, "items": "Hidden-Name"}, "items"),
    ({**CREATED, "items": {"a": "Hidden-Name"}}, "items"),
    ({**CREATED, "items": ["Hidden-Name"]}, "items"),
    ({**CREATED, "items": [{**CREATED["items"][0], "itemReferenceId": None}]}, "itemReferenceId"),
    ({**CREATED, "items": [{**CREATED["items"][0], "fulfillmentStatus": {"x": "Hidden-Name"}}]}, "fulfillmentStatus"),
    ({"order": CREATED}, "orderReferenceId"),
    ([CREATED], "body"),
    ("Paul Smith, 451 Clarkson Ave, Brooklyn", "body"),
    ({"orders": CREATED}, "orders"),
    ({"orders": None, "shippingAddress": CREATED["shippingAddress"]}, "orderReferenceId"),
]


class TestNothingPersonalIsKept:
    @pytest.mark.parametrize(("response", "at_least"), [(CREATED, 40), (GOT, 3), (SEARCHED, 5)])
    def test_of_a_usable_response(
        self, receiver: Receiver, store: Store, server: Server, response: Any, at_least: int
    ) -> None:
        for _ in range(2):
            assert post(receiver, response).json()["result"] == "accepted"
            shift(store, Settings(), seconds=0)
        assert_nothing_personal(server, receiver, response, at_least=at_least)

    @pytest.mark.parametrize(("response", "field"), UNUSABLE)
    def test_of_an_unusable_response(
        self, receiver: Receiver, store: Store, server: Server, response: Any, field: str
    ) -> None:
        for _ in range(2):
            answer = post(receiver, response)
            content = answer.json()
            assert answer.status_code == 202
            assert sorted(content) == ["deadLetter", "detail", "reason", "result"]
            assert (content["result"], content["reason"]) == ("quarantined", "invalid-event")
            assert field in content["detail"]
        kept = server.client.hgetall(f"gelato:dead-letter:{{{content['deadLetter']}}}")
        assert kept[b"count"] == b"2"
        shift(store, Settings(), seconds=0)
        assert_nothing_personal(server, receiver, [response, "Hidden-Name", "Clarkson Ave"], at_least=2)

    @pytest.mark.parametrize("cut", [1, 700, 2_000, -1])
    def test_of_what_is_not_json(self, receiver: Receiver, server: Server, cut: int) -> None:
        body = fixture("order-create-response.json")[: cut if cut != -1 else -2]
        answer = post(receiver, body)
        assert answer.status_code == 400
        assert sorted(answer.json()) == ["deadLetter", "detail", "error"]
        assert server.client.exists(f"gelato:dead-letter:{{{answer.json()['deadLetter']}}}")
        assert_nothing_personal(server, receiver, CREATED, at_least=40)

    def test_of_what_is_not_utf8(self, receiver: Receiver, server: Server) -> None:
        body = orjson.dumps(CREATED).decode().encode("latin-1", errors="replace") + b"\xff"
        assert post(receiver, body).status_code == 400
        assert_nothing_personal(server, receiver, CREATED, at_least=40)

    @pytest.mark.parametrize("hidden", ["Paul Smith", {"firstName": "Paul"}, ["Paul Smith"], [["Paul"]], 5.25, True])
    @pytest.mark.parametrize(
        "path",
        [
            ("shipment", "minDeliveryDate"),
            ("shipment", "packages"),
            ("connectedOrderIds",),
            ("updatedAt",),
            ("createdAt",),
            ("shipment",),
        ],
    )
    def test_under_a_known_name_in_a_wrong_place(
        self, receiver: Receiver, store: Store, server: Server, path: tuple[str, ...], hidden: Any
    ) -> None:
        """A date that is none and a list of names where ids belong are not what the contract lets stay."""
        response = copy.deepcopy(CREATED)
        place = response
        for name in path[:-1]:
            place = place[name]
        place[path[-1]] = hidden
        assert post(receiver, response).status_code in (200, 202)
        shift(store, Settings(), seconds=0)
        if path != ("connectedOrderIds",):  # an id may be any text
            assert b"Paul" not in all_texts(server)

    def test_a_body_posted_here_first_is_still_kept_when_it_comes_as_a_webhook(
        self, receiver: Receiver, server: Server
    ) -> None:
        """The letter of a snapshot has no payload; that of a webhook must have it exactly."""
        body = b'{"object": "orderStatus", "orderReferenceId": 1.5'
        post(receiver, body)
        letter = receiver.post(body).json()["deadLetter"]
        assert server.client.hget(f"gelato:dead-letter:{{{letter}}}", "payload") == body
