"""Asking a process to stop: from a signal handler, or because its parent is gone."""

import ctypes
import os
import signal
import sys
import time
from typing import Final

_LOOK_SECONDS: Final = 0.1
_PR_SET_PDEATHSIG = 1


class StopFlag:
    """Whether this process was asked to stop. Set by signal handlers.

    Not a `threading.Event`: its lock is not reentrant, and a second signal that arrives while the first one's handler sets
    it would wait for ever (Ctrl-C in a terminal and a supervisor's SIGTERM come together).
    """

    def __init__(self) -> None:
        self._asked = False

    def set(self) -> None:
        """Ask this process to stop."""
        self._asked = True

    def is_set(self) -> bool:
        """Whether it was asked."""
        return self._asked

    def wait(self, seconds: float | None = None) -> bool:
        """Wait until it is asked, at most for some seconds; whether it was."""
        end = None if seconds is None else time.monotonic() + seconds
        while not self._asked and (end is None or time.monotonic() < end):
            time.sleep(_LOOK_SECONDS if end is None else max(0.0, min(_LOOK_SECONDS, end - time.monotonic())))
        return self._asked


def die_with_parent(pid: int) -> None:
    """In a child: get a SIGTERM when the parent `pid` dies, however it dies; end at once if it is dead already."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)
        if os.getppid() != pid:
            os._exit(1)
