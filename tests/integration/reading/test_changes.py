"""Changes of an order over HTTP as server-sent events: many clients, clients that come back, bounds, and a clean end."""

import asyncio
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from support import events
from support.inside import Inside
from support.listening import Listener
from support.orders import accept, fold
from support.polling import eventually
from support.processes import ACME, OPS_TOKEN, READ_TOKEN, Receiver, environment
from support.server import Server

from receiver import changes as changes_module
from receiver import protocol
from receiver.app import create_app
from shared.settings import Settings
from shared.store import Store, keys

Listen = Callable[..., Listener]


@pytest.fixture(scope="module")
def settings() -> dict[str, str]:
    return {"GELATO_MAX_STREAMS_PER_TENANT": "5"}


@pytest.fixture
def listen(receiver: Receiver) -> Iterator[Listen]:
    """Follow `listen("/orders/A/changes")`, until the test ends."""
    made: list[Listener] = []

    def begin(path: str, base: str = receiver.base, **options: Any) -> Listener:
        made.append(Listener(base, path, **options))
        return made[-1]

    yield begin
    for each in made:
        each.close()


def change(store: Store, reference: str, n: int, tenant: str = "default") -> None:
    """Another version of an order."""
    accept(store, events.webhook(reference, n, tenant=tenant))
    fold(store)


@pytest.mark.parametrize("reference", ["..", "a/b", "changes", "100%"])
def test_an_order_is_followed_by_any_reference(
    receiver: Receiver, store: Store, listen: Listen, reference: str
) -> None:
    change(store, reference, 1)
    listener = listen(f"/orders/changes?reference={quote(reference, safe='')}")
    assert listener.wait_for(1).data["orderReferenceId"] == reference
    change(store, reference, 2)
    assert listener.wait_for(2).name == "change"


def test_the_document_comes_first_then_each_new_version(
    receiver: Receiver, store: Store, server: Server, listen: Listen
) -> None:
    change(store, "A", 1)
    listener = listen("/orders/A/changes")
    assert listener.answer.headers["content-type"] == "text/event-stream; charset=utf-8"
    assert listener.answer.headers["cache-control"] == "no-store"
    assert listener.wait_for(1).name == "document"
    assert listener.events[0].data == receiver.get("/orders/A").json()
    for n in range(2, 6):
        change(store, "A", n)
        change(store, "B", n)
    listener.wait_for(5)
    assert listener.versions() == [1, 2, 3, 4, 5]
    told = [event for event in listener.events if event.name == "change"]
    assert [event.id for event in told] == [
        entry_id.decode()
        for entry_id, fields in server.client.xrange(keys.CHANGES)
        if fields[b"orderReferenceId"] == b"A"
    ][1:]
    assert told[-1].data | {"at": None} == {
        "tenant": "default",
        "orderReferenceId": "A",
        "version": 5,
        "status": "passed",
        "previousStatus": "passed",
        "terminal": False,
        "at": None,
    }


def test_many_clients_are_told_by_one_reader(receiver: Receiver, store: Store, server: Server, listen: Listen) -> None:
    change(store, "A", 1)
    change(store, "a/b é", 1)
    both = [listen("/orders/A/changes"), listen("/tenants/default/orders/a%2Fb%20%C3%A9/changes", token=READ_TOKEN)]
    more = [listen("/orders/A/changes", token=READ_TOKEN) for _ in range(3)]
    for each in (*both, *more):
        each.wait_for(1)

    def readers() -> int:
        return sum("xread" in client["cmd"] for client in server.client.client_list())

    assert eventually(readers, what="a reader") == 1
    for n in range(2, 8):
        change(store, "A", n)
        change(store, "a/b é", n)
    for each in (*both, *more):
        each.wait_for(7)
        assert each.versions() == list(range(1, 8))
    for each in (*both, *more):
        each.close()
    eventually(lambda: readers() == 0, what="the reader to end when nobody listens")


@pytest.mark.parametrize(
    ("path", "token", "status"),
    [
        ("/orders/A/changes", "wrong", 401),
        ("/orders/none/changes", OPS_TOKEN, 404),
        ("/orders/A/changes", "acme-reads", 404),
        ("/tenants/acme/orders/A/changes", READ_TOKEN, 404),
        ("/tenants/nobody/orders/A/changes", OPS_TOKEN, 404),
        ("/tenants/acme/orders/A/changes", OPS_TOKEN, 404),
    ],
)
def test_who_may_not_read_the_document_may_not_follow_it(
    receiver: Receiver, store: Store, path: str, token: str, status: int
) -> None:
    change(store, "A", 1)
    assert receiver.get(path, token).status_code == status


class TestComingBack:
    def test_what_was_missed_comes_first(self, store: Store, listen: Listen) -> None:
        change(store, "A", 1)
        first = listen("/orders/A/changes")
        first.wait_for(1)
        change(store, "A", 2)
        last = first.wait_for(2).id
        first.close()
        for n in range(3, 6):
            change(store, "A", n)
            change(store, "B", n)
        again = listen("/orders/A/changes", last_id=last)
        again.wait_for(5)
        change(store, "A", 6)
        again.wait_for(6)
        assert again.versions() == [3, 4, 5, 6]
        assert {event.name for event in again.events} == {"change"}

    def test_from_the_documents_own_id_too(self, store: Store, listen: Listen) -> None:
        change(store, "A", 1)
        first = listen("/orders/A/changes")
        last = first.wait_for(1).id
        first.close()
        change(store, "A", 2)
        again = listen("/orders/A/changes", last_id=last)
        again.wait_for(2)
        assert again.versions() == [2]

    @pytest.mark.parametrize("last", ["0-1", "9999999999999-0", "nonsense", "1-" + "9" * 40, ""])
    def test_an_id_that_says_nothing_gets_the_document(self, store: Store, listen: Listen, last: str) -> None:
        change(store, "A", 1)
        assert listen("/orders/A/changes", last_id=last).wait_for(1).name == "document"

    def test_so_does_one_that_was_trimmed(self, store: Store, server: Server, listen: Listen) -> None:
        change(store, "A", 1)
        ((first, _),) = server.client.xrange(keys.CHANGES)
        for n in range(2, 5):
            change(store, "A", n)
        server.client.xtrim(keys.CHANGES, maxlen=1, approximate=False)
        again = listen("/orders/A/changes", last_id=first.decode())
        assert again.wait_for(4).name == "document"

    def test_and_one_from_too_long_ago(self, store: Store, server: Server, listen: Listen) -> None:
        change(store, "A", 1)
        ((first, fields),) = server.client.xrange(keys.CHANGES)
        with server.client.pipeline(transaction=False) as pipeline:
            for _ in range(5_100):
                pipeline.xadd(keys.CHANGES, {**fields, b"orderReferenceId": b"B"})
            pipeline.execute()
        assert listen("/orders/A/changes", last_id=first.decode()).wait_for(1).name == "document"


def test_one_tenant_may_have_so_many_and_then_others_still_may(
    receiver: Receiver, store: Store, listen: Listen
) -> None:
    path = "/tenants/acme/orders/A/changes"
    change(store, "A", 1)
    change(store, "A", 1, tenant="acme")
    followers = [listen(path) for _ in range(5)]
    for each in followers:
        each.wait_for(1)
    refused = receiver.get(path)
    assert (refused.status_code, refused.json()) == (503, {"error": "too-many-streams"})
    assert int(refused.headers["retry-after"]) > 0
    listen("/orders/A/changes").wait_for(1)
    followers[0].close()
    eventually(lambda: listen(path).answer.status_code == 200, what="the place of one that left")


def test_a_stop_ends_them_cleanly_and_soon(env: dict[str, str], tmp_path: Path, store: Store, listen: Listen) -> None:
    receiver = Receiver(env, tmp_path / "stopping.log").start()
    change(store, "A", 1)
    try:
        followers = [listen("/orders/A/changes", receiver.base) for _ in range(4)]
        for each in followers:
            each.wait_for(1)
        began = time.monotonic()
        assert receiver.terminate() == 0
        assert time.monotonic() - began < 5
        for each in followers:
            eventually(lambda each=each: each.ended, what="a clean end")  # type: ignore[misc]
            assert (each.events[-1].name, each.events[-1].data) == ("end", {"reason": "stopping"})
        assert not [line for line in receiver.said() if line.get("level") == "error"]
    finally:
        receiver.stop()


def test_they_go_on_when_redis_is_back(tmp_path: Path, listen: Listen) -> None:
    own = Server(tmp_path, "--appendonly", "yes", "--appendfsync", "always")
    own.start()
    receiver = Receiver(environment(own.url, tmp_path / "var"), tmp_path / "outage.log")
    store = Store.from_url(own.url)
    try:
        change(store, "A", 1)
        receiver.start()
        listener = listen("/orders/A/changes", receiver.base)
        listener.wait_for(1)
        own.kill()
        eventually(lambda: receiver.get("/orders/A/changes").status_code == 503, what="a refusal meanwhile")
        own.start()
        change(store, "A", 2)
        listener.wait_for(2)
        assert listener.versions() == [1, 2]
    finally:
        receiver.stop()
        store.close()
        own.stop()


def test_a_quiet_connection_is_kept_alive_until_its_token_is_taken_away(
    env: dict[str, str], store: Store, listen: Listen, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(changes_module, "BEAT_SECONDS", 0.1)
    monkeypatch.setattr(protocol, "HEADERS_SECONDS", 0.3)
    monkeypatch.setattr(protocol, "BODY_SECONDS", 0.3)
    tenants = tmp_path / "tenants.toml"
    tenants.write_text(ACME)
    app = create_app(Settings.from_environment({**env, "GELATO_TENANTS_FILE": str(tenants)}))
    change(store, "A", 1, tenant="acme")
    with Inside(app) as inside:
        listener = listen("/tenants/acme/orders/A/changes", inside.base, token="acme-reads")
        eventually(lambda: listener.comments > 8, what="signs of life, beyond the deadlines of a request")
        change(store, "A", 2, tenant="acme")
        listener.wait_for(2)
        tenants.write_text(ACME.replace("acme-reads", "another"))
        app.state.service.reload()
        eventually(lambda: listener.ended, what="the end of a stream whose token is no longer known")


def test_a_client_that_does_not_read_its_answer_is_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(protocol, "STALLED_SECONDS", 0.3)
    ends: list[str] = []

    async def endless(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send({"type": "http.response.start", "status": 200, "headers": []})
        sending = asyncio.create_task(flood(send))
        ends.append((await receive())["type"])
        sending.cancel()

    async def flood(send: Any) -> None:
        while True:
            await send({"type": "http.response.body", "body": b"x" * 65_536, "more_body": True})
            await asyncio.sleep(0.001)

    with Inside(endless) as inside, socket.create_connection(("127.0.0.1", inside.port)) as client:
        client.sendall(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n")
        eventually(lambda: ends == ["http.disconnect"], what="the end of the connection")
