"""A receiver instance: all processes behind one port. Any of them answers a scrape, and what it shows must be of them all.

Each process holds a *slot* of a directory that their parent made: a file with its counts, replaced about once a second. Who
answers a scrape first brings its own file up to date, then adds up all of them: so no counter ever falls, whoever
answers. A process that died leaves its file behind, and the next one goes on from it: there are never more files than there
were processes at one time. An instance of one process has no directory.
"""

import contextlib
import fcntl
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Final, NamedTuple

import msgspec

from shared.counting import Values, together
from shared.errors import ConfigurationError

#: How the parent tells its processes which directory is theirs.
VARIABLE: Final = "GELATO_RECEIVER_INSTANCE"
#: How such a directory is named, and the file that the parent holds a lock of for as long as it lives.
_PREFIX: Final = "gelato-rollup-counts-"
_PARENT: Final = "parent.lock"
#: A process that has not written its file for so long is dead, or hangs: what it held then is no longer so.
_STALE_SECONDS: Final = 10.0


class State(msgspec.Struct):
    """How a process is now. Times are Unix time."""

    started: float
    breaker_open: bool
    #: When its last usable webhook came.
    last_event: float | None
    #: Clients that follow changes.
    streams: int


class _File(msgspec.Struct):
    """`at`: monotonic seconds, the same clock in all processes of a machine."""

    at: float
    counted: Values
    state: State


class Shown(NamedTuple):
    """What an instance shows: its counts, and the states of its processes that are alive."""

    counted: Values
    states: list[State]


class Slot:
    """One process's part of its instance."""

    def __init__(self, directory: Path | None) -> None:
        self._directory = directory
        self._before: Values = {}
        self._lock: IO[str] | None = None
        self._path = Path()
        if directory is not None:
            self._take(directory)

    @classmethod
    def of_this_process(cls) -> "Slot":
        """The slot that the parent, if there is one, has made room for."""
        directory = os.environ.get(VARIABLE)
        return cls(Path(directory) if directory else None)

    def show(self, counted: Values, state: State) -> Shown:
        """Write down this process's counts, and add up those of all. Raises `OSError`."""
        if self._directory is None:
            return Shown(counted, [state])
        now = time.monotonic()
        content = msgspec.msgpack.encode(_File(now, together([self._before, counted]), state))
        part = self._path.with_suffix(".part")
        part.write_bytes(content)
        part.rename(self._path)
        files = [_read(path) for path in sorted(self._directory.glob("*.counts"))]
        alive = [file.state for file in files if now - file.at < _STALE_SECONDS]
        return Shown(together(file.counted for file in files), alive)

    def close(self) -> None:
        """Give the slot up: its counts stay."""
        if self._lock is not None:
            self._lock.close()
            self._lock = None

    def _take(self, directory: Path) -> None:
        number = 0
        while self._lock is None:
            lock = (directory / f"{number}.lock").open("w")
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                lock.close()
                number += 1
            else:
                self._lock = lock
        self._path = directory / f"{number}.counts"
        if self._path.exists():
            self._before = _read(self._path).counted


@contextmanager
def directory() -> Iterator[None]:
    """The parent's part: make the directory, for as long as the instance lives. Raises `ConfigurationError`."""
    _clear_away()
    try:
        made = tempfile.mkdtemp(prefix=_PREFIX)
    except OSError as error:
        raise ConfigurationError(
            f"several receiver processes need a directory for what they count: {error.strerror}; set TMPDIR to one "
            "that can be written"
        ) from None
    os.environ[VARIABLE] = made
    try:
        with _held(Path(made)):
            yield
    finally:
        del os.environ[VARIABLE]
        shutil.rmtree(made, ignore_errors=True)


@contextmanager
def _held(made: Path) -> Iterator[None]:
    with (made / "new.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        Path(lock.name).rename(made / _PARENT)  # there, and held, in one step
        yield


def _clear_away() -> None:
    """Remove directories of our own whose parent was killed: nobody holds their lock. One without it is being made."""
    for each in Path(tempfile.gettempdir()).glob(f"{_PREFIX}*"):
        with contextlib.suppress(OSError):
            if each.is_symlink() or each.stat().st_uid != os.getuid():
                continue
            with (each / _PARENT).open("r+") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(each, ignore_errors=True)


def _read(path: Path) -> _File:
    return msgspec.msgpack.decode(path.read_bytes(), type=_File)
