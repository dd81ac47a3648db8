"""`orders show|list|events|watch`."""

import re
import signal
import time
from collections.abc import Callable
from typing import Any

import orjson
import pytest
from support.commands import Gelato
from support.orders import document, fold
from support.polling import eventually
from support.processes import Process, fixture
from support.seed import REFERENCE, SEED, accept_all, item
from support.server import Server

from shared.reader import Reader
from shared.store import Store, keys


def test_show_draws_connected_orders_items_statuses_parcels_and_what_needs_attention(
    gelato: Gelato, store: Store, seed_order: dict[str, Any]
) -> None:
    shipped = {
        "object": "orderStatus",
        "id": "os_shipped",
        "orderId": seed_order["connectedOrderIds"][0],
        "orderReferenceId": REFERENCE,
        "fulfillmentStatus": "shipped",
        "items": [
            {
                "itemReferenceId": "mug-15-oz",
                "fulfillmentStatus": "shipped",
                "fulfillments": [{"trackingCode": "code123", "trackingUrl": "https://track/code123"}],
            }
        ],
    }
    accept_all(store, shipped)
    fold(store)
    answer = gelato("orders", "show", REFERENCE, COLUMNS="300")
    assert answer.returncode == 0, answer.stderr
    drawn = answer.stdout
    assert all(order_id in drawn for order_id in seed_order["connectedOrderIds"])
    assert all(name in drawn for name in ("poster-13x18", "phone-case", "mug-15-oz"))
    assert "parcel code123" in drawn
    assert "! poster-13x18 is failed: “File resolution too low”" in drawn
    assert re.search(r"mug-15-oz  shipped", drawn)


def test_show_as_json_is_the_document_in_redis(gelato: Gelato, store: Store, seed_order: dict[str, Any]) -> None:
    assert orjson.loads(gelato("orders", "show", REFERENCE, "--json").stdout) == document(store, REFERENCE)


def test_an_unknown_order_is_something_wrong(gelato: Gelato) -> None:
    for command in ("show", "events", "rebuild", "close"):
        assert "X" in gelato("orders", command, "X").stderr
        assert gelato("orders", command, "X").returncode == 1


def test_list_shows_the_newest_first_and_filters(gelato: Gelato, store: Store) -> None:
    for reference, status in (("one", "passed"), ("two", "failed"), ("three", "canceled")):
        accept_all(store, item(reference, status))
        fold(store)
        folded = time.time_ns() // 1_000_000
        eventually(lambda: time.time_ns() // 1_000_000 > folded, what="the next millisecond")  # noqa: B023
    accept_all(store, item("others", "passed"), tenant="acme")
    fold(store)

    def listed(*options: str) -> list[str]:
        answer = gelato("orders", "list", "--json", *options)
        assert answer.returncode == 0, answer.stderr
        return [each["orderReferenceId"] for each in orjson.loads(answer.stdout)]

    assert listed() == ["three", "two", "one"]
    assert listed("--status", "failed") == ["two"]
    assert listed("--attention") == ["two"]
    assert listed("--open") == ["two", "one"]
    assert listed("--limit", "1") == ["three"]
    assert listed("--tenant", "acme") == ["others"]
    assert listed("--status", "nothing") == []
    assert all(name in gelato("orders", "list").stdout for name in ("one", "two", "three"))


def test_events_shows_the_raw_events_with_their_times(gelato: Gelato, seed_order: dict[str, Any]) -> None:
    answer = gelato("orders", "events", REFERENCE, "--json")
    assert answer.returncode == 0, answer.stderr
    shown = orjson.loads(answer.stdout)
    assert [each["identity"] for each in shown[:2]] == ["orderStatus:os_3193599927", "orderStatus:os_3193599928"]
    assert [each["event"] for each in shown[:5]] == [orjson.loads(fixture(name)) for name in SEED]
    assert shown[2]["at"] == "2018-08-03T07:26:52Z"
    assert "os_3193599925" in gelato("orders", "events", REFERENCE, COLUMNS="300").stdout


def test_watch_as_json_sees_a_change_and_ctrl_c_ends_it(
    start: Callable[..., Process], store: Store, server: Server
) -> None:
    watch = start("orders", "watch", "--json")
    client: Any = server.client
    eventually(lambda: any(each["cmd"] == "xread" for each in client.client_list()), what="it to look")
    accept_all(store, item("other"), tenant="acme")
    accept_all(store, item("mine"))
    fold(store)
    (change,) = eventually(watch.said, what="the change")
    assert change["orderReferenceId"] == "mine"
    assert (change["version"], change["status"], change["previousStatus"]) == (1, "passed", None)
    watch.send(signal.SIGINT)
    assert watch.process is not None
    assert watch.process.wait(10.0) == 0
    assert "Traceback" not in watch.log.read_text()


class Enough(Exception):
    """The end of a test's watching."""


def test_watch_misses_no_change_that_comes_between_two_looks(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shared.reader._BLOCK_MS", 10)
    reader = Reader(server.url)
    run, looks = reader._store.run, 0
    client: Any = server.client

    def look(operation: Any) -> Any:
        nonlocal looks
        found = run(operation)
        looks += 1
        if looks == 1:
            fields = {"orderReferenceId": "mine", "version": 1, "status": "passed", "previousStatus": ""}
            fields |= {"terminal": "false", "at": "2026-01-01T00:00:00Z", "tenant": "default"}
            client.xadd(keys.CHANGES, fields)
        if looks > 5:
            raise Enough
        return found

    monkeypatch.setattr(reader._store, "run", look)
    try:
        seen = next(reader.follow())["orderReferenceId"]
    except Enough:
        seen = "nothing"
    finally:
        reader.close()
    assert seen == "mine"
