"""A process that has imported the command line and forks for each command: a tenth of the time that a new Python takes.

It has one thread. Test processes have more, and a fork of such a one may hang: Python 3.12 and later warn of it.
"""

import atexit
import json
import os
import select
import signal
import subprocess
import sys
import traceback
from collections.abc import Mapping, Sequence
from functools import cache
from importlib import import_module
from pathlib import Path
from threading import Lock
from typing import Any, NoReturn

import structlog

from ops.cli import main

ROOT = Path(__file__).parents[2]


class Forks:
    """That process, from outside."""

    def __init__(self) -> None:
        env = os.environ | {"PYTHONPATH": f"{ROOT / 'tests'}{os.pathsep}{ROOT}"}
        command = [sys.executable, "-m", "support.forks"]
        # Not buffered: `select` sees all that has not been read.
        self._process = subprocess.Popen(
            command, env=env, cwd=ROOT, bufsize=0, stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        self._one_at_a_time = Lock()
        atexit.register(self._process.communicate)  # it ends where its input ends

    def run(self, arguments: Sequence[str], env: Mapping[str, str], directory: Path, seconds: float) -> int:
        """Run a command; its exit code. What it says is in `stdout` and `stderr` of the directory."""
        with self._one_at_a_time:
            assert self._process.stdin is not None
            self._process.stdin.write(json.dumps([list(arguments), dict(env), str(directory)]).encode() + b"\n")
            pid = self._number()
            in_time = select.select([self._process.stdout], [], [], seconds)[0]
            if not in_time:
                os.kill(pid, signal.SIGKILL)
            code = self._number()
        assert in_time, f"waited {seconds} s for {arguments} to end"
        return code

    def _number(self) -> int:
        assert self._process.stdout is not None
        return int(self._process.stdout.readline())


@cache
def forks() -> Forks:
    """The one of this test process."""
    return Forks()


def _serve() -> None:
    for name in main.list_commands(None):  # type: ignore[arg-type]
        import_module(f"ops.cli.{name.replace('-', '_')}")
    for line in sys.stdin.buffer:
        pid = os.fork()
        if pid == 0:
            _become(*json.loads(line))
        os.write(1, b"%d\n" % pid)
        os.write(1, b"%d\n" % os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))


def _become(arguments: list[str], env: dict[str, str], directory: str) -> NoReturn:
    code: Any = 70
    try:
        os.chdir(directory)
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        for number, name in enumerate(("stdout", "stderr"), start=1):
            os.dup2(os.open(name, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), number)
        os.environ.clear()
        os.environ.update(env)
        structlog.reset_defaults()
        main(arguments, prog_name="gelato-rollup")
    except SystemExit as end:
        code = end.code or 0
    except BaseException:
        code = 1
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        if not sys.stderr.closed:
            sys.stderr.flush()
        os._exit(code)


if __name__ == "__main__":
    _serve()
