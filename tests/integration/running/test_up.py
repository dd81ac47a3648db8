"""`gelato-rollup up`: everything in an empty directory, one command, as somebody who has just installed it."""

import os
import shlex
import signal
import socket
import stat
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import orjson
import pytest
import redis
from support.polling import eventually
from support.processes import ROOT, fixture, free_port
from support.server import Server

Environment = dict[str, str]
REFERENCE = "83831IAKD2"


def bare_environment(**more: str) -> Environment:
    """No setting of this project at all, but for the port: what a newcomer has."""
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG", "TMPDIR") if name in os.environ}
    return kept | {"PYTHONPATH": str(ROOT), "PORT": str(free_port()), "LOG_FORMAT": "json", **more}


def run(directory: Path, env: Environment, *arguments: str) -> subprocess.CompletedProcess[str]:
    """One command in a directory, to its end."""
    command = [sys.executable, "-m", "ops", *arguments]
    return subprocess.run(command, cwd=directory, env=env, capture_output=True, text=True, timeout=60, check=False)


class Up:
    """A running `up`, in a session of its own, so that what it leaves behind can be found."""

    def __init__(self, directory: Path, env: Environment, *arguments: str) -> None:
        self.directory, self.env = directory, env
        self._said = directory.parent / f"{directory.name}-{os.urandom(4).hex()}.out"
        with self._said.open("wb") as said, self._said.with_suffix(".err").open("wb") as errors:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "ops", "up", *arguments],
                cwd=directory,
                env=env,
                stdout=said,
                stderr=errors,
                start_new_session=True,
            )
        self.base = f"http://127.0.0.1:{env['PORT']}"
        self.data_dir = directory / env.get("GELATO_DATA_DIR", "var")

    def said(self) -> str:
        """Its standard output so far."""
        return self._said.read_text()

    def complained(self) -> str:
        """Its standard error so far."""
        return self._said.with_suffix(".err").read_text()

    def ready(self) -> "Up":
        """Wait until it answers and its worker works."""

        def answers() -> bool:
            assert self.process.poll() is None, self.complained()
            return httpx.get(f"{self.base}/healthz", timeout=2.0, trust_env=False).status_code == 200

        eventually(answers, seconds=30.0, what="the receiver of `up` to answer")
        eventually(lambda: "worker started" in self.complained(), seconds=30.0, what="the worker to start")
        return self

    def post(self, **fields: Any) -> dict[str, Any]:
        """Post an event with the secret that `up` made; the answer."""
        event = orjson.loads(fixture("itemStatus-os_3193599925.json")) | fields
        secret = (self.data_dir / "webhook-secret").read_text().strip()
        answer = httpx.post(
            f"{self.base}/webhooks/gelato", json=event, headers={"X-Webhook-Secret": secret}, trust_env=False
        )
        answer.raise_for_status()
        return dict(answer.json())

    def document(self, reference: str = REFERENCE) -> dict[str, Any] | None:
        """A document by HTTP, with the token that `up` made."""
        token = (self.data_dir / "ops-token").read_text().strip()
        headers = {"Authorization": f"Bearer {token}"}
        answer = httpx.get(f"{self.base}/orders/{reference}", headers=headers, trust_env=False)
        return dict(answer.json()) if answer.status_code == 200 else None

    def family(self) -> dict[int, str]:
        """The living processes of its session, and their command lines."""
        return {pid: line for pid, line in session(self.process.pid).items() if pid != self.process.pid}

    def child(self, word: str) -> int:
        """The process whose command line ends in `word`, or is of a program of that name."""
        (pid,) = [
            pid
            for pid, line in self.family().items()
            if line.split()[-1] == word or Path(line.split()[0]).name.startswith(word)
        ]
        return pid

    def kill(self) -> None:
        """SIGKILL to it and to what is left of its session."""
        for pid in (self.process.pid, *self.family()):
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
        self.process.wait()


def session(leader: int) -> dict[int, str]:
    """The living processes of a session."""
    found = {}
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            state, _, _, of = (entry / "stat").read_text().rpartition(")")[2].split()[:4]
            line = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode().strip()
        except OSError:
            continue
        if int(of) == leader and state not in "ZX":
            found[int(entry.name)] = line
    return found


def pasted(up: Up, line: str) -> subprocess.CompletedProcess[str]:
    """A line run as a person would: through bash, where `up` was started."""
    env = {name: value for name, value in up.env.items() if name != "PYTHONPATH"}
    return subprocess.run(
        ["bash", "-c", line], cwd=up.directory, env=env, capture_output=True, text=True, timeout=20, check=False
    )


def curl_lines(up: Up) -> list[str]:
    """The lines to paste that it printed: one posts, the other reads."""
    lines = [line.strip() for line in up.said().splitlines()]
    return [line for line in lines if line.startswith("curl ")]


def secrets_of(up: Up) -> list[str]:
    """The secrets in its data directory."""
    return [(up.data_dir / name).read_text().strip() for name in ("webhook-secret", "ops-token")]


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """An empty directory."""
    directory = tmp_path / "home"
    directory.mkdir()
    return directory


@pytest.fixture
def start() -> Iterator[Callable[..., Up]]:
    """Start `up`s; they end with the test."""
    started: list[Up] = []

    def begin(directory: Path, env: Environment, *arguments: str) -> Up:
        up = Up(directory, env, *arguments)
        started.append(up)
        return up

    yield begin
    for up in started:
        up.kill()


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Up]:
    """One `up` for all tests that only look at it, on its first start."""
    directory = tmp_path_factory.mktemp("running") / "home"
    directory.mkdir()
    up = Up(directory, bare_environment())
    try:
        yield up.ready()
    finally:
        up.kill()


# What it makes and says


def test_secrets_and_data_are_for_their_owners_eyes_only(running: Up) -> None:
    assert stat.S_IMODE(running.data_dir.stat().st_mode) == 0o700
    for name in ("webhook-secret", "ops-token"):
        assert stat.S_IMODE((running.data_dir / name).stat().st_mode) == 0o600
    assert all(len(secret) >= 32 for secret in secrets_of(running))
    assert len(set(secrets_of(running))) == 2


def test_the_first_start_prints_the_secrets_it_made(running: Up) -> None:
    assert all(secret in running.said() for secret in secrets_of(running))
    assert not any(secret in running.complained() for secret in secrets_of(running))


def test_the_line_to_paste_of_a_first_start_posts_an_event_and_the_next_one_reads_its_order(running: Up) -> None:
    post, read = curl_lines(running)
    assert secrets_of(running)[0] in post
    answer = pasted(running, post)
    assert answer.returncode == 0, answer.stderr
    assert orjson.loads(answer.stdout)["result"] in ("accepted", "duplicate")
    eventually(lambda: running.document("MY-1"), what="the document")
    assert orjson.loads(pasted(running, read).stdout)["orderReferenceId"] == "MY-1"


def test_no_process_of_up_listens_on_the_network_but_the_receiver(running: Up) -> None:
    url = (running.data_dir / "redis-url").read_text().strip()
    assert url.startswith("unix://")
    client = redis.Redis.from_url(url, protocol=2)
    assert client.config_get("port") == {"port": "0"}
    assert client.config_get("appendfsync") == {"appendfsync": "always"}
    client.close()


# Other commands find it


@pytest.mark.parametrize("elsewhere", [False, True])
def test_other_commands_find_the_embedded_server(running: Up, tmp_path: Path, elsewhere: bool) -> None:
    running.post()
    eventually(running.document, what="the document")
    env = dict(running.env)
    if elsewhere:
        env["GELATO_DATA_DIR"] = str(running.data_dir)
    directory = tmp_path if elsewhere else running.directory
    shown = run(directory, env, "orders", "show", REFERENCE)
    assert shown.returncode == 0, shown.stderr
    assert "poster-13x18" in shown.stdout
    config = run(directory, env, "config", "--json")
    assert config.returncode == 0
    assert "valkey.sock" in orjson.loads(config.stdout)["dataServer"]
    assert not any(secret in config.stdout for secret in secrets_of(running))
    simulated = run(directory, env, "simulate", "--orders", "5", "--json")
    assert simulated.returncode == 0, simulated.stdout + simulated.stderr
    assert orjson.loads(simulated.stdout)["ok"] is True


# Two of them


def test_a_second_up_on_the_same_directory_is_refused(running: Up) -> None:
    second = run(running.directory, running.env | {"PORT": str(free_port())}, "up")
    assert second.returncode == 2
    assert second.stdout == ""
    (line,) = second.stderr.splitlines()
    assert "another `gelato-rollup up` runs on" in line
    assert str(running.data_dir) in line
    assert run(running.directory, running.env, "orders", "list").returncode == 0  # the first one is none the worse


def test_a_taken_port_is_refused_and_named(home: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        answer = run(home, bare_environment(PORT=str(port)), "up")
    assert answer.returncode == 2
    (line,) = answer.stderr.splitlines()
    assert f"127.0.0.1:{port}" in line
    assert "PORT" in line


def test_secrets_are_still_shown_once_after_a_first_start_that_found_its_port_taken(
    home: Path, start: Callable[..., Up]
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        assert run(home, bare_environment(PORT=str(taken.getsockname()[1])), "up").returncode == 2
    up = start(home, bare_environment()).ready()
    assert all(secret in up.said() for secret in secrets_of(up))


# It ends


@pytest.mark.parametrize("how", ["SIGTERM", "SIGINT", "Ctrl-C"])
def test_a_signal_ends_all_its_processes_in_time(home: Path, start: Callable[..., Up], how: str) -> None:
    up = start(home, bare_environment()).ready()
    family = up.family()
    assert len(family) == 3, family  # the server, the receiver, the worker
    if how == "Ctrl-C":
        os.killpg(up.process.pid, signal.SIGINT)  # a terminal sends it to all of them
    else:
        up.process.send_signal(signal.Signals[how])
    assert up.process.wait(10.0) == 0, up.complained()
    assert up.family() == {}
    assert "Traceback" not in up.complained()
    assert not (up.data_dir / "redis-url").exists()


def test_a_worker_that_is_told_to_stop_while_it_starts_stops(server: Server) -> None:
    """A SIGTERM before RQ listens for it is heard by us alone; RQ must not go on with empty shifts."""
    script = "import sys; from worker import rq_worker, shift; shift.stop_asked.set(); rq_worker.work(sys.argv[1])"
    worker = subprocess.Popen(
        [sys.executable, "-c", script, server.url],
        env=bare_environment(REDIS_URL=server.url),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        assert worker.wait(5.0) == 0
    finally:
        worker.kill()
        worker.wait()


def test_a_second_start_keeps_orders_and_secrets_and_prints_no_secret(home: Path, start: Callable[..., Up]) -> None:
    env = bare_environment()
    first = start(home, env).ready()
    secrets = secrets_of(first)
    assert first.post()["result"] == "accepted"
    first.process.terminate()
    assert first.process.wait(10.0) == 0
    second = start(home, env).ready()
    assert secrets_of(second) == secrets
    assert not any(secret in second.said() + second.complained() for secret in secrets)
    assert second.post()["result"] == "duplicate"
    eventually(second.document, what="the document")
    post, read = curl_lines(second)
    assert orjson.loads(pasted(second, post).stdout)["result"] in ("accepted", "duplicate")
    eventually(lambda: second.document("MY-1"), what="the document")
    assert orjson.loads(pasted(second, read).stdout)["orderReferenceId"] == "MY-1"


# Its children die


@pytest.mark.parametrize("who", ["receiver", "worker", "valkey"])
def test_a_child_that_is_killed_is_started_again_and_no_event_is_lost(
    home: Path, start: Callable[..., Up], who: str
) -> None:
    up = start(home, bare_environment(GELATO_LEASE_SECONDS="1")).ready()
    assert up.post()["result"] == "accepted"
    eventually(up.document, what="the document")
    victim = up.child(who)
    os.kill(victim, signal.SIGKILL)
    eventually(lambda: up.child(who) != victim, seconds=20.0, what=f"another {who}")
    eventually(lambda: up.post(id="os_later", status="printed")["result"], seconds=20.0, what="an answer")
    document = eventually(
        lambda: found if (found := up.document()) and found["events"] == 2 else None, seconds=30.0, what="both events"
    )
    assert document["status"] == "printed"
    assert "started again" in up.complained()


def test_killing_up_itself_takes_its_children_with_it_and_a_new_one_starts(
    home: Path, start: Callable[..., Up]
) -> None:
    env = bare_environment()
    up = start(home, env).ready()
    assert up.post()["result"] == "accepted"
    eventually(up.document, what="the document")
    up.process.kill()
    up.process.wait()
    eventually(lambda: up.family() == {}, seconds=12.0, what="its children to end")
    again = start(home, env).ready()
    assert again.post()["result"] == "duplicate"
    assert again.document() is not None


def test_a_new_up_never_runs_beside_the_server_of_one_that_was_killed(home: Path, start: Callable[..., Up]) -> None:
    up = start(home, bare_environment()).ready()
    old = up.child("valkey")
    os.kill(old, signal.SIGSTOP)  # it hangs in a slow disk, say, and does not end when `up` does
    try:
        up.process.kill()
        up.process.wait()
        second = start(home, bare_environment())
        code = eventually(
            lambda: [second.process.poll()] if second.process.poll() is not None or second.said() else None,
            seconds=30.0,
            what="the second up to start or to refuse",
        )
        assert code == [2], "two servers have the same append-only file open"
        assert str(up.data_dir) in second.complained()
    finally:
        os.kill(old, signal.SIGCONT)


# Places


def test_a_data_directory_with_blanks_and_quotes_works_as_pasted(home: Path, start: Callable[..., Up]) -> None:
    up = start(home, bare_environment(GELATO_DATA_DIR='mother\'s "data" $HOME')).ready()
    for _ in range(2):
        post, _ = curl_lines(up)
        assert orjson.loads(pasted(up, post).stdout)["result"] in ("accepted", "duplicate")
        up.process.terminate()
        assert up.process.wait(10.0) == 0
        up = start(home, up.env).ready()
    _, read = curl_lines(up)
    eventually(lambda: orjson.loads(pasted(up, read).stdout).get("orderReferenceId"), what="the document")


def test_a_data_directory_longer_than_a_socket_allows_works(home: Path, start: Callable[..., Up]) -> None:
    long = "/".join(["a-long-name-of-a-directory"] * 8)
    up = start(home, bare_environment(GELATO_DATA_DIR=long)).ready()
    assert len(str(up.data_dir)) > 200
    assert up.post()["result"] == "accepted"
    eventually(up.document, what="the document")
    url = (up.data_dir / "redis-url").read_text().strip()
    place = Path(url.removeprefix("unix://").partition("?")[0]).parent
    assert stat.S_IMODE(place.stat().st_mode) == 0o700
    assert run(home, up.env, "orders", "show", REFERENCE).returncode == 0


def test_a_socket_is_never_put_into_a_directory_that_others_may_enter(home: Path, start: Callable[..., Up]) -> None:
    """A long data directory's socket goes to the temporary directory, where anybody can make its directory first."""
    with tempfile.TemporaryDirectory(prefix="gr-") as temporary:
        env = bare_environment(GELATO_DATA_DIR="/".join(["a-long-name-of-a-directory"] * 8), TMPDIR=temporary)
        up = start(home, env).ready()
        url = (up.data_dir / "redis-url").read_text().strip()
        place = Path(url.removeprefix("unix://").partition("?")[0]).parent
        assert place.parent == Path(temporary)
        up.process.terminate()
        assert up.process.wait(10.0) == 0
        place.mkdir(exist_ok=True)
        place.chmod(0o777)
        second = start(home, env)
        eventually(lambda: second.process.poll() is not None or second.said(), seconds=30.0, what="a start or refusal")
        assert second.process.poll() == 2 or stat.S_IMODE(place.stat().st_mode) == 0o700


# Settings


def test_the_line_to_paste_works_while_a_secret_is_rotated(home: Path, start: Callable[..., Up]) -> None:
    up = start(
        home, bare_environment(GELATO_WEBHOOK_SECRET="the-new-one,the-old-one", GELATO_OPS_TOKEN="a-token")
    ).ready()
    (post, *_) = curl_lines(up)
    assert orjson.loads(pasted(up, post).stdout).get("result") == "accepted"
    assert "the-old-one" not in up.said()


def test_the_urls_are_usable_on_an_ipv6_host(home: Path, start: Callable[..., Up]) -> None:
    if not socket.has_ipv6 or not Path("/proc/net/if_inet6").exists():
        pytest.skip("no IPv6 here")
    up = start(home, bare_environment(HOST="::1"))
    eventually(lambda: "worker started" in up.complained(), seconds=30.0, what="the worker to start")
    (post, *_) = curl_lines(up)
    assert f"http://[::1]:{up.env['PORT']}/" in post
    eventually(lambda: orjson.loads(pasted(up, post).stdout)["result"], what="an answer")


def test_a_data_directory_that_cannot_be_made_is_refused_and_named(home: Path) -> None:
    (home / "var").write_text("a file")
    answer = run(home, bare_environment(), "up")
    assert answer.returncode == 2
    (line,) = answer.stderr.splitlines()
    assert line.startswith("gelato-rollup: GELATO_DATA_DIR: ")
    assert shlex.quote(str(home / "var")) in line
