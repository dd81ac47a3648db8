"""Lets the clock of one process jump: on its PYTHONPATH, this moves `time.time` and `time.time_ns` by what a file says.

FAULTS_CLOCK_FILE holds the seconds by which the clock is ahead. The monotonic clock stays, as it does on a host whose clock
is set. (libfaketime does the same to any program, but 0.9.10 turns CPython's `time.sleep` into EINVAL after a jump back.)
"""

import os
import time

_LOOK_SECONDS = 0.05


class _Clock:
    def __init__(self, path: str) -> None:
        self._path = path
        self._ahead_ns = 0
        self._look_at = 0.0
        self._real = time.time_ns

    def time_ns(self) -> int:
        now = time.monotonic()
        if now >= self._look_at:
            self._look_at = now + _LOOK_SECONDS
            with open(self._path) as file:
                self._ahead_ns = int(float(file.read()) * 1e9)
        return self._real() + self._ahead_ns

    def time(self) -> float:
        return self.time_ns() / 1e9


if path := os.environ.get("FAULTS_CLOCK_FILE"):
    _clock = _Clock(path)
    time.time, time.time_ns = _clock.time, _clock.time_ns
