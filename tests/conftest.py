"""What all tests share: one real server for the session, clean for each test; processes that end with their test."""

import signal
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from support.commands import Answer, Gelato, run_command
from support.folding.mortal import Mortal
from support.processes import Process, Receiver, environment, receiving
from support.server import Server

from shared.store import Store

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN and threading.current_thread() is threading.main_thread():
    # So it is for what a shell runs in the background, and would be for all that is started here.
    signal.signal(signal.SIGINT, signal.default_int_handler)
#: A busy machine is no reason for a property to fail.
settings.register_profile("house", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("house")


@pytest.fixture(scope="session")
def session_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    server = Server(tmp_path_factory.mktemp("server"))
    server.start()
    yield server
    server.stop()


@pytest.fixture
def server(session_server: Server) -> Iterator[Server]:
    """A real server, empty."""
    session_server.client.flushall()
    session_server.client.script_flush()
    yield session_server
    session_server.client.flushall()


@pytest.fixture
def store(server: Server) -> Iterator[Store]:
    store = Store.from_url(server.url)
    yield store
    store.close()


@pytest.fixture
def mortal(server: Server) -> Iterator[Callable[..., Mortal]]:
    """Makes mortal stores."""
    made: list[Mortal] = []

    def make(*, one_call: bool = False) -> Mortal:
        made.append(Mortal(server.url, one_call=one_call))
        return made[-1]

    yield make
    for each in made:
        each.close()


@pytest.fixture
def env(server: Server, tmp_path: Path) -> dict[str, str]:
    """The environment of processes under test; change it before they start."""
    return environment(server.url, tmp_path / "var")


@pytest.fixture
def start(env: dict[str, str], tmp_path: Path) -> Iterator[Callable[..., Process]]:
    """Start processes of the command line: `start("worker")`. They end with the test."""
    started: list[Process] = []

    def begin(*arguments: str, **more: str) -> Process:
        log = tmp_path / f"{arguments[0]}-{len(started)}.log"
        process = Process(list(arguments), {**env, **more}, log).start()
        started.append(process)
        return process

    yield begin
    for process in started:
        process.kill()


@pytest.fixture
def receiver(env: dict[str, str], tmp_path: Path) -> Iterator[Receiver]:
    """A receiver process, answering."""
    receiver = Receiver(env, tmp_path / "receiver.log").start()
    yield receiver
    receiver.stop()


@pytest.fixture(scope="module")
def tenants() -> str:
    """What the tenants file of `process` says: nothing, unless a folder or file of tests says something else."""
    return ""


@pytest.fixture(scope="module")
def settings() -> dict[str, str]:
    """The settings of `process`, as `tenants`."""
    return {}


@pytest.fixture(scope="module")
def process(
    session_server: Server, tmp_path_factory: pytest.TempPathFactory, tenants: str, settings: dict[str, str]
) -> Iterator[Receiver]:
    """One receiver for all tests of a file. They ask for it with a server that is empty for each: as `receiver`, where
    their folder says that this is meant by it."""
    with receiving(session_server.url, tmp_path_factory.mktemp("process"), tenants, **settings) as receiver:
        yield receiver


@pytest.fixture
def gelato(env: dict[str, str], tmp_path: Path) -> Gelato:
    """Run a command to its end: `gelato("orders", "list", PORT="1")`."""

    def run(*arguments: str, **more: str) -> Answer:
        return run_command(arguments, {**env, **more}, tmp_path)

    return run
