"""The processes of one run: a Valkey of its own, receivers, workers, baselines. All end with the run."""

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Final, Self, TypeVar

from ops.bench.errors import BenchError, Missing
from ops.embedded import server_binary
from shared.stop import die_with_parent
from shared.store import Store, due

T = TypeVar("T")

ROOT: Final = Path(__file__).parents[2]
BASELINES: Final = ROOT / "tests" / "benchmarks" / "baselines"
SECRET: Final = "a-secret-of-the-benchmark"  # noqa: S105  (of servers that live for seconds, on loopback)
_START_SECONDS: Final = 30.0
_STOP_SECONDS: Final = 10.0


class Child:
    """One process. What it says goes to the file `said`."""

    def __init__(self, name: str, command: Sequence[str], environment: Mapping[str, str], said: Path) -> None:
        self.name = name
        self.said = said
        with said.open("ab") as log:
            self.process = subprocess.Popen(
                command,
                env=dict(environment),
                stdout=log,
                stderr=log,
                cwd=said.parent,
                preexec_fn=partial(die_with_parent, os.getpid()),  # noqa: PLW1509  (one thread here)
            )

    @property
    def pid(self) -> int:
        """The process's id."""
        return self.process.pid

    def must_live(self) -> None:
        """Raise `BenchError`, with the end of what it said, if the process has ended."""
        code = self.process.poll()
        if code is not None:
            end = self.said.read_text(errors="replace")[-800:].strip()
            raise BenchError(f"{self.name} ended with {code}: {end}")

    def stop(self, number: signal.Signals = signal.SIGKILL) -> None:
        """End it, and wait for that."""
        if self.process.poll() is None:
            self.process.send_signal(number)
            try:
                self.process.wait(_STOP_SECONDS)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()


class Stage:
    """A Valkey of its own in a directory of its own, and the processes that work with it; a context manager."""

    def __init__(
        self,
        scratch: Path,
        *,
        appendfsync: str = "everysec",
        options: Mapping[str, str] | None = None,
        seed: Path | None = None,
        replicas: int = 0,
    ) -> None:
        """`options` of the server; `seed`: a directory with an append-only file to start with."""
        self._scratch = scratch
        self._replicas = replicas
        self._seed = seed
        self._options = {"appendonly": "yes", "appendfsync": appendfsync, "save": "", **(options or {})}
        self._children: list[Child] = []
        self.directory = Path()
        self.socket = Path()
        self.url = ""

    def __enter__(self) -> Self:
        self.directory = Path(tempfile.mkdtemp(prefix="run-", dir=self._scratch))
        if self._seed is not None:
            shutil.copytree(self._seed, self.directory, dirs_exist_ok=True)
        self.socket = self.directory / "s"
        self.url = f"unix://{self.socket}?db=0"
        try:
            self._start_server()
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()
        with contextlib.suppress(AttributeError):
            self.store.close()
            self.server.stop()
        shutil.rmtree(self.directory, ignore_errors=True)

    def stop(self) -> None:
        """End all processes but the server."""
        while self._children:
            child = self._children.pop()
            # A supervisor has children of its own, which it ends when it is asked to.
            child.stop(signal.SIGTERM if child.name == "workers" else signal.SIGKILL)

    def receiver(self, **settings: str) -> "Listening":
        """Start a receiver with everything on that a user has on: spool, JSON log lines (to a file), `info`."""
        port = free_port()
        child = self._ours("receiver", ["receiver"], PORT=str(port), **settings)
        return Listening(child, port)

    def worker(self, processes: int = 1) -> Child:
        """Start workers, and wait until each has an idle shift."""
        arguments = ["worker", "--processes", str(processes)]
        child = self._ours("workers" if processes > 1 else "worker", arguments)
        wait_for(lambda: self.store.run(due.live_shifts()) >= processes, [child], what="the workers")
        return child

    def baseline(self, script: str, *arguments: str) -> Child:
        """Start one of the baselines' scripts."""
        path = baseline_script(script)
        command = [sys.executable, str(path), self.url, *arguments]
        return self._start(path.stem, command, _environment())

    def listening_baseline(self, script: str) -> "Listening":
        """Start one of the baselines' receivers."""
        port = free_port()
        return Listening(self.baseline(script, str(port)), port)

    def _ours(self, name: str, arguments: list[str], **more: str) -> Child:
        environment = _environment() | {
            "REDIS_URL": self.url,
            "GELATO_DATA_DIR": str(self.directory / "var"),
            "GELATO_SPOOL_PERSISTENT": "yes",
            "GELATO_WEBHOOK_SECRET": SECRET,
            "GELATO_OPS_TOKEN": "an-ops-token-of-the-benchmark",
            "LOG_FORMAT": "json",
            **more,
        }
        return self._start(name, [sys.executable, "-m", "ops", *arguments], environment)

    def _start(self, name: str, command: list[str], environment: Mapping[str, str]) -> Child:
        said = self.directory / f"{name}-{len(self._children)}.log"
        child = Child(name, command, environment, said)
        self._children.append(child)
        return child

    def _start_server(self) -> None:
        port = free_port() if self._replicas else 0  # replicas follow over TCP
        self.server = self._server("server", self.directory, self.socket, port)
        self.store = Store.from_url(self.url, timeout_seconds=60.0)
        wait_for(self.socket.exists, [self.server], what="the server")
        wait_for(lambda: bool(_ping(self.store)), [self.server], what="the server")
        for number in range(self._replicas):
            directory = self.directory / f"replica-{number}"
            directory.mkdir()
            follower = self._server(directory.name, directory, directory / "s", 0, replicaof=f"127.0.0.1 {port}")
            self._children.append(follower)
        ask = self.store.client.info
        wait_for(lambda: ask("replication")["connected_slaves"] == self._replicas, [self.server], what="the replicas")

    def _server(self, name: str, directory: Path, path: Path, port: int, **more: str) -> Child:
        settings = {
            "port": str(port),
            "bind": "127.0.0.1",
            "unixsocket": str(path),
            "dir": str(directory),
            "loglevel": "warning",
            "notify-keyspace-events": "K$",
            "repl-diskless-sync-delay": "0",
            **self._options,
            **more,
        }
        words = [word for name, value in settings.items() for word in (f"--{name}", *value.split(" "))]
        return Child(name, [server_binary(), *words], _environment(), self.directory / f"{name}.log")


class Listening:
    """A process that answers HTTP on a port of 127.0.0.1; ready when this is made."""

    def __init__(self, child: Child, port: int) -> None:
        self.child = child
        self.port = port
        self.base = f"http://127.0.0.1:{port}"
        wait_for(self._answers, [child], what=child.name)

    @property
    def pid(self) -> int:
        """The process's id."""
        return self.child.pid

    def _answers(self) -> bool:
        try:
            with urllib.request.urlopen(f"{self.base}/healthz", timeout=2):  # noqa: S310  (our own, on loopback)
                return True
        except urllib.error.HTTPError:
            return True  # a baseline knows no such path, and answers
        except OSError:
            return False


def wait_for(look: Callable[[], T], children: Sequence[Child], *, what: str, seconds: float = _START_SECONDS) -> T:
    """Poll until `look` finds something. Raises `BenchError` when it does not in time, or when a process ends."""
    deadline = time.monotonic() + seconds
    while not (found := look()):
        for child in children:
            child.must_live()
        if time.monotonic() > deadline:
            raise BenchError(f"waited {seconds:.0f} s in vain for {what}")
        time.sleep(0.005)
    return found


def baseline_script(name: str) -> Path:
    """The path of a baseline. Raises `Missing` outside of a checkout: baselines are not installed."""
    path = BASELINES / name
    if not path.is_file():
        raise Missing(
            f"the baselines are not part of the installed package ({path} is not there): run the bench in a checkout of "
            "gelato-rollup, installed with `pip install -e .`"
        )
    return path


def program(name: str, package: str) -> str:
    """The path of a program. Raises `Missing`, naming Debian's package."""
    path = shutil.which(name)
    if path is None:
        raise Missing(f"{name} is not installed, and the bench needs it: `apt-get install {package}` (Debian, Ubuntu)")
    return path


def free_port() -> int:
    """A port of 127.0.0.1 that nothing listens on just now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _environment() -> dict[str, str]:
    """Nothing of this machine's settings: a benchmark is to find the same everywhere."""
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
    return kept | {"PYTHONPATH": str(ROOT)}


def _ping(store: Store) -> bool:
    try:
        return bool(store.client.ping())
    except Exception:  # not up yet, or loading its data
        return False
