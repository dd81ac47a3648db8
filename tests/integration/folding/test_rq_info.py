"""`rq info`, as its how-to says: it shows the shifts, with and without the serializer, and after a worker was killed."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from support.polling import eventually
from support.processes import Process
from support.server import Server

from shared.kick import QUEUE

RQ = Path(sys.executable).with_name("rq")


@pytest.mark.parametrize("options", [[], ["-S", "json"]], ids=["plainly", "as JSON"])
def test_rq_info_shows_the_shift_and_the_one_whose_worker_was_killed(
    options: list[str], server: Server, start: Callable[..., Process]
) -> None:
    def info() -> str:
        done = subprocess.run([RQ, "info", "-u", server.url, *options], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout

    worker = start("worker")
    running = f"rq:wip:{QUEUE}"
    eventually(lambda: server.client.zcard(running), what="the shift to begin")
    said = info()
    assert f"{QUEUE} | 0, 1 executing, 0 finished, 0 failed" in said
    assert "1 workers, 1 queues" in said
    worker.kill()
    for job in server.client.zrange(running, 0, -1):
        server.client.zadd(running, {job: 1})  # as if its time were over
    assert f"{QUEUE} | 0, 0 executing, 0 finished, 1 failed" in info()
