"""`POST /snapshots`: what the order API answered, posted by whoever asked, and who may."""

from typing import Any

import orjson
import pytest
from support.gelato.posted import CREATED, GOT, SEARCHED, post, snapshot
from support.processes import OPS_TOKEN, READ_TOKEN, SECRET, TENANT_TOKEN, Receiver, fixture
from support.server import Server
from support.webhooks import folded

from shared.store import Store, records

FIRST, SECOND = CREATED["connectedOrderIds"]


class TestWhatIsTaken:
    def test_the_answer_to_a_created_order(self, receiver: Receiver, store: Store, server: Server) -> None:
        answer = post(receiver, CREATED)
        assert answer.status_code == 200
        assert answer.json() == {"result": "accepted", "event": f"snapshot:{FIRST}:2022-11-03T12:03:51+00:00"}
        found = folded(store, "83831IAKD2")
        assert found["connectedOrderIds"] == sorted([FIRST, SECOND])
        assert found["complete"] is False
        assert found["terminal"] is False
        assert found["orders"][SECOND]["silent"] is True
        assert found["orders"][SECOND]["status"] == "created"
        assert found["orders"][FIRST]["silent"] is False
        assert found["counts"] == {"created": 2}
        assert found["events"] == 1
        assert list(found["items"]) == ["poster-13x18"]
        assert found["deliveryEstimate"] == {"minDeliveryDate": "2022-11-10", "maxDeliveryDate": "2022-11-10"}

    def test_a_sibling_that_speaks_completes_the_order(self, receiver: Receiver, store: Store, server: Server) -> None:
        post(receiver, CREATED)
        receiver.post(fixture("orderStatus-os_3193599928.json"))
        found = folded(store, "83831IAKD2")
        assert found["complete"] is True
        assert not any(connected["silent"] for connected in found["orders"].values())
        assert found["events"] == 2

    def test_an_order_with_parcels(self, receiver: Receiver, store: Store, server: Server) -> None:
        assert post(receiver, GOT).json()["result"] == "accepted"
        found = folded(store, GOT["orderReferenceId"])
        assert found["complete"] is True, "an empty list of connected orders names the order itself"
        assert found["connectedOrderIds"] == [GOT["id"]]
        assert found["status"] == "printed"
        assert found["packages"] == [
            {
                "orderId": GOT["id"],
                "trackingCode": "12345678990",
                "trackingUrl": "http://test.tracking.url",
                "shipmentMethodName": "UPS Surepost",
                "shipmentMethodUid": "ups_surepost",
                "itemReferenceIds": ["myItemId1", "myItemId2"],
            }
        ]
        assert found["orders"][GOT["id"]]["storeId"] == GOT["storeId"]
        assert found["deliveryEstimate"] == {"minDeliveryDate": "2019-08-29", "maxDeliveryDate": "2019-08-30"}

    def test_parcels_belong_to_the_items_that_they_name(self, receiver: Receiver, store: Store, server: Server) -> None:
        items = [
            {"id": f"i{n}", "itemReferenceId": reference, "fulfillmentStatus": "shipped"}
            for n, reference in enumerate(("mug", "case", "poster"))
        ]
        packages = [
            {"trackingCode": "T1", "orderItemIds": ["i0", "i1"]},
            {"trackingCode": "T2", "trackingUrl": "https://t/2", "orderItemIds": ["i1"]},
            {"trackingCode": "", "trackingUrl": "", "orderItemIds": ["i2"]},
            {"trackingUrl": "https://t/3", "orderItemIds": ["i0", "nobodys", 5, None]},
            {"trackingCode": "T4", "orderItemIds": None},
        ]
        post(receiver, snapshot(fulfillmentStatus="shipped", items=items, shipment={"packages": packages}))
        found = folded(store, "REF-1")
        parcels = {package["trackingCode"] or package["trackingUrl"]: package for package in found["packages"]}
        assert {key: package["itemReferenceIds"] for key, package in parcels.items()} == {
            "T1": ["case", "mug"],
            "T2": ["case"],
            "https://t/3": ["mug"],
        }

    def test_a_search_answer_counts_as_the_snapshots_in_it(
        self, receiver: Receiver, store: Store, server: Server
    ) -> None:
        several = [
            {**SEARCHED["orders"][0], "id": f"order-{n}", "orderReferenceId": f"FOUND-{n % 2}", "connectedOrderIds": []}
            for n in range(4)
        ]
        answer = post(receiver, {"orders": several})
        assert answer.status_code == 200
        assert answer.json()["result"] == "accepted"
        found = folded(store, "FOUND-1")
        assert found["connectedOrderIds"] == ["order-1", "order-3"]
        assert found["status"] == "shipped"
        assert found["items"] == {}
        assert found["events"] == 2

    def test_a_search_answer_does_not_speak_for_lines(self, receiver: Receiver, store: Store, server: Server) -> None:
        event = {
            "object": "itemStatus",
            "id": "is_1",
            "orderId": "order-1",
            "orderReferenceId": "REF-1",
            "itemReferenceId": "mug",
            "status": "printed",
        }
        receiver.post(event)
        found = {**snapshot(fulfillmentStatus="delivered"), "items": None}
        post(receiver, {"orders": [{name: value for name, value in found.items() if name != "items"}]})
        result = folded(store, "REF-1")
        assert result["items"]["mug"]["status"] == "printed"
        assert result["orders"]["order-1"]["reportedStatus"] == "delivered"
        assert result["orders"]["order-1"]["disagrees"] is True

    def test_of_a_search_answer_one_unusable_order_keeps_no_other_out(
        self, receiver: Receiver, store: Store, server: Server
    ) -> None:
        answer = post(receiver, {"orders": [snapshot(id="o-1"), snapshot(id=None), "text", snapshot(id="o-2")]})
        assert answer.status_code == 202
        assert answer.json()["result"] == "quarantined"
        assert folded(store, "REF-1")["connectedOrderIds"] == ["o-1", "o-2"]

    @pytest.mark.parametrize("response", [{"orders": []}, {"orders": [], "total": 0}])
    def test_an_empty_search_answer_is_fine(self, receiver: Receiver, server: Server, response: Any) -> None:
        assert post(receiver, response).status_code == 200
        assert server.client.keys("gelato:[dlm]*") == []

    @pytest.mark.parametrize("name", ["docs-order-get-response.json", "docs-orders-search-response.json"])
    def test_the_documentations_examples_are_tests(self, receiver: Receiver, server: Server, name: str) -> None:
        answer = post(receiver, fixture(name))
        assert (answer.status_code, answer.json()["result"]) == (200, "test")
        assert server.client.keys("gelato:[dlm]*") == []

    @pytest.mark.parametrize("number", [7, 2**64 + 5])
    def test_integers_are_kept_as_strings(self, receiver: Receiver, store: Store, server: Server, number: int) -> None:
        body = orjson.dumps(snapshot(id="N", orderReferenceId="N")).replace(b'"N"', str(number).encode())
        assert post(receiver, body).json()["event"] == f"snapshot:{number}:2026-11-01T10:00:00+00:00"
        assert folded(store, str(number))["connectedOrderIds"] == [str(number)]


class TestTheSameAgain:
    def test_it_is_folded_with_its_later_receipt_and_is_no_further_event(
        self, receiver: Receiver, store: Store, server: Server
    ) -> None:
        """A webhook of another status, received between: only the later receipt lets the snapshot win again."""
        without_time = {**snapshot(fulfillmentStatus="on_hold", items=None), "updatedAt": "2026-11-01T10:00:00Z"}
        assert post(receiver, without_time).json()["result"] == "accepted"
        event = {"object": "orderStatus", "id": "x", "orderId": "order-1", "orderReferenceId": "REF-1"}
        receiver.post({**event, "fulfillmentStatus": "printed"})
        first = folded(store, "REF-1")
        assert first["events"] == 2
        receipt = first["lastEventAt"]
        again = post(receiver, {**without_time, "shippingAddress": {"firstName": "Other"}})
        assert (again.status_code, again.json()["result"]) == (200, "accepted")
        second = folded(store, "REF-1")
        assert second["events"] == 2
        assert second["firstEventAt"] == first["firstEventAt"]
        assert second["lastEventAt"] >= receipt
        log = list(records.read(server.client.lrange("gelato:log:{default/REF-1}", 0, -1)))
        mine = [record for record in log if record.came_as == "posted"]
        assert max(record.received for record in mine) > max(r.received for r in log if r.came_as == "webhook")

    def test_many_times_are_still_one_event(self, receiver: Receiver, store: Store, server: Server) -> None:
        for n in range(30):
            assert post(receiver, snapshot()).json()["result"] == "accepted"
            if n % 10 == 0:
                folded(store, "REF-1")
        found = folded(store, "REF-1")
        assert found["events"] == 1
        assert found["version"] <= 2

    def test_with_other_content_it_is_another_event(self, receiver: Receiver, store: Store, server: Server) -> None:
        post(receiver, snapshot())
        post(receiver, snapshot(fulfillmentStatus="printed"))
        post(receiver, snapshot(updatedAt="2026-11-02T10:00:00+00:00"))
        assert folded(store, "REF-1")["events"] == 3


class TestTokens:
    @pytest.mark.parametrize(
        ("path", "token", "status"),
        [
            ("/snapshots", None, 401),
            ("/snapshots", "unknown", 401),
            ("/snapshots", SECRET, 401),
            ("/snapshots", READ_TOKEN, 403),
            ("/snapshots", TENANT_TOKEN, 200),
            ("/snapshots", OPS_TOKEN, 200),
            ("/snapshots", "acme-posts", 404),
            ("/snapshots", "acme-reads", 404),
            ("/tenants/default/snapshots", TENANT_TOKEN, 200),
            ("/tenants/acme/snapshots", None, 401),
            ("/tenants/acme/snapshots", "acme-posts", 200),
            ("/tenants/acme/snapshots", "acme-reads", 403),
            ("/tenants/acme/snapshots", OPS_TOKEN, 200),
            ("/tenants/acme/snapshots", TENANT_TOKEN, 404),
            ("/tenants/acme/snapshots", READ_TOKEN, 404),
            ("/tenants/nobody/snapshots", TENANT_TOKEN, 404),
            ("/tenants/nobody/snapshots", OPS_TOKEN, 404),
            ("/tenants/nobody/snapshots", None, 401),
        ],
    )
    def test_who_may_post(self, receiver: Receiver, server: Server, path: str, token: str | None, status: int) -> None:
        answer = post(receiver, snapshot(), path, token)
        assert answer.status_code == status
        assert bool(server.client.keys("gelato:log:*")) is (status == 200)

    def test_another_tenants_path_answers_as_if_there_were_none(self, receiver: Receiver) -> None:
        other = post(receiver, snapshot(), "/tenants/acme/snapshots", TENANT_TOKEN)
        nobody = post(receiver, snapshot(), "/tenants/nobody/snapshots", TENANT_TOKEN)
        assert other.content == nobody.content

    def test_a_tenants_snapshot_is_that_tenants(self, receiver: Receiver, store: Store, server: Server) -> None:
        post(receiver, snapshot(), "/tenants/acme/snapshots", "acme-posts")
        assert folded(store, "REF-1", "acme")["tenant"] == "acme"
        assert server.client.get("gelato:order:{default/REF-1}") is None

    def test_the_token_is_checked_before_the_size(self, receiver: Receiver) -> None:
        assert post(receiver, b"x" * 2_000_000, token=None).status_code == 401
        answer = post(receiver, b"x" * 2_000_000)
        assert (answer.status_code, answer.json()) == (413, {"error": "too-large", "limit": 1_048_576})
