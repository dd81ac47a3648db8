"""The load generator: wrk, with its bodies made in Lua (`load/`)."""

import re
import subprocess
import time
from pathlib import Path
from typing import Final, NamedTuple

import orjson

from ops.bench.errors import BenchError
from ops.bench.processes import SECRET, program

CONNECTIONS: Final = 32
#: The first event of a lifelike order was made then: all passes of one bench agree, so that an event can come twice.
_SECOND: Final = int(time.time()) - 3 * 86_400
_LOAD: Final = Path(__file__).parent / "load"
_SAID: Final = re.compile(rb"^BENCH (\{.*\})$", re.MULTILINE)


class Outcome(NamedTuple):
    """What wrk counted: answers, of them refused (4xx, 5xx), broken connections; latency in microseconds."""

    requests: int
    microseconds: int
    refused: int
    broken: int
    p50: int
    p99: int

    @property
    def accepted(self) -> int:
        """Answers that were 2xx."""
        return self.requests - self.refused

    @property
    def per_second(self) -> float:
        """2xx answers a second."""
        return self.accepted * 1e6 / self.microseconds


def events(
    base: str,
    *,
    seconds: int,
    prefix: str,
    distinct: int = 0,
    answers: Path | None = None,
    connections: int = CONNECTIONS,
) -> Outcome:
    """Post lifelike events, all new unless `distinct` says how many different ones; `answers` collects what was said."""
    environment = {
        "BENCH_SECRET": SECRET,
        "BENCH_PREFIX": prefix,
        "BENCH_DISTINCT": str(distinct),
        # Ids tell the time: each prefix (a letter) has a day of its own, so that no id comes twice.
        "BENCH_SECOND": str(_SECOND - 86_400 * ord(prefix)),
    }
    if answers is not None:
        environment["BENCH_ANSWERS"] = str(answers)
    done = subprocess.run(
        command(base, "events.lua", seconds, connections),
        env=environment,
        capture_output=True,
        timeout=seconds + 30,
        check=False,
    )
    return outcome(done.stdout, done.stderr)


def command(base: str, script: str, seconds: int, connections: int = CONNECTIONS) -> list[str]:
    """The command line: one thread, 32 connections."""
    size = ["-t", "1", "-c", str(connections), "-d", f"{seconds}s"]
    return [program("wrk", "wrk"), *size, "-s", str(_LOAD / script), base]


def outcome(said: bytes, complained: bytes) -> Outcome:
    """Read what a script's `done` printed."""
    match = _SAID.search(said)
    if match is None:
        raise BenchError(f"wrk failed: {(complained or said).decode(errors='replace').strip()[-500:]}")
    return Outcome(**orjson.loads(match[1]))
