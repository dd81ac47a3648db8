"""What the URLs of servers mean: whole, with credentials, wrong."""

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
import redis
import redis.asyncio
from support.servers import Node

from shared.errors import ConfigurationError, StoreUnavailable
from shared.store import AsyncStore, Store, due
from shared.store.calls import one
from shared.store.connect import connect, connect_async

PASSWORD = "p@ss/w:rd#?%"


@pytest.fixture
def guarded(tmp_path: Path) -> Iterator[Node]:
    """A server with a password full of what URLs are made of, and a user of its own."""
    node = Node(
        tmp_path / "guarded", "--requirepass", PASSWORD, "--user", "gelato", "on", f">{PASSWORD}", "~*", "+@all"
    )
    node.client = redis.Redis(port=node.port, password=PASSWORD, protocol=2)
    yield node.start()
    node.stop()


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
