"""`gelato-rollup doctor`: each line ok, warning or error with its remedy; works while things are broken."""

import sqlite3
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import orjson
import pytest
from support.commands import Gelato
from support.gelato.catcher import Catcher
from support.polling import eventually
from support.processes import SECRET, Process, Receiver, fixture, free_port
from support.server import Server

from shared.store import Store, due, keys

EVENT = fixture("itemStatus-os_3193599925.json")


def lines(answer: Any) -> list[dict[str, str]]:
    found: list[dict[str, str]] = orjson.loads(answer.stdout)
    assert all(set(each) == {"check", "level", "what", "remedy"} for each in found)
    assert all(each["remedy"] for each in found if each["level"] != "ok")
    worst = any(each["level"] == "error" for each in found)
    assert answer.returncode == (1 if worst else 0), "exit code 1 on an error, and on nothing else"
    return found


def said(found: list[dict[str, str]], check: str, level: str) -> str:
    return " | ".join(each["what"] for each in found if (each["check"], each["level"]) == (check, level))


def test_a_service_at_work_is_well_but_for_what_the_server_does_not_promise(
    gelato: Gelato, receiver: Receiver, start: Callable[..., Process], server: Server
) -> None:
    start("worker")
    receiver.post(EVENT)
    eventually(lambda: server.client.zcard(keys.WORKERS), what="the worker to be alive")
    eventually(lambda: server.client.exists(keys.LAST_EVENT), what="the receiver to have told")
    eventually(lambda: server.client.scard("rq:workers"), what="RQ's worker")
    found = lines(gelato("doctor", "--json"))
    assert {each["check"] for each in found if each["level"] == "error"} <= {"server"}
    assert "no persistence" in said(found, "server", "error"), "the tests' server keeps nothing"
    work = said(found, "work", "ok")
    assert "1 worker and " in work
    assert "0 orders due" in work
    assert "leases held" in work
    assert "last usable webhook: " in work
    assert "never" not in work
    assert said(found, "dead letters", "ok") == "none"
    assert "takes a write in" in said(found, "server", "ok")


def test_orders_that_are_due_without_a_worker_are_an_error(gelato: Gelato, receiver: Receiver) -> None:
    assert "no worker is alive" in said(lines(gelato("doctor", "--json")), "work", "warning")
    receiver.post(EVENT)
    receiver.post(b"{")
    found = lines(gelato("doctor", "--json"))
    assert "no worker is alive, and 1 orders are due" in said(found, "work", "error")
    assert "1 invalid-json" in said(found, "dead letters", "warning")


def test_a_lease_that_nobody_took_over_is_an_error(gelato: Gelato, store: Store) -> None:
    store.run(due.mark(["default/STUCK"]))
    assert len(store.run(due.claim(1, 60_000, "a-dead-worker", cluster=False)).orders) == 1
    assert "1 leases held" in said(lines(gelato("doctor", "--json")), "work", "ok")
    shard = keys.due(keys.shard_of("default/STUCK"))
    store.client.zadd(shard, {"default/STUCK": (time.time() - 60) * 1000})
    assert "1 of 1 leases ran out" in said(lines(gelato("doctor", "--json")), "work", "error")


def test_a_broken_configuration_does_not_hide_the_rest(gelato: Gelato) -> None:
    found = lines(gelato("doctor", "--json", PORT="abc", GELATO_RETENTION_DAYS="-1"))
    configuration = said(found, "configuration", "error")
    assert "PORT" in configuration
    assert "GELATO_RETENTION_DAYS" in configuration
    assert {"server", "work", "queue", "spool", "disk"} <= {each["check"] for each in found}
    assert "answers in" in said(found, "server", "ok")


def test_without_a_server_the_rest_is_still_examined(gelato: Gelato) -> None:
    url = f"redis://:hunter2@127.0.0.1:{free_port()}/0"
    answer = gelato("doctor", "--json", REDIS_URL=url)
    found = lines(answer)
    for check in ("server", "work", "dead letters", "queue"):
        assert said(found, check, "error"), check
    assert said(found, "disk", "ok")
    assert "hunter2" not in answer.stdout + answer.stderr


def test_what_waits_in_the_spool_is_told(gelato: Gelato, env: dict[str, str]) -> None:
    spool = Path(env["GELATO_DATA_DIR"]) / "spool"
    spool.mkdir(parents=True)
    with sqlite3.connect(spool / "spool.sqlite") as database:
        database.execute("CREATE TABLE totals (one INTEGER, events INTEGER, bytes INTEGER)")
        database.execute("CREATE TABLE entries (received INTEGER)")
        database.execute("INSERT INTO totals VALUES (1, 3, 900)")
        database.execute("INSERT INTO entries VALUES (?)", ((time.time() - 100) * 1e6,))
    database.close()
    found = lines(gelato("doctor", "--json", GELATO_SPOOL_PERSISTENT="yes"))
    assert "3 events, 900 bytes, the oldest for 10" in said(found, "spool", "warning")
    found = lines(gelato("doctor", "--json", GELATO_SPOOL_PERSISTENT="yes", GELATO_SPOOL_MAX_BYTES="1000"))
    assert "nearly full" in said(found, "spool", "error")


def test_a_test_notification_gets_through_to_the_public_url(gelato: Gelato, receiver: Receiver) -> None:
    for url in (receiver.base, f"{receiver.base}/webhooks/gelato", f"{receiver.base}/webhooks/gelato/default"):
        found = lines(gelato("doctor", "--json", "--url", url))
        assert "takes a test notification" in said(found, "webhooks", "ok"), found
    assert receiver.get("/orders").json()["orders"] == [], "it touches nothing"


def test_what_is_in_the_way_of_webhooks_is_named(gelato: Gelato, receiver: Receiver) -> None:
    def way(url: str, **more: str) -> str:
        return said(lines(gelato("doctor", "--json", "--url", url, **more)), "webhooks", "error")

    assert "401" in way(receiver.base, GELATO_WEBHOOK_SECRET="another-secret")
    assert "404" in way(f"{receiver.base}/hooks")
    assert "cannot be reached" in way(f"http://127.0.0.1:{free_port()}")
    assert "cannot be used" in way("not a URL")
    assert "no webhook secret" in way(f"{receiver.base}/webhooks/gelato/nobody")
    another = Catcher()
    try:
        assert "200: that is no answer of a receiver" in way(another.url)
        another.status = 301
        assert "redirects" in way(another.url)
        another.status = 503
        assert "can take nothing" in way(another.url)
    finally:
        another.stop()
    (first, *_) = another.caught
    assert first.headers["x-webhook-secret"] == SECRET
    assert first.event["orderReferenceId"] == "{{MyOrderId}}"


@pytest.mark.parametrize("url", ["https://user:hunter2@127.0.0.1:1/webhooks/gelato?key=hunter2"])
def test_nothing_secret_of_the_url_is_shown(gelato: Gelato, url: str) -> None:
    answer = gelato("doctor", "--url", url)
    assert answer.returncode == 1
    assert "hunter2" not in answer.stdout + answer.stderr
    assert SECRET not in answer.stdout + answer.stderr


def test_tenants_that_reconciliation_cannot_heal_are_named(gelato: Gelato, tmp_path: Path) -> None:
    (tmp_path / "tenants.toml").write_text('[acme]\nsecret = "a-long-secret-of-acme"\n')
    file = str(tmp_path / "tenants.toml")
    assert "acme, default" in said(
        lines(gelato("doctor", "--json", GELATO_TENANTS_FILE=file)), "reconciliation", "warning"
    )
    found = lines(gelato("doctor", "--json", GELATO_TENANTS_FILE=file, GELATO_API_KEY="a-key"))
    assert "the orders of acme: " in said(found, "reconciliation", "warning")
    assert "every tenant has" in said(lines(gelato("doctor", "--json", GELATO_API_KEY="a-key")), "reconciliation", "ok")


def test_the_spool_of_a_receiver_elsewhere_is_seen_by_an_operator_who_has_none(
    gelato: Gelato, env: dict[str, str], tmp_path: Path
) -> None:
    receiver = Receiver({**env, "GELATO_SPOOL_PERSISTENT": "yes"}, tmp_path / "receiver.log").start()
    try:
        found = lines(gelato("doctor", "--json", PORT=str(receiver.port), GELATO_DATA_DIR=str(tmp_path / "own")))
        assert "has one; 0 events in it" in said(found, "spool", "ok")
    finally:
        receiver.stop()
    found = lines(gelato("doctor", "--json", PORT=str(receiver.port), GELATO_DATA_DIR=str(tmp_path / "own")))
    assert "no spool" in said(found, "spool", "warning")
