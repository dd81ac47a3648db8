"""Two versions of receivers and workers on one server, as in a rolling upgrade: another build with scripts of its own.

ANOTHER_BUILD=DIRECTORY takes the checkout of another version in place of the copy.
"""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from support.processes import ROOT, Process, Receiver
from support.server import Server

from shared.store import keys, scripts

PACKAGES = ("gelato_rollup", "ops", "receiver", "shared", "worker")
#: What any receiver, and any worker that folds, asks the server for.
USED = (scripts.ACCEPT, scripts.TAKE, scripts.FINISH)


def another_build(directory: Path) -> Path:
    """A copy of the code in which every script is another one, by its hash."""
    for package in PACKAGES:
        shutil.copytree(ROOT / package, directory / package, ignore=shutil.ignore_patterns("__pycache__"))
    for script in (directory / "shared" / "store" / "scripts").glob("*.lua"):
        script.write_text(f"{script.read_text()}-- another build\n")
    return directory


def shas(checkout: Path) -> list[str]:
    """The hashes of the scripts of a checkout, as its own code names them; an older version may lack some."""
    names = [script.name.upper() for script in USED]
    code = (
        "import json; from shared.store import scripts as s; "
        f"print(json.dumps([getattr(s, n).sha for n in {names} if hasattr(s, n)]))"
    )
    # In the checkout: what Python finds in its own directory comes before any path.
    done = subprocess.run([sys.executable, "-c", code], cwd=checkout, capture_output=True, text=True, check=True)
    found: list[str] = json.loads(done.stdout)
    return found


def test_two_builds_share_the_work_and_every_rollup_is_what_was_sent(
    server: Server, env: dict[str, str], tmp_path: Path, start: Callable[..., Process]
) -> None:
    other = os.environ.get("ANOTHER_BUILD")
    builds = [ROOT, Path(other) if other else another_build(tmp_path / "another")]
    receivers: list[Receiver] = []
    try:
        for n, build in enumerate(builds):
            receivers.append(Receiver({**env, "PYTHONPATH": str(build)}, tmp_path / f"receiver-{n}.log").start())
            start("worker", "--processes", "1", PYTHONPATH=str(build))
        options = ("--orders", "8", "--rate", "120", "--json")
        playing = [
            subprocess.Popen(
                [sys.executable, "-m", "ops", "simulate", "--url", receiver.base, "--seed", str(n), *options],
                env=env,
                cwd=tmp_path,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
            )
            for n, receiver in enumerate(receivers)
        ]
        for each in playing:
            said, errors = each.communicate(timeout=90)
            assert each.returncode == 0, (said, errors)
    finally:
        for receiver in receivers:
            receiver.stop()
    client: Any = server.client
    used = [shas(build) for build in builds]
    assert other or not {*used[0]} & {*used[1]}  # else nothing would tell whose they are
    for build, each in zip(builds, used, strict=True):
        assert client.script_exists(*each) == [True] * len(each), build
    assert client.zcard(keys.DEAD_LETTERS) == 0
    rebuilt = subprocess.run(
        [sys.executable, "-m", "ops", "orders", "rebuild", "--all", "--json"],
        env=env,
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )
    assert json.loads(rebuilt.stdout)["changed"] in (0, []), rebuilt.stdout
