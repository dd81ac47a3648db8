"""The present version goes on with a store that another version wrote, in place: `tests/fixtures/stores/`."""

import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import orjson
import pytest
from lifelike import lifelike_order
from support import stores
from support.commands import Gelato
from support.events import incoming, item_status
from support.folding.pure import as_document, fold, stored
from support.orders import accept, document, fold_all, found_document
from support.polling import eventually
from support.processes import OPS_TOKEN, Process, Receiver
from support.server import Server

from shared.rollup import STATE_FORMAT
from shared.store import Store, folding, keys
from shared.store.folding import Commit, Written
from worker.advance import Policy
from worker.rebuild import rebuild

STORES = sorted((stores.FIXTURES / "stores").glob("*.bin"))
#: The stores get older, and their orders must not end meanwhile.
YEARS = 36_500
POLICY = Policy(retention_days=YEARS, open_retention_days=YEARS)
LIVES = [f"life-{seed}" for seed in range(stores.LIVES)]
NAMED = ["83831IAKD2", "done", "parked", "deferred", "untold", "new"]
HISTORY = ("version", "updatedAt")

pytestmark = pytest.mark.parametrize("file", STORES, ids=lambda file: file.stem)


@pytest.fixture
def taken_over(file: Path, server: Server) -> dict[str, dict[str, Any]]:
    """An old store; the documents that are in it, by reference."""
    stores.load(server.client, file)
    client: Any = server.client
    found = [orjson.loads(client.get(key)) for key in client.scan_iter("gelato:order:*", count=1_000)]
    return {each["orderReferenceId"]: each for each in found}


def saying(found: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in found.items() if name not in HISTORY}


def test_the_store_is_what_it_is_said_to_be(file: Path, server: Server, taken_over: dict[str, Any]) -> None:
    assert set(taken_over) == {*LIVES, *NAMED} - {"new"}
    client: Any = server.client
    states = [client.get(key) for key in client.scan_iter("gelato:state:*")]
    assert {state[:2] for state in states} == {b"%dm" % STATE_FORMAT, b"%dz" % STATE_FORMAT}
    assert any(client.lindex(key, 0).startswith(b"Z") for key in client.scan_iter("gelato:log:*"))
    assert client.zcard(keys.DEAD_LETTERS) == 5
    assert client.hexists(keys.meta("default/untold"), "n")
    assert sum(client.zcard(keys.due(shard)) for shard in range(keys.SHARDS)) >= 3
    generations = [client.hexists(key, "g") for key in client.scan_iter("gelato:meta:*")]
    assert any(generations) is (file.stem != "before-generations")


def test_a_rebuild_changes_no_document(file: Path, store: Store, taken_over: dict[str, Any]) -> None:
    for reference, before in taken_over.items():
        if reference in ("done", "deferred"):  # an event of theirs waits
            continue
        assert rebuild(store, "default", reference, POLICY) is False, reference
        assert document(store, reference) == before


def test_its_documents_are_what_this_version_makes_of_the_same_events(file: Path, taken_over: dict[str, Any]) -> None:
    for seed, reference in enumerate(LIVES):
        history = lifelike_order(random.Random(seed), reference)
        # Receipts were the old version's; what does not depend on them is compared.
        made = as_document(fold(stored(history)))
        old = taken_over[reference]
        assert set(made) - set(HISTORY) <= set(old)
        assert made["connectedOrderIds"] == old["connectedOrderIds"], reference
        assert set(made["items"]) == set(old["items"]), reference
        codes = [{package["trackingCode"] for package in each["packages"]} for each in (made, old)]
        assert codes[0] == codes[1], reference


def test_new_events_fold_and_what_was_due_too(file: Path, store: Store, taken_over: dict[str, Any]) -> None:
    fold_all(store, POLICY)
    assert found_document(store, "new") is not None
    assert (document(store, "done")["status"], document(store, "done")["events"]) == ("returned", 5)
    assert document(store, "deferred")["packages"], "the event that raised was tried again"
    before = {reference: document(store, reference) for reference in [*LIVES, *NAMED]}
    for n, reference in enumerate(before):
        order_id = before[reference]["connectedOrderIds"][0]
        event = item_status(orderReferenceId=reference, orderId=order_id, id=f"new_{n}", itemReferenceId="a new one")
        accept(store, incoming(event))
    fold_all(store, POLICY)
    for reference, old in before.items():
        new = document(store, reference)
        assert new["events"] == old["events"] + 1, reference
        assert new["version"] == old["version"] + 1
        assert "a new one" in new["items"]
        assert rebuild(store, "default", reference, POLICY) is False


def test_a_change_that_waited_is_told(file: Path, server: Server, store: Store, taken_over: dict[str, Any]) -> None:
    client: Any = server.client
    told = client.xlen(keys.CHANGES)
    accept(store, incoming(item_status(orderReferenceId="untold", id="is_more")))
    fold_all(store, POLICY)
    assert not client.hexists(keys.meta("default/untold"), "n")
    entries = client.xrevrange(keys.CHANGES, count=client.xlen(keys.CHANGES) - told)
    versions = [int(fields[b"version"]) for _, fields in entries if fields[b"orderReferenceId"] == b"untold"]
    assert versions[::-1] == [1, 2]


def test_an_order_that_is_erased_stays_erased(
    file: Path, store: Store, taken_over: dict[str, Any], gelato: Gelato
) -> None:
    """With or without a generation: a worker that had loaded it brings nothing back."""
    name = "default/83831IAKD2"
    (loaded,) = store.run(folding.load([name]))
    stale = Commit(name, loaded.generation, loaded.revision, loaded.stored, loaded.cursor, 1 << 42, b"{}")
    assert gelato("orders", "erase", "83831IAKD2", "--yes").returncode == 0
    assert store.run(folding.commit([stale])) == [Written.GONE]
    accept(store, incoming(item_status(orderReferenceId="83831IAKD2", id="is_reborn")))
    assert store.run(folding.commit([stale])) == [Written.GONE]
    assert loaded.generation != store.run(folding.load([name]))[0].generation


def test_the_service_goes_on_with_it(
    file: Path,
    taken_over: dict[str, Any],
    env: dict[str, str],
    tmp_path: Path,
    start: Callable[..., Process],
    gelato: Gelato,
) -> None:
    """Lists, searches and dead letters, by receiver and worker."""
    env |= {"GELATO_RETENTION_DAYS": str(YEARS), "GELATO_OPEN_RETENTION_DAYS": str(YEARS)}
    receiver = Receiver(env, tmp_path / "receiver.log").start()
    try:
        start("worker", "--processes", "1")
        eventually(lambda: receiver.get("/orders/new").status_code == 200, what="the due order")
        assert gelato("orders", "rebuild", "--all").returncode == 0
        listed = receiver.get("/orders", params={"limit": 100}).json()["orders"]
        assert {each["orderReferenceId"] for each in listed} == {*LIVES, *NAMED}
        found = receiver.get("/orders", params={"q": "code123"}).json()["orders"]
        assert "deferred" in {each["orderReferenceId"] for each in found}
        letters = receiver.get("/dead-letters").json()["deadLetters"]
        assert len(letters) == 5
        parked = next(each for each in letters if each["reason"] == "fold-error")
        answer = receiver.client.post(
            f"/dead-letters/{parked['id']}/replay", headers={"Authorization": f"Bearer {OPS_TOKEN}"}
        )
        assert answer.json()["result"] in ("folded", "waiting"), answer.text
        eventually(lambda: receiver.get(f"/dead-letters/{parked['id']}").status_code == 404, what="the letter to go")
        assert receiver.get("/orders/parked").json()["packages"]
    finally:
        receiver.stop()
