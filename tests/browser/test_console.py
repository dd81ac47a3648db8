"""The console in a real browser: reading it, finding things, and doing without a mouse, scripts or space."""

import re
from collections.abc import Callable
from typing import Any

import pytest
import scenery
from axe_playwright_python.base import AXE_SCRIPT
from playwright.sync_api import Page, expect
from support.polling import eventually

Open = Callable[..., Page]

ORDER = f"/console/order?tenant=default&reference={scenery.SPLIT}"
PAGES = [
    "/console",
    "/console/orders",
    ORDER,
    "/console/orders?q=nothing",
    "/console/letters",
    f"/console/letters/group?group={scenery.UNKNOWN_EVENTS}",
    f"/console/letters/replay?group={scenery.UNKNOWN_EVENTS}",
    f"/console/letters/discard?group={scenery.UNKNOWN_EVENTS}",
    "/console/history",
    "/console/settings",
]


def violations(page: Page, *rules: str) -> list[str]:
    """What axe finds wrong with a page; it is run beside the page's content security policy, not through it."""
    page.evaluate(AXE_SCRIPT)
    options: dict[str, Any] = {"resultTypes": ["violations"]} | ({"runOnly": list(rules)} if rules else {})
    found: dict[str, Any] = page.evaluate("options => axe.run(document, options)", options)
    return [f"{each['id']}: {[node['target'] for node in each['nodes']][:5]}" for each in found["violations"]]


def test_a_wrong_token_is_refused_and_the_right_one_leads_to_the_page_that_was_wanted(visitor: Open) -> None:
    page = visitor(forgive=401)
    page.goto(ORDER)
    page.get_by_label("Ops token").fill("a guess")
    with page.expect_response("**/console/sign-in") as answer:
        page.get_by_role("button", name="Sign in").click()
    assert answer.value.status == 401
    expect(page.get_by_role("alert")).to_have_text("That is not the ops token.")
    page.get_by_label("Ops token").fill("an-ops-token-for-tests")
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("heading", level=1)).to_contain_text(scenery.SPLIT)
    page.get_by_role("button", name="Sign out").click()
    expect(page.get_by_label("Ops token")).to_be_visible()
    page.goto("/console")
    expect(page.get_by_label("Ops token")).to_be_visible()


def test_a_link_in_a_chat_leads_to_its_page_without_signing_in_again(operator: Open, house: Any) -> None:
    page = operator()
    page.goto(f"data:text/html,<a href='{house.receiver.base}{ORDER.replace('&', '%26')}'>alert</a>")
    page.get_by_role("link", name="alert").click()
    expect(page.get_by_role("heading", level=1)).to_contain_text(scenery.SPLIT)


def test_the_overview_says_first_what_somebody_must_do(operator: Open) -> None:
    page = operator()
    region = page.get_by_role("region", name=re.compile("needs? you"))
    expect(region).to_contain_text(re.compile(r"\d+ dead letters of \d causes"))
    region.get_by_role("link", name="Look at them").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Dead letters")


@pytest.mark.parametrize(
    "text",
    [scenery.SPLIT, "2b8b2b0d-1383-44ac-a650-17619b30a0dc", "poster-13x18", scenery.TRACKING_CODE],
    ids=["reference", "Gelato order id", "item", "tracking code"],
)
def test_an_order_is_found_by_each_of_its_names(operator: Open, text: str) -> None:
    page = operator()
    page.keyboard.press("/")
    page.keyboard.type(text)
    page.keyboard.press("Enter")
    page.get_by_role("link", name=scenery.SPLIT).click()
    expect(page.get_by_role("heading", level=1)).to_contain_text(scenery.SPLIT)


def test_filters_show_what_needs_somebody(operator: Open) -> None:
    page = operator("/console/orders")
    page.get_by_role("link", name="Incomplete").click()
    expect(page.get_by_role("row")).to_have_count(2)
    expect(page.get_by_role("rowheader")).to_have_text("SHOP-20402")
    page.get_by_role("link", name="Attention").click()
    assert {row.split()[0] for row in page.get_by_role("rowheader").all_inner_texts()} == {scenery.SPLIT, "SHOP-20400"}
    page.get_by_role("link", name="Stuck").click()
    expect(page.get_by_text("No order is stuck")).to_be_visible()


def test_an_order_shows_its_way_its_parcels_and_its_events(operator: Open) -> None:
    page = operator(ORDER)
    expect(page.get_by_role("region", name="Somebody must act")).to_contain_text("out of stock")
    drawing = page.get_by_role("img", name="The connected orders and their items along the lifecycle")
    expect(drawing).to_be_visible()
    assert "mug-15-oz: on hold since" in (drawing.locator("desc").text_content() or "")
    parcel = page.get_by_role("link", name=scenery.TRACKING_CODE)
    assert parcel.get_attribute("href") == f"https://carrier.example/track/{scenery.TRACKING_CODE}"
    assert parcel.get_attribute("rel") == "noopener noreferrer"
    events = page.locator(".events > li")
    expect(events).to_have_count(scenery.SPLIT_EVENTS)
    expect(events.nth(2).locator(".changes")).to_contain_text("poster-13x18 created → to uploading")
    events.last.locator("summary").click()
    expect(events.last.get_by_text('"maxDeliveryDate": "2026-11-28"')).to_be_visible()


@pytest.mark.parametrize("reference", scenery.HOSTILE, ids=lambda text: ascii(text[:20]))
def test_a_reference_is_text_whatever_is_in_it(operator: Open, reference: str) -> None:
    page = operator("/console/orders")
    expected = scenery.visible(reference)
    page.locator(f"tr[data-key={scenery.css_text(reference)}] a").click()
    heading = page.get_by_role("heading", level=1)
    expect(heading.locator("bdi")).to_have_text(expected)
    expect(page.locator("tbody th bdi").first).to_contain_text("<img src=x")
    assert page.locator("script:not([src]), img[src='x']").count() == 0
    expect(page.get_by_role("contentinfo")).to_contain_text("Drawn at")


def test_a_page_moves_by_itself_when_its_order_does(operator: Open, house: Any) -> None:
    house.receiver.post(scenery.order_status("LIVE-1", "live-order", "passed", 5, "mug"))
    eventually(lambda: house.receiver.get("/orders/LIVE-1").status_code == 200)
    page = operator("/console/order?reference=LIVE-1")
    expect(page.get_by_role("status").filter(has_text="live")).to_be_visible()
    page.locator("#raw-document").locator("summary").click()
    assert house.receiver.post(scenery.order_status("LIVE-1", "live-order", "shipped", 0.01, "mug")).status_code == 200
    expect(page.get_by_role("heading", level=1)).to_contain_text("shipped")
    expect(page.locator(".events > li")).to_have_count(2)
    expect(page.locator("#raw-document pre")).to_be_visible()  # what was open stays open


def test_every_page_is_accessible(operator: Open, visitor: Open) -> None:
    page = operator()
    for path in PAGES:
        page.goto(path)
        assert (path, violations(page)) == (path, [])
    door = visitor()
    door.goto("/console")
    assert violations(door) == []


def test_every_text_can_be_read_in_the_dark_too(operator: Open) -> None:
    page = operator(color_scheme="dark")
    for path in ("/console", ORDER, "/console/letters", f"/console/letters/replay?group={scenery.UNKNOWN_EVENTS}"):
        page.goto(path)
        assert (path, violations(page, "color-contrast")) == (path, [])


def test_everything_can_be_reached_with_the_keyboard_alone(visitor: Open) -> None:
    page = visitor()
    page.goto("/console")
    expect(page.get_by_label("Ops token")).to_be_focused()
    page.keyboard.type("an-ops-token-for-tests")
    page.keyboard.press("Enter")
    page.get_by_role("button", name="Sign out").wait_for()
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to the content")).to_be_focused()
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id") == "content"
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "Look at them"
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", level=1)).to_have_text("Dead letters")


def test_it_reads_and_signs_in_without_scripts(operator: Open) -> None:
    page = operator(java_script_enabled=False)
    page.get_by_role("link", name="Orders", exact=True).click()
    page.get_by_role("searchbox").fill(scenery.SPLIT)
    page.get_by_role("searchbox").press("Enter")
    page.get_by_role("link", name=scenery.SPLIT).click()
    expect(page.get_by_role("heading", level=1)).to_contain_text("partially shipped")
    expect(page.locator(".live")).to_be_hidden()


@pytest.mark.parametrize("width", [360, 768])
def test_no_page_is_wider_than_a_narrow_screen(operator: Open, width: int) -> None:
    page = operator(viewport={"width": width, "height": 800})
    for path in [*PAGES, f"/console/orders?q={'x' * 200}"]:
        page.goto(path)
        assert (path, page.evaluate("document.documentElement.scrollWidth")) == (path, width)


def test_a_tenant_is_chosen_and_kept(operator: Open) -> None:
    page = operator("/console/orders")
    page.get_by_label("Tenant").select_option("acme")
    expect(page.get_by_text("No orders yet")).to_be_visible()
    page.get_by_role("link", name="Overview").click()
    expect(page.get_by_label("Tenant")).to_have_value("acme")
