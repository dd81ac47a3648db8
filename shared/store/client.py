"""Connections to Redis and Valkey, and the two executors that drive the store's operations.

URLs: `redis://`, `rediss://`, `unix://`; `redis+sentinel://HOST:PORT,HOST:PORT/SERVICE[/DB]`;
`redis+cluster://HOST:PORT,HOST:PORT` (and `rediss+...` with TLS). Credentials stand before the first host.
"""

import asyncio
from collections.abc import Iterable, Sequence
from typing import Any, Final, TypeVar
from urllib.parse import unquote, urlsplit

import redis
import redis.asyncio
import redis.asyncio.cluster
import redis.asyncio.sentinel
import redis.cluster
import redis.sentinel
from redis.backoff import NoBackoff
from redis.crc import key_slot
from redis.exceptions import NoScriptError, RedisError
from redis.retry import Retry

from shared.errors import ConfigurationError, StoreUnavailable
from shared.store.calls import Batch, Call, Operation, Step
from shared.store.scripts import Script

T = TypeVar("T")
_WAITS: Final = ("WAIT", "WAITAOF")
_REMEDY: Final = "see REDIS_URL: redis://, rediss://, unix://, redis+sentinel:// or redis+cluster://"


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
                except RedisError as error:
                    step = operation.throw(error)  # some refusals mean something to an operation
                else:
                    step = operation.send(results)
        except StopIteration as stop:
            return stop.value  # type: ignore[no-any-return]
        except RedisError as error:
            raise StoreUnavailable(_said(error)) from error

    def close(self) -> None:
        """Close all connections."""
        self.client.close()

    def _step(self, step: Step) -> list[Any]:
        if self.cluster:
            return [self._in_cluster(call) for call in step]
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

    def _in_cluster(self, call: Call | Batch) -> Any:
        if isinstance(call, Call):
            return self._single(call)
        return _reassembled(call, [(members, self._single(part)) for members, part in _by_slot(call)])


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
        try:
            step = next(operation)
            while True:
                try:
                    results = await self._step(step)
                except RedisError as error:
                    step = operation.throw(error)
                else:
                    step = operation.send(results)
        except StopIteration as stop:
            return stop.value  # type: ignore[no-any-return]
        except RedisError as error:
            raise StoreUnavailable(_said(error)) from error

    async def close(self) -> None:
        """Close all connections."""
        await self.client.aclose()

    async def _step(self, step: Step) -> list[Any]:
        if self.cluster:
            return [await self._in_cluster(call) for call in step]
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

    async def _in_cluster(self, call: Call | Batch) -> Any:
        if isinstance(call, Call):
            return await self._single(call)
        parts = list(_by_slot(call))
        answers = await asyncio.gather(*(self._single(part) for _, part in parts))
        return _reassembled(call, [(members, answer) for (members, _), answer in zip(parts, answers, strict=True)])


def connect(url: str, *, timeout_seconds: float) -> Any:
    """A blocking client for a URL."""
    options = _options(timeout_seconds)
    try:
        if is_cluster(url):
            nodes = [redis.cluster.ClusterNode(host, port) for host, port in _hosts(url, 6379)]
            return redis.cluster.RedisCluster(startup_nodes=nodes, **_credentials(url), **options)
        if _is_sentinel(url):
            service, database = _service(url)
            sentinel = redis.sentinel.Sentinel(_hosts(url, 26379), sentinel_kwargs=options, **options)
            return sentinel.master_for(service, db=database, **_credentials(url))
        return redis.Redis.from_url(url, retry=Retry(NoBackoff(), 1), **options)
    except ValueError as error:
        raise ConfigurationError(f"the Redis URL cannot be used: {error}; {_REMEDY}") from None
    except RedisError as error:
        raise StoreUnavailable(_said(error)) from error


def connect_async(url: str, *, timeout_seconds: float) -> Any:
    """An asyncio client for a URL."""
    options = _options(timeout_seconds)
    try:
        if is_cluster(url):
            nodes = [redis.asyncio.cluster.ClusterNode(host, port) for host, port in _hosts(url, 6379)]
            return redis.asyncio.cluster.RedisCluster(startup_nodes=nodes, **_credentials(url), **options)
        if _is_sentinel(url):
            service, database = _service(url)
            sentinel = redis.asyncio.sentinel.Sentinel(_hosts(url, 26379), sentinel_kwargs=options, **options)
            return sentinel.master_for(service, db=database, **_credentials(url))
        return redis.asyncio.Redis.from_url(url, retry=redis.asyncio.retry.Retry(NoBackoff(), 1), **options)
    except ValueError as error:
        raise ConfigurationError(f"the Redis URL cannot be used: {error}; {_REMEDY}") from None


def is_cluster(url: str) -> bool:
    """Whether a URL names a cluster."""
    return urlsplit(url).scheme in ("redis+cluster", "rediss+cluster")


def _is_sentinel(url: str) -> bool:
    return urlsplit(url).scheme in ("redis+sentinel", "rediss+sentinel")


def _options(timeout_seconds: float) -> dict[str, Any]:
    # Protocol 2: the answers to scripts are the same in both, and version 3 brings pushed notifications that nobody reads.
    return {"socket_timeout": timeout_seconds, "socket_connect_timeout": min(timeout_seconds, 2.0), "protocol": 2}


def _hosts(url: str, default_port: int) -> list[tuple[str, int]]:
    hosts = []
    for part in urlsplit(url).netloc.rpartition("@")[2].split(","):
        host, _, port = part.rpartition(":") if ":" in part else (part, "", str(default_port))
        if not host or not port.isdigit():
            raise ValueError(f"{part!r} is no HOST:PORT")
        hosts.append((host, int(port)))
    return hosts


def _credentials(url: str) -> dict[str, Any]:
    parts = urlsplit(url)
    user, _, password = parts.netloc.rpartition("@")[0].partition(":")
    options: dict[str, Any] = {"ssl": True} if parts.scheme.startswith("rediss") else {}
    if user:
        options["username"] = unquote(user)
    if password:
        options["password"] = unquote(password)
    return options


def _service(url: str) -> tuple[str, int]:
    service, _, database = urlsplit(url).path.strip("/").partition("/")
    if not service:
        raise ValueError("a Sentinel URL ends in /SERVICE")
    return service, int(database or 0)


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


def _by_slot(batch: Batch) -> Iterable[tuple[Sequence[int], Call]]:
    """A batch as one call per hash slot, each with the positions of its items."""
    slots: dict[int, list[int]] = {}
    for n, (item_keys, _) in enumerate(batch.items):
        slots.setdefault(key_slot(item_keys[0].encode()), []).append(n)
    for members in slots.values():
        yield members, _whole(batch._replace(items=[batch.items[n] for n in members], tail=()))


def _reassembled(batch: Batch, parts: Iterable[tuple[Sequence[int], Any]]) -> list[Any]:
    results: list[Any] = [None] * len(batch.items)
    for members, answers in parts:
        for n, answer in zip(members, answers, strict=True):
            results[n] = answer
    return results


def _said(error: RedisError) -> str:
    """What the server or the network said; a URL with a password in it is never part of it."""
    return f"Redis: {type(error).__name__}: {error}"
