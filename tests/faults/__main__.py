"""`python -m faults`: run the bench, print its report. Exit code 0: every promise was kept, 1: not."""

import argparse
import signal
import sys
import tempfile
import time
from pathlib import Path

import orjson

from faults.bench import Plan, run


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m faults", description=__doc__)
    parser.add_argument("--seed", type=int, default=1, help="what is sent, and which faults come when (1)")
    parser.add_argument("--minutes", type=float, default=10.0, help="how long to send (10)")
    parser.add_argument("--rate", type=float, default=60.0, help="posts a second, over both receivers (60)")
    parser.add_argument("--scale", type=float, default=1.0, help="makes faults shorter (below 1) or longer (1)")
    parser.add_argument("--json", action="store_true", help="print the report as JSON")
    parser.add_argument("--keep", type=Path, help="keep logs and data in this directory")
    asked = parser.parse_args()
    plan = Plan(asked.seed, asked.minutes * 60, asked.rate, asked.scale)
    began = time.monotonic()
    for number in (signal.SIGINT, signal.SIGTERM):  # the processes that it started end with it
        signal.signal(number, _stop)

    def tell(line: str) -> None:
        sys.stderr.write(f"{time.monotonic() - began:7.1f} s  {line}\n")

    if asked.keep is not None:
        asked.keep.mkdir(parents=True, exist_ok=True)
        report = run(plan, asked.keep, tell)
    else:
        with tempfile.TemporaryDirectory(prefix="faults-") as directory:
            report = run(plan, Path(directory), tell)
    text = orjson.dumps(report.to_dict(), option=orjson.OPT_INDENT_2).decode() if asked.json else report.table()
    sys.stdout.write(text + "\n")
    return 0 if report.ok else 1


def _stop(number: int, _: object) -> None:
    sys.exit(128 + number)


if __name__ == "__main__":
    sys.exit(main())
