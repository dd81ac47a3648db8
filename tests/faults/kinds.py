"""The faults: each is injected, lasts as long as the seed says, and is removed. All that is random comes from `rng`.

A fault returns what it is counted as. Those of `OUTAGES` are a Redis that is away, as seen by a receiver.
"""

import os
import random
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass

from support.proxy import Cut, Moment, Trap

from faults.stage import Actor, Stage

#: A fault: `(stage, rng, scale)`, where `scale` shortens it; what it is counted as.
Fault = Callable[[Stage, random.Random, float], str]

#: The points at which a worker is struck: the scripts on its way.
WORKER_POINTS = ("take", "finish", "pack")
RECEIVER_POINT = "accept"
#: So long a trap waits for its command; `pack` comes with orders that end.
_TRAP_SECONDS = 3.0
#: A clock may jump so far, seconds, without making the simulator's truth untrue: an event may be dated up to 300 s ahead
#: of its receipt, an id's clock holds for 7 days, and every event was made at least 10 minutes before the run.
CLOCK_JUMPS = (7_200.0, 72_000.0, -480.0, 45.0)
DISK_FULL = "disk of the spool full, server killed"


def _lasting(rng: random.Random, least: float, most: float, scale: float) -> float:
    return rng.uniform(least, most) * scale


def _restart(actor: Actor, rng: random.Random, scale: float) -> None:
    """Kill one, and start it again after a moment, as a supervisor does."""
    actor.kill()
    time.sleep(_lasting(rng, 0.0, 1.0, scale))
    actor.launch()


def kill_receiver(stage: Stage, rng: random.Random, scale: float) -> str:
    _restart(rng.choice(stage.receivers), rng, scale)
    return "SIGKILL of a receiver"


def kill_worker(stage: Stage, rng: random.Random, scale: float) -> str:
    _restart(rng.choice(stage.workers), rng, scale)
    return "SIGKILL of a worker"


def kill_all_workers(stage: Stage, rng: random.Random, scale: float) -> str:
    _restart_all(stage.workers, rng, scale)
    return "SIGKILL of all workers"


def kill_all_receivers(stage: Stage, rng: random.Random, scale: float) -> str:
    """Nobody answers, for less time than three tries take."""
    _restart_all(stage.receivers, rng, scale)
    return "SIGKILL of all receivers"


def _restart_all(actors: list[Actor], rng: random.Random, scale: float) -> None:
    for actor in actors:
        actor.kill()
    time.sleep(_lasting(rng, 0.2, 1.5, scale))
    for actor in actors:
        actor.launch()


def pause_receiver(stage: Stage, rng: random.Random, scale: float) -> str:
    rng.choice(stage.receivers).pause(_lasting(rng, 0.5, 4.0, scale))
    return "SIGSTOP of a receiver"


def pause_worker(stage: Stage, rng: random.Random, scale: float) -> str:
    rng.choice(stage.workers).pause(_lasting(rng, 0.5, 5.0, scale))
    return "SIGSTOP of a worker"


def roll_receiver(stage: Stage, rng: random.Random, scale: float) -> str:
    _roll(rng.choice(stage.receivers))
    return "SIGTERM of a receiver"


def roll_worker(stage: Stage, rng: random.Random, scale: float) -> str:
    _roll(rng.choice(stage.workers))
    return "SIGTERM of a worker"


def _roll(actor: Actor) -> None:
    actor.terminate()
    actor.launch()


def strike_worker(stage: Stage, rng: random.Random, scale: float) -> str:
    """SIGKILL a worker exactly when one of its steps is sent, or has been carried out."""
    return _strike(stage, stage.workers, rng.choice(WORKER_POINTS), rng, scale)


def strike_receiver(stage: Stage, rng: random.Random, scale: float) -> str:
    """SIGKILL a receiver exactly when it stores events, or has."""
    return _strike(stage, stage.receivers, RECEIVER_POINT, rng, scale)


def _strike(stage: Stage, actors: list[Actor], point: str, rng: random.Random, scale: float) -> str:
    by_name = {actor.name: actor for actor in actors}
    moment = rng.choice(list(Moment))

    def kill(owner: str) -> None:
        os.kill(by_name[owner].process.pid, signal.SIGKILL)

    trap = stage.proxy.set(Trap(point, moment, frozenset(by_name), kill))
    caught = trap.sprung.wait(_TRAP_SECONDS)
    stage.proxy.unset(trap)
    if not caught and not trap.victim:
        return "(no such moment came)"
    _restart(by_name[trap.victim], rng, scale)
    kind = "worker" if actors is stage.workers else "receiver"
    return f"SIGKILL of a {kind}: {point} {moment.value}"


def freeze_worker(stage: Stage, rng: random.Random, scale: float) -> str:
    """SIGSTOP a worker exactly at a step, for longer than its lease: it goes on with what others have done meanwhile."""
    point = rng.choice(WORKER_POINTS)
    moment = _freeze(stage, stage.workers, point, rng, stage.lease_seconds + 0.5)
    return f"SIGSTOP of a worker beyond its lease: {point} {moment.value}" if moment else "(no such moment came)"


def freeze_receiver(stage: Stage, rng: random.Random, scale: float) -> str:
    """SIGSTOP a receiver that stores events: when it goes on its patience has ended, and the events may be stored or not."""
    moment = _freeze(stage, stage.receivers, RECEIVER_POINT, rng, _lasting(rng, 0.2, 2.0, scale))
    return f"SIGSTOP of a receiver: {RECEIVER_POINT} {moment.value}" if moment else "(no such moment came)"


def _freeze(stage: Stage, actors: list[Actor], point: str, rng: random.Random, seconds: float) -> Moment | None:
    by_name = {actor.name: actor for actor in actors}
    moment = rng.choice(list(Moment))

    def freeze(owner: str) -> None:
        os.kill(by_name[owner].process.pid, signal.SIGSTOP)

    trap = stage.proxy.set(Trap(point, moment, frozenset(by_name), freeze, hold_seconds=seconds))
    trap.sprung.wait(_TRAP_SECONDS)
    stage.proxy.unset(trap)
    if not trap.victim:
        return None
    began = time.time()
    time.sleep(seconds)
    victim = by_name[trap.victim]
    victim.process.send(signal.SIGCONT)
    victim.paused.append((began, time.time()))
    return moment


def kill_server(stage: Stage, rng: random.Random, scale: float) -> str:
    stage.server.kill()
    time.sleep(_lasting(rng, 0.3, 4.0, scale))
    stage.server.start()
    return "server killed"


def hang_server(stage: Stage, rng: random.Random, scale: float) -> str:
    with stage.server.hanging():
        time.sleep(_lasting(rng, 0.5, 4.0, scale))
    return "server hung (SIGSTOP)"


def slow_server(stage: Stage, rng: random.Random, scale: float) -> str:
    stage.proxy.delay_seconds = rng.choice((0.02, 0.08, 0.14, 0.2, 0.4))
    time.sleep(_lasting(rng, 1.0, 4.0, scale))
    stage.proxy.delay_seconds = 0.0
    return "server slow"


def cut_connections(stage: Stage, rng: random.Random, scale: float) -> str:
    stage.proxy.cut(*rng.choices(list(Cut), k=6))
    time.sleep(_lasting(rng, 0.5, 2.0, scale))
    stage.proxy.uncut()
    return "connections cut in mid-pipeline"


def out_of_memory(stage: Stage, rng: random.Random, scale: float) -> str:
    stage.server.client.config_set("maxmemory", "1")
    time.sleep(_lasting(rng, 0.5, 3.0, scale))
    stage.server.client.config_set("maxmemory", "0")
    return "-OOM"


def read_only(stage: Stage, rng: random.Random, scale: float) -> str:
    """A replica of nobody: port 1 answers nothing, so there is nothing to copy."""
    stage.server.client.execute_command("REPLICAOF", "127.0.0.1", "1")
    time.sleep(_lasting(rng, 0.5, 3.0, scale))
    stage.server.client.execute_command("REPLICAOF", "NO", "ONE")
    return "-READONLY"


def loading(stage: Stage, rng: random.Random, scale: float) -> str:
    stage.proxy.refusal = b"-LOADING Redis is loading the dataset in memory\r\n"
    time.sleep(_lasting(rng, 0.5, 3.0, scale))
    stage.proxy.refusal = None
    return "-LOADING"


def forget_scripts(stage: Stage, rng: random.Random, scale: float) -> str:
    for _ in range(3):
        stage.server.client.script_flush()
        time.sleep(_lasting(rng, 0.05, 0.4, scale))
    return "-NOSCRIPT (SCRIPT FLUSH)"


def forget_rq(stage: Stage, rng: random.Random, scale: float) -> str:
    client = stage.server.client
    while found := list(client.scan_iter("rq:*", count=1000)):
        client.delete(*found)
        if rng.random() < 0.5:
            break
    return "RQ's keys deleted"


def jump_clock(stage: Stage, rng: random.Random, scale: float) -> str:
    actor = rng.choice(stage.receivers)
    actor.set_clock(rng.choice(CLOCK_JUMPS))
    time.sleep(_lasting(rng, 2.0, 8.0, max(scale, 0.5)))
    actor.set_clock(0.0)
    return "clock jump of a receiver"


def fill_disk(stage: Stage, rng: random.Random, scale: float) -> str:
    """Redis is away, and the spool's disk is full: 503, for less time than three tries take."""
    stage.server.kill()
    time.sleep(0.5)  # something is in the spool first
    with stage.full_disk():
        time.sleep(_lasting(rng, 1.0, 3.0, scale))
        if rng.random() < 0.5:  # back while the disk is still full: what is in the spool must go all the same
            stage.server.start()
            time.sleep(_lasting(rng, 1.0, 2.0, scale))
    if stage.server.process is None or stage.server.process.poll() is not None:
        stage.server.start()
    return DISK_FULL


@dataclass(frozen=True)
class Kinds:
    """The faults of a run: at most one of each list is in force at a time, so that one receiver is always up."""

    of_processes: tuple[Fault, ...]
    of_the_server: tuple[Fault, ...]
    skipped: dict[str, str]


OUTAGES = (kill_server, hang_server, slow_server, out_of_memory, read_only, loading)


def kinds_for(stage: Stage) -> Kinds:
    """All faults that this machine lets us inject."""
    skipped = {}
    of_processes = [
        *(kill_receiver, kill_all_receivers, kill_worker, kill_all_workers),
        *(pause_receiver, pause_worker, roll_receiver, roll_worker, jump_clock),
        *(strike_receiver, strike_worker, strike_worker, strike_worker),
        *(freeze_receiver, freeze_worker, freeze_worker),
    ]
    of_the_server = [*OUTAGES, cut_connections, forget_scripts, forget_rq]
    if stage.disk:
        of_the_server.append(fill_disk)
    else:
        skipped["full disk"] = "a tmpfs cannot be mounted: not root"
    return Kinds(tuple(of_processes), tuple(of_the_server), skipped)
