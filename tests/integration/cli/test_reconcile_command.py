"""`gelato-rollup reconcile`: what it asks about, what it says, and its exit codes."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import orjson
import pytest
from support.commands import Answer, one_line, run_command
from support.events import webhook
from support.gelato.upstream import KEY, Fault, Upstream
from support.orders import accept, document, fold

from shared.clock import format_time
from shared.store import Store, keys, reconciling

Command = Callable[..., Answer]


@pytest.fixture
def reconcile(upstream: Upstream, env: dict[str, str], tmp_path: Path) -> Command:
    def run(*arguments: str, **more: str) -> Answer:
        api = {"GELATO_API_KEY": KEY, "GELATO_API_URL": upstream.url}
        return run_command(("reconcile", *arguments), {**env, **api, **more}, tmp_path)

    return run


def open_order(store: Store, upstream: Upstream, reference: str, now: str = "printed") -> dict[str, Any]:
    """An order that webhooks have told of as passed, and that is somewhere else by now."""
    made = upstream.add(reference, fulfillmentStatus=now)
    made["items"][0]["fulfillmentStatus"] = now
    accept(store, webhook(reference, orderId=made["id"], itemReferenceId="mug"))
    fold(store)
    return made


def test_named_orders_are_asked_about_and_the_summary_says_what_it_took(
    reconcile: Command, upstream: Upstream, store: Store
) -> None:
    open_order(store, upstream, "A")
    open_order(store, upstream, "another")
    answer = reconcile("A")
    assert answer.returncode == 0, answer.stderr
    assert answer.stdout == (
        "default: 1 orders looked at, 1 healed; 1 searches, 1 gets (1.00 gets per healed order); "
        "0 unknown to the order API\n"
    )
    fold(store)
    assert document(store, "A")["status"] == "printed"
    assert document(store, "another")["status"] == "passed"


def test_json_says_it_to_machines(reconcile: Command, upstream: Upstream, store: Store) -> None:
    open_order(store, upstream, "A")
    said = orjson.loads(reconcile("A", "--json").stdout)
    assert {name: said[name] for name in ("lookedAt", "healed", "searches", "gets", "getsPerHealed")} == {
        "lookedAt": 1,
        "healed": 1,
        "searches": 1,
        "gets": 1,
        "getsPerHealed": 1.0,
    }
    assert said["tenants"]["default"]["healed"] == 1
    assert store.run(reconciling.counts(["default"]))["default"].healed == 1


def test_an_order_that_the_api_does_not_know_is_exit_code_1(reconcile: Command, store: Store) -> None:
    assert "does not know: nowhere" in one_line(reconcile("nowhere", "--json"), 1)


def test_stale_finds_open_orders_that_have_been_silent_so_long(
    reconcile: Command, upstream: Upstream, store: Store
) -> None:
    open_order(store, upstream, "A")
    assert orjson.loads(reconcile("--stale", "1h", "--json").stdout)["lookedAt"] == 0
    assert orjson.loads(reconcile("--stale", "0s", "--json").stdout)["healed"] == 1


def test_incomplete_finds_orders_whose_siblings_are_silent(
    reconcile: Command, upstream: Upstream, store: Store
) -> None:
    made = open_order(store, upstream, "A")
    sibling = upstream.add("A")
    made["connectedOrderIds"] = sibling["connectedOrderIds"] = [made["id"], sibling["id"]]
    accept(store, webhook("A", 2, orderId=made["id"], connectedOrderIds=made["connectedOrderIds"]))
    fold(store)
    open_order(store, upstream, "whole")
    said = orjson.loads(reconcile("--incomplete", "--json").stdout)
    assert (said["lookedAt"], said["healed"], said["gets"]) == (1, 1, 2)


def test_since_finds_orders_never_heard_of(reconcile: Command, upstream: Upstream, store: Store) -> None:
    now_us = time.time_ns() // 1000
    upstream.add("new", createdAt=format_time(now_us - 3_600_000_000))
    upstream.add("old", createdAt=format_time(now_us - 475_200_000_000))
    said = orjson.loads(reconcile("--since", "3d", "--json").stdout)
    assert (said["lookedAt"], said["healed"]) == (1, 1)
    fold(store)
    assert document(store, "new")["complete"] is True
    again = orjson.loads(reconcile("--since", format_time(now_us - 6 * 86_400_000_000), "--json").stdout)
    assert (again["lookedAt"], again["healed"], again["gets"]) == (2, 1, 1)


def test_a_dry_run_says_what_would_be_asked_about_and_asks_nothing(
    reconcile: Command, upstream: Upstream, store: Store
) -> None:
    open_order(store, upstream, "A")
    found = orjson.loads(reconcile("--stale", "0s", "--dry-run", "--json").stdout)
    assert [(each["orderReferenceId"], each["why"]) for each in found] == [("A", "silent")]
    text = reconcile("--since", "12h", "--dry-run").stdout
    assert "all orders: placed " in text
    assert "1 would be asked about" in text
    assert upstream.asked == []


def test_without_anything_it_is_a_whole_round(reconcile: Command, upstream: Upstream, store: Store) -> None:
    open_order(store, upstream, "A")
    said = orjson.loads(reconcile("--json", GELATO_RECONCILE_AFTER="passed=0s").stdout)
    assert said["healed"] == 1
    assert store.run(reconciling.counts(["default"]))["default"].rounds == 1
    assert store.client.exists(keys.reconcile_lease("default")) == 0


def test_a_round_by_hand_begins_at_the_beginning_wherever_another_was_broken_off(
    reconcile: Command, upstream: Upstream, store: Store
) -> None:
    open_order(store, upstream, "A")
    store.client.set(keys.reconcile_position("default"), b'{"stage":6,"after":["Z",9999999999999]}')
    said = orjson.loads(reconcile("--json", GELATO_RECONCILE_AFTER="passed=0s").stdout)
    assert said["healed"] == 1


@pytest.mark.parametrize(
    ("arguments", "what"),
    [
        (("A", "--stale", "1h"), "not both"),
        (("--tenant", "nobody"), "no tenant"),
    ],
)
def test_wrong_usage_is_exit_code_2(reconcile: Command, arguments: tuple[str, ...], what: str) -> None:
    assert what in one_line(reconcile(*arguments), 2)


@pytest.mark.parametrize("arguments", [("--stale", "soon"), ("--since", "yesterday")])
def test_a_time_that_is_none_is_refused(reconcile: Command, arguments: tuple[str, ...]) -> None:
    answer = reconcile(*arguments)
    assert answer.returncode == 2
    assert arguments[0] in answer.stderr


def test_without_an_order_api_it_says_how_to_set_one(env: dict[str, str], tmp_path: Path) -> None:
    assert "GELATO_API_KEY" in one_line(run_command(("reconcile",), env, tmp_path), 2)


def test_an_api_in_trouble_is_exit_code_1(reconcile: Command, upstream: Upstream, store: Store) -> None:
    open_order(store, upstream, "A")
    upstream.fault_for = lambda _: Fault(status=401)
    answer = reconcile("A", "--json")
    assert answer.returncode == 1
    assert "401" in answer.stderr
    assert KEY not in answer.stdout + answer.stderr
