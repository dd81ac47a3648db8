"""Releases of the product for tests: directories for a process's PYTHONPATH, each changes the code as that release would."""

import os
from pathlib import Path

from support.processes import ROOT

_HERE = Path(__file__).parent


def on_path(release: str) -> str:
    """The PYTHONPATH of a process of a release: `faulty` or `next`."""
    return f"{_HERE / release}{os.pathsep}{ROOT}"
