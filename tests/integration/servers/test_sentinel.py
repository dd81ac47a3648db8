"""A primary, two replicas and three real Sentinels; and what the URLs of servers mean."""

import asyncio
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote

import orjson
import pytest
import redis
import redis.asyncio
from support.polling import eventually
from support.processes import Process, Receiver, environment
from support.servers import Node, Replicated, own_answers

from shared import kick
from shared.errors import ConfigurationError, StoreUnavailable
from shared.store import AsyncStore, Store, due, orders
from shared.store.calls import one
from shared.store.connect import connect, connect_async

PASSWORD = "p@ss/w:rd#?%"


@pytest.fixture
def replicated(tmp_path: Path) -> Iterator[Replicated]:
    servers = Replicated(tmp_path / "servers")
    try:
        yield servers.start()
    finally:
        servers.stop()


@pytest.fixture
def env(replicated: Replicated, tmp_path: Path) -> dict[str, str]:
    return environment(
        replicated.url, tmp_path / "var", GELATO_SPOOL_PERSISTENT="yes", GELATO_LEASE_SECONDS="2", LOG_LEVEL="debug"
    )


@pytest.fixture
def node(tmp_path: Path) -> Iterator[Node]:
    node = Node(tmp_path / "node").start()
    yield node
    node.stop()


@pytest.fixture
def guarded(tmp_path: Path) -> Iterator[Node]:
    """A server with a password full of what URLs are made of, and a user of its own."""
    node = Node(
        tmp_path / "guarded", "--requirepass", PASSWORD, "--user", "gelato", "on", f">{PASSWORD}", "~*", "+@all"
    )
    node.client = redis.Redis(port=node.port, password=PASSWORD, protocol=2)
    yield node.start()
    node.stop()


def item_status(order: int, number: int) -> dict[str, Any]:
    return {
        "id": f"is_{order}_{number}",
        "event": "order_item_status_updated",
        "orderReferenceId": f"order-{order}",
        "orderId": f"gelato-{order}",
        "itemReferenceId": f"item-{number % 7}",
        "status": ("passed", "printed", "shipped")[number % 3],
        "created": "2026-11-01T00:00:00Z",
    }


class Poster(threading.Thread):
    """Posts events of some orders one after the other, until it is told to stop; remembers which got a 2xx."""

    ORDERS = 8

    def __init__(self, receiver: Receiver) -> None:
        super().__init__(daemon=True)
        self.receiver = receiver
        self.answered: list[tuple[int, int]] = []
        self.spooled = 0
        self.refused = 0
        self.enough = threading.Event()

    def run(self) -> None:
        number = 0
        while not self.enough.is_set():
            order = number % self.ORDERS
            answer = self.receiver.post(item_status(order, number))
            if answer.status_code == 200:
                self.answered.append((order, number))
                self.spooled += bool(answer.json().get("spooled"))
            else:
                self.refused += 1
            number += 1
            time.sleep(0.002)  # a sender's pace

    def more(self, count: int) -> None:
        """Wait for so many more answers."""
        known = len(self.answered)
        eventually(lambda: len(self.answered) >= known + count, what="more events to be answered")


def beaten_since(node: Node, moment: datetime) -> bool:
    """Whether a worker of RQ has said so at a server since then; the names of dead ones stay for minutes."""
    beats = [node.client.hget(name, "last_heartbeat") for name in node.client.smembers(f"rq:workers:{kick.QUEUE}")]
    return any(datetime.fromisoformat(beat.decode()) > moment for beat in beats if beat)


def test_every_event_answered_during_a_failover_is_in_its_document_exactly_once(
    replicated: Replicated, receiver: Receiver, start: Callable[..., Process]
) -> None:
    worker = start("worker")

    def waits_for_a_replica() -> bool:
        ready = receiver.get("/readyz").json()
        return bool(ready.get("server", {}).get("replicas") == 2)

    eventually(waits_for_a_replica, what="the receiver to know of the replicas")
    poster = Poster(receiver)
    poster.start()
    poster.more(100)
    old = replicated.kill_primary()
    killed, killed_at = time.monotonic(), datetime.now(UTC)
    eventually(lambda: poster.spooled, what="events to go to the spool")
    new = replicated.failed_over(old)
    poster.more(50)

    def at_the_new_primary() -> bool:
        ready = receiver.get("/readyz").json()
        return bool(ready["where"] == "redis")

    eventually(at_the_new_primary, what="the receiver to find the new primary")
    taken_over = time.monotonic() - killed
    poster.more(50)
    poster.enough.set()
    poster.join(10)
    assert poster.refused == 0

    eventually(lambda: receiver.get("/readyz").json().get("spooled") == 0, seconds=45, what="the spool to be drained")
    store = Store.from_url(new.url)
    expected = {order: {n for each, n in poster.answered if each == order} for order in range(Poster.ORDERS)}

    def folded() -> bool:
        raws = store.run(orders.documents("default", [f"order-{order}" for order in expected]))
        return [orjson.loads(raw or b'{"events":0}')["events"] for raw in raws] == [
            len(numbers) for numbers in expected.values()
        ]

    try:
        eventually(folded, seconds=20, what="all events to be folded, each once")
        for order, numbers in expected.items():
            log = store.run(orders.log("default", f"order-{order}"))
            ids = [orjson.loads(record.text)["id"] for record in log if record.is_event]
            assert sorted(ids) == sorted(f"is_{order}_{number}" for number in numbers)
        # RQ's worker has followed too, registered itself anew, and a shift of it is alive.
        eventually(lambda: beaten_since(new, killed_at), seconds=20, what="RQ's worker")
        eventually(lambda: store.run(due.live_shifts()) == 1, seconds=20, what="a live shift")
    finally:
        store.close()
    assert worker.process is not None
    assert worker.process.poll() is None
    assert taken_over < 15


def test_cancelled_calls_leave_the_next_ones_their_own_answers_behind_sentinel(replicated: Replicated) -> None:
    asyncio.run(own_answers(replicated.url, [replicated.primary], hang_seconds=0.1))


def test_cancelled_calls_leave_the_next_ones_their_own_answers(node: Node) -> None:
    asyncio.run(own_answers(node.url, [node]))


def test_a_hanging_server_is_unavailable_in_time_and_well_again_after(node: Node) -> None:
    store = Store.from_url(node.url, timeout_seconds=0.2)
    store.run(one("SET", "key", arguments=("own",)))
    with node.hanging():
        began = time.monotonic()
        with pytest.raises(StoreUnavailable):
            store.run(one("GET", "key"))
        assert time.monotonic() - began < 2
    assert store.run(one("GET", "key")) == b"own"
    assert store.run(one("ECHO", arguments=("mine",))) == b"mine"
    store.close()


class Interrupted(BaseException):
    """As RQ's timeout: a signal raises it anywhere."""


def test_an_interruption_between_a_call_and_its_answer_leaves_the_next_call_its_own(
    node: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = Store.from_url(node.url)
    store.run(one("SET", "key", arguments=("own",)))

    def interrupted(*_: Any, **__: Any) -> Any:
        raise Interrupted

    with monkeypatch.context() as patch:
        patch.setattr(redis.Redis, "parse_response", interrupted)
        with pytest.raises(Interrupted):
            store.run(due.wait_for_work(0.2))  # its answer comes later
    assert store.run(one("GET", "key")) == b"own"
    assert store.run(one("ECHO", arguments=("mine",))) == b"mine"
    store.close()


def test_a_burst_of_readers_is_no_outage(node: Node) -> None:
    async def play() -> None:
        store = AsyncStore.from_url(node.url)
        found = await asyncio.gather(*(store.run(orders.document("default", f"order-{n}")) for n in range(300)))
        assert found == [None] * 300
        await store.close()

    asyncio.run(play())


# What URLs mean.


def pool_of(url: str, *, asynchronous: bool) -> dict[str, Any]:
    client = (connect_async if asynchronous else connect)(url, timeout_seconds=3.0)
    options: dict[str, Any] = {
        **client.connection_pool.connection_kwargs,
        "class": client.connection_pool.connection_class,
    }
    return options


@pytest.mark.parametrize("asynchronous", [False, True])
@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("redis://db.example", {"host": "db.example", "port": 6379, "db": 0, "class": "Connection"}),
        ("redis://db.example:6380/3", {"host": "db.example", "port": 6380, "db": 3}),
        ("redis://[::1]:6380/3", {"host": "::1", "port": 6380, "db": 3}),
        ("redis://:p%40ss@db.example", {"username": None, "password": "p@ss"}),
        (f"redis://me:{quote(PASSWORD, safe='')}@h:1/0", {"username": "me", "password": PASSWORD, "port": 1}),
        ("redis://h?db=4&username=me&password=p%25", {"username": "me", "password": "p%", "db": 4}),
        ("rediss://h:1", {"class": "SSLConnection", "ssl_cert_reqs": "required", "ssl_check_hostname": True}),
        (
            "rediss://h:1?ssl_ca_certs=/ca.pem&ssl_certfile=/c.pem&ssl_keyfile=/k.pem&ssl_check_hostname=no",
            {"ssl_ca_certs": "/ca.pem", "ssl_certfile": "/c.pem", "ssl_keyfile": "/k.pem", "ssl_check_hostname": False},
        ),
        ("rediss://h?ssl_cert_reqs=none", {"ssl_cert_reqs": "none"}),
        ("unix:///run/valkey.sock?db=2", {"path": "/run/valkey.sock", "db": 2, "class": "UnixDomainSocketConnection"}),
        ("unix://me:secret@/run/v.sock", {"path": "/run/v.sock", "username": "me", "password": "secret", "db": 0}),
        ("redis://h", {"socket_timeout": 3.0, "socket_connect_timeout": 2.0, "protocol": 2}),
    ],
)
def test_a_url_is_passed_on_whole(url: str, expected: dict[str, Any], asynchronous: bool) -> None:
    options = pool_of(url, asynchronous=asynchronous)
    options["class"] = options["class"].__name__.removeprefix("_Packed")
    assert {name: options.get(name) for name in expected} == expected


@pytest.mark.parametrize("asynchronous", [False, True])
def test_a_sentinel_url_says_who_is_asked_and_how(asynchronous: bool) -> None:
    url = (
        "rediss+sentinel://me:data%2Fpw@s1:1,s2,[::1]:3/my-service/2"
        "?sentinel_username=asker&sentinel_password=asking&ssl_ca_certs=/ca.pem"
    )
    client = (connect_async if asynchronous else connect)(url, timeout_seconds=3.0)
    pool = client.connection_pool
    assert pool.service_name == "my-service"
    assert pool.connection_class.__name__ == "SentinelManagedSSLConnection"
    data = {"db": 2, "username": "me", "password": "data/pw", "ssl_ca_certs": "/ca.pem", "socket_timeout": 3.0}
    assert {name: pool.connection_kwargs[name] for name in data} == data
    asked = [each.connection_pool.connection_kwargs for each in pool.sentinel_manager.sentinels]
    assert [(each["host"], each["port"]) for each in asked] == [("s1", 1), ("s2", 26379), ("::1", 3)]
    for each in asked:
        assert (each["username"], each["password"], each["ssl_ca_certs"]) == ("asker", "asking", "/ca.pem")
        assert each.get("db", 0) == 0


def test_a_cluster_url_says_who_is_asked_and_how() -> None:
    url = "rediss+cluster://me:data%2Fpw@n1:1,n2:2?ssl_ca_certs=/ca.pem"
    client = connect_async(url, timeout_seconds=3.0)
    assert [(each.host, each.port) for each in client.startup_nodes] == [("n1", 1), ("n2", 2)]
    options = client.connection_kwargs
    assert options["connection_class"] is redis.asyncio.SSLConnection
    assert (options["username"], options["password"], options["ssl_ca_certs"]) == ("me", "data/pw", "/ca.pem")
    assert (options["socket_timeout"], options["protocol"]) == (3.0, 2)


@pytest.mark.parametrize("asynchronous", [False, True])
@pytest.mark.parametrize(
    "url",
    [
        "hunter2",
        "http://hunter2@h:1",
        "redis+sentinels://:hunter2@h:1/s",
        "rediss+unix://:hunter2@/s",
        "redis://:hunter2@",
        "redis://user:hunter2/x@h:6379/0",  # not escaped
        "redis://:hunter2#x@h:6379/0",
        "redis://:hunter2?x@h:6379/0",
        "redis://:6379?hunter2@h:6379/0",
        "redis://:hunter2@h:port/0",
        "redis://:hunter2@h:65536/0",
        "redis://:hunter2@[h:1/0",
        "redis://:hunter2@h:1/first",
        "redis://:hunter2@h:1/-1",
        "redis://:hunter2@h1:1,h2:2/0",
        "redis://:hunter2@h:1?decode_responses=hunter2",
        "redis://:hunter2@h:1?db=hunter2",
        "redis://:hunter2@h:1?ssl_ca_certs=hunter2",
        "rediss://:hunter2@h:1?ssl_cert_reqs=hunter2",
        "redis://:hunter2@h:1?sentinel_password=hunter2",
        "redis+sentinel://:hunter2@h:1",
        "redis+sentinel://:hunter2@h:1/service/first",
        "redis+sentinel://:hunter2@h:1,/service",
        "redis+cluster://:hunter2@h:1/1",
        "redis+cluster://:hunter2@h:1?db=1",
        "unix://:hunter2@",
    ],
)
def test_a_wrong_url_is_refused_with_a_remedy_and_without_its_secrets(url: str, asynchronous: bool) -> None:
    with pytest.raises(ConfigurationError) as raised:
        (AsyncStore if asynchronous else Store).from_url(url)
    said = str(raised.value)
    assert "REDIS_URL" in said
    assert "percent-encoded" in said
    assert "hunter2" not in said
    assert raised.value.__cause__ is None
    assert raised.value.__context__ is None or raised.value.__suppress_context__


@pytest.mark.parametrize("user", ["", "gelato"])
def test_credentials_of_a_url_open_the_server(guarded: Node, user: str) -> None:
    secret = quote(PASSWORD, safe="")
    url = f"redis://{user}:{secret}@{guarded.address}/0"
    store = Store.from_url(url)
    assert store.run(one("PING"))
    store.close()

    async def play() -> None:
        store = AsyncStore.from_url(url)
        assert await store.run(one("PING"))
        await store.close()

    asyncio.run(play())
    store = Store.from_url(f"redis://{user}:wr0ng-secret@{guarded.address}/0")
    with pytest.raises(StoreUnavailable) as raised:
        store.run(one("PING"))
    store.close()
    assert "wr0ng" not in str(raised.value)


@pytest.mark.parametrize("kind", ["sentinel", "cluster"])
def test_no_secret_is_in_the_error_of_a_server_that_is_not_there(kind: str) -> None:
    store = Store.from_url(f"redis+{kind}://us3r:s3cret@127.0.0.1:1/{'service' if kind == 'sentinel' else ''}")
    with pytest.raises(StoreUnavailable) as raised:
        store.run(one("PING"))
    store.close()
    assert "s3cret" not in str(raised.value)


def test_a_database_of_its_own_is_used(node: Node) -> None:
    store = Store.from_url(f"redis://{node.address}/5")
    store.run(due.mark(["default/A"]))
    store.close()
    assert node.client.info("keyspace").keys() == {"db5"}


def test_a_plain_server_in_the_place_of_sentinel_is_unavailable(node: Node) -> None:
    store = Store.from_url(f"redis+sentinel://{node.address}/gelato")
    with pytest.raises(StoreUnavailable):
        store.run(one("PING"))
    store.close()
