"""Memory: in Redis per finished order, and of receiver and worker while a million events go through them."""

import signal
import subprocess
import time
from pathlib import Path
from typing import Final

import orjson

from ops.bench import lives, proc, wrk
from ops.bench.backlog import documents, wait_until_folded
from ops.bench.bench import Bench
from ops.bench.errors import BenchError
from ops.bench.processes import SECRET, Listening, Stage, program, wait_for
from ops.bench.results import Result
from shared.store import keys

EVENTS: Final = 24
_MOST_LOOKS: Final = 20
_LOOK_SECONDS: Final = 2.0
_KIB: Final = 1024
_MIB: Final = 1024 * 1024
_MOST_SECONDS: Final = 3_600
_SAMPLE_SECONDS: Final = 1.0


def memory(bench: Bench) -> Result:
    """The benchmark: one run, through the real receiver and the real worker."""
    program("wrk", "wrk")
    orders = bench.sizes.memory_orders
    result = Result(
        "memory",
        {
            "orders": orders,
            "eventsPerOrder": EVENTS,
            "connectedOrders": 2,
            "items": 3,
            "appendfsync": "everysec",
            "load": "wrk, 32 connections, as fast as they are taken; 200 orders under way at a time",
        },
    )
    bench.step("writing down the events", 3)
    bodies = bench.scratch / "bodies"
    with bodies.open("wb") as file:
        file.writelines(event.body + b"\n" for event in lives.interleaved("R", orders, events=EVENTS))
    try:
        _through(bench, result, bodies)
    finally:
        bodies.unlink()
    return result


def _through(bench: Bench, result: Result, bodies: Path) -> None:
    orders = bench.sizes.memory_orders
    with Stage(bench.scratch) as stage:
        receiver = stage.receiver()
        worker = stage.worker()
        time.sleep(1.0)
        before = _used(stage)
        bench.step(f"{orders * EVENTS} events through receiver and worker", 3)
        said, peaks = _post(stage, receiver, worker.pid, bodies)
        bench.step("until everything is folded", 3)
        wait_until_folded(stage.store, [receiver.child, worker])
        wait_for(lambda: not _rewriting(stage), [], what="the append-only file's rewrite", seconds=300)
        used = _settled(stage) - before
        changes = stage.store.client.memory_usage(keys.CHANGES, samples=0) or 0
        result.add("Redis, per finished order", used / orders / _KIB, "KiB", 2)
        result.add("of it the stream of changes", changes / orders / _KIB, "KiB", 2)
        for name, pid in (("receiver", receiver.pid), ("worker", worker.pid)):
            result.add(f"{name}, RSS after the first tenth", peaks[name] / _MIB, "MiB", 1)
            result.add(f"{name}, RSS at most", proc.peak_rss_bytes(pid) / _MIB, "MiB", 1)
        result.settings["events"] = orders * EVENTS
        result.settings["seconds"] = round(said.microseconds / 1e6, 1)
        _check(stage, result, orders, said)
    per_order = result.median("Redis, per finished order")
    result.target("Redis per finished order", per_order, 8.0, at_least=False, unit="KiB")
    for name in ("receiver", "worker"):
        peak = result.median(f"{name}, RSS at most")
        result.target(f"{name}, RSS at most", peak, 150, at_least=False, unit="MiB", digits=0)


def _post(stage: Stage, receiver: Listening, worker_pid: int, bodies: Path) -> tuple[wrk.Outcome, dict[str, int]]:
    """Post every body once; memory of both processes (bytes) when a tenth of the log lines' time had passed."""
    done = stage.directory / "done"
    environment = {"BENCH_SECRET": SECRET, "BENCH_BODIES": str(bodies), "BENCH_DONE": str(done)}
    command = wrk.command(receiver.base, "file.lua", _MOST_SECONDS)
    peaks = {"receiver": 0, "worker": 0}
    total = bodies.stat().st_size
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as load:
        deadline = time.monotonic() + _MOST_SECONDS
        while not done.exists() and load.poll() is None and time.monotonic() < deadline:
            if not peaks["receiver"] and _read_so_far(load.pid) > total / 10:
                peaks = {"receiver": proc.rss_bytes(receiver.pid), "worker": proc.rss_bytes(worker_pid)}
            receiver.child.must_live()
            time.sleep(_SAMPLE_SECONDS / 5)
        load.send_signal(signal.SIGINT)  # wrk's own way to end early: it prints what it counted
        said, complained = load.communicate(timeout=30)
    if not done.exists():
        raise BenchError(f"wrk did not post everything: {complained.decode(errors='replace')[-300:]}")
    return wrk.outcome(said, complained), peaks


def _read_so_far(pid: int) -> int:
    """How many bytes a process has read from files and sockets."""
    first = Path(f"/proc/{pid}/io").read_text().splitlines()[0]
    return int(first.partition(":")[2])


def _check(stage: Stage, result: Result, orders: int, said: wrk.Outcome) -> None:
    events, terminal, count = 0, 0, 0
    for raw in documents(stage.store):
        document = orjson.loads(raw)
        count += 1
        events += document["events"]
        terminal += document["terminal"]
    result.check(
        "memory: every order is there, finished, with every event once",
        (count, terminal, events) == (orders, orders, orders * EVENTS),
        f"{count} documents, {terminal} terminal, {events} events; {orders} orders of {EVENTS} events were sent",
    )
    result.check(
        "memory: every answer is a 2xx",
        not said.refused and not said.broken,
        f"{said.refused} refused, {said.broken} broken",
    )


def _used(stage: Stage) -> int:
    return int(stage.store.client.info("memory")["used_memory"])


def _settled(stage: Stage) -> int:
    """Memory in use when it shrinks no longer: an idle worker packs the logs of the last orders a second later."""
    used = _used(stage)
    for _ in range(_MOST_LOOKS):
        time.sleep(_LOOK_SECONDS)
        now = _used(stage)
        if now > used * 0.999:
            return now
        used = now
    return used


def _rewriting(stage: Stage) -> bool:
    return bool(stage.store.client.info("persistence")["aof_rewrite_in_progress"])
