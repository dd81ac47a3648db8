"""Real worker processes: lost kicks, RQ away or emptied, foreign jobs, signals, and what an idle one costs."""

import os
import pickle
import signal
import time
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from rq import Queue, Worker
from support.events import webhook
from support.orders import accept, found_document
from support.polling import eventually
from support.processes import Process
from support.server import Server

from shared import kick
from shared.store import Store, due, intake, keys
from shared.store.calls import one
from shared.store.scripts import MARK
from worker.advance import Policy
from worker.fold import fold_due

Start = Callable[..., Process]


def folded(store: Store, reference: str) -> int:
    """How many events of an order are folded."""
    found = found_document(store, reference)
    return int(found["events"]) if found else 0


def works(store: Store, reference: str, seconds: float = 15.0) -> None:
    """An event of a new order is accepted and folded."""
    accept(store, webhook(reference))
    eventually(lambda: folded(store, reference) == 1, seconds=seconds, what=f"order {reference} to be folded")


def in_a_shift(server: Server) -> bool:
    return server.client.zcard(keys.SHIFTS) > 0


def said(process: Process, event: str) -> list[dict[str, Any]]:
    return [line for line in process.said() if line.get("event") == event]


def test_an_order_whose_kick_and_wake_were_lost_is_folded_anyway(store: Store, server: Server, start: Start) -> None:
    start("worker")
    eventually(lambda: in_a_shift(server), what="the worker to be in a shift")

    def stored_only() -> Iterator[Any]:
        yield next(intake.accept([webhook("A")], cluster=True))

    store.run(stored_only())  # type: ignore[arg-type]
    shard = keys.shard_of("default/A")
    store.run(one(MARK, keys.due(shard), keys.marks(shard), keys.leases(shard), arguments=("default/A",)))
    assert server.client.exists(keys.WAKE) == 0
    eventually(lambda: folded(store, "A") == 1, what="the order to be folded")


def test_it_goes_on_when_rqs_keys_are_flushed_under_it(store: Store, server: Server, start: Start) -> None:
    worker = start("worker")
    works(store, "before")
    for n in range(3):
        for key in server.client.scan_iter("rq:*"):
            server.client.delete(key)
        works(store, f"after-{n}")
    assert worker.terminate(10) == 0


def test_without_rqs_server_the_sweep_folds(store: Store, start: Start, tmp_path: Path) -> None:
    accept(store, webhook("A"), webhook("B"))
    worker = start("worker", RQ_REDIS_URL=f"unix://{tmp_path}/nobody-listens-here")
    eventually(lambda: folded(store, "A") + folded(store, "B") == 2, what="the sweep to fold")
    eventually(lambda: said(worker, "swept"), what="the sweep to say so")
    works(store, "C")
    assert worker.terminate(10) == 0


class Bomb:
    """What an attacker would pickle."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return os.mkdir, (str(self.path),)


def test_foreign_and_pickled_jobs_are_refused_and_not_executed(
    store: Store, server: Server, start: Start, tmp_path: Path
) -> None:
    touched = [tmp_path / f"touched-{n}" for n in range(4)]
    ours = kick.queue(server.client)
    ours.enqueue("os.mkdir", str(touched[0]))
    ours.enqueue("worker.shift.shift", str(touched[0]))
    Queue(kick.QUEUE, connection=server.client).enqueue("os.mkdir", str(touched[1]))  # pickled by RQ
    for n, field in ((2, "data"), (3, "meta")):
        job = ours.enqueue("os.mkdir", str(touched[n]))
        server.client.hset(f"rq:job:{job.id}", field, zlib.compress(pickle.dumps(Bomb(touched[n]))))
        server.client.hset(f"rq:job:{job.id}", field, pickle.dumps(Bomb(touched[n])))
    worker = start("worker")
    eventually(lambda: len(said(worker, "foreign job refused")) >= 4, what="the foreign jobs to be refused")
    works(store, "A")
    eventually(lambda: in_a_shift(server), what="a shift")  # it is past the foreign jobs
    assert [path for path in touched if path.exists()] == []
    assert worker.process is not None
    assert worker.process.poll() is None
    assert worker.terminate(10) == 0


def test_sigterm_during_work_ends_it_in_time_and_loses_nothing(store: Store, server: Server, start: Start) -> None:
    worker = start("worker")
    works(store, "first")
    references = [f"R{n}" for n in range(300)]
    for n in range(10):
        accept(store, *(webhook(reference, n) for reference in references))
    eventually(lambda: any(folded(store, reference) for reference in references), what="the work to have begun")
    began = time.monotonic()
    assert worker.terminate(10) == 0
    assert time.monotonic() - began < 10
    # What it had claimed was released: nothing has to wait for a lease.
    assert not any(server.client.exists(keys.leases(shard)) for shard in range(keys.SHARDS))
    while fold_due(store, Policy(), lease_seconds=15).orders:
        pass
    assert [folded(store, reference) for reference in references] == [10] * 300
    assert store.run(due.pending())[:2] == (0, 0)


@pytest.mark.parametrize("rq_is_away", [False, True])
def test_sigterm_while_it_starts_ends_it_too(start: Start, tmp_path: Path, rq_is_away: bool) -> None:
    more = {"RQ_REDIS_URL": f"unix://{tmp_path}/nobody"} if rq_is_away else {}
    for _ in range(3):  # it has said that it started, and RQ is just about to put its own handlers in place
        worker = start("worker", **more)
        eventually(lambda worker=worker: said(worker, "worker started"), what="the worker to start")
        assert worker.terminate(10) == 0


def test_after_the_only_worker_was_killed_a_new_one_goes_on(store: Store, start: Start) -> None:
    worker = start("worker", GELATO_LEASE_SECONDS="1")
    works(store, "A")
    accept(store, *(webhook(f"R{n}") for n in range(200)))
    worker.send(signal.SIGKILL)
    worker.kill()
    accept(store, webhook("A", 2))
    start("worker", GELATO_LEASE_SECONDS="1")
    eventually(lambda: folded(store, "A") == 2, what="the new worker to fold")
    eventually(lambda: all(folded(store, f"R{n}") == 1 for n in range(200)), what="the rest to be folded")


def test_rqs_own_tools_see_the_worker(store: Store, server: Server, start: Start) -> None:
    worker = start("worker")

    def seen() -> list[Worker]:
        return [each for each in Worker.all(connection=server.client) if each.pid == worker.pid]

    eventually(seen, what="RQ to know the worker")
    (known,) = seen()
    assert known.queue_names() == [kick.RECONCILE_QUEUE, kick.QUEUE]
    assert worker.terminate(10) == 0
    assert seen() == []


def cpu_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="needs /proc")
def test_an_idle_worker_costs_next_to_nothing(store: Store, server: Server, start: Start) -> None:
    worker = start("worker")
    works(store, "A")
    began, used = time.monotonic(), cpu_seconds(worker.pid)
    eventually(lambda: time.monotonic() - began >= 3.0)
    share = (cpu_seconds(worker.pid) - used) / (time.monotonic() - began)
    assert share < 0.10, f"{share:.1%} of a core; 3 % is what it should be"
