"""`orders rebuild|close`."""

import re
from typing import Any

import orjson
import pytest
from support.commands import Gelato, one_line
from support.orders import document, fold
from support.seed import REFERENCE, accept_all, item
from support.server import Server

from shared.store import Store, keys


def test_a_rebuild_changes_nothing_where_the_fold_was_right(
    gelato: Gelato, store: Store, seed_order: dict[str, Any]
) -> None:
    accept_all(store, item("acmes"), tenant="acme")
    fold(store)
    assert orjson.loads(gelato("orders", "rebuild", REFERENCE, "--json").stdout) == {
        "rebuilt": 1,
        "changed": [],
        "left": [],
        "unknown": [],
    }
    assert orjson.loads(gelato("orders", "rebuild", "--all", "--json").stdout)["changed"] == []
    assert document(store, REFERENCE) == seed_order


def test_a_rebuild_mends_a_document_that_is_wrong(gelato: Gelato, store: Store, server: Server) -> None:
    accept_all(store, item("mine"))
    fold(store)
    right = document(store, "mine")
    server.client.delete(keys.state("default/mine"))
    server.client.set(keys.document_key("default", "mine"), orjson.dumps(right | {"status": "delivered"}))
    answer = gelato("orders", "rebuild", "mine", "--json")
    assert answer.returncode == 0, answer.stderr
    mended = document(store, "mine")
    assert mended["status"] == "passed"
    assert mended["version"] > right["version"]


def test_rebuild_wants_references_or_all(gelato: Gelato) -> None:
    one_line(gelato("orders", "rebuild"), 2)
    one_line(gelato("orders", "rebuild", "X", "--all"), 2)


def test_rebuild_says_which_are_unknown_after_it_has_done_the_others(gelato: Gelato, seed_order: Any) -> None:
    answer = gelato("orders", "rebuild", "X", REFERENCE, "--json")
    assert answer.returncode == 1
    assert orjson.loads(answer.stdout) == {"rebuilt": 1, "changed": [], "left": [], "unknown": ["X"]}


def test_a_closed_order_is_terminal_until_another_event_comes(gelato: Gelato, store: Store) -> None:
    accept_all(store, item("mine", "failed"))
    fold(store)
    assert document(store, "mine")["terminal"] is False
    assert gelato("orders", "close", "mine").returncode == 0
    fold(store)
    closed = document(store, "mine")
    assert closed["terminal"] is True
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", closed["closedAt"])
    assert closed["status"] == "failed"
    assert "closed" in gelato("orders", "show", "mine", COLUMNS="300").stdout
    accept_all(store, item("mine", "passed"))
    fold(store)
    assert document(store, "mine")["terminal"] is False
    assert "closedAt" not in document(store, "mine")


@pytest.mark.parametrize(
    "command", ["show X", "events X", "rebuild X", "close X", "erase X --yes", "erase --whole-tenant --yes"]
)
def test_a_tenant_that_is_not_configured_is_named_and_those_that_are(gelato: Gelato, command: str) -> None:
    answer = gelato("orders", *command.split(), "--tenant", "nobody")
    assert answer.returncode == 1
    assert "tenant nobody is not configured; there are: default" in answer.stderr
    assert "not configured" not in gelato("orders", *command.split()).stderr


def test_a_name_that_no_tenant_can_have_is_refused(gelato: Gelato) -> None:
    answer = gelato("orders", "erase", "X", "--yes", "--tenant", "No/Body")
    assert answer.returncode == 2
    assert "tenant" in answer.stderr


def test_an_order_of_a_tenant_that_is_configured_no_more_can_be_rebuilt_and_erased(
    gelato: Gelato, store: Store
) -> None:
    accept_all(store, item("mine"), tenant="former")
    fold(store)
    assert gelato("orders", "rebuild", "mine", "--tenant", "former").returncode == 0
    assert gelato("orders", "erase", "mine", "--tenant", "former", "--yes").returncode == 0
    assert gelato("orders", "show", "mine", "--tenant", "former").returncode == 1
