"""What the kernel knows of a process: processor time and memory, from /proc."""

import os
import resource
import time
from collections.abc import Iterable
from pathlib import Path


def cpu_seconds(pids: Iterable[int]) -> float:
    """Processor time of some processes so far, all their threads, to the nanosecond where the kernel counts so finely."""
    return sum(map(_cpu_seconds, pids))


def family(pid: int) -> list[int]:
    """A process and all that descend from it."""
    found = [pid]
    for each in found:
        for task in Path(f"/proc/{each}/task").iterdir():
            found += map(int, (task / "children").read_text().split())
    return found


def rss_bytes(pid: int) -> int:
    """Resident memory of a process now."""
    return _status_kib(pid, "VmRSS") * 1024


def peak_rss_bytes(pid: int) -> int:
    """The most resident memory that a process ever had."""
    return _status_kib(pid, "VmHWM") * 1024


class Others:
    """What the rest of the machine did meanwhile: noise that no median takes away."""

    def __init__(self) -> None:
        self._started = self._now()

    def share(self) -> float:
        """Processor time of others, and what the hypervisor took, since this was made: share of all cores.

        Exact once all processes that this one has started, and theirs, have ended and been waited for.
        """
        at, busy, own = (now - then for now, then in zip(self._now(), self._started, strict=True))
        return max(0.0, busy - own) / (at * (os.cpu_count() or 1))

    @staticmethod
    def _now() -> tuple[float, float, float]:
        user, nice, system, _idle, _waiting, interrupts, soft, stolen = map(
            int, Path("/proc/stat").read_text().split()[1:9]
        )
        busy = (user + nice + system + interrupts + soft + stolen) / os.sysconf("SC_CLK_TCK")
        used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
        return time.monotonic(), busy, sum(each.ru_utime + each.ru_stime for each in used)


def _cpu_seconds(pid: int) -> float:
    nanoseconds = 0
    for task in Path(f"/proc/{pid}/task").iterdir():
        try:
            nanoseconds += int((task / "schedstat").read_text().split()[0])
        except OSError:  # a thread that has just ended
            continue
    return nanoseconds / 1e9


def _status_kib(pid: int, name: str) -> int:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith(name + ":"):
            return int(line.split()[1])
    return 0
