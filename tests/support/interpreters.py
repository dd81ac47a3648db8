"""The Pythons that pyproject.toml names, as far as this machine has them."""

import os
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from support.processes import ROOT

#: What `make run` asks of a Python, too.
_QUESTION = "import pip, sys, venv; print('%d.%d' % sys.version_info[:2])"


def promised() -> list[str]:
    """The versions of pyproject.toml's classifiers: `["3.11", ...]`."""
    classifiers = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["classifiers"]
    return [found[1] for each in classifiers if (found := re.fullmatch(r"Programming Language .* (\d+\.\d+)", each))]


@cache
def find(version: str) -> Path | None:
    """A Python of this version that has pip and venv; None where there is none."""
    return next((each for each in _candidates(version) if _is(each, version)), None)


def _candidates(version: str) -> Iterator[Path]:
    if version == f"{sys.version_info.major}.{sys.version_info.minor}":
        yield Path(sys.base_prefix) / "bin" / f"python{version}"
    for directory in os.get_exec_path():
        yield Path(directory) / f"python{version}"
    # pyenv's stand-ins on PATH only work for the versions that are switched on.
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"))
    yield from sorted(pyenv.glob(f"versions/{version}.*/bin/python{version}"), reverse=True)


def _is(program: Path, version: str) -> bool:
    if not os.access(program, os.X_OK):
        return False
    answer = subprocess.run([program, "-I", "-c", _QUESTION], capture_output=True, text=True, timeout=30, check=False)
    return answer.returncode == 0 and answer.stdout.strip() == version
