"""Run benchmarks one after the other."""

import contextlib
import datetime
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Final

from ops.bench import machine, proc
from ops.bench.acknowledgement import acknowledgement
from ops.bench.bench import Bench
from ops.bench.fold import fold
from ops.bench.growth import growth
from ops.bench.intake import intake
from ops.bench.latency import latency
from ops.bench.memory import memory
from ops.bench.replaying import replaying
from ops.bench.report import warnings
from ops.bench.results import Result
from ops.bench.sizes import Sizes

BENCHMARKS: Final[dict[str, Callable[[Bench], Result]]] = {
    "intake": intake,
    "fold": fold,
    "latency": latency,
    "memory": memory,
    "growth": growth,
    "acknowledgement": acknowledgement,
    "replay": replaying,
}
#: The kernel's own work is a few hundredths.
_NOISY_SHARE: Final = 0.08
#: Without a word: everything but scale.
USUAL: Final = ("intake", "fold", "latency")


def run(
    names: Sequence[str],
    *,
    runs: int,
    sizes: Sizes,
    quick: bool,
    command: str,
    step: Callable[[str, str, int], None],
) -> tuple[dict[str, Any], list[Result]]:
    """What the figures belong to, and the results. `step` is told the benchmark, what it does, and of how many steps."""
    with scratch_directory() as scratch:
        of = machine.machine(scratch)
        about: dict[str, Any] = {
            "command": command,
            "started": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
            "runs": runs,
            "quick": quick,
            "machine": of,
            "versions": machine.versions(),
            "warnings": warnings(of, quick=quick, runs=runs),
        }
        results = []
        for name in names:
            bench = Bench(scratch, runs, sizes, lambda what, total, name=name: step(name, what, total))  # type: ignore[misc]
            others, start = proc.Others(), time.monotonic()
            result = BENCHMARKS[name](bench)
            result.settings["tookSeconds"] = round(time.monotonic() - start, 1)
            share = result.settings["othersShareOfProcessors"] = round(others.share(), 3)
            if share > _NOISY_SHARE:
                about["warnings"].append(
                    f"{name}: others used {share:.0%} of the processors meanwhile: figures are noisy"
                )
            results.append(result)
    return about, results


@contextlib.contextmanager
def scratch_directory() -> Iterator[Path]:
    """A directory for servers, logs and sockets; gone afterwards. TMPDIR says where."""
    path = Path(tempfile.mkdtemp(prefix="gelato-bench-"))
    try:
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)
