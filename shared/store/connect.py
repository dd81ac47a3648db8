"""From a URL to a client of Redis or Valkey: one server, Sentinel, or a cluster.

URLs: `redis://`, `rediss://`, `unix://`; `redis+sentinel://HOST:PORT,HOST:PORT/SERVICE[/DB]`;
`redis+cluster://HOST:PORT,HOST:PORT` (and `rediss+...` with TLS). Credentials stand before the first host, percent-encoded.
Options after a `?`: see `_OPTIONS`. Nothing of a URL is quoted in an error: it may hold a password.
"""

import threading
from collections.abc import Callable
from typing import Any, Final, NamedTuple
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit

import redis
import redis.asyncio
import redis.asyncio.cluster
import redis.asyncio.sentinel
import redis.cluster
import redis.sentinel
from redis.backoff import NoBackoff
from redis.retry import Retry

from shared.errors import ConfigurationError
from shared.store.packing import pack_in_c

_REMEDY: Final = (
    "REDIS_URL and RQ_REDIS_URL are redis://, rediss:// or unix://, redis+sentinel://HOST:PORT,HOST:PORT/SERVICE or "
    "redis+cluster://HOST:PORT,HOST:PORT; in a user name or password each of / ? # @ : % is percent-encoded"
)
#: Calls that may be on their way at the same time. redis-py's own limit, 100, is what a burst of readers has: the next
#: event would be told that Redis is away.
_MAX_CONNECTIONS: Final = 1_000


def connect(url: str, *, timeout_seconds: float) -> Any:
    """A blocking client for a URL; connects on first use. Raises `ConfigurationError`."""
    place, options = _place(url), _options(timeout_seconds)
    if place.kind == "cluster":
        nodes = [redis.cluster.ClusterNode(host, port) for host, port in place.hosts]
        retry = Retry(NoBackoff(), 1)
        return _Lazy(lambda: redis.cluster.RedisCluster(startup_nodes=nodes, retry=retry, **place.options, **options))
    options["retry"] = Retry(NoBackoff(), 1)
    if place.kind == "sentinel":
        sentinel = redis.sentinel.Sentinel(
            place.hosts, sentinel_kwargs={**options, **place.sentinel_options}, **options
        )
        return sentinel.master_for(place.service, **place.options)
    return redis.Redis(**place.options, **options)


def connect_async(url: str, *, timeout_seconds: float) -> Any:
    """An asyncio client for a URL; connects on first use. Raises `ConfigurationError`."""
    place, options = _place(url), _options(timeout_seconds)
    options["retry"] = redis.asyncio.retry.Retry(NoBackoff(), 1)
    if place.kind == "cluster":
        nodes = [redis.asyncio.cluster.ClusterNode(host, port) for host, port in place.hosts]
        return redis.asyncio.cluster.RedisCluster(startup_nodes=nodes, **place.options, **options)
    if place.kind == "sentinel":
        sentinel = redis.asyncio.sentinel.Sentinel(
            place.hosts, sentinel_kwargs={**options, **place.sentinel_options}, **options
        )
        return sentinel.master_for(place.service, **place.options)
    client = redis.asyncio.Redis(**place.options, **options)
    pack_in_c(client.connection_pool)
    return client


def is_cluster(url: str) -> bool:
    """Whether a URL names a cluster."""
    return _split(url).scheme in ("redis+cluster", "rediss+cluster")


class _Lazy:
    """redis-py's blocking cluster client asks the cluster while it is made; this one is made on first use."""

    def __init__(self, make: Callable[[], Any]) -> None:
        self._make = make
        self._made: Any = None
        self._lock = threading.Lock()

    def __getattr__(self, name: str) -> Any:
        with self._lock:
            if self._made is None:
                self._made = self._make()
        return getattr(self._made, name)

    def close(self) -> None:
        """Close what was made, if anything was."""
        if self._made is not None:
            self._made.close()


def sentinels(client: Any) -> list[Any]:
    """The connections to the Sentinels that a client asks where the primary is; it does not close them itself."""
    pool = vars(client).get("connection_pool")
    return list(pool.sentinel_manager.sentinels) if hasattr(pool, "sentinel_manager") else []


def disconnect_idle(client: Any, *, cluster: bool) -> None:
    """Close the connections that nobody is using."""
    if not cluster:
        client.connection_pool.disconnect(inuse_connections=False)
    elif client._made is not None:
        for node in client.get_nodes():
            if node.redis_connection is not None:
                node.redis_connection.connection_pool.disconnect(inuse_connections=False)


class _Place(NamedTuple):
    """What a URL says. `options` are redis-py's, for the data's connections; `sentinel_options` for those to Sentinel."""

    kind: str
    hosts: list[tuple[str, int]]
    options: dict[str, Any]
    service: str = ""
    sentinel_options: dict[str, Any] = {}


def _yes_or_no(text: str) -> bool:
    return {"yes": True, "true": True, "1": True, "no": False, "false": False, "0": False}[text.lower()]


def _requirement(text: str) -> str:
    return {"none": "none", "optional": "optional", "required": "required"}[text.lower()]


_TLS_OPTIONS: Final[dict[str, Callable[[str], Any]]] = {
    "ssl_ca_certs": str,  # file of the authorities' certificates
    "ssl_certfile": str,  # our own certificate, and its key
    "ssl_keyfile": str,
    "ssl_cert_reqs": _requirement,
    "ssl_check_hostname": _yes_or_no,
}
#: What may follow the `?` of a URL. The rest of redis-py's options would break what this module relies on.
_OPTIONS: Final[dict[str, Callable[[str], Any]]] = {
    "db": int,
    "username": str,
    "password": str,
    "client_name": str,
    "sentinel_username": str,
    "sentinel_password": str,
    **_TLS_OPTIONS,
}


def _place(url: str) -> _Place:
    """Read a URL. Raises `ConfigurationError`, which quotes nothing of it: a piece of a password may stand anywhere."""
    parts = _split(url)
    secure = parts.scheme.startswith("rediss")
    scheme, _, kind = parts.scheme.partition("+")
    if parts.scheme == "unix":
        kind = "unix"
    elif scheme not in ("redis", "rediss") or kind not in ("", "sentinel", "cluster"):
        raise _unusable("its scheme is unknown")
    options, of_sentinel = _query(parts, secure=secure, sentinel=kind == "sentinel")
    user, _, password = parts.netloc.rpartition("@")[0].partition(":")
    options |= {name: unquote(text) for name, text in (("username", user), ("password", password)) if text}
    if kind == "unix":
        path = unquote(parts.path)
        if not path:
            raise _unusable("unix:// needs the path of a socket")
        return _Place(kind, [], {"unix_socket_path": path, **options})
    hosts = _hosts(parts, 26379 if kind == "sentinel" else 6379, several=bool(kind))
    path = parts.path.strip("/")
    if kind == "cluster":
        if path or options.pop("db", 0):
            raise _unusable("a cluster has no databases")
        return _Place(kind, hosts, options)
    service = ""
    if kind == "sentinel":
        service, _, path = path.partition("/")
        if not service:
            raise _unusable("a Sentinel URL ends in /SERVICE")
    if path:
        if not path.isdecimal():
            raise _unusable("its path must be the number of a database")
        options.setdefault("db", int(path))
    if kind == "sentinel":
        return _Place(kind, hosts, options, unquote(service), of_sentinel)
    ((host, port),) = hosts
    return _Place(kind, hosts, {"host": host, "port": port, **options})


def _split(url: str) -> SplitResult:
    try:
        return urlsplit(url.strip())
    except ValueError:
        raise _unusable("its hosts must be HOST:PORT") from None


def _query(parts: SplitResult, *, secure: bool, sentinel: bool) -> tuple[dict[str, Any], dict[str, Any]]:
    """The options of a URL: for the data's connections, and for those to Sentinel."""
    options: dict[str, Any] = {"ssl": True} if secure else {}
    if parts.fragment:
        raise _unusable("it has a #")
    for name, text in parse_qsl(parts.query, keep_blank_values=True):
        if name not in _OPTIONS:
            raise _unusable(f"the options after its ? are {', '.join(_OPTIONS)}")
        if name in _TLS_OPTIONS and not secure:
            raise _unusable(f"{name} needs rediss://")
        if name.startswith("sentinel_") and not sentinel:
            raise _unusable(f"{name} needs redis+sentinel://")
        try:
            options[name] = _OPTIONS[name](text)
        except (ValueError, KeyError):
            raise _unusable(f"its option {name} has a wrong value") from None
    of_sentinel = {name: value for name, value in options.items() if name.startswith("ssl")}
    for name in ("username", "password"):
        if (value := options.pop(f"sentinel_{name}", None)) is not None:
            of_sentinel[name] = value
    return options, of_sentinel


def _hosts(parts: SplitResult, default_port: int, *, several: bool) -> list[tuple[str, int]]:
    hosts = []
    for part in parts.netloc.rpartition("@")[2].split(","):
        host, bracket, rest = part.partition("]")  # [::1]:6379
        if not bracket:
            host, _, rest = part.partition(":")
        port = rest.removeprefix(":") or str(default_port)
        if not host.strip("[") or not (port.isdecimal() and int(port) < 65536):
            raise _unusable("its hosts must be HOST:PORT")
        hosts.append((host.strip("["), int(port)))
    if len(hosts) > 1 and not several:
        raise _unusable("several hosts need redis+sentinel:// or redis+cluster://")
    return hosts


def _unusable(why: str) -> ConfigurationError:
    return ConfigurationError(f"a Redis URL cannot be used: {why}; {_REMEDY}")


def _options(timeout_seconds: float) -> dict[str, Any]:
    return {
        "socket_timeout": timeout_seconds,
        "socket_connect_timeout": min(timeout_seconds, 2.0),
        "max_connections": _MAX_CONNECTIONS,
        # The answers to scripts are the same in both, and version 3 brings pushed notifications that nobody reads.
        "protocol": 2,
    }
