"""Acting in the console: letters are replayed and discarded, with a word before and an account after; Gelato is asked."""

import time
from collections.abc import Callable
from typing import Any

import orjson
import scenery
from playwright.sync_api import Page, expect

from ops.sandbox import compare_state
from shared.store import Store, dead_letters
from shared.store.dead_letters import DeadLetter, letter_id

Open = Callable[..., Page]


def bury(house: Any, order: str, *events: str) -> None:
    """Make dead letters of events that nothing is known of, one per name."""
    for n, event in enumerate(events):
        answer = house.receiver.post({"event": event, "id": f"{order}{n}", "orderId": "o", "orderReferenceId": order})
        assert answer.json()["reason"] == "unknown-event"


def test_a_group_is_replayed_after_a_word_about_its_chances(operator: Open, house: Any) -> None:
    bury(house, "AGAIN-1", "order_wrapped")
    bury(house, "AGAIN-2", "order_wrapped")
    page = operator("/console/letters")
    page.get_by_role("row", name="order_wrapped").get_by_role("link", name="Replay").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Replay 2 letters?")
    expect(page.get_by_text("None of the 2 newest can be used by this release")).to_be_visible()
    page.get_by_role("button", name="Replay 2 letters").click()
    expect(page.get_by_role("heading", level=1)).to_contain_text("done", timeout=15_000)  # live, without a reload
    expect(page.get_by_role("row", name="dead again")).to_contain_text("2")
    page.get_by_role("link", name="History").click()
    expect(page.get_by_role("row", name="console:Ada replay").first).to_be_visible()


def test_letters_of_a_mended_cause_are_folded_and_gone(operator: Open, house: Any) -> None:
    # A former release did not know it.
    body = orjson.dumps(scenery.order_status("MENDED-1", "mended-order", "passed", 30, "mug"))
    detail, received = "unknown to a former release", time.time_ns() // 1000
    letter = DeadLetter(letter_id("default", body), "default", "unknown-event", detail, body, received)
    store = Store.from_url(house.server.url)
    store.run(dead_letters.bury(letter))
    store.close()
    page = operator("/console/letters")
    page.get_by_role("row", name="unknown to a former release").get_by_role("link", name="Replay").click()
    expect(page.get_by_text("It is usable now.")).to_be_visible()
    page.get_by_role("button", name="Replay 1 letter").click()
    expect(page.get_by_role("row", name="folded into their orders")).to_contain_text("1", timeout=15_000)
    page.goto("/console/order?reference=MENDED-1")
    expect(page.get_by_role("heading", level=1)).to_contain_text("passed")


def test_a_group_is_discarded_with_a_reason(operator: Open, house: Any) -> None:
    bury(house, "GONE-1", "order_dropped")
    page = operator("/console/letters")
    page.get_by_role("row", name="order_dropped").get_by_role("link", name="event of an unknown name").first.click()
    page.get_by_role("link", name="Discard").click()
    page.get_by_label("Why").fill("a harness posted it")
    page.get_by_role("button", name="Discard 1 letter").click()
    expect(page.get_by_text("1 letter discarded.")).to_be_visible()
    expect(page.get_by_role("row", name="order_dropped")).to_have_count(0)
    page.get_by_role("link", name="History").click()
    expect(page.get_by_role("row", name="a harness posted it").first).to_be_visible()


def test_a_letter_shows_its_payload_as_text_and_is_replayed_without_scripts(operator: Open, house: Any) -> None:
    bury(house, scenery.HOSTILE[0], "order_<b>bold</b>")
    page = operator("/console/letters", java_script_enabled=False)
    page.get_by_role("row", name="order_<b>bold</b>").get_by_role("link").first.click()
    page.locator("tbody a").first.click()
    expect(page.locator("pre").last).to_contain_text('"orderReferenceId": "<script>alert(1)</script>"')
    page.get_by_role("link", name="Replay").click()
    page.get_by_role("button", name="Replay 1 letter").click()
    expect(page.get_by_role("heading", level=1)).to_contain_text("Replay of 1 letter")


def test_all_letters_that_a_filter_finds_are_replayed_at_once(operator: Open, house: Any) -> None:
    bury(house, "ALL-1", "order_folded_up", "order_unfolded")
    page = operator("/console/letters?reason=unknown-event")
    link = page.get_by_role("link", name="Replay all")
    number = int("".join(filter(str.isdigit, link.inner_text())))
    shown = page.locator("td[data-name=Letters]").all_inner_texts()
    assert number == sum(int(each) for each in shown) >= 16
    link.click()
    expect(page.get_by_role("heading", level=1)).to_have_text(f"Replay {number} letters?")
    expect(page.get_by_text("all tenants")).to_be_visible()
    page.get_by_role("button", name=f"Replay {number} letters").click()
    expect(page.get_by_role("heading", level=1)).to_contain_text("done", timeout=15_000)
    expect(page.get_by_role("row", name="dead again")).to_contain_text(str(number))


def test_gelato_is_asked_about_an_order_and_what_it_knows_appears(operator: Open, house: Any) -> None:
    (reference,) = house.sandbox.make_orders(1, "asking", "none")
    (truth,) = house.sandbox.truths("asking", reference)
    heard = scenery.order_status(reference, truth["connectedOrderIds"][0], "created", 5)
    assert house.receiver.post(heard, tenant="asking", secret="askings-secret").status_code == 200
    house.sandbox.advance(2 * 86_400)  # and no webhook tells of it
    (truth,) = house.sandbox.truths("asking", reference)
    assert truth["status"] != "created"
    page = operator(f"/console/orders?q={reference}&tenant=asking")
    page.get_by_role("link", name=reference).click(timeout=15_000)
    expect(page.get_by_role("heading", level=1)).to_contain_text("created")
    page.get_by_role("button", name="Ask Gelato about it").click()
    expect(page.get_by_text("A worker asks Gelato's order API about this order now.")).to_be_visible()
    status = truth["status"].replace("_", " ")
    expect(page.get_by_role("heading", level=1)).to_contain_text(status, timeout=30_000)  # live, without a reload
    document = house.receiver.get(f"/tenants/asking/orders/{reference}").json()
    assert compare_state(truth, document) == []
