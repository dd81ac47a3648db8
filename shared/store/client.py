"""Connections to Redis and Valkey, and the two executors that drive the store's operations.

URLs: `redis://`, `rediss://`, `unix://`; `redis+sentinel://HOST:PORT,HOST:PORT/SERVICE[/DB]`;
`redis+cluster://HOST:PORT,HOST:PORT` (and `rediss+...` with TLS). Credentials stand before the first host, percent-encoded.
Options after a `?`: see `_OPTIONS`.
"""

import asyncio
import threading
from collections.abc import Callable, Iterable, Sequence
from itertools import groupby
from typing import Any, Final, NamedTuple, TypeVar
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit

import redis
import redis.asyncio
import redis.asyncio.cluster
import redis.asyncio.sentinel
import redis.cluster
import redis.sentinel
from redis.asyncio.cluster import PipelineCommand
from redis.backoff import NoBackoff
from redis.crc import key_slot
from redis.exceptions import (
    AskError,
    ClusterDownError,
    NoScriptError,
    RedisClusterException,
    RedisError,
    TryAgainError,
)
from redis.retry import Retry

from shared.errors import ConfigurationError, StoreUnavailable
from shared.store.calls import Batch, Call, Operation, Step
from shared.store.scripts import Script

T = TypeVar("T")
_WAITS: Final = ("WAIT", "WAITAOF")
_REMEDY: Final = (
    "REDIS_URL and RQ_REDIS_URL are redis://, rediss:// or unix://, redis+sentinel://HOST:PORT,HOST:PORT/SERVICE or "
    "redis+cluster://HOST:PORT,HOST:PORT; in a user name or password each of / ? # @ : % is percent-encoded"
)
#: redis-py's cluster clients raise these beside its own root class.
_FAILURES: Final = (RedisError, RedisClusterException)
#: Answers of a cluster's node after which a call is sent again, alone: redis-py then finds the right node.
_ASTRAY: Final = (
    NoScriptError,
    AskError,
    TryAgainError,
    ClusterDownError,
    redis.ConnectionError,
    redis.TimeoutError,
)
#: Calls that may be on their way at the same time. redis-py's own limit, 100, is what a burst of readers has: the next
#: event would be told that Redis is away.
_MAX_CONNECTIONS: Final = 1_000


class Store:
    """Blocking access to the store. Safe to use from several threads."""

    def __init__(self, client: Any, *, cluster: bool) -> None:
        self.client = client
        self.cluster = cluster

    @classmethod
    def from_url(cls, url: str, *, timeout_seconds: float = 10.0) -> "Store":
        """Make a store; connects on first use. Raises `ConfigurationError` for a URL that cannot be used."""
        return cls(connect(url, timeout_seconds=timeout_seconds), cluster=is_cluster(url))

    def run(self, operation: Operation[T]) -> T:
        """Drive an operation to its end. Raises `StoreUnavailable` where the server cannot be reached or refuses."""
        try:
            step = next(operation)
            while True:
                try:
                    results = self._step(step)
                except _FAILURES as error:
                    step = operation.throw(error)  # some refusals mean something to an operation
                else:
                    step = operation.send(results)
        except StopIteration as stop:
            return stop.value  # type: ignore[no-any-return]
        except _FAILURES as error:
            raise StoreUnavailable(_said(error)) from error
        except BaseException:
            # Something from outside, RQ's timeout say, may have come between a call and the reading of its answer: the
            # connection is back in the pool, and the next call on it would be given that answer.
            _disconnect_idle(self.client, cluster=self.cluster)
            raise

    def close(self) -> None:
        """Close all connections."""
        self.client.close()
        for sentinel in _sentinels(self.client):
            sentinel.close()

    def _step(self, step: Step) -> list[Any]:
        if self.cluster:
            return [result for lot in _lots(step) for result in self._in_cluster(lot)]
        calls = [_whole(call) if isinstance(call, Batch) else call for call in step]
        if len(calls) == 1:
            return [self._single(calls[0])]
        with self.client.pipeline(transaction=False) as pipeline:
            for call in calls:
                pipeline.execute_command(*_words(call))
            results = pipeline.execute(raise_on_error=False)
        again = _to_repeat(calls, results)
        if again:
            with self.client.pipeline(transaction=False) as pipeline:
                for n in again:
                    pipeline.execute_command(*_words(calls[n], in_full=True))
                for n, result in zip(again, pipeline.execute(raise_on_error=False), strict=True):
                    results[n] = result
        return _without_errors(results)

    def _single(self, call: Call) -> Any:
        try:
            return self.client.execute_command(*_words(call))
        except NoScriptError:
            return self.client.execute_command(*_words(call, in_full=True))

    def _in_cluster(self, lot: Sequence[Call | Batch]) -> list[Any]:
        if isinstance(lot[0], Call):
            return self._apart([call for call in lot if isinstance(call, Call)])
        results = []
        for batch in lot:
            if isinstance(batch, Batch):
                parts = _by_slot(batch)
                results.append(_reassembled(parts, self._apart([part for _, part in parts])))
        return results

    def _apart(self, calls: Sequence[Call]) -> list[Any]:
        """Independent calls, in one pipeline per node."""
        results: list[Any] = [None] * len(calls)
        again: Sequence[int] = range(len(calls))
        if len(calls) > 1:
            for node, members in _by_node(self.client, calls):
                for n, result in zip(members, self._at_node(node, [calls[n] for n in members]), strict=True):
                    results[n] = result
            again = [n for n, result in enumerate(results) if isinstance(result, _ASTRAY)]
        for n in again:
            results[n] = self._single(calls[n])
        return _without_errors(results)

    def _at_node(self, node: Any, calls: Sequence[Call]) -> list[Any]:
        try:
            with self.client.get_redis_connection(node).pipeline(transaction=False) as pipeline:
                for call in calls:
                    pipeline.execute_command(*_words(call))
                return list(pipeline.execute(raise_on_error=False))
        except RedisError as error:
            return [error] * len(calls)


class AsyncStore:
    """As `Store`, for asyncio."""

    def __init__(self, client: Any, *, cluster: bool) -> None:
        self.client = client
        self.cluster = cluster

    @classmethod
    def from_url(cls, url: str, *, timeout_seconds: float = 2.0) -> "AsyncStore":
        """Make a store; connects on first use. Raises `ConfigurationError` for a URL that cannot be used."""
        return cls(connect_async(url, timeout_seconds=timeout_seconds), cluster=is_cluster(url))

    async def run(self, operation: Operation[T]) -> T:
        """Drive an operation to its end. Raises `StoreUnavailable` where the server cannot be reached or refuses."""
        task = asyncio.current_task()
        asked = task.cancelling() if task else 0
        try:
            step = next(operation)
            while True:
                try:
                    results = await self._step(step)
                except _FAILURES as error:
                    step = operation.throw(error)
                else:
                    step = operation.send(results)
        except StopIteration as stop:
            return stop.value  # type: ignore[no-any-return]
        except _FAILURES as error:
            raise StoreUnavailable(_said(error)) from error
        finally:
            # redis-py sends within `asyncio.wait_for`, which in Python 3.11 swallows a cancellation that comes just as the
            # sending is done: a task that is stopped would go on for ever, a patience end after the socket's timeout.
            if task and task.cancelling() > asked:
                raise asyncio.CancelledError

    async def close(self) -> None:
        """Close all connections."""
        await self.client.aclose()
        for sentinel in _sentinels(self.client):
            await sentinel.aclose()

    async def _step(self, step: Step) -> list[Any]:
        if self.cluster:
            return [result for lot in _lots(step) for result in await self._in_cluster(lot)]
        calls = [_whole(call) if isinstance(call, Batch) else call for call in step]
        if len(calls) == 1:
            return [await self._single(calls[0])]
        async with self.client.pipeline(transaction=False) as pipeline:
            for call in calls:
                pipeline.execute_command(*_words(call))
            results = await pipeline.execute(raise_on_error=False)
        again = _to_repeat(calls, results)
        if again:
            async with self.client.pipeline(transaction=False) as pipeline:
                for n in again:
                    pipeline.execute_command(*_words(calls[n], in_full=True))
                for n, result in zip(again, await pipeline.execute(raise_on_error=False), strict=True):
                    results[n] = result
        return _without_errors(results)

    async def _single(self, call: Call) -> Any:
        try:
            return await self.client.execute_command(*_words(call))
        except NoScriptError:
            return await self.client.execute_command(*_words(call, in_full=True))

    async def _in_cluster(self, lot: Sequence[Call | Batch]) -> list[Any]:
        if isinstance(lot[0], Call):
            return await self._apart([call for call in lot if isinstance(call, Call)])
        results = []
        for batch in lot:
            if isinstance(batch, Batch):
                parts = _by_slot(batch)
                results.append(_reassembled(parts, await self._apart([part for _, part in parts])))
        return results

    async def _apart(self, calls: Sequence[Call]) -> list[Any]:
        """Independent calls, in one pipeline per node, at all nodes at once."""
        results: list[Any] = [None] * len(calls)
        again: Sequence[int] = range(len(calls))
        if len(calls) > 1:
            await self.client.initialize()
            lots = _by_node(self.client, calls)
            answers = await asyncio.gather(*(_at_node(node, [calls[n] for n in members]) for node, members in lots))
            for (_, members), answered in zip(lots, answers, strict=True):
                for n, result in zip(members, answered, strict=True):
                    results[n] = result
            again = [n for n, result in enumerate(results) if isinstance(result, _ASTRAY)]
        for n in again:
            results[n] = await self._single(calls[n])
        return _without_errors(results)


async def _at_node(node: Any, calls: Sequence[Call]) -> list[Any]:
    commands = [PipelineCommand(n, *_words(call)) for n, call in enumerate(calls)]
    try:
        await node.execute_pipeline(commands)
    except RedisError as error:
        return [error] * len(calls)
    return [command.result for command in commands]


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
    return redis.asyncio.Redis(**place.options, **options)


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


def _sentinels(client: Any) -> list[Any]:
    """The connections to the Sentinels that a client asks where the primary is; it does not close them itself."""
    pool = vars(client).get("connection_pool")
    return list(pool.sentinel_manager.sentinels) if hasattr(pool, "sentinel_manager") else []


def _disconnect_idle(client: Any, *, cluster: bool) -> None:
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


def _words(call: Call, *, in_full: bool = False) -> Iterable[Any]:
    """The words of a command as sent. `in_full` sends a script's text, which also makes the server know its hash."""
    if isinstance(call.command, Script):
        if in_full:
            return ("EVAL", call.command.text, len(call.keys), *call.keys, *call.arguments)
        return ("EVALSHA", call.command.sha, len(call.keys), *call.keys, *call.arguments)
    return (call.command, *call.keys, *call.arguments)


def _to_repeat(calls: Sequence[Call], results: Sequence[Any]) -> list[int]:
    """The calls of a pipeline to send again: scripts that the server did not know, and the waits that follow them."""
    unknown = [n for n, result in enumerate(results) if isinstance(result, NoScriptError)]
    return unknown + [n for n, call in enumerate(calls) if unknown and n > unknown[0] and call.command in _WAITS]


def _without_errors(results: list[Any]) -> list[Any]:
    for result in results:
        if isinstance(result, Exception):
            raise result
    return results


def _whole(batch: Batch) -> Call:
    """A batch as one call."""
    keys: list[str] = []
    arguments: list[Any] = list(batch.common)
    for item_keys, item_arguments in batch.items:
        keys += item_keys
        arguments += item_arguments
    return Call(batch.script, (*keys, *batch.tail), tuple(arguments))


def _lots(step: Step) -> Iterable[Sequence[Call | Batch]]:
    """A step cut into lots that need not be carried out one after the other: batches, and neighbours of one command.

    Those of one key stay in their order all the same: they go to one node, in one pipeline.
    """
    for _, lot in groupby(step, key=lambda call: None if isinstance(call, Batch) else call.command):
        yield list(lot)


def _by_node(client: Any, calls: Sequence[Call]) -> list[tuple[Any, list[int]]]:
    """The nodes of a cluster that hold the keys of some calls, each with the positions of its calls."""
    nodes: dict[str, tuple[Any, list[int]]] = {}
    for n, call in enumerate(calls):
        node = client.get_node_from_key(call.keys[0])
        nodes.setdefault(node.name, (node, []))[1].append(n)
    return list(nodes.values())


def _by_slot(batch: Batch) -> list[tuple[Sequence[int], Call]]:
    """A batch as one call per hash slot, each with the positions of its items."""
    slots: dict[int, list[int]] = {}
    for n, (item_keys, _) in enumerate(batch.items):
        slots.setdefault(key_slot(item_keys[0].encode()), []).append(n)
    return [
        (members, _whole(batch._replace(items=[batch.items[n] for n in members], tail=())))
        for members in slots.values()
    ]


def _reassembled(parts: Sequence[tuple[Sequence[int], Call]], answers: Sequence[Sequence[Any]]) -> list[Any]:
    """The results of a batch's items, in their order."""
    found = {
        n: result
        for (members, _), answer in zip(parts, answers, strict=True)
        for n, result in zip(members, answer, strict=True)
    }
    return [found[n] for n in range(len(found))]


def _said(error: Exception) -> str:
    """What the server or the network said; a URL with a password in it is never part of it."""
    if isinstance(error, RedisClusterException) and " command" in str(error).lower():
        return (
            f"Redis: {type(error).__name__}: no node takes the command"  # its own words quote the command's arguments
        )
    return f"Redis: {type(error).__name__}: {error}"
