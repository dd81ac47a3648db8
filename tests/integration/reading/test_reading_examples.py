"""The programs of docs/how-to/reading, run as they stand there against a real server, as its readers' users."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from support.deployed import Deployed
from support.events import webhook
from support.orders import accept, document, fold
from support.polling import eventually
from support.processes import ROOT

from shared.store import Store, changes, keys

HERE = ROOT / "docs" / "how-to" / "reading"
GROUP, CONSUMER = "shipping", "shipping-1"
ODD = "№ 7/a (b)!"


@pytest.fixture(scope="module")
def deployed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployed]:
    """A server with the users of deploy/."""
    server = Deployed(tmp_path_factory.mktemp("data"))
    server.start()
    yield server
    server.stop()


@pytest.fixture
def store(deployed: Deployed) -> Iterator[Store]:
    deployed.client.flushall()
    store = Store.from_url(f"redis://administrator:-@{deployed.address}/0")
    yield store
    store.close()


@pytest.fixture(scope="module")
def npm_packages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with npm's `redis`. Skips where there is no node, or npm cannot fetch it."""
    if shutil.which("node") is None or shutil.which("npm") is None:
        pytest.skip("node and npm are not installed: reader.mjs is not tested here")
    directory = tmp_path_factory.mktemp("npm")
    command = ["npm", "install", "--silent", "--no-audit", "--no-fund", "--ignore-scripts", "redis@5"]
    done = subprocess.run(command, cwd=directory, capture_output=True, text=True, timeout=100, check=False)
    if done.returncode != 0:
        pytest.skip(f"npm cannot install redis here, reader.mjs is not tested: {done.stderr[-300:]}")
    return directory


@pytest.fixture(params=["reader.py", "reader.mjs", "reader.sh"])
def command(request: pytest.FixtureRequest, tmp_path: Path) -> list[str]:
    """What runs the program."""
    match request.param:
        case "reader.mjs":
            packages: Path = request.getfixturevalue("npm_packages")
            shutil.copy(HERE / "reader.mjs", packages)  # node looks for packages beside the program
            return ["node", str(packages / "reader.mjs")]
        case "reader.sh":
            if shutil.which("redis-cli") is None and shutil.which("valkey-cli") is None:
                pytest.skip("neither redis-cli nor valkey-cli is installed: reader.sh is not tested here")
            return [str(HERE / "reader.sh")]
    return [sys.executable, str(HERE / "reader.py")]


class Program:
    """A running example, and what it has printed."""

    def __init__(self, command: list[str], printed: Path) -> None:
        self.printed = printed
        with printed.open("ab") as out, printed.with_suffix(".err").open("ab") as err:
            self.process = subprocess.Popen(
                command, stdout=out, stderr=err, env={**os.environ, "PYTHONPATH": str(ROOT)}, start_new_session=True
            )

    def lines(self) -> list[str]:
        return self.printed.read_text().splitlines()

    def tells(self, *references: str) -> None:
        """Wait until it has told of a change of each of these."""

        def told() -> bool:
            assert self.process.poll() is None, self.printed.with_suffix(".err").read_text()
            return all(any(f'"{reference}"' in line for line in self.lines()) for reference in references)

        eventually(told, seconds=20.0, what=f"{references} to be told")

    def kill(self) -> None:
        if self.process.poll() is None:
            os.killpg(self.process.pid, 9)
        self.process.wait()


@pytest.fixture
def run(command: list[str], deployed: Deployed, tmp_path: Path) -> Iterator[Callable[..., Program]]:
    """Start the program, with a fresh page to print on."""
    started: list[Program] = []

    def begin(*references: str) -> Program:
        url = deployed.url_of("follower" if command[-1].endswith(".py") else "reader")
        program = Program([*command, url, *references], tmp_path / f"printed-{len(started)}")
        started.append(program)
        return program

    yield begin
    for program in started:
        program.kill()


def change(store: Store, *references: str) -> None:
    """A new order each, folded and announced."""
    accept(store, *(webhook(reference) for reference in references))
    fold(store)


def groups(server: Deployed) -> list[Any]:
    return server.client.xinfo_groups(keys.CHANGES) if server.client.exists(keys.CHANGES) else []


def has_group(server: Deployed) -> bool:
    return any(each["name"].decode() == GROUP for each in groups(server))


def test_a_document_is_read(run: Callable[..., Program], command: list[str], store: Store) -> None:
    change(store, ODD)
    wanted = keys.escaped(ODD) if command[-1].endswith(".sh") else ODD
    program = run(wanted, "unknown")
    eventually(program.lines, what="a document")
    assert json.loads(program.lines()[0]) == document(store, ODD)


def test_no_change_is_missed_by_a_program_that_is_killed_and_started_again(
    run: Callable[..., Program], store: Store, deployed: Deployed
) -> None:
    first = run()
    eventually(lambda: has_group(deployed), what="the group")
    change(store, "while-it-runs")
    first.tells("while-it-runs")
    first.kill()
    change(store, "given", "not-given")
    # As if it had been killed with an entry in its hands.
    (given,) = store.run(changes.read_group(GROUP, CONSUMER, ">", 1, None))
    assert given.change is not None
    assert given.change["orderReferenceId"] in ("given", "not-given")
    # And another one with the next, more than a minute ago.
    (other,) = store.run(changes.read_group(GROUP, "shipping-2", ">", 1, None))
    deployed.client.xclaim(keys.CHANGES, GROUP, "shipping-2", 0, [other.id], idle=61_000)
    change(store, "afterwards")
    second = run()
    second.tells("given", "not-given", "afterwards")
    eventually(lambda: groups(deployed)[0]["pending"] == 0, what="all to be acknowledged")


def test_no_change_is_missed_when_the_server_is_restarted_under_it(
    run: Callable[..., Program], store: Store, deployed: Deployed
) -> None:
    program = run()
    eventually(lambda: has_group(deployed), what="the group")
    change(store, "before")
    program.tells("before")
    eventually(lambda: groups(deployed)[0]["pending"] == 0, what="that one to be acknowledged")
    deployed.kill()
    deployed.start()
    eventually(lambda: change(store, "after") or True, what="the store to be connected again")
    program.tells("after")
    eventually(lambda: groups(deployed)[0]["pending"] == 0, what="all to be acknowledged")
