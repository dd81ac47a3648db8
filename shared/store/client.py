"""The two executors that drive the store's operations: one for blocking code, one for asyncio."""

import asyncio
from collections.abc import Iterable, Sequence
from itertools import groupby
from typing import Any, Final, TypeVar

import redis
from redis.asyncio.cluster import PipelineCommand
from redis.crc import key_slot
from redis.exceptions import (
    AskError,
    ClusterDownError,
    NoScriptError,
    RedisClusterException,
    RedisError,
    TryAgainError,
)

from shared.errors import StoreUnavailable
from shared.store.calls import Batch, Call, Operation, Step, whole, words
from shared.store.connect import connect, connect_async, disconnect_idle, is_cluster, sentinels
from shared.store.pipe import Pipe

T = TypeVar("T")
_WAITS: Final = ("WAIT", "WAITAOF")
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


class Store:
    """Blocking access to the store. Safe to use from several threads."""

    def __init__(self, client: Any, *, cluster: bool) -> None:
        self.client = client
        self.cluster = cluster
        #: Whether a batch may be finished in one call, which touches many orders.
        self.one_call = not cluster

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
            disconnect_idle(self.client, cluster=self.cluster)
            raise

    def close(self) -> None:
        """Close all connections."""
        self.client.close()
        for sentinel in sentinels(self.client):
            sentinel.close()

    def _step(self, step: Step) -> list[Any]:
        if self.cluster:
            return [result for lot in _lots(step) for result in self._in_cluster(lot)]
        calls = [whole(call) if isinstance(call, Batch) else call for call in step]
        if len(calls) == 1:
            return [self._single(calls[0])]
        with self.client.pipeline(transaction=False) as pipeline:
            for call in calls:
                pipeline.execute_command(*words(call))
            results = pipeline.execute(raise_on_error=False)
        again = _to_repeat(calls, results)
        if again:
            with self.client.pipeline(transaction=False) as pipeline:
                for n in again:
                    pipeline.execute_command(*words(calls[n], in_full=True))
                for n, result in zip(again, pipeline.execute(raise_on_error=False), strict=True):
                    results[n] = result
        return _without_errors(results)

    def _single(self, call: Call) -> Any:
        try:
            return self.client.execute_command(*words(call))
        except NoScriptError:
            return self.client.execute_command(*words(call, in_full=True))

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
                    pipeline.execute_command(*words(call))
                return list(pipeline.execute(raise_on_error=False))
        except RedisError as error:
            return [error] * len(calls)


class AsyncStore:
    """As `Store`, for asyncio."""

    def __init__(self, client: Any, *, cluster: bool) -> None:
        self.client = client
        self.cluster = cluster
        self.pipe = None if cluster else Pipe(client.connection_pool)

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
        if self.pipe is not None:
            self.pipe.close()
        await self.client.aclose()
        for sentinel in sentinels(self.client):
            await sentinel.aclose()

    async def _step(self, step: Step) -> list[Any]:
        if self.cluster:
            return [result for lot in _lots(step) for result in await self._in_cluster(lot)]
        calls = [whole(call) if isinstance(call, Batch) else call for call in step]
        if len(calls) == 1:
            return [await self._single(calls[0])]
        async with self.client.pipeline(transaction=False) as pipeline:
            for call in calls:
                pipeline.execute_command(*words(call))
            results = await pipeline.execute(raise_on_error=False)
        again = _to_repeat(calls, results)
        if again:
            async with self.client.pipeline(transaction=False) as pipeline:
                for n in again:
                    pipeline.execute_command(*words(calls[n], in_full=True))
                for n, result in zip(again, await pipeline.execute(raise_on_error=False), strict=True):
                    results[n] = result
        return _without_errors(results)

    async def _single(self, call: Call) -> Any:
        try:
            return await self.client.execute_command(*words(call))
        except NoScriptError:
            return await self.client.execute_command(*words(call, in_full=True))

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
    commands = [PipelineCommand(n, *words(call)) for n, call in enumerate(calls)]
    try:
        await node.execute_pipeline(commands)
    except RedisError as error:
        return [error] * len(calls)
    return [command.result for command in commands]


def _to_repeat(calls: Sequence[Call], results: Sequence[Any]) -> list[int]:
    """The calls of a pipeline to send again: scripts that the server did not know, and the waits that follow them."""
    unknown = [n for n, result in enumerate(results) if isinstance(result, NoScriptError)]
    return unknown + [n for n, call in enumerate(calls) if unknown and n > unknown[0] and call.command in _WAITS]


def _without_errors(results: list[Any]) -> list[Any]:
    for result in results:
        if isinstance(result, Exception):
            raise result
    return results


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
        (members, whole(batch._replace(items=[batch.items[n] for n in members], tail=()))) for members in slots.values()
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
