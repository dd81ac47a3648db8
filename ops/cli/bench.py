"""`gelato-rollup bench`: measure this service beside what a user would write first, and beside the limits."""

import signal
import sys
from pathlib import Path

import click
from rich.progress import TaskID

from ops.bench.report import report, write_json
from ops.bench.run import BENCHMARKS, USUAL, run
from ops.bench.sizes import FULL, QUICK
from ops.cli.common import DONE, FOUND_SOMETHING_WRONG, command, out, progress


@click.command()
@click.argument(
    "benchmarks",
    nargs=-1,
    type=click.Choice(list(BENCHMARKS)),
    metavar="[intake|fold|latency|memory|growth|acknowledgement|replay]...",
)
@click.option(
    "--json", "json_file", type=click.Path(dir_okay=False, path_type=Path), help="Write every single run to this file."
)
@click.option("--runs", type=click.IntRange(1, 100), help="Runs of each subject. Default: 5; with --quick 1.")
@click.option("--quick", is_flag=True, help="Small and short: to see that it works, not to quote.")
@command
def bench(benchmarks: tuple[str, ...], json_file: Path | None, runs: int | None, quick: bool) -> None:
    """Measure intake, fold and latency side by side with baselines and limits; the others when asked for.

    Needs a checkout (the baselines are in tests/benchmarks/), wrk and redis-benchmark. Ends with 1 when a benchmark's check
    of its own result fails; a missed target is shown, and is no error.
    """
    # As Ctrl-C does: end what was started, and take the scratch directory away.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    names = benchmarks or USUAL
    runs = runs or (1 if quick else 5)
    with progress() as bar:
        tasks: dict[str, TaskID] = {}

        def step(name: str, what: str, total: int) -> None:
            if name not in tasks:
                tasks[name] = bar.add_task(name, total=None)
            done = bar.tasks[tasks[name]].completed + 1
            bar.update(tasks[name], description=f"{name}: {what}", completed=done, total=max(total, done))

        words = " ".join(["gelato-rollup bench", *benchmarks, f"--runs {runs}", *(["--quick"] if quick else [])])
        about, results = run(names, runs=runs, sizes=QUICK if quick else FULL, quick=quick, command=words, step=step)
    out.print(report(about, results))
    if json_file is not None:
        write_json(json_file, about, results)
    sys.exit(FOUND_SOMETHING_WRONG if any(result.failed for result in results) else DONE)
