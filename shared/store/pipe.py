"""A connection on which operations follow one another without waiting: the receiver's way to one server.

redis-py gives every call a connection of its own until it is answered, some tasks and timers. Here a batch is one write,
from wherever its last webhook was read, and its answer is one callback. What is hard about connections (authentication, TLS,
asking Sentinel) redis-py still does; the established socket is taken over.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Any, Final, TypeVar

import hiredis

from shared.errors import StoreUnavailable
from shared.store.calls import Operation
from shared.store.running import WRONG_SERVER, Running

T = TypeVar("T")

_NOTHING: Final = object()


class _Socket(asyncio.Protocol):
    """One established connection. Once the pipe has left it, what it still says is nobody's business."""

    def __init__(self, pipe: "Pipe") -> None:
        self.pipe: Pipe | None = pipe

    def data_received(self, data: bytes) -> None:
        """Answers have come."""
        if self.pipe is not None:
            self.pipe.received(self, data)

    def connection_lost(self, exc: Exception | None) -> None:
        """The server has gone."""
        if self.pipe is not None:
            self.pipe.lost(exc)


class Pipe:
    """One connection to one server, made on first use and made anew when it is lost."""

    def __init__(self, pool: Any) -> None:
        self._pool = pool
        self._connection: Any = None
        self._socket: _Socket | None = None
        self._transport: asyncio.Transport | None = None
        self._connecting: asyncio.Task[None] | None = None
        self._reader = hiredis.Reader(notEnoughData=_NOTHING)
        self._unsent: deque[Running[Any]] = deque()
        self._unanswered: deque[Running[Any]] = deque()

    def start(self, operation: Operation[T], done: Callable[[T | Exception], None]) -> Running[T]:
        """Start an operation; `done` is called with its result, or with the `StoreUnavailable` that ended it."""
        running = Running(operation, done)
        if self._transport is not None:
            self._send(running)
        else:
            self._unsent.append(running)
            if self._connecting is None:
                self._connecting = asyncio.get_running_loop().create_task(self._connect())
        return running

    def close(self) -> None:
        """Close the connection; what is on its way fails, and the next operation connects again."""
        if self._connecting is not None:
            self._connecting.cancel()
        if self._transport is not None:
            self._transport.abort()
        self._lost(StoreUnavailable("Redis: the connection was closed"))

    def received(self, socket: _Socket, data: bytes) -> None:
        """Answers have come by a connection."""
        reader = self._reader
        reader.feed(data)
        try:
            while self._socket is socket and (answer := reader.gets()) is not _NOTHING:
                running = self._unanswered[0]
                running.results.append(answer)
                if len(running.results) == len(running.calls):
                    self._unanswered.popleft()
                    self._answered(running)
        except (hiredis.HiredisError, IndexError):  # no answer that anybody asked for: whose is the next one?
            self.close()

    def lost(self, exc: Exception | None) -> None:
        """The server has gone."""
        self._lost(StoreUnavailable(f"Redis: the connection was lost ({type(exc).__name__ if exc else 'closed'})"))

    def _answered(self, running: Running[Any]) -> None:
        refused = running.refusals
        if any(text.startswith("NOSCRIPT") for text in refused):
            running.results = []
            self._send(running, in_full=True)
        elif running.go_on():
            self._send(running)
        if any(text.startswith(WRONG_SERVER) for text in refused):
            self.close()

    def _send(self, running: Running[Any], *, in_full: bool = False) -> None:
        if self._transport is None:
            self._unsent.append(running)
            return
        self._unanswered.append(running)
        self._transport.write(running.packed(in_full=in_full))

    async def _connect(self) -> None:
        connection = self._pool.make_connection()
        try:
            await connection.connect()
            transport = connection._writer.transport
        except asyncio.CancelledError:
            connection._close()
            raise
        except Exception as error:  # whatever it is: nobody is to wait for a connection that does not come
            connection._close()
            self._connecting = None
            self._lost(StoreUnavailable(f"Redis: {type(error).__name__}: {error}"))
            return
        self._connecting = None
        self._reader = hiredis.Reader(notEnoughData=_NOTHING)
        self._connection, self._transport = connection, transport
        self._socket = _Socket(self)
        transport.set_protocol(self._socket)
        unsent, self._unsent = self._unsent, deque()
        for running in unsent:
            if running.done is not None:
                self._send(running)

    def _lost(self, error: StoreUnavailable) -> None:
        connection, self._connection, self._transport, self._connecting = self._connection, None, None, None
        socket, self._socket = self._socket, None
        if socket is not None:
            socket.pipe = None
        if connection is not None:
            connection._close()
        running = [*self._unanswered, *self._unsent]
        self._unanswered.clear()
        self._unsent.clear()
        for each in running:
            each.end(error)
