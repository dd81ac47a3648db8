"""Receivers and workers as real processes, and a client that talks to them over real HTTP."""

import atexit
import functools
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import orjson

from support.nursery import Born, Nursery
from support.polling import eventually

SECRET = "a-secret-for-tests"
OPS_TOKEN = "an-ops-token-for-tests"
READ_TOKEN = "a-read-token-for-tests"
TENANT_TOKEN = "a-tenant-token-for-tests"
#: What a tenants file says of a tenant with a secret and tokens of its own.
ACME = """
[acme]
secret = "acmes-secret"
read_token = "acme-reads"
tenant_token = "acme-posts"
"""
ROOT = Path(__file__).parents[2]
FIXTURES = ROOT / "tests" / "fixtures"


def environment(redis_url: str, data_dir: Path, **more: str) -> dict[str, str]:
    """The environment of a process under test: nothing of this machine's settings, all of the test's."""
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG", "TMPDIR") if name in os.environ}
    return kept | {
        "PYTHONPATH": str(ROOT),
        "REDIS_URL": redis_url,
        "GELATO_DATA_DIR": str(data_dir),
        "GELATO_WEBHOOK_SECRET": SECRET,
        "GELATO_OPS_TOKEN": OPS_TOKEN,
        "GELATO_READ_TOKEN": READ_TOKEN,
        "GELATO_TENANT_TOKEN": TENANT_TOKEN,
        "LOG_FORMAT": "json",
        **more,
    }


def free_port() -> int:
    """A port of 127.0.0.1 that nothing listens on just now, and that no other test process has been given.

    The system may give one free port to two who ask one after the other, and tests run in several processes.
    """
    given = Path(tempfile.gettempdir()) / "gelato-rollup-test-ports"
    given.mkdir(exist_ok=True)
    while True:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = int(probe.getsockname()[1])
        note = given / str(port)
        try:
            note.touch(exist_ok=False)
        except FileExistsError:
            if time.time() - note.stat().st_mtime > 3600:
                note.unlink(missing_ok=True)
            continue
        atexit.register(note.unlink, missing_ok=True)
        return port


@functools.cache
def _nursery() -> Nursery:
    return Nursery(ROOT)


class Process:
    """One process of the command line; what it says goes to `log`."""

    def __init__(self, arguments: list[str], env: Mapping[str, str], log: Path) -> None:
        self.arguments = arguments
        self.env = dict(env)
        self.log = log
        self.process: subprocess.Popen[bytes] | Born | None = None

    def start(self) -> "Process":
        """Start it (again): a new interpreter where it runs other code than ours, or starts more interpreters itself."""
        if self.env.get("PYTHONPATH") == str(ROOT) and "--processes" not in self.arguments:
            self.log.touch()
            self.process = _nursery().start(self.arguments, self.env, self.log)
            return self
        with self.log.open("ab") as log:
            command = [sys.executable, "-m", "ops", *self.arguments]
            self.process = subprocess.Popen(command, env=self.env, stdout=log, stderr=log, cwd=self.log.parent)
        return self

    @property
    def pid(self) -> int:
        """The process's id."""
        assert self.process is not None
        return self.process.pid

    def send(self, number: signal.Signals) -> None:
        """Send a signal."""
        assert self.process is not None
        self.process.send_signal(number)

    def kill(self) -> None:
        """SIGKILL, and wait for the end."""
        if self.process is not None and self.process.poll() is None:
            self.process.kill()
        if self.process is not None:
            self.process.wait()

    def terminate(self, seconds: float = 15.0) -> int:
        """SIGTERM; the exit code."""
        assert self.process is not None
        self.process.terminate()
        return self.process.wait(seconds)

    def said(self) -> list[dict[str, Any]]:
        """Its log lines so far."""
        lines = self.log.read_bytes().splitlines() if self.log.exists() else []
        return [orjson.loads(line) for line in lines if line.startswith(b"{") and line.endswith(b"}")]


class Receiver(Process):
    """A receiver process with an HTTP client."""

    def __init__(self, env: Mapping[str, str], log: Path) -> None:
        self.port = free_port()
        super().__init__(["receiver"], {**env, "PORT": str(self.port)}, log)
        self.base = f"http://127.0.0.1:{self.port}"
        # Nothing here speaks TLS, and loading the certificates of the world takes 50 ms.
        self.client = httpx.Client(base_url=self.base, timeout=10.0, verify=False)

    def start(self) -> "Receiver":
        super().start()
        self.ready()
        return self

    def ready(self) -> None:
        """Wait until it answers."""
        eventually(lambda: self.client.get("/healthz").status_code == 200, what="the receiver to answer")

    def post(self, event: Any, *, tenant: str | None = None, secret: str = SECRET) -> httpx.Response:
        """Post a webhook: an object, or the bytes of a body."""
        path = "/webhooks/gelato" if tenant is None else f"/webhooks/gelato/{tenant}"
        body = event if isinstance(event, bytes) else orjson.dumps(event)
        return self.client.post(path, content=body, headers={"X-Webhook-Secret": secret})

    def get(self, path: str, token: str = OPS_TOKEN, **options: Any) -> httpx.Response:
        """GET with a bearer token."""
        return self.client.get(
            path, headers={"Authorization": f"Bearer {token}", **options.pop("headers", {})}, **options
        )

    def stop(self) -> None:
        """End it."""
        self.client.close()
        self.kill()


@contextmanager
def receiving(redis_url: str, home: Path, tenants: str = "", **settings: str) -> Iterator[Receiver]:
    """A receiver that answers; `tenants` is what its tenants file says, if it has one."""
    if tenants:
        (home / "tenants.toml").write_text(tenants)
        settings = {"GELATO_TENANTS_FILE": str(home / "tenants.toml"), **settings}
    receiver = Receiver(environment(redis_url, home / "var", **settings), home / "receiver.log").start()
    try:
        yield receiver
    finally:
        receiver.stop()


def fixture(name: str) -> bytes:
    """The bytes of an example payload."""
    return (FIXTURES / name).read_bytes()
