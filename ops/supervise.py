"""A small supervisor: keeps child processes running, restarts those that die, stops them all in good order."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial

from shared import log
from shared.stop import StopFlag, die_with_parent

logger = log.get("ops.supervise")

#: How the program starts itself.
PROGRAM = (sys.executable, "-m", "ops")
#: A child gets this long after SIGTERM before it is killed.
STOP_SECONDS = 10.0
_FIRST_WAIT_SECONDS = 0.2
_LONGEST_WAIT_SECONDS = 10.0
#: A child that ran this long has started well: its next restart is at once again.
_STEADY_SECONDS = 10.0
_LOOK_SECONDS = 0.1


@dataclass
class Child:
    """One process to keep running."""

    name: str
    command: Sequence[str]
    environment: Mapping[str, str]
    process: "subprocess.Popen[bytes] | None" = None
    started: float = 0.0
    wait_seconds: float = _FIRST_WAIT_SECONDS
    start_at: float = field(default_factory=time.monotonic)

    def start(self) -> None:
        """Start the process."""
        self.process = subprocess.Popen(
            self.command,
            env=dict(self.environment),
            preexec_fn=partial(die_with_parent, os.getpid()),  # noqa: PLW1509  (one thread here)
        )
        self.started = time.monotonic()


class Supervisor:
    """Keeps children running until it is told to stop. The first to be added is the last to be stopped."""

    def __init__(self) -> None:
        self._children: list[Child] = []
        self._stop = StopFlag()
        self._reload: Callable[[], None] | None = None

    def add(self, name: str, command: Sequence[str], environment: Mapping[str, str] | None = None) -> Child:
        """Add a child; it is started by `run`."""
        child = Child(name, command, os.environ if environment is None else environment)
        self._children.append(child)
        return child

    def run(self, watch: Callable[[], None] | None = None) -> None:
        """Run until SIGTERM or SIGINT. `watch` is called now and then; what it raises stops everything."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: self._stop.set())
        signal.signal(signal.SIGHUP, lambda *_: self._pass_on(signal.SIGHUP))
        try:
            while not self._stop.is_set():
                for child in self._children:
                    self._look_after(child)
                if watch is not None:
                    watch()
                self._stop.wait(_LOOK_SECONDS)
        finally:
            self.stop()

    def stop(self) -> None:
        """Stop all children: SIGTERM, and SIGKILL to those that do not end in time."""
        running = [child for child in reversed(self._children) if child.process and child.process.poll() is None]
        for child in running:
            _send(child, signal.SIGTERM)
        deadline = time.monotonic() + STOP_SECONDS
        for child in running:
            if child.process is None:
                continue
            try:
                child.process.wait(max(0.0, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                logger.error("killed, it did not end in time", child=child.name)
                child.process.kill()
                child.process.wait()

    def _look_after(self, child: Child) -> None:
        now = time.monotonic()
        if child.process is None:
            if now >= child.start_at:
                child.start()
            return
        code = child.process.poll()
        if code is None:
            return
        if now - child.started > _STEADY_SECONDS:
            child.wait_seconds = _FIRST_WAIT_SECONDS
        logger.error("ended, to be started again", child=child.name, code=code, wait_seconds=child.wait_seconds)
        child.process = None
        child.start_at = now + child.wait_seconds
        child.wait_seconds = min(child.wait_seconds * 2, _LONGEST_WAIT_SECONDS)

    def _pass_on(self, number: signal.Signals) -> None:
        for child in self._children:
            _send(child, number)


def _send(child: Child, number: signal.Signals) -> None:
    if child.process is not None and child.process.poll() is None:
        child.process.send_signal(number)
