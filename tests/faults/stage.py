"""The processes under test: a server, receivers and workers, each behind a port of its own at the proxy."""

import contextlib
import os
import shutil
import signal
import sqlite3
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from support.polling import eventually
from support.processes import Process, Receiver, environment
from support.proxy import Proxy
from support.servers import Node

from shared.store import keys, scripts

#: The longest that a stop by SIGTERM may take.
STOP_SECONDS = 10.0
#: Of the tmpfs that the spool lies on, where one may be mounted: room for some ten thousand events.
SPOOL_BYTES = 32 * 1024 * 1024
#: On the PYTHONPATH of receivers: their clocks can jump.
_CLOCK = Path(__file__).parent / "clock"
_SCRIPTS = {each.sha: each.name for each in vars(scripts).values() if isinstance(each, scripts.Script)}


class Actor:
    """One receiver or worker: started, killed, stopped; and when it could not answer."""

    def __init__(self, name: str, process: Process) -> None:
        self.name = name
        self.process = process
        self.is_receiver = isinstance(process, Receiver)
        #: `(from, to)` by `time.time()`: stopped by SIGSTOP.
        self.paused: list[tuple[float, float]] = []
        #: `(exit code, seconds)` of each stop by SIGTERM.
        self.stops: list[tuple[int, float]] = []
        #: `(from when, seconds)`: by how much its clock was ahead.
        self.offsets: list[tuple[float, float]] = [(0.0, 0.0)]
        self.launches = 0

    def launch(self) -> None:
        """Start it; `ready` waits."""
        self.launches += 1
        Process.start(self.process)

    def ready(self) -> None:
        """Wait until it can do its work, and hears signals."""
        if isinstance(self.process, Receiver):
            self.process.ready()
        else:
            eventually(self.has_started, seconds=60.0, what=f"{self.name} to start")

    def kill(self) -> None:
        """SIGKILL."""
        self.process.kill()

    def terminate(self) -> tuple[int, float]:
        """SIGTERM; exit code (-9: it had to be killed) and how long it took."""
        began = time.monotonic()
        try:
            code = self.process.terminate(STOP_SECONDS + 5.0)
        except subprocess.TimeoutExpired:
            self.kill()
            code = -9
        self.stops.append((code, time.monotonic() - began))
        return self.stops[-1]

    def pause(self, seconds: float) -> None:
        """SIGSTOP for some time."""
        began = time.time()
        self.process.send(signal.SIGSTOP)
        try:
            time.sleep(seconds)
        finally:
            self.process.send(signal.SIGCONT)
            self.paused.append((began, time.time()))

    def clock_file(self) -> Path:
        """Where a receiver looks how late it is (`faults/clock`)."""
        return self.process.log.with_suffix(".clock")

    def set_clock(self, seconds: float) -> None:
        """Let its clock jump."""
        fresh = self.clock_file().with_suffix(".new")
        fresh.write_text(str(seconds))
        fresh.replace(self.clock_file())
        self.offsets.append((time.time(), seconds))

    def has_started(self) -> bool:
        """Whether a worker has said that it works."""
        return sum(line.get("event") == "worker started" for line in self.process.said()) >= self.launches


class Stage:
    """All processes over one directory. `disk`: the spool's disk can be filled."""

    def __init__(self, directory: Path, *, receivers: int = 2, workers: int = 2, lease_seconds: float = 2.0) -> None:
        self.directory = directory
        self.lease_seconds = lease_seconds
        self.server = Node(directory, "--appendonly", "yes", "--appendfsync", "always", "--loglevel", "warning")
        self.proxy = Proxy(self.server.port, _SCRIPTS)
        self.data_dir = directory / "var"
        self._mounted = False
        self.receivers = [self._receiver(f"receiver-{n}") for n in range(receivers)]
        self.workers = [self._worker(f"worker-{n}") for n in range(workers)]

    @property
    def actors(self) -> list[Actor]:
        """All but the server."""
        return [*self.receivers, *self.workers]

    @property
    def disk(self) -> bool:
        return self._mounted

    def environment(self, name: str) -> dict[str, str]:
        """The environment of a process, with its own port at the proxy."""
        url = f"redis://127.0.0.1:{self.proxy.listen(name)}/0"
        return environment(
            url, self.data_dir, GELATO_SPOOL_PERSISTENT="yes", GELATO_LEASE_SECONDS=str(self.lease_seconds)
        )

    def start(self) -> None:
        """Start everything, and wait until it works."""
        self._mount()
        self.server.start()
        for actor in self.actors:
            actor.launch()
        for actor in self.actors:
            actor.ready()

    def stop(self) -> None:
        """End everything."""
        for actor in self.actors:
            actor.kill()
            if isinstance(actor.process, Receiver):
                actor.process.client.close()
        self.proxy.stop()
        self.server.stop()
        if self._mounted:
            subprocess.run(["umount", str(self.spool_dir)], check=False)

    @property
    def spool_dir(self) -> Path:
        return self.data_dir / "spool"

    @contextmanager
    def full_disk(self) -> Iterator[None]:
        """Fill the disk that the spool lies on; its write-ahead log, which may have room to spare, is cut off first."""
        with (
            contextlib.suppress(sqlite3.Error),
            contextlib.closing(sqlite3.connect(self.spool_dir / "spool.sqlite")) as spool,
        ):
            spool.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        ballast = self.spool_dir / "ballast"
        with ballast.open("wb", buffering=0) as file:
            for size in (1 << 20, 1 << 12, 1):
                with contextlib.suppress(OSError):
                    while True:
                        file.write(b"\0" * size)
        try:
            yield
        finally:
            ballast.unlink()

    def is_well(self, leases: dict[tuple[bytes, bytes], float]) -> bool:
        """Whether everything works as if nothing had been: readiness, spool, due orders, leases.

        `leases`: since when each is known, kept between calls. One that lasts is a dead worker's.
        """
        if not all(actor.has_started() for actor in self.workers):
            return False
        for actor in self.receivers:
            answer = actor.process.client.get("/readyz", timeout=2.0).json()  # type: ignore[attr-defined]
            if (answer["where"], answer["spooled"]) != ("redis", 0):
                return False
        with self.server.client.pipeline(transaction=False) as pipeline:
            pipeline.time()
            for shard in range(keys.SHARDS):
                pipeline.zrange(keys.due(shard), 0, 0, withscores=True)
                pipeline.hgetall(keys.leases(shard))
            (seconds, microseconds), *rest = pipeline.execute()
        now_ms = seconds * 1000 + microseconds // 1000
        held = {lease for each in rest[1::2] for lease in each.items()}
        now = time.monotonic()
        for lease in [each for each in leases if each not in held]:
            del leases[lease]
        for lease in held:
            leases.setdefault(lease, now)
        overdue = any(first and now_ms - first[0][1] > 1_000 for first in rest[0::2])
        return not overdue and all(now - since < 0.5 for since in leases.values())

    def _receiver(self, name: str) -> Actor:
        process = Receiver(self.environment(name), self.directory / f"{name}.log")
        actor = Actor(name, process)
        process.env |= {
            "PYTHONPATH": f"{_CLOCK}{os.pathsep}{process.env['PYTHONPATH']}",
            "FAULTS_CLOCK_FILE": str(actor.clock_file()),
        }
        actor.clock_file().write_text("0")
        return actor

    def _worker(self, name: str) -> Actor:
        return Actor(name, Process(["worker"], self.environment(name), self.directory / f"{name}.log"))

    def _mount(self) -> None:
        self.spool_dir.mkdir(parents=True, mode=0o700)
        if os.geteuid() or not shutil.which("mount"):
            return
        command = ["mount", "-t", "tmpfs", "-o", f"size={SPOOL_BYTES},mode=0700", "tmpfs", str(self.spool_dir)]
        self._mounted = subprocess.run(command, check=False, capture_output=True).returncode == 0
