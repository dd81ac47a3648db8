"""A real Valkey for tests, on a Unix socket, without persistence unless asked for."""

import subprocess
import tempfile
from pathlib import Path

import redis

from ops.embedded import server_binary
from support.polling import eventually


class Server:
    """One server process; `options` are added to its command line."""

    def __init__(self, directory: Path, *options: str) -> None:
        self.directory = directory
        # Not in pytest's temporary directory: a socket's path must be short.
        self._sockets = tempfile.TemporaryDirectory(prefix="gr-")
        self.socket = Path(self._sockets.name) / "s"
        self.url = f"unix://{self.socket}?db=0"
        self._options = options
        self.process: subprocess.Popen[bytes] | None = None
        self.client = redis.Redis.from_url(self.url, protocol=2)

    def start(self) -> None:
        """Start, or start again with what is on disk."""
        command = [server_binary(), "--port", "0", "--unixsocket", str(self.socket), "--dir", str(self.directory)]
        command += ["--save", "", "--loglevel", "warning", *self._options]
        with (self.directory / "server.log").open("ab") as log:
            self.process = subprocess.Popen(command, stdout=log, stderr=log)
        eventually(self.client.ping, what="the server to answer")

    def kill(self) -> None:
        """SIGKILL."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()

    def stop(self) -> None:
        """Stop for good."""
        self.client.close()
        self.kill()
        self._sockets.cleanup()
