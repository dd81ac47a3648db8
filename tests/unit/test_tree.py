"""Orders drawn for a person: everything that matters is in it, nothing that harms a terminal."""

import io
import re
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console, RenderableType

from ops import tree
from shared import document, facts, rollup
from shared.events import Usable, read_webhook

RECEIVED = 1_795_000_000_000_000
#: Control characters, and those that turn text around.
HARMFUL = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069]")


def drawn(renderable: RenderableType) -> str:
    """What a wide terminal without colours would show."""
    file = io.StringIO()
    Console(file=file, width=400, color_system=None).print(renderable)
    return file.getvalue()


def folded(*events: dict[str, Any], reference: str = "R", tenant: str = "default") -> dict[str, Any]:
    """The document of some webhooks."""
    state = rollup.State(events=len(events))
    for n, event in enumerate(events):
        usable = read_webhook(orjson.dumps({"orderId": "o-1", "orderReferenceId": reference, "id": f"e{n}"} | event))
        assert isinstance(usable, Usable)
        rollup.join(state, facts.read_facts(usable.text, facts.WEBHOOK, RECEIVED + n * 60_000_000))
    return dict(document.build(tenant, reference, state, 3, RECEIVED))


def item(name: str, status: str, **more: Any) -> dict[str, Any]:
    """An item status."""
    return {"object": "itemStatus", "itemReferenceId": name, "status": status} | more


def parcel(name: str, code: str, **more: Any) -> dict[str, Any]:
    """A tracking code."""
    return {"object": "trackingCode", "itemReferenceId": name, "trackingCode": code} | more


def test_an_order_is_drawn_with_its_connected_orders_their_lines_and_parcels() -> None:
    text = drawn(
        tree.draw(
            folded(
                item("mug", "shipped", fulfillmentCountry="US", fulfillmentStateProvince="NY"),
                item("poster", "passed", orderId="o-2"),
                parcel("mug", "code123", trackingUrl="https://track/code123", shipmentMethodName="DHL Express"),
                parcel("case", "code123"),
                reference="83831IAKD2",
            )
        )
    )
    lines = text.splitlines()
    assert lines[0].startswith("83831IAKD2  partially_shipped")
    assert "v3, 4 events" in lines[0]
    assert re.search(r"connected order o-1  shipped", text)
    assert re.search(r"connected order o-2  passed", text)
    assert re.search(r"mug  shipped  since 20\d\d-.*  made in US, NY", text)
    assert "parcel code123  DHL Express  https://track/code123  shared with 1 other item" in text
    assert text.index("o-1") < text.index("mug") < text.index("o-2") < text.index("poster")


def test_what_needs_attention_stands_below_with_its_reason() -> None:
    text = drawn(tree.draw(folded(item("mug", "failed", comment="File resolution too low"), item("case", "passed"))))
    assert text.splitlines()[-1] == "! mug is failed: “File resolution too low”"


def test_a_connected_order_that_needs_attention_is_named() -> None:
    event = {"object": "orderStatus", "fulfillmentStatus": "on_hold", "items": None}
    assert "! connected order o-1 is on_hold" in drawn(tree.draw(folded(event)))


def test_a_silent_sibling_makes_an_order_incomplete() -> None:
    text = drawn(tree.draw(folded(item("mug", "passed", connectedOrderIds=["o-1", "o-2"]))))
    assert "incomplete: a connected order has not been heard of" in text
    assert re.search(r"o-2  created  silent", text)


def test_a_disagreement_is_shown() -> None:
    events = [item("mug", "passed"), {"object": "orderStatus", "fulfillmentStatus": "delivered", "items": [
        {"itemReferenceId": "case", "fulfillmentStatus": "delivered"}]}]  # fmt: skip
    assert "Gelato reported delivered, its lines disagree" in drawn(tree.draw(folded(*events)))


def test_other_tenants_estimates_and_ends_are_said() -> None:
    estimate = {"event": "order_delivery_estimate_updated", "minDeliveryDate": "2026-01-02", "maxDeliveryDate": None}
    text = drawn(tree.draw(folded(item("mug", "delivered"), estimate, tenant="acme")))
    assert "tenant acme" in text
    assert "expected 2026-01-02 to ?" in text
    assert "  done" in text
    closed = folded(item("mug", "failed")) | {"terminal": True, "closedAt": "2026-01-01T00:00:00Z"}
    assert "  closed" in drawn(tree.draw(closed))


def test_a_list_has_a_line_for_each_order() -> None:
    text = drawn(tree.table([folded(item("mug", "failed"), reference="one"), folded(item("mug", "delivered"))]))
    header, one, other = text.splitlines()
    assert header.split()[:3] == ["Order", "Status", "Done"]
    assert one.split()[:2] == ["one", "failed"]
    assert other.split()[:4] == ["R", "delivered", "yes", "?"]


def test_a_change_says_from_what_to_what() -> None:
    entry = {
        "tenant": "default",
        "orderReferenceId": "R",
        "version": 4,
        "status": "delivered",
        "previousStatus": "shipped",
        "terminal": True,
        "at": "2026-01-01T00:00:00Z",
    }
    assert drawn(tree.change(entry)).strip() == "2026-01-01T00:00:00Z  R  v4  shipped → delivered  done"
    same = entry | {"previousStatus": "delivered", "terminal": False}
    assert drawn(tree.change(same)).strip() == "2026-01-01T00:00:00Z  R  v4  delivered"


@pytest.mark.parametrize("odd", ["\x1b[31m", "a\nb", "\u202eevil", "\u200f", "[red]x[/red]", "[/]", "\x07", "\x85"])
def test_odd_texts_are_drawn_as_they_are_or_escaped(odd: str) -> None:
    found = folded(
        item(f"mug{odd}", "failed", comment=f"why{odd}", fulfillmentCountry=f"US{odd}"),
        parcel(f"mug{odd}", f"code{odd}", trackingUrl=f"https://{odd}", shipmentMethodName=f"DHL{odd}"),
        item("case", f"new{odd}", orderId=f"o{odd}"),
        reference=f"R{odd}",
    )
    for renderable in (tree.draw(found), tree.table([found])):
        assert not HARMFUL.search(drawn(renderable)), drawn(renderable)
    if odd.startswith("["):
        assert f"R{odd}" in drawn(tree.draw(found))


@given(st.text())
def test_visible_text_is_one_harmless_line(text: str) -> None:
    shown = tree.visible(text)
    assert shown.isprintable()
    assert not HARMFUL.search(shown)
    assert "\n" not in shown


@given(st.text(st.characters(categories=["L", "N", "P", "S"])))
def test_visible_text_leaves_letters_of_all_scripts_alone(text: str) -> None:
    assert tree.visible(text) == text
