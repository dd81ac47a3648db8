"""What the kernel knows of a process: processor time and memory, from /proc."""

from collections.abc import Iterable
from pathlib import Path


def cpu_seconds(pids: Iterable[int]) -> float:
    """Processor time of some processes so far, all their threads, to the nanosecond where the kernel counts so finely."""
    return sum(map(_cpu_seconds, pids))


def rss_bytes(pid: int) -> int:
    """Resident memory of a process now."""
    return _status_kib(pid, "VmRSS") * 1024


def peak_rss_bytes(pid: int) -> int:
    """The most resident memory that a process ever had."""
    return _status_kib(pid, "VmHWM") * 1024


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
