"""Lost webhooks, an outage in the middle, and reconciliation: `python -m faults.heal --orders 500`.

The sandbox plays Gelato: orders are placed all the time, a share of their webhooks is never posted, and the receiver is down
for two hours of the story. When all stories have ended, `gelato-rollup reconcile` is run until nothing is left to heal, and
each rollup is held against the state of the sandbox. Real processes, real HTTP.
"""

import argparse
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import orjson
from support.commands import run_command
from support.polling import eventually
from support.processes import SECRET, Process, Receiver, environment
from support.server import Server

from ops.sandbox import Customer, Options, SandboxClient, Target, compare_state, running
from shared.store import keys
from worker import findings

KEY = "the-key:of-the-sandbox"
_HOUR = 3_600.0
#: The shortest outage that is one, and some more.
_OUTAGE_SECONDS = 13.0


@dataclass(frozen=True)
class Run:
    """What to play. `hour_seconds`: how long an hour of the story lasts here."""

    orders: int = 500
    seed: int = 1
    lose: float = 0.3
    hour_seconds: float = _OUTAGE_SECONDS / 2
    life_hours: float = 6.0


@dataclass
class Step:
    """One run of the command, and how many rollups were still wrong after it."""

    name: str
    said: dict[str, Any]
    wrong: int


@dataclass
class Outcome:
    """What came of it."""

    run: Run
    connected: int
    lost: int
    wrong_before: int
    #: In more than that nobody had said how many connected orders there are: what only a `get` can mend.
    wrong_in_substance: int
    #: As the sandbox has counted them.
    gets_answered: int = 0
    steps: list[Step] = field(default_factory=list)
    differences: list[str] = field(default_factory=list)

    @property
    def gets(self) -> int:
        """Gets, as the service has counted them."""
        return sum(step.said["gets"] for step in self.steps)

    @property
    def healed(self) -> int:
        """Orders healed, once each time."""
        return sum(step.said["healed"] for step in self.steps)

    @property
    def gets_per_healed(self) -> float:
        """Gets per healed order, on average."""
        return self.gets / max(1, self.healed)

    def table(self) -> str:
        """As Markdown."""
        run = self.run
        lines = [
            f"{run.orders} orders ({self.connected} connected ones), seed {run.seed}: {run.lose:.0%} of all webhooks "
            f"and those of an outage of two hours never arrived ({self.lost} lost by choice). Before reconciliation "
            f"{self.wrong_before} rollups differed from the truth, {self.wrong_in_substance} of them in more than "
            "`complete`.",
            "",
            "| step | looked at | searches | gets | healed | gets per healed order | rollups still wrong |",
            "|---|---:|---:|---:|---:|---:|---:|",
        ]
        for step in self.steps:
            said = step.said
            per = "" if said["getsPerHealed"] is None else f"{said['getsPerHealed']:.2f}"
            row = (step.name, said["lookedAt"], said["searches"], said["gets"], said["healed"], per, step.wrong)
            lines.append("| " + " | ".join(map(str, row)) + " |")
        per_wrong = self.gets / max(1, self.wrong_in_substance)
        lines += [
            "",
            f"All together {self.gets_per_healed:.2f} gets per healed order, and {per_wrong:.2f} for each of the ",
        ]
        lines[-1] += f"{self.wrong_in_substance} that differed in more than `complete`."
        return "\n".join(lines)


def heal(run: Run, home: Path, tell: Callable[[str], None] = lambda _: None) -> Outcome:
    """Play, lose, reconcile, compare."""
    (home / "data").mkdir()
    server = Server(home / "data")
    server.start()
    env = environment(server.url, home / "var", GELATO_RECONCILE_MINUTES="0", GELATO_API_KEY=KEY)
    receiver = Receiver(env, home / "receiver.log")
    target = Target(f"{receiver.base}/webhooks/gelato", "X-Webhook-Secret", SECRET)
    options = Options(
        (Customer("default", "v4", KEY, target=target),),
        seed=run.seed,
        speed=_HOUR / run.hour_seconds,
        life_seconds=run.life_hours * _HOUR,
        lose=run.lose,
        retry_seconds=min(5.0, run.hour_seconds / 4),
        rate_limit=0,
    )
    worker: Process | None = None
    try:
        with running(options) as sandbox:
            env["GELATO_API_URL"] = sandbox.v4_url
            receiver.env["GELATO_API_URL"] = sandbox.v4_url
            receiver.start()
            worker = Process(["worker"], env, home / "worker.log").start()
            eventually(lambda: server.client.get(keys.READY), what="the receiver to say that it is ready")
            began = time.time()
            placing = threading.Thread(target=_place, args=(sandbox, run))
            placing.start()
            time.sleep(run.life_hours / 2 * run.hour_seconds)
            _outage(receiver, server, run, tell)
            placing.join()
            eventually(sandbox.ended, seconds=300, what="all stories to end")
            tell("all stories have ended")
            return _reconcile(run, sandbox, server, env, home, began, tell)
    finally:
        receiver.stop()
        if worker is not None:
            worker.kill()
        server.stop()


def _place(sandbox: SandboxClient, run: Run) -> None:
    """Orders come all the time, over a life's length: before, in and after the outage."""
    lots = 20
    made = 0
    for lot in range(1, lots + 1):
        count = run.orders * lot // lots - made
        if count:
            sandbox.make_orders(count)
            made += count
        time.sleep(run.life_hours * run.hour_seconds / lots)


def _outage(receiver: Receiver, server: Server, run: Run, tell: Callable[[str], None]) -> None:
    """Two hours of the story without a receiver."""
    receiver.kill()
    tell("the receiver is down")
    time.sleep(2 * run.hour_seconds)
    missing_ms = int((_OUTAGE_SECONDS - 2 * run.hour_seconds) * 1000)
    if missing_ms > 0:  # the story runs faster than the sender's patience: what it lost, no later try brings
        server.client.decrby(keys.READY, missing_ms)
    receiver.start()
    tell("the receiver is back")


def _reconcile(
    run: Run,
    sandbox: SandboxClient,
    server: Server,
    env: dict[str, str],
    home: Path,
    began: float,
    tell: Callable[[str], None],
) -> Outcome:
    eventually(lambda: _still(server), what="the worker to fold what there is")
    before = _wrong(sandbox, server)
    counts = sandbox.counts()
    outcome = Outcome(
        run,
        connected=counts["connectedOrders"],
        lost=counts["webhooks"]["lost"],
        wrong_before=len(before),
        wrong_in_substance=sum(any(": complete:" not in each for each in found) for found in before.values()),
    )
    tell(f"{len(before)} rollups are wrong")
    since = datetime.fromtimestamp(began - 5, UTC).isoformat()
    steps = {
        "a round: outage, incomplete, attention": ("reconcile", "--json"),
        "`--stale`: open and silent": ("reconcile", "--stale", "0s", "--json"),
        "`--since`: all placed since the beginning": ("reconcile", "--since", since, "--json"),
        "`--since` again": ("reconcile", "--since", since, "--json"),
    }
    eventually(lambda: _settled_outage(server), seconds=30, what="the outage to be settled")
    for name, command in steps.items():
        answer = run_command(command, env, home)
        assert answer.returncode == 0, answer.stderr
        eventually(lambda: _still(server), what="the worker to fold the answers")
        wrong = _wrong(sandbox, server)
        outcome.steps.append(Step(name, orjson.loads(answer.stdout), len(wrong)))
        outcome.differences = [difference for found in wrong.values() for difference in found]
        tell(f"{name}: {answer.stdout.strip()}; {len(wrong)} rollups are wrong")
    outcome.gets_answered = sandbox.counts()["calls"].get("get", 0)
    return outcome


def _still(server: Server) -> bool:
    return not any(server.client.zcard(keys.due(shard)) for shard in range(keys.SHARDS))


def _settled_outage(server: Server) -> bool:
    """Reconciliation leaves an outage alone for a while: another receiver may say that it was ready."""
    newest = server.client.zrange(keys.OUTAGES, -1, -1, withscores=True)
    return not newest or newest[0][1] < time.time() * 1000 - findings.SETTLED_MS - 1_000


def _wrong(sandbox: SandboxClient, server: Server) -> dict[str, list[str]]:
    """The differences of each rollup that is not as Gelato has it."""
    truths = sandbox.truths()
    documents = server.client.mget([keys.document_key(each["tenant"], each["orderReferenceId"]) for each in truths])
    found = {
        truth["orderReferenceId"]: [str(each) for each in compare_state(truth, orjson.loads(raw) if raw else None)]
        for truth, raw in zip(truths, documents, strict=True)
    }
    return {reference: differences for reference, differences in found.items() if differences}


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m faults.heal", description=__doc__)
    parser.add_argument("--orders", type=int, default=500)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--lose", type=float, default=0.3)
    asked = parser.parse_args()
    began = time.monotonic()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda number, _: sys.exit(128 + number))

    def tell(line: str) -> None:
        sys.stderr.write(f"{time.monotonic() - began:7.1f} s  {line}\n")

    with tempfile.TemporaryDirectory(prefix="heal-") as directory:
        outcome = heal(Run(asked.orders, asked.seed, asked.lose), Path(directory), tell)
    sys.stdout.write(outcome.table() + "\n")
    for difference in outcome.differences[:20]:
        sys.stdout.write(difference + "\n")
    return 1 if outcome.differences or outcome.gets_per_healed > 1.5 else 0


if __name__ == "__main__":
    sys.exit(main())
