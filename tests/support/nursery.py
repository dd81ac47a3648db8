"""Processes of the command line, forked from one that has imported what they need: a fifth of a new interpreter's time.

Each is a process of its own all the same, with its own environment, directory, files and signals; it is killed, stopped and
waited for like any other. The nursery itself has one thread and holds nothing: it forks, and tells who has ended.
"""

import atexit
import gc
import importlib
import os
import select
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import orjson

_MESSAGE_BYTES = 1 << 17
#: It imports for a second or two before it answers the first time, longer on a busy machine.
_PATIENCE_SECONDS = 60.0
_SIGNALS = (signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT, signal.SIGCHLD)


class Born:
    """A process of a nursery, with the words of `subprocess.Popen`."""

    def __init__(self, nursery: "Nursery", pid: int) -> None:
        self.pid = pid
        self.returncode: int | None = None
        self._nursery = nursery

    def poll(self) -> int | None:
        """Its exit code; None while it lives."""
        if self.returncode is None:
            self.returncode = self._nursery.code(self.pid)
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        """Its exit code, as soon as there is one."""
        deadline = None if timeout is None else time.monotonic() + timeout
        while (code := self.poll()) is None:
            if deadline is not None and time.monotonic() >= deadline:
                raise subprocess.TimeoutExpired(f"process {self.pid}", timeout or 0.0)
            self._nursery.listen(0.05)
        return code

    def send_signal(self, number: int) -> None:
        if self.poll() is None:
            os.kill(self.pid, number)

    def terminate(self) -> None:
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)


class Nursery:
    """One for each process that runs tests; it ends with that."""

    def __init__(self, root: Path) -> None:
        self._codes: dict[int, int] = {}
        #: Tests start and await processes in several threads: each must hear what is said to it.
        self._lock = threading.Lock()
        self._channel, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._channel.settimeout(_PATIENCE_SECONDS)
        env = {**os.environ, "PYTHONPATH": f"{root}{os.pathsep}{root / 'tests'}"}
        with theirs:
            words = [sys.executable, "-m", "support.nursery", str(theirs.fileno())]
            self._process = subprocess.Popen(words, env=env, cwd=root, pass_fds=[theirs.fileno()])
        atexit.register(self.close)

    def start(self, arguments: list[str], env: Mapping[str, str], log: Path) -> Born:
        """Start a command in the directory of its log; what it says is added to that."""
        with self._lock:
            self._channel.send(orjson.dumps([arguments, dict(env), str(log)]))
            while True:
                pid, code = self._hear()
                if code is None:
                    self._codes.pop(pid, None)  # of another that had this number once
                    return Born(self, pid)
                self._codes[pid] = code

    def close(self) -> None:
        """Nobody is born any more; who lives lives on."""
        self._channel.close()
        self._process.wait()

    def code(self, pid: int) -> int | None:
        """The exit code of a process that has ended."""
        self.listen(0.0)
        return self._codes.get(pid)

    def listen(self, seconds: float) -> None:
        """Hear who has ended, for so long at the most."""
        with self._lock:
            while select.select([self._channel], [], [], seconds)[0]:
                pid, code = self._hear()
                self._codes[pid] = code
                seconds = 0.0

    def _hear(self) -> Any:
        said = self._channel.recv(_MESSAGE_BYTES)
        if not said:
            raise AssertionError("the nursery has died")
        return orjson.loads(said)


def serve(channel: socket.socket) -> list[str]:
    """Fork a process for each request, until nobody asks any more. Returns in the child, with what it is to run."""
    ended, bell = os.pipe()
    os.set_blocking(bell, False)
    signal.set_wakeup_fd(bell, warn_on_full_buffer=False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    living: set[int] = set()
    while True:
        ready, _, _ = select.select([channel, ended], [], [])
        if ended in ready:
            os.read(ended, 4096)
            for pid in list(living):
                found, status = os.waitpid(pid, os.WNOHANG)
                if found:
                    living.discard(pid)
                    channel.send(orjson.dumps([pid, os.waitstatus_to_exitcode(status)]))
        if channel in ready:
            asked = channel.recv(_MESSAGE_BYTES)
            if not asked:
                os._exit(0)
            if (pid := os.fork()) == 0:
                return _become(*orjson.loads(asked))
            living.add(pid)
            channel.send(orjson.dumps([pid, None]))


def _become(arguments: list[str], env: dict[str, str], log: str) -> list[str]:
    signal.set_wakeup_fd(-1)
    for number in _SIGNALS:
        signal.signal(number, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    said = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    nothing = os.open(os.devnull, os.O_RDONLY)
    for theirs, ours in ((nothing, 0), (said, 1), (said, 2)):
        os.dup2(theirs, ours)
    os.closerange(3, os.sysconf("SC_OPEN_MAX"))
    os.environ.clear()
    os.environ.update(env)
    os.chdir(Path(log).parent)
    tempfile.tempdir = None
    sys.path[:] = [env["PYTHONPATH"], *(each for each in sys.path if not each.endswith(os.sep + "tests"))]
    return arguments


def _nurse(channel: socket.socket) -> None:
    for name in ("receiver.app", "worker.rq_worker", "uvloop", "httptools"):
        importlib.import_module(name)
    main: Any = importlib.import_module("ops.cli").main
    gc.collect()
    gc.freeze()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    arguments = serve(channel)
    sys.argv[1:] = arguments
    main(arguments, prog_name="gelato-rollup")


if __name__ == "__main__":
    _nurse(socket.socket(fileno=int(sys.argv[1])))
