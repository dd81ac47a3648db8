"""The spool: where events wait on the local disk while Redis is away. A SQLite database, shared by this machine's receivers.

Write-ahead log, full sync, group commit: what `put` has returned for survives the process and the machine. One receiver at
a time drains it (a file lock decides which), oldest receipt first; an entry is deleted only after Redis has it, so a
receiver that dies while draining repeats entries, and Redis knows them as duplicates.
"""

import asyncio
import contextlib
import fcntl
import os
import sqlite3
from collections.abc import Callable, Collection, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Final, NamedTuple, TypeVar

from receiver.groups import Answers, GroupCommit
from shared.errors import GelatoRollupError

T = TypeVar("T")

_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS entries (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    received INTEGER NOT NULL,            -- microseconds
    kind TEXT NOT NULL,
    tenant TEXT NOT NULL,
    body BLOB NOT NULL
);
CREATE INDEX IF NOT EXISTS entries_by_receipt ON entries (received, id);
CREATE TABLE IF NOT EXISTS totals (one INTEGER PRIMARY KEY CHECK (one = 1), events INTEGER NOT NULL, bytes INTEGER NOT NULL);
INSERT OR IGNORE INTO totals VALUES (1, 0, 0);
"""
#: What an entry weighs besides its body, roughly: row, index, page slack.
_OVERHEAD_BYTES: Final = 128
_BUSY_SECONDS: Final = 5.0
#: Room that is kept on the disk, so that the spool can be drained when the disk is full. Enough for a batch's deletion.
_BALLAST_BYTES: Final = 1 << 20


class SpoolUnavailable(GelatoRollupError):
    """The spool cannot take an entry: it is full, or its disk is, or it cannot be read. Nothing was promised."""


class Entry(NamedTuple):
    """One entry. `kind` is a letter of `shared.store.records` for an event, `L` for a dead letter."""

    received: int
    kind: str
    tenant: str
    body: bytes


class Waiting(NamedTuple):
    """An entry in the spool."""

    id: int
    entry: Entry


class Totals(NamedTuple):
    """How much waits in the spool, and when the oldest of it was received (microseconds; None: it is empty)."""

    events: int
    bytes: int
    oldest: int | None = None


class Spool:
    """The spool of a directory that outlives the process (and the container)."""

    def __init__(self, directory: Path, *, max_events: int, max_bytes: int) -> None:
        self._directory = directory
        self._ballast = directory / "ballast"
        self._max = Totals(max_events, max_bytes)
        # One thread: SQLite has one writer, and a connection belongs to its thread.
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="spool")
        self._database: sqlite3.Connection | None = None
        self._writing: asyncio.Task[None] | None = None
        self._group: GroupCommit[Entry, None] = GroupCommit(
            self._carry, size_of=lambda entry: len(entry.body), max_items=512, max_bytes=16 * 1024 * 1024
        )

    async def put(self, entry: Entry) -> None:
        """Keep an entry; once this returns, it is on disk. Raises `SpoolUnavailable`."""
        await self._group.put(entry)

    async def totals(self) -> Totals:
        """How much waits. Raises `SpoolUnavailable`."""
        return await self._in_thread(self._read_totals)

    def is_full(self, totals: Totals) -> bool:
        """Whether a spool that holds so much takes nothing more."""
        return totals.events >= self._max.events or totals.bytes + _OVERHEAD_BYTES > self._max.bytes

    async def oldest(
        self, count: int, *, most_bytes: int = 1 << 62, leaving_out: Collection[int] = ()
    ) -> list[Waiting]:
        """The entries that were received first, but for some; at least one, if there is any.

        Raises `SpoolUnavailable`.
        """
        return await self._in_thread(self._read_oldest, count, most_bytes, frozenset(leaving_out))

    async def done(self, entries: Sequence[Waiting]) -> None:
        """Delete entries that Redis has. Raises `SpoolUnavailable`."""
        await self._in_thread(self._delete, list(entries))

    async def erase(self, tenant: str, is_erased: Callable[[Entry], bool]) -> int:
        """Delete some of a tenant's entries, overwriting what they held; how many. Raises `SpoolUnavailable`."""
        return await self._in_thread(self._erase, tenant, is_erased)

    @contextlib.contextmanager
    def draining(self) -> Iterator[bool]:
        """Hold the right to drain; False where another receiver of this machine has it."""
        with contextlib.ExitStack() as stack:
            try:
                lock = stack.enter_context((self._directory / "drain.lock").open("w"))
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                yield False
                return
            yield True

    async def close(self) -> None:
        """Finish what is on its way, and close."""
        await self._group.drain()
        with contextlib.suppress(SpoolUnavailable):
            await self._in_thread(self._close)
        self._thread.shutdown(wait=False)

    def _carry(self, entries: list[Entry], since: float, answer: Callable[[Answers[None]], None]) -> None:
        self._writing = asyncio.get_running_loop().create_task(self._write(entries, answer))

    async def _write(self, entries: list[Entry], answer: Callable[[Answers[None]], None]) -> None:
        try:
            await self._in_thread(self._insert, entries)
        except Exception as error:  # nothing was promised to anybody
            answer(error)
        else:
            answer([None] * len(entries))

    async def _in_thread(self, function: Callable[..., T], *arguments: Any) -> T:
        def run() -> T:
            try:
                return function(*arguments)
            except (sqlite3.Error, OSError) as error:
                self._close()  # opened afresh next time: the disk may have been exchanged, the file removed
                raise SpoolUnavailable(f"spool: {type(error).__name__}: {error}") from error

        return await asyncio.get_running_loop().run_in_executor(self._thread, run)

    # Below: in the spool's own thread.

    def _open(self) -> sqlite3.Connection:
        if self._database is None:
            self._directory.mkdir(parents=True, exist_ok=True, mode=0o700)
            database = sqlite3.connect(self._directory / "spool.sqlite", timeout=_BUSY_SECONDS, isolation_level=None)
            try:
                database.execute("PRAGMA auto_vacuum = INCREMENTAL")  # first: it is fixed once the file exists
                database.execute("PRAGMA journal_mode = WAL")
                database.execute("PRAGMA synchronous = FULL")
                database.executescript(_SCHEMA)
            except sqlite3.Error:
                database.close()
                raise
            self._database = database
            self._load_ballast()
        return self._database

    def _close(self) -> None:
        if self._database is not None:
            with contextlib.suppress(sqlite3.Error):
                self._database.close()
            self._database = None

    def _insert(self, entries: list[Entry]) -> None:
        size = sum(len(entry.body) + _OVERHEAD_BYTES for entry in entries)
        with self._transaction() as database:
            events, held = database.execute("SELECT events, bytes FROM totals").fetchone()
            if events + len(entries) > self._max.events or held + size > self._max.bytes:
                raise SpoolUnavailable(f"spool: full, with {events} events and {held} bytes")
            database.executemany("INSERT INTO entries (received, kind, tenant, body) VALUES (?, ?, ?, ?)", entries)
            database.execute("UPDATE totals SET events = events + ?, bytes = bytes + ?", (len(entries), size))

    def _delete(self, entries: list[Waiting]) -> None:
        try:
            self._delete_now(entries)
        except sqlite3.OperationalError:
            # Deleting takes room too, for the write-ahead log: on a full disk the ballast makes some.
            if not self._ballast.exists():
                raise
            self._ballast.unlink()
            self._delete_now(entries)
        else:
            self._load_ballast()

    def _load_ballast(self) -> None:
        if not self._ballast.exists():
            with contextlib.suppress(OSError):
                part = self._ballast.with_suffix(".part")
                part.write_bytes(os.urandom(_BALLAST_BYTES))  # not zeros: a file system could leave those out
                part.rename(self._ballast)

    def _delete_now(self, entries: list[Waiting]) -> None:
        with self._transaction() as database:
            gone, size = 0, 0
            for waiting in entries:
                deleted = database.execute("DELETE FROM entries WHERE id = ?", (waiting.id,)).rowcount
                gone += deleted
                size += deleted * (len(waiting.entry.body) + _OVERHEAD_BYTES)
            database.execute("UPDATE totals SET events = events - ?, bytes = bytes - ?", (gone, size))
        # Twice what a batch may have freed. `execute` would step the pragma once, and free one page.
        database.executescript("PRAGMA incremental_vacuum(2000)")

    def _erase(self, tenant: str, is_erased: Callable[[Entry], bool]) -> int:
        database = self._open()
        database.execute("PRAGMA secure_delete = ON")
        rows = database.execute("SELECT id, received, kind, tenant, body FROM entries WHERE tenant = ?", (tenant,))
        erased = [found for row in rows if is_erased((found := Waiting(row[0], Entry(*row[1:]))).entry)]
        self._delete(erased)
        database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        return len(erased)

    def _read_totals(self) -> Totals:
        query = "SELECT events, bytes, (SELECT min(received) FROM entries) FROM totals"
        return Totals(*self._open().execute(query).fetchone())

    def _read_oldest(self, count: int, most_bytes: int, leaving_out: frozenset[int]) -> list[Waiting]:
        rows = self._open().execute("SELECT id, received, kind, tenant, body FROM entries ORDER BY received, id")
        found: list[Waiting] = []
        size = 0
        for row in rows:
            if row[0] in leaving_out:
                continue
            size += len(row[4])
            if found and (size > most_bytes or len(found) == count):
                break
            found.append(Waiting(row[0], Entry(*row[1:])))
        rows.close()
        return found

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        database = self._open()
        database.execute("BEGIN IMMEDIATE")
        try:
            yield database
            database.execute("COMMIT")
        except BaseException:
            with contextlib.suppress(sqlite3.Error):
                database.execute("ROLLBACK")
            raise
