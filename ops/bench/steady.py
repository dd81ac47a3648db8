"""Post at a steady rate, and see when each event shows in its document: the same for every subject.

One asyncio process (uvloop) with raw sockets: an HTTP client's own time would be most of what is measured. Documents are
watched by the server's own key space notifications and read at once (MGET), so that whoever is measured announces nothing
for the measurement's sake.
"""

import asyncio
import gc
import math
import re
import time
from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, NamedTuple

import hiredis
import uvloop

from ops.bench.errors import BenchError
from ops.bench.processes import SECRET

_CONNECTIONS: Final = 32
_SETTLE_SECONDS: Final = 20.0
_LENGTH: Final = re.compile(rb"content-length: *([0-9]+)", re.IGNORECASE)
_EVENTS: Final = b'"events":'
_NUMBER: Final = re.compile(rb"[0-9]+")


class Subject(NamedTuple):
    """What is measured: where to post, where its documents are. `key` is a document's key with `*` for the reference."""

    port: int
    socket: Path
    key: str


class Post(NamedTuple):
    """One event to be posted `at` seconds after the start; `measured`: whether it counts."""

    at: float
    reference: str
    body: bytes
    measured: bool = True


@dataclass
class Seen:
    """Latencies in seconds of the measured events, from the writing of the request."""

    answered: list[float] = field(default_factory=list)
    visible: list[float] = field(default_factory=list)
    #: Answers that were no 2xx, and events that never showed in a document.
    refused: int = 0
    missing: int = 0
    #: Of events that were posted, to what count of the document's events: for checks.
    posted: dict[str, int] = field(default_factory=dict)


def percentile(values: Sequence[float], share: float) -> float:
    """Nearest rank: a value that occurred; not a number without any."""
    return sorted(values)[max(0, math.ceil(len(values) * share) - 1)] if values else math.nan


def schedule(events: Iterable[Any], rate: float, *, warm_seconds: float = 0.0, measured: bool = True) -> list[Post]:
    """Posts of events (`reference`, `body`), evenly spaced; those of the first seconds do not count."""
    return [
        Post(n / rate, event.reference, event.body, measured and n / rate >= warm_seconds)
        for n, event in enumerate(events)
    ]


def drive(subject: Subject, posts: Iterable[Post], known: dict[str, int] | None = None) -> Seen:
    """Post everything in time, and wait until it shows. `known`: how many events an order's document has already."""
    gc.collect()
    gc.disable()
    try:
        return uvloop.run(_Drive(subject, dict(known or {})).run(sorted(posts)))
    finally:
        gc.enable()


class _Drive:
    def __init__(self, subject: Subject, known: dict[str, int]) -> None:
        self._subject = subject
        self._seen = Seen()
        self._free: deque[_Connection] = deque()
        self._queue: deque[tuple[Post, float]] = deque()
        self._open = 0
        self._known = known
        self._started: dict[str, list[tuple[float, bool]]] = {}
        self._shown: dict[str, int] = {}
        self._left = 0
        self._prefix, _, self._suffix = subject.key.partition("*")
        self._asked: deque[list[bytes]] = deque()
        self._keys: _Redis | None = None
        self._subscribed = asyncio.Event()
        self._failed: BaseException | None = None

    async def run(self, posts: list[Post]) -> Seen:
        loop = asyncio.get_running_loop()
        socket = str(self._subject.socket)
        _, self._keys = await loop.create_unix_connection(lambda: _Redis(self._read), socket)
        _, watch = await loop.create_unix_connection(lambda: _Redis(self._told), socket)
        watch.send("PSUBSCRIBE", f"__keyspace@0__:{_glob(self._prefix)}*{_glob(self._suffix)}")
        await asyncio.wait_for(self._subscribed.wait(), 5)
        for _ in range(_CONNECTIONS):
            _, each = await loop.create_connection(lambda: _Connection(self), "127.0.0.1", self._subject.port)
            self._free.append(each)
        every: list[_Connection | _Redis] = [*self._free, self._keys, watch]
        try:
            await self._post_all(posts)
            await self._settle()
        finally:
            for connection in every:
                connection.close()
        self._seen.missing = self._left
        return self._seen

    async def _post_all(self, posts: list[Post]) -> None:
        start = time.perf_counter()
        for post in posts:
            delay = start + post.at - time.perf_counter()
            if delay > 0:
                await asyncio.sleep(delay)
            if self._failed is not None:
                raise BenchError(f"a connection broke: {self._failed}")
            now = time.perf_counter()
            self._started.setdefault(post.reference, []).append((now, post.measured))
            self._seen.posted[post.reference] = self._seen.posted.get(post.reference, 0) + 1
            self._left += 1
            self._open += 1
            if self._free:
                self._free.pop().post(post, now)
            else:
                self._queue.append((post, now))  # every connection is busy: its time runs

    async def _settle(self) -> None:
        deadline = time.perf_counter() + _SETTLE_SECONDS
        # Polled: an event to set would be one more thing to do for each document that is measured.
        while (self._left or self._open) and time.perf_counter() < deadline:  # noqa: ASYNC110
            await asyncio.sleep(0.01)

    def answered(self, connection: "_Connection", status: int, post: Post, started: float) -> None:
        """A connection got its answer."""
        self._open -= 1
        if not 200 <= status < 300:
            self._seen.refused += 1
        elif post.measured:
            self._seen.answered.append(time.perf_counter() - started)
        if self._queue:
            connection.post(*self._queue.popleft())
        else:
            self._free.append(connection)

    def broke(self, error: BaseException | None) -> None:
        """A connection was lost."""
        self._failed = self._failed or error or BenchError("closed by the other side")

    def _told(self, replies: list[Any]) -> None:
        """The server says that some documents were written: read them."""
        changed: dict[bytes, None] = {}
        for reply in replies:
            if reply[0] == b"psubscribe":
                self._subscribed.set()
            elif reply[0] == b"pmessage":
                changed[reply[2].partition(b":")[2]] = None
        wanted = list(changed)
        if wanted and self._keys is not None:
            self._asked.append(wanted)
            self._keys.send("MGET", *wanted)

    def _read(self, replies: list[Any]) -> None:
        now = time.perf_counter()
        for documents in replies:
            for key, document in zip(self._asked.popleft(), documents, strict=True):
                if document is not None:
                    self._show(key.decode(), document, now)

    def _show(self, key: str, document: bytes, now: float) -> None:
        reference = key[len(self._prefix) : len(key) - len(self._suffix)]
        number = _NUMBER.match(document, document.rindex(_EVENTS) + len(_EVENTS))
        events = int(number[0]) if number else 0
        started = self._started.get(reference)
        if started is None:
            return
        events -= self._known.get(reference, 0)
        before = self._shown.get(reference, 0)
        for at, measured in started[before:events]:
            self._left -= 1
            if measured:
                self._seen.visible.append(now - at)
        self._shown[reference] = max(before, min(events, len(started)))


class _Connection(asyncio.Protocol):
    """One HTTP connection, one request at a time."""

    def __init__(self, drive: _Drive) -> None:
        self._drive = drive
        self._transport: asyncio.WriteTransport | None = None
        self._buffer = b""
        self._post: tuple[Post, float] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport  # type: ignore[assignment]

    def post(self, post: Post, started: float) -> None:
        self._post = (post, started)
        head = (
            f"POST /webhooks/gelato HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
            f"X-Webhook-Secret: {SECRET}\r\nContent-Length: {len(post.body)}\r\n\r\n"
        )
        if self._transport is not None:
            self._transport.write(head.encode() + post.body)

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        head, end, body = self._buffer.partition(b"\r\n\r\n")
        length = _LENGTH.search(head) if end else None
        if length is None or len(body) < int(length[1]) or self._post is None:
            return
        self._buffer = b""
        post, self._post = self._post, None
        self._drive.answered(self, int(head[9:12]), *post)

    def connection_lost(self, error: Exception | None) -> None:
        if self._transport is not None and not self._transport.is_closing():
            self._drive.broke(error)

    def close(self) -> None:
        if self._transport is not None:
            self._transport.close()


class _Redis(asyncio.Protocol):
    """A connection to the server: `hear` is given the replies that came at one moment."""

    def __init__(self, hear: Any) -> None:
        self._reader = hiredis.Reader()
        self._hear = hear
        self._transport: asyncio.WriteTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport  # type: ignore[assignment]

    def send(self, *words: str | bytes) -> None:
        if self._transport is not None:
            self._transport.write(hiredis.pack_command(words))  # type: ignore[arg-type]

    def data_received(self, data: bytes) -> None:
        self._reader.feed(data)
        replies = []
        while (reply := self._reader.gets()) is not False:
            replies.append(reply)
        if replies:
            self._hear(replies)

    def close(self) -> None:
        if self._transport is not None:
            self._transport.close()


def _glob(text: str) -> str:
    return re.sub(r"([\[\]*?\\])", r"\\\1", text)
