"""A TCP proxy on loopback that stands between processes and their Redis, sees every command pass, and can spoil it.

Each process has a port of its own here, so that the proxy knows who speaks. Commands and answers are told apart (RESP 2),
so that it can strike at an exact point: when a given script is on its way to the server, or when its answer comes back.
"""

import asyncio
import contextlib
import threading
from collections import Counter, deque
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, TypeVar

from support import resp

T = TypeVar("T")

_CHUNK = 1 << 16
_CONNECT_SECONDS = 2.0
_SUBSCRIPTIONS = ("SUBSCRIBE", "PSUBSCRIBE", "SSUBSCRIBE")


class Moment(Enum):
    """When a trap springs."""

    #: The command has come from its sender, and has not reached the server.
    SENT = "sent"
    #: The server has carried it out, and its sender has not seen the answer.
    ANSWERED = "answered"


class Cut(Enum):
    """Where a connection is cut."""

    #: The server gets half of the bytes: whole commands, and a piece of one.
    HALF_SENT = "half sent"
    #: The server gets everything, the client no answer.
    UNANSWERED = "unanswered"
    #: The client gets half of the answer's bytes.
    HALF_ANSWERED = "half answered"


@dataclass
class Trap:
    """Springs once, at a command of one of `owners`: calls `strike` with that owner.

    With `hold_seconds` the command (or its answer) is held back for so long and goes on then; else the connection is cut.
    """

    command: str
    moment: Moment
    owners: frozenset[str]
    strike: Callable[[str], None]
    hold_seconds: float = 0.0
    sprung: threading.Event = field(default_factory=threading.Event)
    victim: str = ""


class Proxy:
    """The proxy; its loop runs in a thread of its own. `scripts`: names of scripts by their hash."""

    def __init__(self, port: int, scripts: Mapping[str, str]) -> None:
        self.upstream = port
        self.scripts = dict(scripts)
        #: Every answer of the server is held back for so long.
        self.delay_seconds = 0.0
        #: Commands are answered with this error line, and do not reach the server.
        self.refusal: bytes | None = None
        self.passed: Counter[tuple[str, str]] = Counter()
        self._traps: list[Trap] = []
        self._cuts: list[Cut] = []
        self.cuts_done: Counter[Cut] = Counter()
        self._lock = threading.Lock()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="proxy", daemon=True)
        self._servers: list[asyncio.Server] = []
        self._links: set[asyncio.Task[Any]] = set()
        self._thread.start()

    def listen(self, owner: str) -> int:
        """Open a port for a process; its number."""

        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            task = asyncio.current_task()
            assert task is not None
            self._links.add(task)
            try:
                with contextlib.suppress(asyncio.CancelledError):  # asyncio would report it as an error at the stop
                    await _Link(self, owner, reader, writer).run()
            finally:
                self._links.discard(task)

        async def begin() -> int:
            server = await asyncio.start_server(serve, "127.0.0.1", 0, limit=_CHUNK)
            self._servers.append(server)
            return int(server.sockets[0].getsockname()[1])

        return self._call(begin())

    def set(self, trap: Trap) -> Trap:
        """Set a trap."""
        with self._lock:
            self._traps.append(trap)
        return trap

    def unset(self, trap: Trap) -> None:
        """Take a trap away, sprung or not."""
        with self._lock, contextlib.suppress(ValueError):
            self._traps.remove(trap)

    def cut(self, *cuts: Cut) -> None:
        """Cut the next connections on which scripts or pipelines pass, one for each."""
        with self._lock:
            self._cuts.extend(cuts)

    def uncut(self) -> None:
        """Leave the cuts that have not been made."""
        with self._lock:
            self._cuts.clear()

    def stop(self) -> None:
        """Close everything."""

        async def end() -> None:
            for server in self._servers:
                server.close()
            for task in list(self._links):
                task.cancel()
            if self._links:
                await asyncio.wait(list(self._links), timeout=5.0)

        self._call(end())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(5.0)
        self._loop.close()

    def caught(self, owner: str, command: str, moment: Moment) -> Trap | None:
        """The trap that springs here, if one does."""
        if not self._traps:
            return None
        with self._lock:
            for trap in self._traps:
                if trap.command == command and trap.moment is moment and owner in trap.owners:
                    self._traps.remove(trap)
                    break
            else:
                return None
        trap.victim = owner
        trap.strike(owner)
        trap.sprung.set()
        return trap

    def next_cut(self) -> Cut | None:
        """The cut that is to be made here."""
        if not self._cuts:
            return None
        with self._lock:
            cut = self._cuts.pop(0) if self._cuts else None
        if cut is not None:
            self.cuts_done[cut] += 1
        return cut

    def _call(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(10.0)


class _Severed(Exception):
    """This connection ends here."""


class _Link:
    """One connection through the proxy."""

    def __init__(self, proxy: Proxy, owner: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._proxy, self._owner = proxy, owner
        self._reader, self._writer = reader, writer
        #: What was asked and is not answered yet: the command's name, or the answer that the proxy gives itself.
        self._asked: deque[str | bytes] = deque()
        self._raw = False
        self._in_transaction = False
        self._cut: Cut | None = None

    async def run(self) -> None:
        """Carry bytes both ways until either side ends, or the proxy does."""
        server: asyncio.StreamWriter | None = None
        try:
            async with asyncio.timeout(_CONNECT_SECONDS):
                answers, server = await asyncio.open_connection("127.0.0.1", self._proxy.upstream, limit=_CHUNK)
            ways = [asyncio.create_task(self._forth(server)), asyncio.create_task(self._back(answers))]
            try:
                await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for way in ways:
                    way.cancel()
                await asyncio.gather(*ways, return_exceptions=True)
        except (OSError, TimeoutError):
            pass  # no server: the client sees its connection end
        finally:
            for writer in (server, self._writer):
                if writer is not None:
                    writer.close()

    async def _forth(self, server: asyncio.StreamWriter) -> None:
        held = bytearray()
        while data := await self._reader.read(_CHUNK):
            if self._raw:
                server.write(data)
                await server.drain()
                continue
            held += data
            commands, used = resp.commands(held)
            await self._pass_on(commands, server)
            del held[:used]

    async def _pass_on(self, commands: list[tuple[str, bytes]], server: asyncio.StreamWriter) -> None:
        names = [self._name(command) for command, _ in commands]
        if len(names) > 1 or (names and names[0] in self._proxy.scripts.values()):
            cut = self._proxy.next_cut()
            if cut is Cut.HALF_SENT:
                whole = b"".join(raw for _, raw in commands)
                server.write(whole[: len(whole) // 2])
                await server.drain()
                raise _Severed
            self._cut = cut or self._cut
        out = bytearray()
        for name, (_, raw) in zip(names, commands, strict=True):
            self._proxy.passed[self._owner, name] += 1
            trap = self._proxy.caught(self._owner, name, Moment.SENT)
            if trap is not None:
                server.write(bytes(out))
                out.clear()
                await server.drain()
                await self._hold(trap)
            if self._proxy.refusal is not None and not self._in_transaction:
                self._asked.append(self._proxy.refusal)
                continue
            if name in ("MULTI", "EXEC", "DISCARD"):
                self._in_transaction = name == "MULTI"
            self._raw = self._raw or name in _SUBSCRIPTIONS
            self._asked.append(name)
            out += raw
        server.write(bytes(out))
        await server.drain()
        self._answer_refused()
        await self._writer.drain()

    async def _back(self, answers: asyncio.StreamReader) -> None:
        held = bytearray()
        while data := await answers.read(_CHUNK):
            if self._cut is Cut.UNANSWERED:
                raise _Severed
            if self._cut is Cut.HALF_ANSWERED:
                self._writer.write(data[: len(data) // 2])
                await self._writer.drain()
                raise _Severed
            if self._proxy.delay_seconds:
                await asyncio.sleep(self._proxy.delay_seconds)
            if self._raw:
                self._writer.write(bytes(held) + data)
                held.clear()
            else:
                held += data
                at = 0
                while self._asked and (end := resp.end(held, at)) > 0:
                    name = self._asked.popleft()
                    trap = self._proxy.caught(self._owner, str(name), Moment.ANSWERED)
                    if trap is not None:
                        await self._hold(trap)
                    self._writer.write(bytes(held[at:end]))
                    at = end
                    self._answer_refused()
                del held[:at]
            await self._writer.drain()

    def _answer_refused(self) -> None:
        while self._asked and isinstance(self._asked[0], bytes):
            self._writer.write(bytes(self._asked.popleft()))  # type: ignore[arg-type]

    async def _hold(self, trap: Trap) -> None:
        if not trap.hold_seconds:
            raise _Severed
        await asyncio.sleep(trap.hold_seconds)

    def _name(self, command: str) -> str:
        return self._proxy.scripts.get(command, command)
