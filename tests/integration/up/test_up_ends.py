"""`gelato-rollup up` ends, is killed, or loses a child: nothing stays behind, nothing is lost."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import orjson
import pytest
from support.polling import eventually
from support.server import Server
from support.up import Up, bare_environment, curl_lines, pasted, secrets_of


@pytest.mark.parametrize("how", ["SIGTERM", "SIGINT", "Ctrl-C"])
def test_a_signal_ends_all_its_processes_in_time(home: Path, start: Callable[..., Up], how: str) -> None:
    up = start(home, bare_environment()).ready()
    family = up.family()
    assert len(family) == 3, family  # the server, the receiver, the worker
    if how == "Ctrl-C":
        os.killpg(up.process.pid, signal.SIGINT)  # a terminal sends it to all of them
    else:
        up.process.send_signal(signal.Signals[how])
    assert up.process.wait(10.0) == 0, up.complained()
    assert up.family() == {}
    assert "Traceback" not in up.complained()
    assert not (up.data_dir / "redis-url").exists()


def test_a_worker_that_is_told_to_stop_while_it_starts_stops(server: Server) -> None:
    """A SIGTERM before RQ listens for it is heard by us alone; RQ must not go on with empty shifts."""
    script = "import sys; from worker import rq_worker, shift; shift.stop_asked.set(); rq_worker.work(sys.argv[1])"
    worker = subprocess.Popen(
        [sys.executable, "-c", script, server.url],
        env=bare_environment(REDIS_URL=server.url),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        assert worker.wait(5.0) == 0
    finally:
        worker.kill()
        worker.wait()


def test_a_second_start_keeps_orders_and_secrets_and_prints_no_secret(home: Path, start: Callable[..., Up]) -> None:
    env = bare_environment()
    first = start(home, env).ready()
    secrets = secrets_of(first)
    assert first.post()["result"] == "accepted"
    first.process.terminate()
    assert first.process.wait(10.0) == 0
    second = start(home, env).ready()
    assert secrets_of(second) == secrets
    assert not any(secret in second.said() + second.complained() for secret in secrets)
    assert second.post()["result"] == "duplicate"
    eventually(second.document, what="the document")
    post, read = curl_lines(second)
    assert orjson.loads(pasted(second, post).stdout)["result"] in ("accepted", "duplicate")
    eventually(lambda: second.document("MY-1"), what="the document")
    assert orjson.loads(pasted(second, read).stdout)["orderReferenceId"] == "MY-1"


@pytest.mark.parametrize("who", ["receiver", "worker", "valkey"])
def test_a_child_that_is_killed_is_started_again_and_no_event_is_lost(
    home: Path, start: Callable[..., Up], who: str
) -> None:
    up = start(home, bare_environment(GELATO_LEASE_SECONDS="1")).ready()
    assert up.post()["result"] == "accepted"
    eventually(up.document, what="the document")
    victim = up.child(who)
    os.kill(victim, signal.SIGKILL)
    eventually(lambda: up.child(who) != victim, seconds=20.0, what=f"another {who}")
    eventually(lambda: up.post(id="os_later", status="printed")["result"], seconds=20.0, what="an answer")
    document = eventually(
        lambda: found if (found := up.document()) and found["events"] == 2 else None, seconds=30.0, what="both events"
    )
    assert document["status"] == "printed"
    assert "started again" in up.complained()


def test_killing_up_itself_takes_its_children_with_it_and_a_new_one_starts(
    home: Path, start: Callable[..., Up]
) -> None:
    env = bare_environment()
    up = start(home, env).ready()
    assert up.post()["result"] == "accepted"
    eventually(up.document, what="the document")
    up.process.kill()
    up.process.wait()
    eventually(lambda: up.family() == {}, seconds=12.0, what="its children to end")
    again = start(home, env).ready()
    assert again.post()["result"] == "duplicate"
    assert again.document() is not None


def test_a_new_up_never_runs_beside_the_server_of_one_that_was_killed(home: Path, start: Callable[..., Up]) -> None:
    up = start(home, bare_environment()).ready()
    old = up.child("valkey")
    os.kill(old, signal.SIGSTOP)  # it hangs in a slow disk, say, and does not end when `up` does
    try:
        up.process.kill()
        up.process.wait()
        second = start(home, bare_environment())
        code = eventually(
            lambda: [second.process.poll()] if second.process.poll() is not None or second.said() else None,
            seconds=30.0,
            what="the second up to start or to refuse",
        )
        assert code == [2], "two servers have the same append-only file open"
        assert str(up.data_dir) in second.complained()
    finally:
        os.kill(old, signal.SIGCONT)
