"""The command line with references that a terminal, a path or a markup language would make something of."""

import re
import time

import orjson
import pytest
from support.commands import Gelato
from support.orders import fold
from support.seed import accept_all, item

from shared.events import Usable, read_webhook
from shared.store import Store, keys, records

#: Merchants' own text: what may be in it, and what a terminal, a path or a markup language would make of it.
ODD = (
    "a/b/c",
    "two\nlines",
    "{braces}{{double}}",
    "<script>alert(1)</script>",
    "right\u200f\u202eto left",
    "\x1b[31mred\x1b]0;title\x07",
    "[bold]markup[/bold] [/]",
    "--json",
    " blanks ",
    "%2F%0A",
    "Größe 靴 👞",
)
#: What must not reach a terminal as it is.
HARMFUL = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069]")


@pytest.fixture
def odd_orders(store: Store) -> tuple[str, ...]:
    """An order for each odd reference, with odd items and comments too."""
    for reference in ODD:
        accept_all(store, item(reference, "failed", itemReferenceId=f"item {reference}", comment=f"why: {reference}"))
    fold(store)
    return ODD


def test_odd_references_are_found_and_drawn_harmlessly(gelato: Gelato, odd_orders: tuple[str, ...]) -> None:
    for reference in odd_orders:
        raw = gelato("orders", "show", "--json", "--", reference)
        assert orjson.loads(raw.stdout)["orderReferenceId"] == reference
        for command in ("show", "events"):
            answer = gelato("orders", command, "--", reference, COLUMNS="400")
            assert answer.returncode == 0, answer.stderr
            assert not HARMFUL.search(answer.stdout), f"{command}: {answer.stdout!r}"
    listed = gelato("orders", "list", COLUMNS="400")
    assert not HARMFUL.search(listed.stdout)
    assert len(listed.stdout.splitlines()) == len(odd_orders) + 1
    assert "[bold]markup[/bold] [/]" in listed.stdout


def test_odd_references_are_told_harmlessly_by_what_mends_orders(
    gelato: Gelato, store: Store, odd_orders: tuple[str, ...]
) -> None:
    for reference in odd_orders:  # an event that no fold was told of: every rebuild changes its order
        event = read_webhook(orjson.dumps(item(reference, "passed", id="os_unseen")))
        assert isinstance(event, Usable)
        record = b"W" + records.body(time.time_ns() // 1000, event.text)
        store.client.rpush(keys.log(keys.order_name("default", reference)), record)
    rebuilt = gelato("orders", "rebuild", "--all", COLUMNS="400")
    assert f"{len(odd_orders)} changed" in rebuilt.stdout
    said = [rebuilt, gelato("orders", "close", "--", *odd_orders), gelato("orders", "rebuild", "--", "\x1b[31mX")]
    said += [gelato("orders", "close", "--", "\x1b[31mX"), gelato("orders", "show", "--", "\x1b[31mX")]
    said += [gelato("orders", "erase", "--yes", "--", odd_orders[5])]
    assert not any("Traceback" in answer.stderr for answer in said)
    assert [each.args for each in said if HARMFUL.search(each.stdout + each.stderr)] == []
