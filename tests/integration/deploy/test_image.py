"""The image's steps, carried out in a directory: built as the Dockerfile says, run as somebody who can write nowhere else.

There is no container engine here, so `pip` is played by uv, which has the same words and a cache.
"""

import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from support.deployed import DEPLOY, tool
from support.polling import eventually
from support.processes import OPS_TOKEN, ROOT, SECRET, environment, fixture, free_port
from support.server import Server

_PIP = """#!/bin/sh
# pip --python PYTHON COMMAND ...
python=$2 command=$3
shift 3
for word; do
  shift
  case $word in --no-cache-dir | -y) ;; *) set -- "$@" "$word" ;; esac
done
[ "$command" != install ] || set -- --compile-bytecode "$@"  # as pip does
exec {uv} pip $command --quiet --python "$python" "$@"
"""
NOBODY = 65_534


def reachable(program: Path) -> bool:
    """Whether everybody may run a program."""
    real = program.resolve()
    return real.exists() and all(each.stat().st_mode & 0o001 for each in (real, *real.parents))


#: A Python that another user can run too; one in a home directory cannot be.
PYTHON = next(
    (each for each in (Path(sys.base_prefix) / "bin" / "python3", Path("/usr/bin/python3")) if reachable(each)),
    Path(sys.executable),
)


@pytest.fixture(scope="module")
def place() -> Iterator[Path]:
    """A directory that others may pass. Not one of pytest's: each pytest that is started closes those of all to others."""
    with tempfile.TemporaryDirectory(prefix="gelato-rollup-image-") as made:
        Path(made).chmod(0o755)
        yield Path(made)


@pytest.fixture(scope="module")
def image(place: Path) -> Path:
    """The directory that the last stage copies, as the build stage makes it."""
    context, programs, made = place / "build", place / "bin", place / "gelato-rollup"
    context.mkdir()
    programs.mkdir()
    (programs / "pip").write_text(_PIP.format(uv=tool("uv")))
    (programs / "pip").chmod(0o755)
    (programs / "python").symlink_to(PYTHON)
    env = os.environ | {"PATH": f"{programs}:{os.environ['PATH']}"}
    _, build, _ = (DEPLOY / "container" / "Dockerfile").read_text().replace("\\\n", "").split("\nFROM ")
    for instruction, words in re.findall(r"^(COPY|RUN) (.+)$", build, re.MULTILINE):
        if instruction == "COPY":
            *sources, target = words.split()
            for source in sources:
                copy(ROOT / source, context / target)
        else:
            command = words.replace("/opt/gelato-rollup", str(made))
            done = subprocess.run(
                ["sh", "-euc", command], cwd=context, env=env, capture_output=True, text=True, check=False
            )
            assert done.returncode == 0, f"{command}\n{done.stdout}{done.stderr}"
    return made


def copy(source: Path, target: Path) -> None:
    """As COPY: a directory's content, or files into a directory."""
    if source.is_dir():
        shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"))
    else:
        shutil.copy(source, target)


def test_what_the_image_holds_is_all_that_runs_and_no_tools(image: Path) -> None:
    kinds = set()
    (installed,) = image.glob("lib/python3.*/site-packages")
    for room in ("gelato_rollup", "ops", "receiver", "shared", "worker"):
        for path in (ROOT / room).rglob("*"):
            if path.is_file() and path.suffix != ".pyc":
                assert (installed / path.relative_to(ROOT)).exists(), f"{path.relative_to(ROOT)} is not installed"
                kinds.add(path.suffix)
    assert kinds >= {".py", ".lua", ".html", ".css", ".js", ".typed"}
    assert not [name for name in ("pip", "setuptools", "pytest", "mypy") if (installed / name).exists()]


def test_the_image_takes_in_and_folds_as_a_user_who_can_write_to_its_data_alone(
    image: Path, server: Server, place: Path, tmp_path: Path
) -> None:
    data, temporary = place / "data", place / "tmp"
    for directory in (data, temporary):
        directory.mkdir()
    user: dict[str, int] = {}
    if os.getuid() == 0 and reachable(PYTHON):
        user = {"user": NOBODY, "group": NOBODY}
        for path in (data, temporary, server.socket.parent, server.socket):
            os.chown(path, NOBODY, NOBODY)
    port = free_port()
    env = environment(server.url, data, PORT=str(port), TMPDIR=str(temporary), PYTHONDONTWRITEBYTECODE="1")
    env = {name: env[name] for name in env if name not in ("PYTHONPATH", "HOME")}
    before = {path: path.stat().st_mtime_ns for path in image.rglob("*")}
    program, said = image / "bin" / "gelato-rollup", tmp_path / "said.log"
    with said.open("wb") as log:
        running = [
            subprocess.Popen([program, command], env=env | more, cwd="/", stdout=log, stderr=log, **user)
            for command, more in (("receiver", {"GELATO_SPOOL_PERSISTENT": "yes"}), ("worker", {}))
        ]
    base = f"http://127.0.0.1:{port}"
    try:
        eventually(lambda: answers(f"{base}/healthz"), seconds=40, what="the receiver to answer")
        event = fixture("itemStatus-os_3193599925.json")
        posted = httpx.post(f"{base}/webhooks/gelato", content=event, headers={"X-Webhook-Secret": SECRET})
        assert posted.json()["result"] == "accepted"
        token = {"Authorization": f"Bearer {OPS_TOKEN}"}
        eventually(
            lambda: httpx.get(f"{base}/orders/83831IAKD2", headers=token).status_code == 200, what="the document"
        )
        console = httpx.get(f"{base}/console", follow_redirects=True)
        assert console.status_code == 200, said.read_text()  # its templates are there
        for path in httpx.get(f"{base}/schemas").json()["schemas"].values():
            assert httpx.get(f"{base}{path}").json()["$id"]
    finally:
        for process in running:
            process.terminate()
        codes = [process.wait(15) for process in running]
    assert codes == [0, 0], said.read_text()
    assert {path: path.stat().st_mtime_ns for path in image.rglob("*")} == before, "nothing was written to its code"


def answers(url: str) -> bool:
    try:
        return httpx.get(url, timeout=2.0, trust_env=False).status_code == 200
    except httpx.TransportError:
        return False


@pytest.mark.parametrize("python", ["3.11", "3.12", "3.13"])
def test_each_pinned_dependency_has_a_wheel_for_each_python(python: str, tmp_path: Path) -> None:
    """Nothing is compiled where it is installed. (What those versions do with it is seen where they are installed.)"""
    command = [tool("uv"), "pip", "install", "--dry-run", "--quiet", "--target", tmp_path, "--python-version", python]
    command += ["--only-binary", ":all:", "--require-hashes", "-r", ROOT / "requirements.lock"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
