"""From nothing to the first document, in a fresh environment of each Python: as README says it, with what README prints."""

import os
import re
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
from support.deployed import tool
from support.interpreters import find, promised
from support.polling import eventually
from support.processes import FIXTURES, ROOT, free_port
from support.up import session

pytestmark = pytest.mark.timeout(600)  # with cold caches and a slow line most of it is downloading
Environment = dict[str, str]

#: What the first minutes may take on a slow machine.
LONGEST_SECONDS = 120.0


@pytest.fixture(params=promised())
def python(request: pytest.FixtureRequest) -> Path:
    """A Python of that version."""
    found = find(request.param)
    if found is None:
        pytest.skip(f"no Python {request.param} with pip and venv on PATH, and none of pyenv's: not tested here")
    return found


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """What a clone has: these files, without what was made from them."""
    made = [line.rstrip("/") for line in (ROOT / ".gitignore").read_text().splitlines()]
    return Path(shutil.copytree(ROOT, tmp_path / "checkout", ignore=shutil.ignore_patterns(".git", *made)))


@pytest.fixture
def env() -> Environment:
    """Nothing of this project's: as a newcomer."""
    alien = ("GELATO_", "PYTHON", "VIRTUAL_ENV", "REDIS_URL", "MAKE", "MFLAGS", "PYTEST")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(alien)}
    return kept | {"PORT": str(free_port())}


@contextmanager
def running(command: list[str], directory: Path, env: Environment) -> Iterator[subprocess.Popen[bytes]]:
    """`up`, answering; ended as by Ctrl-C, and then nothing of it is left."""
    said = directory / "said.txt"
    with said.open("wb") as out:
        process = subprocess.Popen(command, cwd=directory, env=env, stdout=out, stderr=out, start_new_session=True)
    client = httpx.Client(base_url=f"http://127.0.0.1:{env['PORT']}", trust_env=False)

    def answers_or_ended() -> bool:
        return process.poll() is not None or client.get("/healthz").status_code == 200

    try:
        eventually(answers_or_ended, seconds=500.0, what="`up` to answer")
        assert process.poll() is None, said.read_text()
        yield process
        os.killpg(process.pid, signal.SIGINT)
        process.wait(30)
        assert session(process.pid) == {}
        assert not re.search(r"Traceback|Warning", said.read_text()), said.read_text()
    finally:
        client.close()
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGTERM)
            process.wait(30)


def run(command: list[str | Path], directory: Path, env: Environment) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, cwd=directory, env=env, capture_output=True, text=True, timeout=300, check=False)


def paragraphs(heading: str) -> list[str]:
    """The indented paragraphs of a section of README."""
    section = (ROOT / "README.md").read_text().split(f"\n## {heading}\n")[1].split("\n## ")[0]
    return [re.sub("(?m)^    ", "", each) for each in section.strip().split("\n\n") if each.startswith("    ")]


def follow_readme(directory: Path, env: Environment, **instead: str) -> None:
    """Paste the commands of Gelato's own example one after the other; each prints what README says."""
    told = paragraphs("Gelato's own example")[:6]
    for command, printed in zip(told[::2], told[1::2], strict=True):
        for ours, yours in {":8000": f":{env['PORT']}", **instead}.items():
            command = command.replace(ours, yours)

        def as_told(command: str = command, printed: str = printed) -> bool:
            answer = run(["bash", "-c", command], directory, env)
            said = answer.stdout.replace('"duplicate"', '"accepted"')  # so says the second try
            assert (lines(said), answer.stderr) == (lines(printed), "")
            return True

        eventually(as_told, what=f"what README says of {command}")  # the fold follows in milliseconds


def lines(text: str) -> list[str]:
    """The lines, without what differs from time to time: the instant, and how many events were folded together."""
    return [re.sub(r" v\d+,|updated \S+", "", line).rstrip() for line in text.strip().splitlines()]


def version(python: Path) -> str:
    return subprocess.run([python, "-V"], capture_output=True, text=True, check=True).stdout.strip()


def test_make_run_leads_to_the_first_document(
    python: Path, checkout: Path, env: Environment, record_property: Callable[[str, object], None]
) -> None:
    began = time.monotonic()
    with running(["make", "run", f"PYTHON={python}"], checkout, env):
        follow_readme(checkout, env)
        seconds = time.monotonic() - began
    record_property(f"{version(python)}, `make run` to the first document", f"{seconds:.1f} s")
    assert seconds < LONGEST_SECONDS


def test_an_install_is_a_command_that_works_in_an_empty_directory(
    python: Path, checkout: Path, env: Environment, tmp_path: Path
) -> None:
    fresh, empty = tmp_path / "fresh", tmp_path / "empty"
    empty.mkdir()
    subprocess.run([python, "-m", "venv", "--without-pip", fresh], check=True)
    # Not editable, and the newest packages that pyproject.toml admits. As `pip install .`, in a tenth of the time.
    installed = run([tool("uv"), "pip", "install", "--python", fresh, "."], checkout, env)
    assert installed.returncode == 0, installed.stderr
    shutil.rmtree(checkout)  # it is not needed any more
    # From here on what becomes deprecated in a Python to come is an error.
    env |= {"PATH": f"{fresh / 'bin'}:{env['PATH']}", "PYTHONWARNINGS": "error::DeprecationWarning"}

    def gelato(*arguments: str, **more: str) -> subprocess.CompletedProcess[str]:
        return run(["gelato-rollup", *arguments], empty, env | more)

    assert f"({version(python)}," in gelato("--version").stdout
    with running(["gelato-rollup", "up"], empty, env) as up:
        follow_readme(empty, env, **{"tests/fixtures": str(FIXTURES), ".venv/bin/": ""})
        examined = gelato("doctor")
        assert (examined.returncode, examined.stderr) == (0, ""), examined.stdout
    assert up.returncode == 0

    # What a newcomer runs into, with what to do about it.
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        assert "set HOST or PORT to another" in gelato("up", PORT=port).stderr
    assert "is it running?" in gelato("orders", "list", REDIS_URL="redis://127.0.0.1:1/0").stderr
    assert "must begin with one of redis://" in gelato("orders", "list", REDIS_URL="http://127.0.0.1").stderr
    (empty / "tenants.toml").write_text("[acme]\nsecrt = 'x'")
    assert "secrt" in gelato("up", GELATO_TENANTS_FILE="tenants.toml").stderr

    tab = 'eval "$(_GELATO_ROLLUP_COMPLETE=bash_source gelato-rollup)"; COMP_WORDS=(gelato-rollup dead) COMP_CWORD=1; '
    tab += '_gelato_rollup_completion gelato-rollup; echo "${COMPREPLY[@]}"'
    assert subprocess.check_output(["bash", "-c", tab], cwd=empty, env=env, text=True).strip() == "dead-letters"
