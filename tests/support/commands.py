"""The command line, run to its end."""

import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path

from support.forks import forks

Answer = subprocess.CompletedProcess[str]
Gelato = Callable[..., Answer]


def run_command(arguments: tuple[str, ...], env: Mapping[str, str], directory: Path) -> Answer:
    """Run a command of the command line in a directory."""
    code = forks().run(arguments, env, directory, seconds=20.0)
    return Answer(arguments, code, *((directory / name).read_text() for name in ("stdout", "stderr")))


def one_line(answer: Answer, code: int) -> str:
    """The one line on standard error with which a command ended; never a traceback."""
    assert answer.returncode == code, answer.stdout + answer.stderr
    assert "Traceback" not in answer.stderr, answer.stderr
    (line,) = answer.stderr.splitlines()
    assert line.startswith("gelato-rollup: ")
    return line
