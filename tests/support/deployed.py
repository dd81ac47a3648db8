"""A server as `deploy/` sets it up: its configuration, its users, the secrets that `deploy/make-secrets` makes."""

import subprocess
import sys
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from ops.embedded import server_binary
from support.processes import ROOT, free_port
from support.servers import Node

DEPLOY = ROOT / "deploy"
USERS = ("receiver", "worker", "operator", "reader", "follower")


def tool(name: str) -> Path:
    """A program of the virtual environment."""
    found = Path(sys.executable).parent / name
    assert found.exists(), f"{name} is not installed: `make test` installs what requirements-dev.lock names"
    return found


def make_secrets(directory: Path, server: str) -> subprocess.CompletedProcess[str]:
    """Run `deploy/make-secrets`."""
    return subprocess.run([DEPLOY / "make-secrets", directory, server], capture_output=True, text=True, check=False)


def environment_file(path: Path) -> dict[str, str]:
    """What a file of `NAME=value` lines says."""
    return dict(line.split("=", 1) for line in path.read_text().splitlines())


class Deployed(Node):
    """A server with `deploy/valkey/`; `client` is an administrator that only tests have."""

    def __init__(self, directory: Path) -> None:
        super().__init__(directory, port=free_port())
        self.secrets = self.directory / "secrets"
        done = make_secrets(self.secrets, self.address)
        assert done.returncode == 0, done.stderr
        with (self.secrets / "users.acl").open("a") as users:
            users.write("user administrator on nopass ~* &* +@all\n")
        self.client: Any = self.connection("administrator", "-")

    def url_of(self, user: str) -> str:
        """Where a user finds the server."""
        return self.environment(user)["REDIS_URL"]

    def environment(self, user: str) -> dict[str, str]:
        """What `make-secrets` made for a user's processes."""
        return environment_file(self.secrets / f"{user}.env")

    def connection(self, user: str, password: str) -> "redis.Redis":
        """A plain client."""
        once = Retry(NoBackoff(), 0)
        return redis.Redis(port=self.port, username=user, password=password, protocol=2, socket_timeout=5.0, retry=once)

    def as_user(self, user: str) -> "redis.Redis":
        """A plain client of one of the users."""
        return self.connection(user, str(urlsplit(self.url_of(user)).password))

    def _command(self) -> list[str]:
        words = [server_binary(), str(DEPLOY / "valkey" / "valkey.conf"), "--port", str(self.port)]
        return [*words, "--dir", str(self.directory), "--aclfile", str(self.secrets / "users.acl")]
