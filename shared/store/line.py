"""A connection on which operations follow one another without waiting: a shift's way to one server.

While the server works on one batch, the worker folds the next. What is hard about connections (authentication, TLS, asking
Sentinel) redis-py still does; the established socket is taken over, and hiredis packs and reads. redis-py's own calls cost
some sixty microseconds each, and an event that comes alone would wait for several.
"""

from collections import deque
from typing import Any, Final, Generic, TypeVar

import hiredis
from redis.exceptions import RedisError

from shared.errors import StoreUnavailable
from shared.store.calls import Operation
from shared.store.client import Store
from shared.store.running import WRONG_SERVER, Running
from shared.store.scripts import Script

T = TypeVar("T")

_NOTHING: Final = object()
_INTERRUPTED: Final = "Redis: the connection was left in the midst of a call"
_CHUNK_BYTES: Final = 256 * 1024


class Ticket(Generic[T]):
    """Stands for the result of an operation that is on its way."""

    __slots__ = ("outcome",)

    def __init__(self) -> None:
        self.outcome: list[T | Exception] = []


class Line:
    """One connection to one server, for one thread; made on first use, and once anew when it is lost.

    In a cluster an operation is carried out at once, over the store's own connections.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._pool: Any = None if store.cluster else store.client.connection_pool
        self._connection: Any = None
        #: All that has no answer was sent a second time already.
        self._retried = False
        #: The scripts that were sent over this connection.
        self._sent: set[str] = set()
        #: Steps that are sent together with the next one.
        self._held: list[bytes] = []
        self._reader = hiredis.Reader(notEnoughData=_NOTHING)
        self._unanswered: deque[Running[Any]] = deque()

    def start(self, operation: Operation[T], *, hold: bool = False) -> Ticket[T]:
        """Send an operation's first step, behind those of others. `wait` tells what came of it.

        `hold`: together with the next one that is sent, or when somebody waits; a write wakes the server.
        """
        ticket: Ticket[T] = Ticket()  # `Ticket[T]()` takes longer than the rest of this
        if self._store.cluster:
            try:
                ticket.outcome.append(self._store.run(operation))
            except StoreUnavailable as error:
                ticket.outcome.append(error)
        else:
            self._send(Running(operation, ticket.outcome.append), hold=hold)
        return ticket

    def wait(self, ticket: Ticket[T]) -> T:
        """The result of an operation. Raises `StoreUnavailable`, and whatever the operation raised."""
        while not ticket.outcome:
            self._receive()
        (result,) = ticket.outcome
        if isinstance(result, Exception):
            raise result
        return result

    def run(self, operation: Operation[T]) -> T:
        """Drive an operation to its end; raises as `wait`."""
        return self.wait(self.start(operation))

    def close(self) -> None:
        """Give the connection back. What is on its way may still be carried out, but nobody hears of it."""
        if self._unanswered:
            self._fail(StoreUnavailable("Redis: the connection was closed"))
        elif self._connection is not None:
            connection, self._connection = self._connection, None
            self._pool.release(connection)

    def _send(self, running: Running[Any], *, in_full: bool = False, hold: bool = False) -> None:
        self._unanswered.append(running)
        try:
            if self._connection is None:
                self._connect()
            self._held.append(self._packed(running, in_full=in_full))
            if not hold:
                self._send_held()
        except (OSError, RedisError) as error:
            self._again(error)
        except BaseException:
            self._fail(StoreUnavailable(_INTERRUPTED))  # half a command may have been sent
            raise

    def _packed(self, running: Running[Any], *, in_full: bool = False) -> bytes:
        """A step as sent. A script's first call is in full: one that had to be repeated would come behind its successors."""
        scripts = [call.command.sha for call in running.calls if isinstance(call.command, Script)]
        in_full = in_full or not self._sent.issuperset(scripts)
        self._sent.update(scripts)
        return running.packed(in_full=in_full)

    def _send_held(self) -> None:
        held, self._held = self._held, []
        self._connection._sock.sendall(held[0] if len(held) == 1 else b"".join(held))

    def _receive(self) -> None:
        """Wait for answers, and hand them out."""
        reader = self._reader
        try:
            if self._held:
                self._send_held()
            data = self._connection._sock.recv(_CHUNK_BYTES)
            if not data:
                raise ConnectionError("closed by the server")
            reader.feed(data)
            while self._unanswered and self._reader is reader and (answer := reader.gets()) is not _NOTHING:
                running = self._unanswered[0]
                running.results.append(answer)
                if len(running.results) == len(running.calls):
                    self._unanswered.popleft()
                    self._retried = False
                    self._answered(running)
        except (OSError, hiredis.HiredisError) as error:
            self._again(error)
        except BaseException:
            self._fail(
                StoreUnavailable(_INTERRUPTED)
            )  # the next operation would be given the answer that nobody has read
            raise

    def _answered(self, running: Running[Any]) -> None:
        refused = running.refusals
        if any(text.startswith("NOSCRIPT") for text in refused):
            running.results = []
            self._send(running, in_full=True)
        elif running.go_on():
            self._send(running)
        if any(text.startswith(WRONG_SERVER) for text in refused):
            self._fail(StoreUnavailable("Redis: the server is not the primary any more"))

    def _again(self, error: Exception) -> None:
        """The connection is lost: send all that has no answer once more, to whoever is the server now."""
        if self._retried or isinstance(error, TimeoutError):  # a server that hangs has had its time
            self._fail(StoreUnavailable(f"Redis: {type(error).__name__}: {error}"))
            return
        self._retried = True
        self._disconnect()
        for running in self._unanswered:
            running.results = []
        try:
            self._connect()
            self._connection._sock.sendall(b"".join([self._packed(running) for running in self._unanswered]))
        except (OSError, RedisError) as second:
            self._fail(StoreUnavailable(f"Redis: {type(second).__name__}: {second}"))

    def _fail(self, error: StoreUnavailable) -> None:
        self._disconnect()
        unanswered, self._unanswered = self._unanswered, deque()
        self._retried = False
        for running in unanswered:
            running.end(error)

    def _connect(self) -> None:
        self._connection = self._pool.get_connection()
        self._sent.clear()
        self._held.clear()
        self._reader = hiredis.Reader(notEnoughData=_NOTHING)

    def _disconnect(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.disconnect()
            self._pool.release(connection)
