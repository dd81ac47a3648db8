"""The sandbox's two order APIs: what they take, what they answer, whom they answer."""

from collections.abc import Callable

import httpx
from support.gelato.sandbox import Played, order

from shared import snapshots

Play = Callable[..., Played]


def test_an_order_is_split_by_the_hubs_that_make_its_products(play: Play) -> None:
    sandbox = play()
    answer = sandbox.submit()
    ids = answer["connectedOrderIds"]
    assert len(ids) == len(set(ids)) == 3
    assert answer["id"] in ids
    siblings = [sandbox.v4("GET", f"/{order_id}").json() for order_id in ids]
    assert [[item["itemReferenceId"] for item in each["items"]] for each in siblings] == [
        ["poster"],
        ["mug"],
        ["shirt"],
    ]
    assert {each["orderReferenceId"] for each in siblings} == {"R-1"}
    assert all(each["connectedOrderIds"] == ids for each in siblings)
    assert len({each["shipment"]["fulfillmentFacilityId"] for each in siblings}) == 3


def test_an_order_of_one_hub_has_no_connected_orders(play: Play) -> None:
    items = [
        {"itemReferenceId": "mug", "productUid": "mug_x"},
        {"itemReferenceId": "case", "productUid": "phonecase_x"},
    ]
    assert play().submit(items=items)["connectedOrderIds"] == []


def test_answers_hold_what_the_service_keeps_and_much_that_it_must_not(play: Play) -> None:
    answer = play().submit(shippingAddress={"firstName": "Zebedee", "country": "NO"})
    (snapshot,) = snapshots.split(answer)
    event = snapshots.classify_snapshot(snapshot, fetched=True)
    assert event.identity.startswith(f"snapshot:{answer['id']}:20")
    for personal in ("Zebedee", "Marrowbone", "7.31"):
        assert personal in str(answer)
        assert personal not in snapshot.text.decode()


def test_packages_name_their_items_by_the_ids_of_this_answer(play: Play) -> None:
    sandbox = play()
    ids = sandbox.submit()["connectedOrderIds"]
    sandbox.advance(10 * 86_400)
    seen = 0
    for order_id in ids:
        answer = sandbox.v4("GET", f"/{order_id}").json()
        assert answer["fulfillmentStatus"] == "delivered"
        for package in answer["shipment"]["packages"]:
            seen += 1
            assert package["trackingCode"]
            assert set(package["orderItemIds"]) <= {item["id"] for item in answer["items"]}
    assert seen


def test_a_wrong_key_is_refused(play: Play) -> None:
    sandbox = play()
    assert sandbox.v4("POST", "", order(), key="wrong").status_code == 401
    assert sandbox.v4("POST", "", order(), key="a-key:a-secret").status_code == 401
    assert sandbox.connector("submit", order(), key="a-key").status_code == 401


def test_the_connector_needs_a_customer_that_it_knows(play: Play) -> None:
    sandbox = play()
    assert sandbox.connector("submit", order(), customer=None).status_code == 400
    assert sandbox.connector("submit", order(), customer="X-9").status_code == 404


def test_two_customers_may_use_the_same_reference(play: Play) -> None:
    sandbox = play()
    ours = sandbox.connector("submit", order("SAME")).json()
    theirs = sandbox.connector("submit", order("SAME"), customer="G-2").json()
    assert not set(ours["connectedOrderIds"]) & set(theirs["connectedOrderIds"])
    assert sandbox.connector("get", "SAME").json()["id"] == ours["id"]
    assert sandbox.connector("get", "SAME", customer="G-2").json()["id"] == theirs["id"]
    assert sandbox.connector("get", ours["id"]).json()["customerReferenceId"] == "A-1"
    assert sandbox.connector("get", theirs["id"]).status_code == 404
    found = sandbox.connector("search", {"orderReferenceIds": ["SAME"]}).json()["orders"]
    assert {each["id"] for each in found} == set(ours["connectedOrderIds"])


def test_the_order_api_and_the_connector_do_not_know_each_others_orders(play: Play) -> None:
    sandbox = play()
    theirs = sandbox.connector("submit", order()).json()
    assert sandbox.v4("GET", f"/{theirs['id']}").status_code == 404
    assert sandbox.v4("POST", ":search", {}).json() == {"orders": []}


def test_a_leaky_connector_answers_for_any_customer(play: Play) -> None:
    sandbox = play(leaky=True)
    theirs = sandbox.connector("submit", order(), customer="G-2").json()
    assert sandbox.connector("get", theirs["id"]).json()["customerReferenceId"] == "G-2"


def test_a_connector_may_answer_a_submission_with_little(play: Play) -> None:
    answer = play(short_submit=True).connector("submit", order())
    assert set(answer.json()) == {"id", "orderReferenceId", "createdAt"}


def test_a_second_submission_makes_a_second_order(play: Play) -> None:
    sandbox = play()
    first, second = sandbox.submit(), sandbox.submit()
    assert not set(first["connectedOrderIds"]) & set(second["connectedOrderIds"])
    assert len(sandbox.truths()[0]["connectedOrderIds"]) == 6


def test_what_is_no_json_is_refused(play: Play) -> None:
    sandbox = play()
    answer = httpx.post(f"{sandbox.base}/v4/orders", content=b"{", headers={"X-API-KEY": "a-key"}, trust_env=False)
    assert (answer.status_code, answer.json()["code"]) == (400, "invalid_request")
    without = sandbox.v4("POST", "", {**order(), "items": []})
    assert (without.status_code, without.json()["message"]) == (400, "items: must be a list, not empty")


def test_a_search_is_filtered_and_comes_in_pages_newest_first(play: Play) -> None:
    sandbox = play()
    for number in range(5):
        sandbox.submit(f"R-{number}")
    every = sandbox.v4("POST", ":search", {}).json()["orders"]
    assert len(every) == 15
    assert [each["orderReferenceId"] for each in every[::3]] == ["R-4", "R-3", "R-2", "R-1", "R-0"]
    assert all("items" not in each and each["lastName"] for each in every)
    pages = [sandbox.v4("POST", ":search", {"limit": 4, "offset": at}).json()["orders"] for at in (0, 4, 8, 12)]
    assert [each for page in pages for each in page] == every
    two = sandbox.v4("POST", ":search", {"orderReferenceIds": ["R-1", "R-3"]}).json()["orders"]
    assert {each["orderReferenceId"] for each in two} == {"R-1", "R-3"}
    assert sandbox.v4("POST", ":search", {"fulfillmentStatuses": ["shipped"]}).json()["orders"] == []
    assert len(sandbox.v4("POST", ":search", {"startDate": "2020-01-01T00:00:00+00:00"}).json()["orders"]) == 15
    assert sandbox.v4("POST", ":search", {"endDate": "2020-01-01T00:00:00+00:00"}).json()["orders"] == []
    assert sandbox.v4("POST", ":search", {"limit": 101}).status_code == 400
    assert sandbox.v4("POST", ":search", {"startDate": "yesterday"}).status_code == 400


def test_an_order_can_be_canceled_until_it_is_printed(play: Play) -> None:
    sandbox = play()
    ids = sandbox.submit()["connectedOrderIds"]
    assert sandbox.v4("POST", f"/{ids[0]}:cancel").json()["fulfillmentStatus"] == "canceled"
    assert sandbox.v4("POST", f"/{ids[0]}:cancel").status_code == 409
    sandbox.advance(10 * 86_400)
    assert [sandbox.v4("GET", f"/{each}").json()["fulfillmentStatus"] for each in ids] == [
        "canceled",
        "delivered",
        "delivered",
    ]
    assert sandbox.v4("POST", f"/{ids[1]}:cancel").status_code == 409
    assert sandbox.v4("POST", "/nobody:cancel").status_code == 404


def test_an_item_that_moves_to_another_hub_appears_in_a_new_connected_order(play: Play) -> None:
    sandbox = play()
    before = sandbox.submit(trouble="reroute")["connectedOrderIds"]
    sandbox.advance(20 * 86_400)
    after = sandbox.v4("GET", f"/{before[0]}").json()["connectedOrderIds"]
    (new,) = set(after) - set(before)
    moved = sandbox.v4("GET", f"/{new}").json()
    (item,) = moved["items"]
    (truth,) = sandbox.truths()
    assert truth["items"][item["itemReferenceId"]]["status"] == "delivered"
    assert len(truth["items"][item["itemReferenceId"]]["orderIds"]) == 2
    assert truth["counts"] == {"canceled": 1, "delivered": 3}
    assert truth["connectedOrderIds"] == sorted(after)
