"""Receivers and workers that are killed while the simulator plays Gelato, and what is left of every promise afterwards.

Real processes over a Valkey of its own (`appendfsync always`): nothing but the operating system stands between a SIGKILL
and the data. When and whom to kill is decided beforehand, from the seed alone.
"""

import asyncio
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson
from support.polling import eventually
from support.processes import SECRET, Process, Receiver, environment
from support.server import Server

from ops.simulator.delivery import schedule
from ops.simulator.orders import SimulatedOrder, make_orders
from ops.simulator.report import Report
from ops.simulator.run import Options, simulate
from shared.store import Store, keys, orders

_CHANCES: dict[str, Any] = {"duplicate": 0.1, "reorder": 0.1, "fail": 0.02}
_SPLIT, _TROUBLE = 3, 0.15
_RETRY_SECONDS = 5.0
_SETTLE_SECONDS = 90.0


def _number(text: str) -> int | float:
    return float(text) if "." in text else int(text)


@dataclass(frozen=True)
class Plan:
    """What to play and whom to kill. `rate`: posts a second in all; `lease_seconds`: GELATO_LEASE_SECONDS."""

    seed: int = 1
    orders: int = 40
    worker_kills: int = 6
    receiver_kills: int = 2
    rate: float = 80.0
    workers: int = 2
    receivers: int = 1
    lease_seconds: float = 2.0

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] = os.environ) -> "Plan":
        """The plan that the FAULTS_* variables ask for; what they do not say is as above."""
        numbers = {name: environment.get(f"FAULTS_{name.upper()}") for name in cls.__dataclass_fields__}
        asked: dict[str, Any] = {name: _number(text) for name, text in numbers.items() if text}
        return cls(**asked)

    def options(self, number: int, url: str, redis_url: str) -> Options:
        """The simulator's options against one of the receivers."""
        share = self.orders // self.receivers + (number < self.orders % self.receivers)
        return Options(
            url=url,
            secret=SECRET,
            redis_url=redis_url,
            orders=share,
            rate=self.rate / self.receivers,
            seed=self.seed * 1000 + number,
            split=_SPLIT,
            trouble=_TROUBLE,
            retry_seconds=_RETRY_SECONDS,
            settle_seconds=_SETTLE_SECONDS,
            run=f"kills-{number}",
            **_CHANCES,
        )


@dataclass
class Kills:
    """How many were killed; how many of them while events were still being sent; how many held orders at that moment."""

    workers: int = 0
    receivers: int = 0
    while_sending: int = 0
    in_the_midst: int = 0


@dataclass
class Outcome:
    """What a run left behind."""

    plan: Plan
    reports: list[Report]
    kills: Kills
    #: Sent events that no document counts, of those that got a 2xx.
    lost: int
    #: Keys of the due set that still held something, long after.
    unfinished: list[str]
    rebuilt: dict[str, Any]
    dead_letters: int
    #: Orders whose newest version is not in the stream of changes: `(reference, in the document, in the stream)`.
    unannounced: list[tuple[str, int, int]]
    #: Per event, from its receipt to the first announcement after it: so long the document was not yet right.
    until_right_s: list[float] = field(default_factory=list)

    @property
    def acknowledged(self) -> int:
        """Posts that got a 2xx."""
        return sum(sum(report.outcomes.values()) for report in self.reports)

    def summary(self) -> str:
        """A small report, for people."""
        failed: dict[str, int] = {}
        for report in self.reports:
            for name, number in report.failed_attempts.items():
                failed[name] = failed.get(name, 0) + number
        lines = {
            "seed": self.plan.seed,
            "orders": sum(report.orders for report in self.reports),
            "events sent": sum(report.events for report in self.reports),
            "posts": sum(report.posts for report in self.reports),
            "acknowledged": self.acknowledged,
            "failed attempts": ", ".join(f"{name} {number}" for name, number in sorted(failed.items())) or "none",
            "worker kills": self.kills.workers,
            "receiver kills": self.kills.receivers,
            "kills while sending": self.kills.while_sending,
            "workers killed holding orders": self.kills.in_the_midst,
            "given up after three tries": sum(each.events for report in self.reports for each in report.given_up),
            "lost": self.lost,
            "wrong rollups": sum(report.differing_orders for report in self.reports),
            "sending": f"{max(report.sending_seconds for report in self.reports):.1f} s",
            "settled after": f"{max(report.settling_seconds for report in self.reports):.1f} s",
            "longest until a document was right": f"{max(self.until_right_s, default=0.0):.3f} s after an event",
        }
        return "\n".join(f"  {name:36}{value}" for name, value in lines.items())


class KilledReceiver(Receiver):
    """A receiver that can be started again without waiting for it."""

    def launch(self) -> None:
        """Start it; `ready` waits."""
        Process.start(self)


class KilledWorker(Process):
    """A worker process that says when it has started."""

    def __init__(self, env: Mapping[str, str], log: Path) -> None:
        super().__init__(["worker"], env, log)
        self._launches = 0

    def launch(self) -> None:
        """Start it; `ready` waits."""
        self._launches += 1
        self.start()

    def ready(self) -> None:
        """Wait until it says that it works."""
        eventually(
            lambda: sum(line.get("event") == "worker started" for line in self.said()) >= self._launches,
            seconds=60.0,
            what="the worker to start",
        )


def run(plan: Plan, directory: Path) -> Outcome:
    """Play a plan. Files go to `directory`; no process outlives this call."""
    server = Server(directory, "--appendonly", "yes", "--appendfsync", "always")
    server.start()
    env = environment(server.url, directory / "var", GELATO_LEASE_SECONDS=str(plan.lease_seconds))
    receivers = [KilledReceiver(env, directory / f"receiver-{n}.log") for n in range(plan.receivers)]
    workers = [KilledWorker(env, directory / f"worker-{n}.log") for n in range(plan.workers)]
    try:
        processes: list[KilledReceiver | KilledWorker] = [*receivers, *workers]
        for process in processes:
            process.launch()
        for process in processes:
            process.ready()
        options = [plan.options(n, receiver.base, server.url) for n, receiver in enumerate(receivers)]
        made = [make_orders(each.orders, each.seed, each.split, each.trouble, run=each.run) for each in options]
        posts = sum(len(schedule(group, each.seed, **_CHANCES)) for group, each in zip(made, options, strict=True))
        sending = threading.Event()
        kills = Kills()
        killers = [
            _Killer(plan, "workers", workers, posts / plan.rate, kills, sending, server),
            _Killer(plan, "receivers", receivers, posts / plan.rate, kills, sending, server),
        ]
        with ThreadPoolExecutor(len(killers)) as threads:
            running = [threads.submit(killer.run) for killer in killers]
            reports = asyncio.run(_simulate(options, sending))
            for each in running:
                each.result()
        return _outcome(plan, server, env, [order for group in made for order in group], reports, kills)
    finally:
        for receiver in receivers:
            receiver.stop()
        for worker in workers:
            worker.kill()
        server.stop()


class _Killer:
    """Kills processes of one kind at moments spread over the sending, and starts each again at once.

    A worker holds orders for some milliseconds at a time, which a kill at any moment would nearly always miss. So most
    workers are stopped in their tracks first, again and again, until one is caught holding a lease.
    """

    def __init__(
        self,
        plan: Plan,
        kind: str,
        processes: list[Any],
        seconds: float,
        kills: Kills,
        sending: threading.Event,
        server: Server,
    ) -> None:
        self._kind, self._processes, self._kills, self._sending = kind, processes, kills, sending
        self._client = server.client
        self._rng = random.Random(f"kills/{kind}/{plan.seed}")
        number: int = plan.worker_kills if kind == "workers" else plan.receiver_kills
        step = seconds / (number + 1)
        self._moments = [step * (n + 1 + self._rng.uniform(-0.4, 0.4)) for n in range(number)]
        self._pause = threading.Event()  # never set

    def run(self) -> None:
        began = time.monotonic()
        for moment in self._moments:
            victim = self._rng.choice(self._processes)
            victim.ready()
            self._pause.wait(max(0.0, began + moment - time.monotonic()))
            if self._kind == "workers" and self._rng.random() < 0.75:
                self._kills.in_the_midst += self._caught_in_the_midst(victim)
            victim.kill()
            setattr(self._kills, self._kind, getattr(self._kills, self._kind) + 1)
            self._kills.while_sending += self._sending.is_set()
            victim.launch()
        for process in self._processes:
            process.ready()

    def _caught_in_the_midst(self, victim: Process) -> bool:
        """Stop a worker while it holds orders; False where that did not succeed for a while."""
        deadline = time.monotonic() + 3.0
        while time.monotonic() < deadline:
            if not self._leases():
                continue
            self._pause.wait(self._rng.uniform(0.0, 0.002))  # which step of the fold it is at is left to chance
            victim.send(signal.SIGSTOP)
            before = self._leases()
            if before:
                self._pause.wait(0.05)  # the others give theirs up meanwhile
                if before & self._leases():
                    return True
            victim.send(signal.SIGCONT)
        return False

    def _leases(self) -> set[tuple[bytes, bytes]]:
        with self._client.pipeline(transaction=False) as pipeline:
            for shard in range(keys.SHARDS):
                pipeline.hgetall(keys.leases(shard))
            return {lease for leases in pipeline.execute() for lease in leases.items()}


async def _simulate(options: list[Options], sending: threading.Event) -> list[Report]:
    left = len(options)

    def progress(phase: str, done: int, total: int) -> None:
        nonlocal left
        if phase == "sending" and done == total:
            left -= 1
            if not left:
                sending.clear()

    sending.set()
    return list(await asyncio.gather(*(simulate(each, progress) for each in options)))


def _outcome(
    plan: Plan,
    server: Server,
    env: Mapping[str, str],
    made: list[SimulatedOrder],
    reports: list[Report],
    kills: Kills,
) -> Outcome:
    unfinished = _unfinished(server, plan.lease_seconds + 15.0)
    given_up = {each.reference for report in reports for each in report.given_up}
    announced = _announced(server)
    lost, unannounced, until_right = 0, [], []
    store = Store.from_url(server.url)
    try:
        for order in made:
            raw = store.run(orders.document("default", order.reference))
            document = orjson.loads(raw) if raw else {"events": 0, "version": 0}
            if order.reference not in given_up:
                lost += max(0, order.truth.events - document["events"])
            told = announced.get(order.reference, [])
            newest = max((version for _, version in told), default=0)
            if newest != document["version"]:
                unannounced.append((order.reference, document["version"], newest))
            for record in store.run(orders.log("default", order.reference)):
                if record.is_event and not record.is_known:
                    later = [at_ms / 1e3 for at_ms, _ in told if at_ms >= record.received // 1000]
                    until_right.append(min(later, default=float("inf")) - record.received / 1e6)
    finally:
        store.close()
    rebuild = subprocess.run(
        [sys.executable, "-m", "ops", "orders", "rebuild", "--all", "--json"],
        env=dict(env),
        capture_output=True,
        timeout=120,
        check=False,
    )
    assert rebuild.returncode == 0, rebuild.stderr.decode()
    return Outcome(
        plan=plan,
        reports=reports,
        kills=kills,
        lost=lost,
        unfinished=unfinished,
        rebuilt=orjson.loads(rebuild.stdout),
        dead_letters=int(server.client.zcard(keys.DEAD_LETTERS)),
        unannounced=unannounced,
        until_right_s=until_right,
    )


def _unfinished(server: Server, seconds: float) -> list[str]:
    """What is left of due marks and leases; waits for those of the dead to run out."""

    def left() -> list[str]:
        patterns = ("gelato:due:*", "gelato:marks:*", "gelato:leases:*")
        return sorted(key.decode() for pattern in patterns for key in server.client.scan_iter(pattern))

    try:
        eventually(lambda: not left(), seconds=seconds, what="the due set to empty")
    except AssertionError:
        return left()
    return []


def _announced(server: Server) -> dict[str, list[tuple[int, int]]]:
    """Per reference, what the stream of changes has of it: when it was written there (ms), and the version."""
    told: dict[str, list[tuple[int, int]]] = {}
    client: Any = server.client
    for entry_id, fields in client.xrange(keys.CHANGES):
        entry = (int(entry_id.split(b"-")[0]), int(fields[b"version"]))
        told.setdefault(fields[b"orderReferenceId"].decode(), []).append(entry)
    return told
