"""A receiver of several processes."""

import os
import signal
import socket
from collections.abc import Callable
from pathlib import Path

import httpx
from support.polling import eventually
from support.processes import Process, free_port


def test_what_a_killed_parent_left_in_the_temporary_directory_goes_with_the_next_start(
    start: Callable[..., Process], tmp_path: Path
) -> None:
    def left() -> set[Path]:
        return set(tmp_path.glob("gelato-rollup-counts-*/parent.lock"))

    killed, second, third = (free_port() for _ in range(3))
    first = start("receiver", "--processes", "2", PORT=str(killed), TMPDIR=str(tmp_path))
    eventually(left, what="its directory")
    (stale,) = left()
    first.kill()
    start("receiver", "--processes", "2", PORT=str(second), TMPDIR=str(tmp_path))
    eventually(lambda: left() - {stale}, what="the next one's directory")
    assert not stale.exists()
    living = left()
    start("receiver", "--processes", "2", PORT=str(third), TMPDIR=str(tmp_path))
    eventually(lambda: len(left()) == 2, what="a third one's directory")
    assert living < left(), "that of a living one stays"


def test_when_the_parent_is_killed_its_processes_end_too_and_the_port_is_free(start: Callable[..., Process]) -> None:
    port = free_port()
    parent = start("receiver", "--processes", "2", PORT=str(port))
    eventually(lambda: httpx.get(f"http://127.0.0.1:{port}/healthz").status_code == 200, what="the receiver to answer")
    os.kill(parent.pid, signal.SIGKILL)

    def is_free() -> bool:
        with socket.socket() as listener:
            listener.bind(("127.0.0.1", port))
            return True

    eventually(is_free, what="the port to be free")
