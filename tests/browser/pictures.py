"""The pictures of `docs/how-to/console.md`: `make screenshots`. Not a test of anything, so its name is none."""

from collections.abc import Callable
from typing import Any

import scenery
from playwright.sync_api import Page

from shared.store import Store

_WIDE = {"width": 1280, "height": 900}
_NARROW = {"width": 390, "height": 844}


def test_take_them(operator: Callable[..., Page], visitor: Callable[..., Page], house: Any) -> None:
    directory = scenery.pictures()
    assert directory is not None, "SCREENSHOTS says where they go"
    store = Store.from_url(house.server.url)
    scenery.hour(store)
    store.close()

    def take(page: Page, name: str) -> None:
        page.wait_for_timeout(400)
        page.screenshot(path=directory / f"{name}.png")

    light, dark, narrow = (
        operator(viewport=_WIDE),
        operator(viewport=_WIDE, color_scheme="dark"),
        operator(viewport=_NARROW),
    )
    order = f"/console/order?reference={scenery.SPLIT}"
    group = f"group={scenery.UNKNOWN_EVENTS}"
    door = visitor(viewport=_WIDE)
    door.goto("/console")
    take(door, "console-sign-in")
    take(light, "console-overview")
    take(dark, "console-overview-dark")
    for page, name, path in [
        (light, "console-orders", "/console/orders"),
        (light, "console-order", order),
        (dark, "console-order-dark", order),
        (narrow, "console-order-narrow", order),
        (light, "console-dead-letters", "/console/letters"),
        (light, "console-replay-before", f"/console/letters/replay?{group}"),
    ]:
        page.goto(path)
        take(page, name)
    light.goto(order)
    light.evaluate("document.querySelectorAll('.events > li')[14].scrollIntoView()")
    take(light, "console-events")
    light.goto(f"/console/letters/replay?{group}")
    light.locator("main form button").click()
    light.get_by_text("Some could not be used again").wait_for()
    take(light, "console-replay-after")
