"""What is bounded, and the answer of each bound: docs/reference/bounds.md."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from support.events import order_status, webhook
from support.orders import accept, document, fold, letters
from support.processes import READ_TOKEN, Receiver
from support.server import Server

from shared.rollup import Limits
from shared.store import Store, dead_letters, folding, intake, keys, orders
from shared.store.dead_letters import DeadLetter
from worker.advance import Policy

Make = Callable[..., Receiver]
PARCEL = {"object": "trackingCode", "itemReferenceId": "mug"}


@pytest.fixture
def make(env: dict[str, str], tmp_path: Path) -> Iterator[Make]:
    """Starts receivers with settings of their own."""
    started: list[Receiver] = []

    def begin(**settings: str) -> Receiver:
        started.append(Receiver({**env, **settings}, tmp_path / f"bounded-{len(started)}.log").start())
        return started[-1]

    yield begin
    for each in started:
        each.stop()


def test_beyond_the_most_dead_letters_new_ones_are_counted_and_reported_and_known_ones_still_count(
    make: Make, server: Server
) -> None:
    receiver = make(GELATO_MAX_DEAD_LETTERS="2")
    answers = [receiver.post({"event": "unheard-of", "n": n}) for n in range(5)]
    assert {(answer.status_code, answer.json()["result"]) for answer in answers} == {(202, "quarantined")}
    assert receiver.post({"event": "unheard-of", "n": 0}).status_code == 202
    assert server.client.zcard(keys.DEAD_LETTERS) == 2
    first = answers[0].json()["deadLetter"]
    assert receiver.get(f"/dead-letters/{first}").json()["count"] == 2
    assert receiver.get("/dead-letters").json()["dropped"] == {"unknown-event": 3}
    assert 'gelato_dead_letters_dropped_total{reason="unknown-event"} 3' in receiver.client.get("/metrics").text
    assert receiver.post(order_status()).json()["result"] == "accepted"


def test_the_payloads_of_dead_letters_have_a_bound_together(
    store: Store, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    def bury(n: int, size: int) -> int:
        letter = DeadLetter(f"{n:032}", "default", "unknown-event", "event: unknown", b"x" * size, n + 1)
        return store.run(dead_letters.bury(letter, most=100))

    monkeypatch.setattr(dead_letters, "MAX_BYTES", 1_000)
    assert [bury(1, 400), bury(2, 400), bury(3, 400), bury(4, 200), bury(1, 400)] == [1, 1, 0, 1, 1]
    assert store.run(dead_letters.dropped()) == {"unknown-event": 1}
    store.run(dead_letters.remove([f"{1:032}", f"{2:032}", f"{9:032}"]))
    assert int(server.client.get(keys.DEAD_LETTERS_BYTES) or 0) == 200
    assert [bury(5, 800), bury(6, 1)] == [1, 0]


def test_a_tenant_that_floods_with_reads_is_slowed_by_itself(make: Make, tmp_path: Path) -> None:
    tenants = tmp_path / "tenants.toml"
    tenants.write_text('[acme]\nsecret = "acmes"\nread_tokens = ["acme-reads"]\n')
    receiver = make(GELATO_REQUESTS_PER_SECOND="5", GELATO_TENANTS_FILE=str(tenants))
    flood = [receiver.get("/orders/X", READ_TOKEN) for _ in range(40)]
    refused = [answer for answer in flood if answer.status_code == 429]
    assert len(refused) >= 20
    assert all(int(answer.headers["retry-after"]) >= 1 for answer in refused)
    assert receiver.get("/tenants/acme/orders/X", "acme-reads").status_code == 404, "another tenant reads on"
    posted = [receiver.post(order_status(id=n)).status_code for n in range(40)]
    assert posted == [200] * 40, "webhooks have no quota"


def test_the_stream_of_changes_is_cut_and_the_documents_stay(
    store: Store, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(folding, "MAX_CHANGES", 100)
    for at in range(0, 500, 100):
        accept(store, *(webhook(f"R{n}") for n in range(at, at + 100)))
        fold(store)
    assert 100 <= server.client.xlen(keys.CHANGES) <= 300, "whole nodes of the stream are cut"
    assert server.client.zcard(keys.index("default")) == 500


def test_an_order_with_too_many_bytes_of_events_gets_dead_letters_and_other_orders_go_on(
    make: Make, server: Server
) -> None:
    receiver = make()
    assert receiver.post(order_status()).json()["result"] == "accepted"
    server.client.hset(keys.meta("default/REF-1"), "b", intake.MAX_BYTES_PER_ORDER - 100)
    answer = receiver.post(order_status(id="os_2"))
    assert (answer.status_code, answer.json()["reason"]) == (202, "order-limit")
    assert "bytes" in answer.json()["detail"]
    assert receiver.post(order_status(orderReferenceId="REF-2")).json()["result"] == "accepted"


@pytest.mark.parametrize(
    ("limits", "events"),
    [
        (Limits(lines=2), [{"itemReferenceId": str(n)} for n in range(3)]),
        (Limits(connected_orders=2), [{"orderId": str(n)} for n in range(3)]),
        (Limits(statuses=2), [{"itemReferenceId": "mug", "status": status} for status in ("created", "passed", "new")]),
        (Limits(parcels=2), [{**PARCEL, "trackingCode": str(n)} for n in range(3)]),
    ],
    ids=["lines", "connected orders", "statuses", "parcels"],
)
def test_what_one_order_holds_is_bounded_and_the_rest_of_it_goes_on(
    store: Store, server: Server, limits: Limits, events: list[dict[str, Any]]
) -> None:
    policy = Policy(limits=limits)
    for n, fields in enumerate(events):
        accept(store, webhook("A", n, **fields))
        fold(store, policy)
    (letter,) = letters(server)
    assert (letter["reason"], letter["orderReferenceId"]) == (b"order-limit", b"A")
    accept(store, webhook("A", 9, **events[0]), webhook("B", 9, **events[0]))
    fold(store, policy)
    assert (document(store, "A")["events"], document(store, "B")["events"]) == (3, 1)
    assert len(letters(server)) == 1


def test_a_long_comment_is_cut_in_the_document_and_kept_in_the_log(store: Store) -> None:
    accept(store, webhook("A", status="failed", comment="x" * 100_000))
    fold(store)
    (line,) = document(store, "A")["attention"]
    assert len(line["comment"]) == 2_048
    (record,) = store.run(orders.log("default", "A"))
    assert len(record.text) > 100_000
