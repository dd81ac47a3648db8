"""Fold of a backlog: events a second by one and two real worker processes; beside B and D."""

import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

from ops.bench import lives, proc
from ops.bench.backlog import fill, folded_events, hide, lay_open, wait_until_folded, waiting
from ops.bench.bench import Bench
from ops.bench.errors import BenchError
from ops.bench.processes import Stage, baseline_script, wait_for
from ops.bench.results import Result

UNIT: Final = "events/s"
EVENTS: Final = 20
_POLL_SECONDS: Final = 0.002
_MOST_SECONDS: Final = 300.0


def fold(bench: Bench) -> Result:
    """The benchmark."""
    sizes = bench.sizes
    baseline_script("rq_worker.py")
    result = Result(
        "fold",
        {
            "orders": sizes.backlog_orders,
            "eventsPerOrder": EVENTS,
            "connectedOrders": 2,
            "items": 3,
            "rqOrders": sizes.rq_orders,
            "appendfsync": "everysec",
            "measured": "from the moment at which the whole backlog becomes visible to workers that are idle, until "
            "nothing is due",
        },
    )
    prepared = _prepare(bench.scratch / "backlog", bench, _fill_ours)
    prepared_stream = _prepare(bench.scratch / "stream", bench, _fill_stream)

    def ours(processes: int) -> Callable[[], None]:
        return lambda: _ours(bench, result, prepared, processes)

    def rq(kind: str) -> Callable[[], None]:
        return lambda: _rq(bench, result, kind)

    try:
        bench.rounds(
            [
                ("one worker", ours(1)),
                ("B, SimpleWorker", rq("simple")),
                ("two workers", ours(2)),
                ("D", lambda: _streams(bench, result, prepared_stream)),
                ("B, forking Worker", rq("forking")),
            ]
        )
    finally:
        shutil.rmtree(prepared, ignore_errors=True)
        shutil.rmtree(prepared_stream, ignore_errors=True)
    result.target("one worker / B with SimpleWorker", result.ratio("ours, 1 worker", "B, SimpleWorker"), 100, digits=0)
    result.target("one worker / B with Worker", result.ratio("ours, 1 worker", "B, forking Worker"), 300, digits=0)
    result.target("two workers / one", result.ratio("ours, 2 workers", "ours, 1 worker"), 1.5)
    return result


class _Used:
    """Processor time of workers and server from now on: shows where the time goes, and whether any core was left idle."""

    def __init__(self, worker: int, server: int) -> None:
        self._workers, self._server = proc.family(worker), server
        self._before = self._now()

    def add_to(self, result: Result, name: str, events: int, seconds: float) -> None:
        """Add what was used for so many events in so many seconds."""
        workers, server = (now - then for now, then in zip(self._now(), self._before, strict=True))
        result.add(f"{name}: processor time of workers", workers / events * 1e6, "us per event", 1)
        result.add(f"{name}: processor time of the server", server / events * 1e6, "us per event", 1)
        result.add(f"{name}: cores used", (workers + server) / seconds, "cores", 2)

    def _now(self) -> tuple[float, float]:
        return proc.cpu_seconds(self._workers), proc.cpu_seconds([self._server])


def _prepare(keep: Path, bench: Bench, put: Callable[[Stage, int], None]) -> Path:
    """A directory with a hidden backlog in an append-only file, made once and copied for each run."""
    with Stage(bench.scratch) as stage:
        put(stage, bench.sizes.backlog_orders)
        stage.server.stop(signal.SIGTERM)
        shutil.copytree(stage.directory / "appendonlydir", keep / "appendonlydir")
    return keep


def _fill_ours(stage: Stage, orders: int) -> None:
    """By the receiver's own operation."""
    fill(stage.store, lives.interleaved("R", orders, events=EVENTS))
    hide(stage.store)


def _fill_stream(stage: Stage, orders: int) -> None:
    with stage.store.client.pipeline(transaction=False) as pipeline:
        for event in lives.interleaved("R", orders, events=EVENTS):
            pipeline.xadd("hidden", {"o": event.reference, "e": event.body})
            if len(pipeline) >= 1_000:
                pipeline.execute()
        pipeline.execute()


def _ours(bench: Bench, result: Result, prepared: Path, processes: int) -> None:
    expected = bench.sizes.backlog_orders * EVENTS
    with Stage(bench.scratch, seed=prepared) as stage:
        worker = stage.worker(processes)
        # Two supervised workers may both have said that they are alive a moment before they block.
        time.sleep(0.3)
        used = _Used(worker.pid, stage.server.pid)
        start = time.perf_counter()
        lay_open(stage.store)
        wait_until_folded(stage.store, [worker], _MOST_SECONDS)
        seconds = time.perf_counter() - start
        name = f"ours, {processes} worker" + ("s" if processes > 1 else "")
        result.add(name, expected / seconds, UNIT)
        used.add_to(result, name, expected, seconds)
        stage.stop()
        found = folded_events(stage.store)
        result.check(f"fold, {name}: the documents hold every event once", found == expected, f"{found} of {expected}")
        result.check(f"fold, {name}: nothing is left", waiting(stage.store) == 0)


def _rq(bench: Bench, result: Result, kind: str) -> None:
    orders = bench.sizes.rq_orders
    expected = orders * EVENTS
    with Stage(bench.scratch) as stage:
        client = stage.store.client
        _run_script("rq_backlog.py", stage, _bodies(stage, orders), "hidden")
        worker = stage.baseline("rq_worker.py", kind)
        wait_for(lambda: client.scard("rq:workers:baseline") == 1, [worker], what="RQ's worker")
        time.sleep(0.3)
        start = time.perf_counter()
        client.rename("rq:queue:hidden", "rq:queue:baseline")

        def done() -> bool:
            return not client.exists("rq:queue:baseline") and folded_events(stage.store, "document:*") >= expected

        _poll(done)
        name = "B, SimpleWorker" if kind == "simple" else "B, forking Worker"
        result.add(name, expected / (time.perf_counter() - start), UNIT)
        found = folded_events(stage.store, "document:*")
        result.check(f"fold, {name}: the documents hold every event once", found == expected, f"{found} of {expected}")


def _streams(bench: Bench, result: Result, prepared: Path) -> None:
    expected = bench.sizes.backlog_orders * EVENTS
    with Stage(bench.scratch, seed=prepared) as stage:
        client = stage.store.client
        reader = stage.baseline("streams_reader.py")
        wait_for(lambda: client.info("clients")["blocked_clients"] == 1, [], what="the reader of the stream")
        newest = client.xrevrange("hidden", count=1)[0][0]
        used = _Used(reader.pid, stage.server.pid)
        start = time.perf_counter()
        client.rename("hidden", "events")
        _poll(lambda: client.get("cursor") == newest)
        seconds = time.perf_counter() - start
        result.add("D", expected / seconds, UNIT)
        used.add_to(result, "D", expected, seconds)
        found = folded_events(stage.store, "document:*")
        result.check("fold, D: the documents hold every event once", found == expected, f"{found} of {expected}")


def _bodies(stage: Stage, orders: int) -> Path:
    path = stage.directory / "bodies"
    path.write_bytes(b"".join(event.body + b"\n" for event in lives.interleaved("R", orders, events=EVENTS)))
    return path


def _run_script(name: str, stage: Stage, *arguments: object) -> None:
    child = stage.baseline(name, *map(str, arguments))
    try:
        code = child.process.wait(_MOST_SECONDS)
    except subprocess.TimeoutExpired as error:
        raise BenchError(f"{name} did not end within {_MOST_SECONDS:.0f} s") from error
    if code:
        child.must_live()


def _poll(done: Callable[[], bool]) -> None:
    deadline = time.monotonic() + _MOST_SECONDS
    while not done():
        if time.monotonic() > deadline:
            raise BenchError(f"a baseline did not do its work within {_MOST_SECONDS:.0f} s")
        time.sleep(_POLL_SECONDS)
