"""A receiver of several processes."""

import os
import signal
import socket
from collections.abc import Callable

import httpx
from support.polling import eventually
from support.processes import Process, free_port


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
